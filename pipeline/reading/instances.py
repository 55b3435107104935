"""Instances: the single defects on an image, each with its class and a mask, polygons, or a box alone.

Pixels are those of the image as it is shown (EXIF orientation applied): x to the right, y down, (0, 0) the upper left
corner of the first pixel. A box is (left, top, width, height), as in COCO.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Box = tuple[float, float, float, float]  # left, top, width, height
Polygon = tuple[tuple[float, float], ...]  # corners (x, y), closed from the last to the first
Mask = NDArray[np.uint8]  # [H, W] of 0 and 255


@dataclass(frozen=True)
class Instance:
    """One defect. Outer outlines are in `polygons`, a mask is in `rle` (COCO's compressed run lengths); none: a box."""

    label: str
    box: Box
    polygons: tuple[Polygon, ...] = ()
    rle: str = ""

    @property
    def is_box(self) -> bool:
        """Whether only the box is known."""
        return not self.polygons and not self.rle


def of_polygons(label: str, polygons: Sequence[Polygon]) -> Instance:
    """An instance with outlines; its box is theirs."""
    corners = np.array([corner for polygon in polygons for corner in polygon])
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return Instance(label, (left, top, right - left, bottom - top), tuple(map(tuple, polygons)))


def of_mask(label: str, mask: Mask) -> Instance:
    """An instance of all pixels of `mask` [H, W] that are not 0; there has to be one."""
    packed = coco_mask.encode(np.asfortranarray(mask > 0).astype(np.uint8, order="F"))
    left, top, width, height = (float(end) for end in coco_mask.toBbox(packed))
    return Instance(label, (left, top, width, height), rle=packed["counts"].decode("ascii"))


def parts_of_mask(label: str, mask: Mask) -> tuple[Instance, ...]:
    """An instance for each connected part of `mask` [H, W], corners touching."""
    height, width = mask.shape
    count, parts, boxes, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8), connectivity=8)
    # All run lengths at once, column by column as COCO counts: a mask of noise has thousands of parts.
    column_wise = parts.ravel(order="F")
    ends = np.append(np.flatnonzero(np.diff(column_wise)) + 1, column_wise.size)
    starts = np.append(0, ends[:-1])
    by_part = np.argsort(column_wise[starts], kind="stable")
    bounds = np.searchsorted(column_wise[starts][by_part], np.arange(1, count + 1))
    found = []
    for part, runs in enumerate(np.split(by_part, bounds)[1:count], start=1):
        ons, offs = starts[runs], ends[runs]
        gaps = np.append(ons, column_wise.size) - np.append(0, offs)
        counts = np.append(np.stack([gaps[:-1], offs - ons], axis=1), gaps[-1] if gaps[-1] else [])
        packed = coco_mask.frPyObjects({"size": [height, width], "counts": counts.astype(int).tolist()}, height, width)
        left, top, across, down = (float(end) for end in boxes[part, :4])
        found.append(Instance(label, (left, top, across, down), rle=packed["counts"].decode("ascii")))
    return tuple(found)


def mask_of(instance: Instance, height: int, width: int) -> Mask | None:
    """The pixels of an instance, uint8 [H, W] of 0 and 255; None where only a box is known."""
    packed = _packed(instance, height, width)
    return None if packed is None else np.ascontiguousarray(coco_mask.decode(packed) * np.uint8(255))


def area(instance: Instance, height: int, width: int) -> float:
    """Pixels of an instance in an image of that shape, or of its box."""
    packed = _packed(instance, height, width)
    return instance.box[2] * instance.box[3] if packed is None else float(coco_mask.area(packed))


def _packed(instance: Instance, height: int, width: int) -> dict[str, Any] | None:
    """Run lengths as pycocotools takes them; None where only a box is known."""
    if instance.is_box:
        return None
    if instance.rle:
        return {"size": [height, width], "counts": instance.rle.encode("ascii")}
    flat = [[end for corner in polygon for end in corner] for polygon in instance.polygons]
    packed: dict[str, Any] = coco_mask.merge(coco_mask.frPyObjects(flat, height, width))
    return packed


def covered(instance: Instance, height: int, width: int) -> Mask:
    """The pixels of an instance, uint8 [H, W] of 0 and 255, or all that its box touches where only that is known."""
    mask = mask_of(instance, height, width)
    if mask is None:
        left, top, across, down = instance.box
        mask = np.zeros((height, width), np.uint8)
        mask[max(0, int(top)) : math.ceil(top + down), max(0, int(left)) : math.ceil(left + across)] = 255
    return mask


def redrawn(instance: Instance, height: int, width: int, view: Callable[[Mask], Mask]) -> tuple[Instance, ...]:
    """The instance as `view`, a function of masks of that shape, shows it: one a connected part; a box stays a box."""
    parts = parts_of_mask(instance.label, view(covered(instance, height, width)))
    return tuple(Instance(part.label, part.box) for part in parts) if instance.is_box else parts


def union(instances: Sequence[Instance], height: int, width: int) -> Mask | None:
    """All pixels of the instances that have any, uint8 [H, W]; None where there are boxes alone."""
    masks = [mask for one in instances if (mask := mask_of(one, height, width)) is not None]
    return None if instances and not masks else np.maximum.reduce([np.zeros((height, width), np.uint8), *masks])
