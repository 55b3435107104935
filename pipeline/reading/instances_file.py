"""`instances.json` beside a manifest: the instances of its images, as a COCO file."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.reading.instances import Instance, area

NAME = "instances.json"
Row = tuple[
    str, int, int, tuple[Instance, ...]
]  # path of an image in the data set, its width and height, its instances


def coco(rows: Iterable[Row], categories: list[str]) -> dict[str, Any]:
    """A COCO record of images and their instances; ids count from 1, in the order given."""
    images, annotations = [], list[dict[str, Any]]()
    number = {name: k for k, name in enumerate(categories, start=1)}
    for k, (path, width, height, instances) in enumerate(rows, start=1):
        images.append({"id": k, "file_name": path, "width": width, "height": height})
        for one in instances:
            annotation = {
                "id": len(annotations) + 1,
                "image_id": k,
                "category_id": number[one.label],
                "bbox": list(one.box),
                "area": area(one, height, width),
                "iscrowd": 0,
            }
            if one.rle:
                annotation["segmentation"] = {"size": [height, width], "counts": one.rle}
            elif one.polygons:
                annotation["segmentation"] = [[end for corner in outline for end in corner] for outline in one.polygons]
            annotations.append(annotation)
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": k, "name": name} for name, k in number.items()],
    }


def instances_of(record: Mapping[str, Any]) -> dict[str, tuple[Instance, ...]]:
    """Path of each image in a record of `coco` -> its instances. Raises KeyError or TypeError for other records."""
    names = {category["id"]: category["name"] for category in record["categories"]}
    found: dict[int, list[Instance]] = {image["id"]: [] for image in record["images"]}
    for one in record["annotations"]:
        left, top, width, height = one["bbox"]
        outline = one.get("segmentation") or []
        rle = outline["counts"] if isinstance(outline, dict) else ""
        flat = [] if isinstance(outline, dict) else outline
        polygons = tuple(tuple(zip(ends[::2], ends[1::2], strict=True)) for ends in flat)
        found[one["image_id"]].append(Instance(names[one["category_id"]], (left, top, width, height), polygons, rle))
    return {image["file_name"]: tuple(found[image["id"]]) for image in record["images"]}


def write_instances(path: Path, rows: Iterable[Row]) -> None:
    """Write `rows` as a COCO file; the categories are the classes of their instances, sorted."""
    known = list(rows)
    categories = sorted({one.label for *_, instances in known for one in instances})
    path.write_text(json.dumps(coco(known, categories), ensure_ascii=False) + "\n", encoding="utf-8")


def read_instances(path: Path) -> dict[str, tuple[Instance, ...]]:
    """What `write_instances` wrote. Raises InputError naming the file where it is something else."""
    try:
        return instances_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no record of instances as a run writes it ({error}); restore it or run `ganaug merge`."
        ) from error
