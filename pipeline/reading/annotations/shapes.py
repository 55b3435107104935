"""Shapes as annotations give them: checked, measured, and clipped to the image."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from pipeline.reading.annotations.files import BadAnnotation
from pipeline.reading.instances import Box, Instance, Mask, Polygon, of_mask, of_polygons

FARTHEST = 1e9  # pixels; beyond it is no coordinate
NOTICED = 0.5  # pixels; what is clipped beyond is said, less is rounding
ROUND = 64  # corners of the polygon that stands for a circle or an ellipse

CLIPPED, OUTSIDE, FLAT = "clipped", "outside", "flat"


def number(value: Any, what: str = "a coordinate") -> float:
    """`value`, a number or its text, as a finite float. Raises BadAnnotation."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if isinstance(value, bool) or not abs(found) <= FARTHEST:
        raise BadAnnotation(f"{what} is {_short(value)}, not a number of pixels")
    return found


def declared_size(width: Any, height: Any) -> tuple[int, int] | None:
    """The size that an annotation says the image has; None where it says nothing, or 0. Raises BadAnnotation."""
    if width in (None, "") or height in (None, ""):
        return None
    sides = [number(side, "the image's size") for side in (width, height)]
    if any(side < 0 or side != int(side) for side in sides):
        raise BadAnnotation(f"the image's size is {_short(width)} x {_short(height)}")
    return (int(sides[0]), int(sides[1])) if all(sides) else None


def box(label: str, left: float, top: float, width: float, height: float) -> Instance:
    """A box. Raises BadAnnotation for negative sides."""
    if width < 0 or height < 0:
        raise BadAnnotation(f"a box of {label!r} is {width:g} x {height:g}, which is negative")
    return Instance(label, (left, top, width, height))


def between(label: str, corners: Iterable[tuple[float, float]], least: float = 0) -> Instance:
    """The box around `corners`, at least `least` wide and high about the same centre. Raises BadAnnotation for none."""
    points = list(corners)
    if not points:
        raise BadAnnotation(f"a shape of {label!r} has no points")
    ends = []
    for axis in (0, 1):
        low, high = min(point[axis] for point in points), max(point[axis] for point in points)
        missing = max(0.0, least - (high - low))
        ends.append((low - missing / 2, high - low + missing))
    (left, width), (top, height) = ends
    return Instance(label, (left, top, width, height))


def polygons(label: str, outlines: Sequence[Polygon], given: Box | None = None) -> Instance:
    """Outlines, with the box that is given or theirs. Raises BadAnnotation for fewer than three corners."""
    short = next((outline for outline in outlines if len(outline) < 3), None)
    if short is not None or not outlines:
        raise BadAnnotation(f"a polygon of {label!r} has {len(short or ())} corners; three are the fewest")
    instance = of_polygons(label, outlines)
    return instance if given is None else replace(box(label, *given), polygons=instance.polygons)


def ellipse(label: str, x: float, y: float, across: float, down: float, degrees: float = 0) -> Instance:
    """An ellipse about (x, y) with these radii, turned clockwise, as a polygon."""
    turns = [2 * math.pi * k / ROUND for k in range(ROUND)]
    rim = [(x + across * math.cos(turn), y + down * math.sin(turn)) for turn in turns]
    return polygons(label, [turned(rim, x, y, degrees)])


