"""CVAT XML for images 1.1: one file of all images with their shapes and tags."""

from collections import Counter
from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element

import numpy as np

from pipeline.errors import InputError
from pipeline.reading.annotations.assemble import Sheet, assemble, broken, files_with, sources
from pipeline.reading.annotations.files import BadAnnotation, read_xml, required
from pipeline.reading.annotations.matching import split_name
from pipeline.reading.annotations.shapes import between, box, declared_size, ellipse, number, painted, polygons, turned
from pipeline.reading.instances import Instance, Polygon
from pipeline.reading.layouts.tree import Layout, Tree

BOXED = "{} polyline(s) or point(s) of CVAT are read as the box around them."
LEFT = "{} cuboid(s) or skeleton(s) of CVAT were left out."
TAGS = "{} image(s) have a tag: it is their class."
NOT_FLAT = ("cuboid", "skeleton")


def cvat(tree: Tree) -> Layout | None:
    """Boxes, polygons, ellipses and masks of every XML file with the root element `annotations`.

    Of polylines and points the box is read. The tag of an image is its class where it has one; `subset` is its split.
    """
    source = sources(tree)
    files = files_with(source, ".xml", rb"<annotations[\s>]", rb"<(image|track)\s")
    if not files:
        return None
    remarks = Counter[str]()
    sheets: list[Sheet] = []
    classes: set[str] = set()
    for file in files:
        root = required(read_xml, source.root / file)
        if root.find("track") is not None:
            raise InputError(f"{source.root / file} is of a video; export it as 'CVAT for images 1.1'.")
        classes |= {(name.text or "").strip() for name in root.iterfind("meta//labels/label/name")}
        sheets += [_sheet(file, image, remarks) for image in root.iterfind("image")]
    return assemble(tree, "cvat", sheets, files, declared=classes, remarks=remarks)


def _sheet(file: str, image: Element, remarks: Counter[str]) -> Sheet:
    names = (image.get("name") or "",)
    tags = [tag.get("label") or "" for tag in image.iterfind("tag")]
    try:
        if not names[0]:
            raise BadAnnotation("an image has no name")
        if len(set(tags)) > 1:
            raise BadAnnotation(f"it has several tags ({', '.join(tags)}); keep the one that is its class")
        size = declared_size(image.get("width"), image.get("height"))
    except BadAnnotation as bad:
        return broken(file, names, bad)
    if tags:
        remarks[TAGS] += 1
    split = split_name(image.get("subset") or "")
    return Sheet(file, names, _marks(image, remarks), size, split, tags[0] if tags else "")


def _marks(image: Element, remarks: Counter[str]) -> Callable[[int, int], Sequence[Instance]]:
    def marks(width: int, height: int) -> Sequence[Instance]:
        found = [_shape(shape, (width, height), remarks) for shape in image if shape.tag != "tag"]
        return [one for one in found if one is not None]

    return marks


def _shape(shape: Element, size: tuple[int, int], remarks: Counter[str]) -> Instance | None:
    label = (shape.get("label") or "").strip()

    def value(name: str) -> float:
        return number(shape.get(name), name)

    degrees = number(shape.get("rotation") or 0, "rotation")
    if shape.tag == "box":
        left, top, right, bottom = (value(end) for end in ("xtl", "ytl", "xbr", "ybr"))
        upright = box(label, left, top, right - left, bottom - top)
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        centre = ((left + right) / 2, (top + bottom) / 2)
        return polygons(label, [turned(corners, *centre, degrees)]) if degrees else upright
    if shape.tag == "polygon":
        return polygons(label, [_points(shape)])
    if shape.tag == "ellipse":
        return ellipse(label, value("cx"), value("cy"), value("rx"), value("ry"), degrees)
    if shape.tag == "mask":
        return _mask(label, shape, size)
    if shape.tag in ("polyline", "points"):
        remarks[BOXED] += 1
        return between(label, _points(shape), least=1)
    if shape.tag in NOT_FLAT:
        remarks[LEFT] += 1
        return None
    raise BadAnnotation(f"a shape <{shape.tag[:40]}> is unknown")


def _points(shape: Element) -> Polygon:
    pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise BadAnnotation("the points of a shape are not x,y;x,y;...")
    return tuple((number(x), number(y)) for x, y in pairs)


def _mask(label: str, shape: Element, size: tuple[int, int]) -> Instance:
    """Run lengths, row by row, of the part of the image from `left` and `top` on; the first run is background."""
    left, top, width, height = (_whole(shape, name) for name in ("left", "top", "width", "height"))
    if left + width > size[0] or top + height > size[1]:
        raise BadAnnotation(f"a mask of {label!r} reaches beyond the image")
    texts = [text.strip() for text in (shape.get("rle") or "").split(",")]
    if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in texts):
        raise BadAnnotation(f"a mask of {label!r} has no run lengths")
    runs = [int(text) for text in texts]
    if sum(runs) != width * height:
        raise BadAnnotation(f"a mask of {label!r} has {sum(runs)} pixels, not {width} x {height}")
    values = np.zeros(len(runs), np.uint8)
    values[1::2] = 255
    whole = np.zeros(size[::-1], np.uint8)
    whole[top : top + height, left : left + width] = np.repeat(values, runs).reshape(height, width)
    return painted(label, whole)


def _whole(shape: Element, name: str) -> int:
    value = number(shape.get(name), name)
    if value < 0 or value != int(value):
        raise BadAnnotation(f"{name} of a mask is {value:g}, not a number of pixels")
    return int(value)
