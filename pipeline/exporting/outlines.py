"""Masks as outlines."""

import cv2
import numpy as np

from pipeline.reading.instances import Mask, Polygon


def outlines_of(mask: Mask) -> tuple[list[Polygon], bool]:
    """The outer outlines of a mask [H, W] along the edges of its pixels, and whether it has holes, which they lose.

    A pixel x lies between the corners x and x + 1, as in COCO, so that the outlines' box is the mask's. OpenCV draws
    outlines through pixel centres; those of the mask in twice its size are a quarter of a pixel off the edges, and
    rounding puts them there.
    """
    doubled = np.repeat(np.repeat((mask > 0).astype(np.uint8), 2, axis=0), 2, axis=1)
    outer, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    every, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [_corners((contour[:, 0, :] + 1) // 2) for contour in outer], len(every) > len(outer)


def _corners(path: np.ndarray) -> Polygon:
    """The path without repeated points and without those on a straight line between their neighbours."""
    moved = path[np.any(path != np.roll(path, 1, axis=0), axis=1)]
    before, after = moved - np.roll(moved, 1, axis=0), np.roll(moved, -1, axis=0) - moved
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    back = (before * after).sum(axis=1) < 0  # a spike turns by half
    return tuple((float(x), float(y)) for x, y in moved[turns | back].tolist())


def joined(polygons: list[Polygon]) -> Polygon:
    """Several outlines as one: from its first corner to each other one, around it and back on the same way."""
    first, *others = polygons
    path = list(first)
    for other in others:
        path += [first[0], *other, other[0]]
    return tuple(path)
