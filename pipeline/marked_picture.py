"""A small picture of an image with the outlines of its defects."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.reading.instances import Instance, covered

Pixels = NDArray[np.uint8]
LIGHT, DARK = (255, 214, 0), (20, 20, 20)  # the line and its edge: one of them shows on any ground
CLEAR = 3  # pixels between a defect and the line around it


def shrunk(image: Pixels, side: int) -> Pixels:
    """``uint8 [H, W]`` or ``[H, W, 3]`` whose longer side is ``side`` at most; smaller images stay as they are."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def marked(image: Pixels, mask: Pixels | None, instances: Sequence[Instance], side: int) -> Pixels:
    """The image as by `shrunk`, in colour and with a line around each defect where any are known: instances, else mask.

    ``mask`` is ``uint8 [H, W]`` of the image's size. An instance of which only the box is known gets its box.
    """
    small = shrunk(image, side)
    lines = [line for area in _areas(image.shape[:2], mask, instances) for line in _around(area, small.shape[:2])]
    if not lines:
        return small
    canvas = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB) if small.ndim == 2 else small.copy()
    cv2.polylines(canvas, lines, isClosed=True, color=DARK, thickness=3)
    cv2.polylines(canvas, lines, isClosed=True, color=LIGHT, thickness=1)
    return np.asarray(canvas, np.uint8)


def _areas(shape: tuple[int, ...], mask: Pixels | None, instances: Sequence[Instance]) -> list[Pixels]:
    """``uint8 [H, W]`` of each defect, 0 outside."""
    if not instances:
        return [] if mask is None else [mask]
    return [covered(one, shape[0], shape[1]) for one in instances]


def _around(area: Pixels, shape: tuple[int, ...]) -> list[NDArray[np.int32]]:
    """Closed lines around an area brought to ``shape``, at a distance: a thin defect is not covered by its outline."""
    scaled = cv2.resize(np.where(area > 0, np.float32(1), np.float32(0)), shape[::-1], interpolation=cv2.INTER_AREA)
    grown = cv2.dilate((scaled > 0).astype(np.uint8), np.ones((2 * CLEAR + 1, 2 * CLEAR + 1), np.uint8))
    found, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [np.asarray(line, np.int32) for line in found]