def turned(corners: Iterable[tuple[float, float]], x: float, y: float, degrees: float) -> Polygon:
    """`corners` turned clockwise, as seen, about (x, y)."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return tuple((x + (a - x) * cos - (b - y) * sin, y + (a - x) * sin + (b - y) * cos) for a, b in corners)


def painted(label: str, mask: Mask) -> Instance:
    """The pixels of `mask` [H, W] that are not 0; without any, a box of no area, which `clipped` leaves out."""
    return of_mask(label, mask) if mask.any() else Instance(label, (0, 0, 0, 0))


def run_lengths(label: str, counts: Any, size: tuple[int, int], given: Box | None = None) -> Instance:
    """COCO's run lengths, a list or compressed, of an image of `size` (width, height).

    They are checked here, as pycocotools takes them on trust. Raises BadAnnotation.
    """
    runs = _uncompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise BadAnnotation(f"a mask of {label!r} has no run lengths")
    width, height = size
    if sum(runs) != width * height:
        raise BadAnnotation(f"a mask of {label!r} has {sum(runs)} pixels, the image {width} x {height}")
    packed = coco_mask.frPyObjects({"counts": runs, "size": [height, width]}, height, width)
    left, top, across, down = (float(end) for end in coco_mask.toBbox(packed))
    whole = box(label, *(given or (left, top, across, down)))
    return replace(whole, rle=packed["counts"].decode("ascii")) if any(runs[1::2]) else Instance(label, (0, 0, 0, 0))


def _uncompressed(text: str) -> list[int]:
    """COCO's compressed run lengths: five bits a character, each run from the fourth on less the one before last."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise BadAnnotation("a mask's compressed run lengths are damaged")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (1 << shift) if bits & 16 else 0
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise BadAnnotation("a mask's compressed run lengths end early")
    return runs


def area(instance: Instance) -> float:
    """Pixels of the mask, area of the polygons, or of the box, by what is known."""
    if instance.rle:
        return sum(_uncompressed(instance.rle)[1::2])
    if instance.polygons:
        return sum(map(_area, instance.polygons))
    return instance.box[2] * instance.box[3]


def _area(polygon: Polygon) -> float:
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise((*polygon, polygon[0])))) / 2


def clipped(instance: Instance, size: tuple[int, int]) -> tuple[Instance | None, str]:
    """What of `instance` lies on an image of `size` (width, height), and CLIPPED, OUTSIDE, FLAT or nothing to say.

    What lies inside comes back as it is. None is returned for what is wholly outside, or has no area.
    """
    if not area(instance):
        return None, FLAT
    width, height = size
    left, top, across, down = instance.box
    over = max(-left, -top, left + across - width, top + down - height)
    ends = np.array([corner for polygon in instance.polygons for corner in polygon]).reshape(-1, 2)
    over = max([over, *(-ends).max(axis=0, initial=-math.inf), *(ends - size).max(axis=0, initial=-math.inf)])
    if over <= 0:
        return instance, ""
    inner = (max(left, 0.0), max(top, 0.0), min(left + across, width), min(top + down, height))
    cut = (inner[0], inner[1], inner[2] - inner[0], inner[3] - inner[1])
    parts = tuple(part for polygon in instance.polygons if _area(part := _inside(polygon, size)) > 0)
    if cut[2] <= 0 or cut[3] <= 0 or bool(instance.polygons) != bool(parts):
        return None, OUTSIDE
    if parts and of_polygons(instance.label, instance.polygons).box == instance.box:
        cut = of_polygons(instance.label, parts).box
    return replace(instance, box=cut, polygons=parts), CLIPPED if over > NOTICED else ""


def _inside(polygon: Polygon, size: tuple[int, int]) -> Polygon:
    """The polygon cut off at each side of the image in turn (Sutherland and Hodgman 1974)."""
    for axis in (0, 1):
        for sign, end in ((1.0, 0.0), (-1.0, float(size[axis]))):
            if not polygon:
                return ((0.0, 0.0),)
            kept: list[tuple[float, float]] = []
            for a, b in pairwise((polygon[-1], *polygon)):
                before, after = sign * (a[axis] - end), sign * (b[axis] - end)
                if (before < 0) != (after < 0):
                    share = before / (before - after)
                    crossing = [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])]
                    crossing[axis] = end
                    kept.append((crossing[0], crossing[1]))
                if after >= 0:
                    kept.append(b)
            polygon = tuple(kept)
    return polygon or ((0.0, 0.0),)


def _short(value: Any) -> str:
    """`value` as it is written in an error, however long."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
