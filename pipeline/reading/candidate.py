"""One candidate image and its mask: headers first, pixels once they are known to be harmless."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.reading.decode import decode
from pipeline.reading.file_listing import check_file
from pipeline.reading.header import Header, read_header
from pipeline.reading.instances import Instance, Mask, parts_of_mask, union
from pipeline.reading.layers import Picture, Pixels
from pipeline.reading.layouts import Entry
from pipeline.reading.mask_pixels import NO_NAMES, MaskNames, fitted, read_marks
from pipeline.reading.problems import BadFile, ForeignFormat


@dataclass(frozen=True)
class Opened:
    """A candidate whose headers were found harmless."""

    entry: Entry
    header: Header
    mask_headers: tuple[Header, ...] = ()


@dataclass(frozen=True)
class Decoded:
    """A candidate's picture, sha256 of its file, mask of 0 and 255, and instances.

    `resized` says that a mask of another size was brought to the image's.
    """

    entry: Entry
    picture: Picture
    sha256: str
    mask: Mask | None
    instances: tuple[Instance, ...]
    resized: bool = False


def open_entry(root: Path, entry: Entry, max_pixels: int) -> Opened:
    """Check a candidate's links, kind and size, and its masks'. Raises BadFile or ForeignFormat."""
    if not check_file(root, entry.path):
        raise BadFile("unreadable", "it is not a regular file")
    header = read_header(root / entry.path, max_pixels)
    return Opened(entry, header, tuple(_mask_header(root, name, max_pixels) for name in entry.masks))


def _mask_header(root: Path, name: str, max_pixels: int) -> Header:
    try:
        if not check_file(root, name):
            raise BadFile("unreadable", "it is not a regular file")
        return read_header(root / name, max_pixels)
    except (BadFile, ForeignFormat) as error:
        raise BadFile("mask_unreadable", f"its mask {name}: {error or 'not an image'}") from error


def decode_entry(root: Path, item: Opened, background: tuple[int, int, int], names: MaskNames = NO_NAMES) -> Decoded:
    """Decode a candidate and its masks; where no annotation says what the instances are, every connected part of these
    is one. Raises BadFile.

    An instance has the class that ``names`` gives to its value in the mask, else the image's.
    """
    entry, data = item.entry, _bytes(root / item.entry.path)
    picture = decode(data, item.header, background)
    height, width = picture.pixels.shape[:2]
    if entry.size not in (None, (width, height)):
        said = " x ".join(map(str, entry.size or ()))
        raise BadFile("annotation_size", f"the image is {width} x {height}, its annotation is of {said}")
    masks = [_decode_mask(root, *named) for named in zip(entry.masks, item.mask_headers, strict=True)]
    fitting = [_fitted(mask, (height, width), name) for mask, name in zip(masks, entry.masks, strict=True)]
    lossy = [header.format == "JPEG" for header in item.mask_headers]
    marked = [_marks(*one, names) for one in zip(fitting, entry.masks, lossy, strict=True)]
    areas = [(label or entry.label, area) for marks in marked for label, area in marks.items()]
    instances = entry.instances
    mask = None if instances is None else union(instances, height, width)
    if masks:
        pixels = [area for _, area in areas]
        mask = np.maximum.reduce([np.zeros((height, width), np.uint8) if mask is None else mask, *pixels])
    if instances is None:
        instances = tuple(part for label, area in areas for part in parts_of_mask(label, area))
    resized = any(one.shape[:2] != (height, width) for one in masks)
    return Decoded(entry, picture, hashlib.sha256(data).hexdigest(), mask, instances, resized)


def _decode_mask(root: Path, name: str, header: Header) -> Pixels:
    try:
        picture = decode(_bytes(root / name), header, (0, 0, 0), reveal=False)
        return picture.pixels.max() - picture.pixels if picture.negative else picture.pixels
    except BadFile as bad:
        raise BadFile("mask_unreadable", f"its mask {name}: {bad}") from bad


def _fitted(mask: Pixels, shape: tuple[int, int], name: str) -> Pixels:
    if mask.shape[:2] == shape:
        return mask
    resized = fitted(mask, shape)
    if resized is None:
        detail = f"the image is {shape[1]} x {shape[0]}, its mask {name} {mask.shape[1]} x {mask.shape[0]}"
        raise BadFile("mask_size", detail)
    return resized


def _marks(mask: Pixels, name: str, lossy: bool, names: MaskNames) -> dict[str, Mask]:
    try:
        return read_marks(mask, names, lossy=lossy)
    except BadFile as bad:
        raise BadFile(bad.kind, f"its mask {name}: {bad}") from bad


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile("unreadable", str(error.strerror)) from error
