"""LabelMe: NAME and NAME.json beside it, in a folder for each split where there are any."""

import base64
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from pipeline.exporting.names import place
from pipeline.exporting.parts import Part, facts
from pipeline.exporting.writing import Target
from pipeline.reading.instances import Instance, Mask

VERSION = "5.5.0"  # of LabelMe, from 5.2 on of which masks are shapes


def write_labelme(parts: Sequence[Part], target: Target) -> None:
    """Polygons, rectangles and masks as they are; several outlines of one defect share a `group_id`.

    `flags` says whether the image is synthetic, `lineage` holds what else is known.
    """
    for part in place(parts, lambda part: part.split):
        target.image(part)
        target.json(f"{part.path.rpartition('.')[0]}.json", _document(part))


def _document(part: Part) -> dict[str, Any]:
    known = facts(part)
    return {
        "version": VERSION,
        "flags": {"synthetic": known.pop("synthetic")},
        "shapes": [shape for n, one in enumerate(part.instances, start=1) for shape in _shapes(part, one, n)],
        "imagePath": part.path.rpartition("/")[2],
        "imageData": None,
        "imageHeight": part.height,
        "imageWidth": part.width,
        "lineage": known,
    }


def _shapes(part: Part, instance: Instance, number: int) -> Iterator[dict[str, Any]]:
    left, top, width, height = instance.box
    if instance.is_box:
        yield _shape(instance, "rectangle", [[left, top], [left + width, top + height]])
    for polygon in instance.polygons:
        group = number if len(instance.polygons) > 1 else None
        yield _shape(instance, "polygon", [list(corner) for corner in polygon], group)
    if instance.rle and (mask := part.mask_of(instance)) is not None:
        x, y, right, bottom = int(left), int(top), int(left + width) - 1, int(top + height) - 1  # the last pixels
        inside = _png(mask[y : bottom + 1, x : right + 1])
        yield _shape(instance, "mask", [[x, y], [right, bottom]]) | {"mask": inside}


def _shape(instance: Instance, kind: str, points: list[list[float]], group: int | None = None) -> dict[str, Any]:
    return {
        "label": instance.label,
        "points": points,
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
    }


def _png(mask: Mask) -> str:
    """A PNG of 0 and 1 in base64, as LabelMe keeps masks."""
    buffer = io.BytesIO()
    Image.fromarray((mask > 0).astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
