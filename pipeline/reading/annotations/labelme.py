"""LabelMe: one JSON file beside each image, with shapes of points."""

import base64
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from pipeline.reading.annotations.assemble import Sheet, assemble, broken, files_with, sources
from pipeline.reading.annotations.files import BadAnnotation, read_json
from pipeline.reading.annotations.painted import values_of_png
from pipeline.reading.annotations.shapes import between, box, declared_size, ellipse, number, painted, polygons
from pipeline.reading.instances import Instance, Polygon
from pipeline.reading.layouts.tree import Layout, Tree

BOXED = "{} line(s) or point(s) of LabelMe are read as the box around them."
GROUPED = "{} defect(s) are several polygons of one group_id."
THIN = ("line", "linestrip", "point", "points")


def labelme(tree: Tree) -> Layout | None:
    """Shapes of every JSON file that has some: polygons, rectangles, circles, masks; of lines and points the box.

    Polygons of one class with the same group_id are one defect. A file is of the image that `imagePath` names, else of
    the one with its own stem.
    """
    source = sources(tree)
    files = files_with(source, ".json", b'"shapes"', b'"imagePath"')
    if not files:
        return None
    remarks = Counter[str]()
    return assemble(tree, "labelme", [_sheet(source, file, remarks) for file in files], files, remarks=remarks)


def _sheet(source: Tree, file: str, remarks: Counter[str]) -> Sheet:
    stem = str(PurePosixPath(file).with_suffix(""))
    try:
        data = read_json(source.root / file)
        if not isinstance(data, dict) or not isinstance(data.get("shapes"), list):
            raise BadAnnotation("it has no list of shapes")
        size = declared_size(data.get("imageWidth"), data.get("imageHeight"))
    except BadAnnotation as bad:
        return broken(file, (stem,), bad)
    named = data.get("imagePath")
    names = (stem, named) if isinstance(named, str) and named else (stem,)
    lineage = data.get("lineage")  # an export of ours writes it
    tag = str(lineage.get("label") or "") if isinstance(lineage, dict) else ""
    flags = data.get("flags")
    synthetic = isinstance(flags, dict) and flags.get("synthetic") is True
    return Sheet(file, names[::-1], _marks(data["shapes"], remarks), size, tag=tag, synthetic=synthetic)


def _marks(shapes: list[Any], remarks: Counter[str]) -> Callable[[int, int], Sequence[Instance]]:
    def marks(width: int, height: int) -> Sequence[Instance]:
        groups: dict[tuple[str, str], list[Instance]] = defaultdict(list)
        for k, shape in enumerate(shapes):
            label, group, instance = _shape(shape, (width, height), remarks)
            joined = instance.polygons and group is not None
            groups[label, f"group {group}" if joined else f"alone {k}"].append(instance)
        several = sum(len(parts) > 1 for parts in groups.values())
        remarks.update({GROUPED: several} if several else {})
        return [
            parts[0] if len(parts) == 1 else polygons(label, [outline for one in parts for outline in one.polygons])
            for (label, _), parts in groups.items()
        ]

    return marks


def _shape(shape: Any, size: tuple[int, int], remarks: Counter[str]) -> tuple[str, Any, Instance]:
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
        raise BadAnnotation("a shape has no label")
    label, kind = shape["label"].strip(), shape.get("shape_type") or "polygon"
    corners = _points(shape.get("points"))
    if kind in THIN:
        remarks[BOXED] += 1
        return label, None, between(label, corners, least=1)
    if kind == "polygon":
        return label, shape.get("group_id"), polygons(label, [corners])
    if kind == "rectangle":
        if len(corners) not in (2, 4):
            raise BadAnnotation(f"a rectangle of {label!r} has {len(corners)} points, not 2 or 4")
        return label, None, box(label, *between(label, corners).box)
    if kind == "mask":
        return label, None, _painted(label, corners, shape.get("mask"), size)
    if kind == "circle":
        if len(corners) != 2:
            raise BadAnnotation(f"a circle of {label!r} has {len(corners)} points, not its centre and one on the rim")
        (x, y), rim = corners
        radius = math.dist((x, y), rim)
        return label, None, ellipse(label, x, y, radius, radius)
    raise BadAnnotation(f"shape_type {str(kind)[:40]!r} is unknown")


def _painted(label: str, corners: Polygon, data: Any, size: tuple[int, int]) -> Instance:
    """A mask in base64 of the part of the image between two pixels, both included."""
    ends = [int(end) for corner in corners for end in corner if end == int(end)]
    if len(corners) != 2 or len(ends) != 4 or not isinstance(data, str):
        raise BadAnnotation(f"a mask of {label!r} has no pixels, or does not lie between two of the image")
    left, top, right, bottom = ends
    if not (0 <= left <= right < size[0] and 0 <= top <= bottom < size[1]):
        raise BadAnnotation(f"a mask of {label!r} reaches beyond the image")
    try:
        png = base64.b64decode(data, validate=True)
    except ValueError:
        raise BadAnnotation(f"a mask of {label!r} is no base64") from None
    whole = np.zeros(size[::-1], np.uint8)
    whole[top : bottom + 1, left : right + 1] = values_of_png(png, (right - left + 1, bottom - top + 1))
    return painted(label, whole)


def _points(points: Any) -> Polygon:
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise BadAnnotation("the points of a shape are no list of [x, y]")
    return tuple((number(x), number(y)) for x, y in points)
