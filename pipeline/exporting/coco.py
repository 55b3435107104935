"""COCO: SPLIT/NAME and annotations/instances_SPLIT.json."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pycocotools import mask as coco_mask

from pipeline.exporting.names import place
from pipeline.exporting.parts import Part, by_split, defect_classes, facts
from pipeline.exporting.writing import Target
from pipeline.reading.instances import Instance

INFO = {"description": "exported by ganaug", "version": "1.0"}


def write_coco(parts: Sequence[Part], target: Target) -> None:
    """Ids and categories are common to all splits; `file_name` is relative to the folder of the split.

    Boxes and polygons are exact, masks are compressed run lengths; a box alone has an empty `segmentation`. What else
    is known stands as further keys at the image.
    """
    placed = place(parts, lambda part: part.split_or_train)
    for part in placed:
        target.image(part)
    whole = document(placed, lambda part: part.path.partition("/")[2])
    for split in by_split(placed):
        images = {number for number, part in enumerate(placed, start=1) if part.split_or_train == split}
        target.json(f"annotations/instances_{split}.json", _only(whole, images))


def document(parts: Sequence[Part], file_name: Callable[[Part], str] = lambda part: part.path) -> dict[str, Any]:
    """A COCO file of placed parts, the ids of images, annotations and categories from 1."""
    categories = {name: number for number, name in enumerate(defect_classes(parts), start=1)}
    images = [
        {"id": number, "file_name": file_name(part), "width": part.width, "height": part.height} | facts(part)
        for number, part in enumerate(parts, start=1)
    ]
    return {
        "info": INFO,
        "licenses": [],
        "images": images,
        "annotations": list(_annotations(parts, categories)),
        "categories": [{"id": number, "name": name, "supercategory": "defect"} for name, number in categories.items()],
    }


def _annotations(parts: Sequence[Part], categories: dict[str, int]) -> Iterator[dict[str, Any]]:
    number = 0
    for image, part in enumerate(parts, start=1):
        for instance in part.instances:
            number += 1
            yield {
                "id": number,
                "image_id": image,
                "category_id": categories[instance.label],
                "bbox": list(instance.box),
                "area": _area(part, instance),
                "segmentation": _segmentation(part, instance),
                "iscrowd": 0,
            }


def _segmentation(part: Part, instance: Instance) -> Any:
    if instance.rle:
        return {"size": [part.height, part.width], "counts": instance.rle}
    return [[end for corner in polygon for end in corner] for polygon in instance.polygons]


def _area(part: Part, instance: Instance) -> float:
    """Pixels, or of a box alone its own area."""
    if instance.is_box:
        return instance.box[2] * instance.box[3]
    if instance.rle:
        return int(coco_mask.area({"size": [part.height, part.width], "counts": instance.rle.encode("ascii")}))
    flat = [[end for corner in polygon for end in corner] for polygon in instance.polygons]
    return int(coco_mask.area(coco_mask.merge(coco_mask.frPyObjects(flat, part.height, part.width))))


def _only(whole: dict[str, Any], images: set[int]) -> dict[str, Any]:
    return whole | {
        "images": [one for one in whole["images"] if one["id"] in images],
        "annotations": [one for one in whole["annotations"] if one["image_id"] in images],
    }
