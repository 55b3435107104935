"""One candidate image and its mask: headers first, pixels once they are known to be harmless."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.reading.decode import decode, to_mask
from pipeline.reading.file_listing import check_file
from pipeline.reading.header import Header, read_header
from pipeline.reading.layers import Picture
from pipeline.reading.layouts import Entry
from pipeline.reading.problems import BadFile, ForeignFormat


@dataclass(frozen=True)
class Opened:
    """A candidate whose headers were found harmless."""

    entry: Entry
    header: Header
    mask_header: Header | None


@dataclass(frozen=True)
class Decoded:
    """A candidate's picture, sha256 of its file, and mask of 0 and 255."""

    entry: Entry
    picture: Picture
    sha256: str
    mask: NDArray[np.uint8] | None


def open_entry(root: Path, entry: Entry, max_pixels: int) -> Opened:
    """Check a candidate's links, kind and size, and its mask's. Raises BadFile or ForeignFormat."""
    if not check_file(root, entry.path):
        raise BadFile("unreadable", "it is not a regular file")
    header = read_header(root / entry.path, max_pixels)
    if not entry.mask:
        return Opened(entry, header, None)
    try:
        if not check_file(root, entry.mask):
            raise BadFile("unreadable", "it is not a regular file")
        return Opened(entry, header, read_header(root / entry.mask, max_pixels))
    except (BadFile, ForeignFormat) as error:
        raise BadFile("mask_unreadable", f"its mask {entry.mask}: {error or 'not an image'}") from error


def decode_entry(root: Path, item: Opened, background: tuple[int, int, int]) -> Decoded:
    """Decode a candidate and its mask. Raises BadFile."""
    data = _bytes(root / item.entry.path)
    picture = decode(data, item.header, background)
    mask = _decode_mask(root, item, picture.pixels.shape[:2]) if item.mask_header else None
    return Decoded(item.entry, picture, hashlib.sha256(data).hexdigest(), mask)


def _decode_mask(root: Path, item: Opened, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    name = item.entry.mask
    assert item.mask_header is not None  # noqa: S101 (only called with a mask)
    try:
        picture = decode(_bytes(root / name), item.mask_header, (0, 0, 0), reveal=False)
        mask = to_mask(picture.pixels.max() - picture.pixels if picture.negative else picture.pixels)
    except BadFile as bad:
        kind = bad.kind if bad.kind == "mask_grey" else "mask_unreadable"
        raise BadFile(kind, f"its mask {name}: {bad}") from bad
    if mask.shape != shape:
        detail = f"the image is {shape[1]} x {shape[0]}, its mask {name} {mask.shape[1]} x {mask.shape[0]}"
        raise BadFile("mask_size", detail)
    return mask


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile("unreadable", str(error.strerror)) from error
