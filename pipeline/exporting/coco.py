"""COCO: SPLIT/NAME and annotations/instances_SPLIT.json."""

from collections.abc import Callable, Sequence
from typing import Any

from pipeline.exporting.names import place
from pipeline.exporting.parts import Part, by_split, defect_classes, facts
from pipeline.exporting.writing import Target
from pipeline.reading.coco_file import coco_document

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
    rows = (((file_name(part), part.width, part.height, part.instances), facts(part)) for part in parts)
    return {"info": INFO, "licenses": []} | coco_document(rows, defect_classes(parts))


def _only(whole: dict[str, Any], images: set[int]) -> dict[str, Any]:
    return whole | {
        "images": [one for one in whole["images"] if one["id"] in images],
        "annotations": [one for one in whole["annotations"] if one["image_id"] in images],
    }
