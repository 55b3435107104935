"""Instances in the terms of COCO, for whatever writes its files; `annotations/coco.py` reads them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.reading.instances import Instance, area

NAME = "instances.json"  # beside a manifest that a run writes
Row = tuple[str, int, int, tuple[Instance, ...]]  # path in the data set, width, height, instances


def coco_document(rows: Iterable[tuple[Row, Mapping[str, Any]]], categories: Iterable[str]) -> dict[str, Any]:
    """A COCO record of images, each with further keys of its own; ids count from 1, in the order given.

    Boxes and polygons are exact, masks are compressed run lengths; a box alone has an empty `segmentation`.
    """
    numbers = {name: number for number, name in enumerate(categories, start=1)}
    images, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    for (path, width, height, instances), more in rows:
        images.append({"id": len(images) + 1, "file_name": path, "width": width, "height": height} | dict(more))
        for one in instances:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": len(images),
                    "category_id": numbers[one.label],
                    "bbox": list(one.box),
                    "area": area(one, height, width),
                    "segmentation": _segmentation(one, height, width),
                    "iscrowd": 0,
                }
            )
    kinds = [{"id": number, "name": name, "supercategory": "defect"} for name, number in numbers.items()]
    return {"images": images, "annotations": annotations, "categories": kinds}


def write_instances(path: Path, rows: Iterable[Row]) -> None:
    """Write `rows` as a COCO file; the categories are the classes of their instances, sorted."""
    known = list(rows)
    categories = sorted({one.label for *_, instances in known for one in instances})
    document = coco_document(((row, {}) for row in known), categories)
    path.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")


def _segmentation(one: Instance, height: int, width: int) -> Any:
    if one.rle:
        return {"size": [height, width], "counts": one.rle}
    return [[end for corner in outline for end in corner] for outline in one.polygons]
