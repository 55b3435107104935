"""YOLO as Ultralytics reads it: images/SPLIT/NAME, labels/SPLIT/NAME.txt, data.yaml; lineage.csv beside."""

from collections.abc import Sequence

import yaml

from pipeline.exporting.names import place
from pipeline.exporting.outlines import joined, outlines_of
from pipeline.exporting.parts import Part, by_split, defect_classes
from pipeline.exporting.tables import write_table
from pipeline.exporting.writing import Target
from pipeline.reading.instances import Box, Instance, Polygon


def write_yolo(parts: Sequence[Part], target: Target) -> None:
    """Outlines where every instance of the set has some, else boxes: its reader takes one kind for all.

    Numbers are shares of width and height in full precision, so that pixels come back exactly. Lossy: an instance is
    one outline, so holes are filled and several parts are joined by lines of no width; what lies beyond the image is
    cut off. A good image has an empty file, an unmarked one of a class of defects none.
    """
    placed = place(parts, lambda part: f"images/{part.split_or_train}")
    classes = {name: number for number, name in enumerate(defect_classes(placed))}
    outlined = not any(one.is_box for part in placed for one in part.instances)
    for part in placed:
        target.image(part)
        if not part.is_unmarked:
            lines = [_line(part, one, classes[one.label], outlined) for one in part.instances]
            target.text(_label_file(part), "".join(f"{line}\n" for line in lines if line))
    write_table(target, "lineage.csv", placed)
    target.text("data.yaml", _data(by_split(placed), classes))


def _label_file(part: Part) -> str:
    return f"labels{part.path.removeprefix('images').rpartition('.')[0]}.txt"


def _line(part: Part, instance: Instance, number: int, outlined: bool) -> str:
    """Of an instance that lies wholly beyond the image nothing is left."""
    left, top, right, bottom = _within(part, instance.box)
    if right <= left or bottom <= top:
        return ""
    if outlined:
        ends = [share for x, y in _outline(part, instance) for share in _shares(part, x, y)]
    else:
        ends = [*_shares(part, (left + right) / 2, (top + bottom) / 2), *_shares(part, right - left, bottom - top)]
    return " ".join([str(number), *(repr(end) for end in ends)])


def _outline(part: Part, instance: Instance) -> Polygon:
    if not instance.rle:
        return joined(list(instance.polygons))
    mask = part.mask_of(instance)
    return joined(outlines_of(mask)[0]) if mask is not None else ()


def _within(part: Part, box: Box) -> tuple[float, float, float, float]:
    left, top, width, height = box
    return max(left, 0), max(top, 0), min(left + width, part.width), min(top + height, part.height)


def _shares(part: Part, x: float, y: float) -> tuple[float, float]:
    return min(max(x / part.width, 0.0), 1.0), min(max(y / part.height, 0.0), 1.0)


def _data(splits: dict[str, list[Part]], classes: dict[str, int]) -> str:
    """Paths are relative to the file, which Ultralytics does where `path` is left out; it asks for train and val."""
    folders = {split: f"images/{split}" for split in splits}
    spare = next(iter(folders.values()))
    needed = {"train": folders.get("train", spare), "val": folders.get("val", folders.get("train", spare))}
    text = {**needed, **folders, "names": {number: name for name, number in classes.items()}}
    return yaml.safe_dump(text, allow_unicode=True, sort_keys=False)


def remarks_on_yolo(parts: Sequence[Part]) -> list[str]:
    """What holds of the set as a whole."""
    remarks = []
    instances = [one for part in parts for one in part.instances]
    if 0 < sum(one.is_box for one in instances) < len(instances):
        remarks.append("Some defects are boxes alone, so all are written as boxes, and outlines are left out.")
    if not any(part.split == "val" for part in parts):
        remarks.append("There is no split val, which Ultralytics asks for: val in data.yaml is train, never test.")
    return remarks
