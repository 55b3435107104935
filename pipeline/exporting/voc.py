"""Pascal VOC: JPEGImages, Annotations, ImageSets; SegmentationObject and SegmentationClass; lineage.csv beside."""

import io
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.exporting.names import SUFFIXES, place
from pipeline.exporting.parts import Part, by_split, defect_classes
from pipeline.exporting.tables import write_table
from pipeline.exporting.writing import Target

MOST = 254  # instances that a SegmentationObject tells apart; 255 means undecided there
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0


def write_voc(parts: Sequence[Part], target: Target) -> None:
    """Boxes count pixels from 1, the last one included: xmin = left + 1, xmax = left + width; fractions stay.

    Pixel n of SegmentationObject is the n-th object of the XML, pixel n of SegmentationClass the n-th class of
    labelmap.txt; where defects overlap the later one covers.
    """
    endings = SUFFIXES | {"JPEG": (".jpg",)}  # which loaders of VOC look for
    placed = place(parts, lambda part: "JPEGImages", endings=endings, one_word=True)  # lists have words
    classes = {name: number for number, name in enumerate(defect_classes(placed), start=1)}
    segmented = {part.path for part in placed if part.pixels is not None}
    for part in placed:
        target.image(part)
        target.data(f"Annotations/{_stem(part)}.xml", _annotation(part, part.path in segmented))
        if part.path in segmented:
            objects, kinds = _segmentation(part, classes)
            target.data(f"SegmentationObject/{_stem(part)}.png", _palette_png(objects))
            target.data(f"SegmentationClass/{_stem(part)}.png", _palette_png(kinds))
    for split, some in by_split(placed).items():
        _write_set(target, "Main", split, some)
        if segmented:
            _write_set(target, "Segmentation", split, [part for part in some if part.path in segmented])
    target.text("labelmap.txt", _labelmap(classes))
    write_table(target, "lineage.csv", placed)


def _stem(part: Part) -> str:
    return PurePosixPath(part.path).stem


def _write_set(target: Target, kind: str, split: str, parts: Sequence[Part]) -> None:
    target.text(f"ImageSets/{kind}/{split}.txt", "".join(f"{_stem(part)}\n" for part in parts))


def _annotation(part: Part, segmented: bool) -> bytes:
    root = ElementTree.Element("annotation")
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", PurePosixPath(part.path).name)
    _add(_add(root, "source"), "database", "ganaug")
    size = _add(root, "size")
    for name, value in {"width": part.width, "height": part.height, "depth": part.channels}.items():
        _add(size, name, str(value))
    _add(root, "segmented", str(int(segmented)))
    _add(root, "synthetic", str(int(part.synthetic)))
    lineage = _add(root, "lineage")
    for name, value in ({"label": part.label} | part.lineage).items():
        _add(lineage, name, str(value))
    for instance in part.instances:
        left, top, across, down = instance.box
        one = _add(root, "object")
        _add(one, "name", instance.label)
        _add(one, "pose", "Unspecified")
        _add(one, "truncated", "0")
        _add(one, "difficult", "0")
        box = _add(one, "bndbox")
        ends = {"xmin": left + 1, "ymin": top + 1, "xmax": left + across, "ymax": top + down}
        for name, end in ends.items():
            _add(box, name, str(int(end)) if end == int(end) else repr(end))
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, encoding="utf-8")
    return data + b"\n"


def _add(parent: ElementTree.Element, name: str, text: str = "") -> ElementTree.Element:
    child = ElementTree.SubElement(parent, name)
    child.text = ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text) or None
    return child


def _segmentation(part: Part, classes: dict[str, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The number of the object and that of its class at every pixel, uint8 [H, W], 0 where none is."""
    objects, kinds = (np.zeros((part.height, part.width), np.uint8) for _ in range(2))
    for number, instance in enumerate(part.instances, start=1):
        if (mask := part.mask_of(instance)) is not None:
            objects[mask > 0] = min(number, MOST)
            kinds[mask > 0] = min(classes[instance.label], MOST)
    return objects, kinds


def _palette_png(values: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(values)
    image.putpalette(bytes(channel for value in range(256) for channel in _colour(value)))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _colour(value: int) -> tuple[int, int, int]:
    """VOC's colour of a value: its bits are dealt out to red, green and blue, the highest of each first."""
    red, green, blue = (sum((value >> 3 * k + channel & 1) << 7 - k for k in range(3)) for channel in range(3))
    return red, green, blue


def _labelmap(classes: dict[str, int]) -> str:
    """The classes in the order of their numbers, as CVAT and Datumaro read them."""
    rows = [("background", 0), *classes.items()]
    lines = [f"{name}:{','.join(map(str, _colour(number)))}::" for name, number in rows]
    return "\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n"
