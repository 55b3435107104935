"""What a file says it is, read from its first bytes and its header before anything is decoded."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import cv2
from PIL import Image

from pipeline.reading.problems import BadFile, ForeignFormat

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp"})
FOREIGN = (b"GIF8", b"8BPS", b"%PDF", b"\x00\x00\x00\x0cJXL ", b"\x00\x00\x00\x0cjP  ", b"\xff\x0a", b"#?RADIANCE")
SMALLEST_SIDE = 16  # pixels; half the smallest image size the networks accept
LONGEST_ASPECT = 20
SLACK = 16 << 20  # bytes of metadata allowed beyond 16 bytes a pixel (32-bit, four channels, uncompressed)
UNSUPPORTED_MODES = frozenset({"F", "I", "LAB", "HSV"})
ORIENTATION = 0x0112  # EXIF tag
LONGEST_START = 1 << 20  # bytes in which a JPEG's frame header is looked for, behind its metadata
JPEG_LS = 0xF7  # the marker before its frame header
FRAMES = {*range(0xC0, 0xD0), JPEG_LS} - {0xC4, 0xC8, 0xCC}  # markers of a JPEG's frame header
CODINGS = {JPEG_LS: "JPEG-LS"} | {
    **dict.fromkeys((0xC3, 0xCB), "lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical JPEG"),
}


def is_picture(path: str) -> bool:
    """Whether the name ends as those of the image formats that are read."""
    return PurePosixPath(path).suffix.lower() in SUFFIXES


@dataclass(frozen=True)
class Header:
    """Format, Pillow mode, width and height in pixels as stored, and the EXIF orientation 1..8."""

    format: str
    mode: str
    width: int
    height: int
    orientation: int

    @property
    def bytes_held(self) -> int:
        """Of one channel of one pixel: 8 bits and, where deeper, the decoded ones until all images are read."""
        return 3 if ";16" in self.mode else 5 if "F" in self.mode else 1


def sniff(start: bytes) -> str:
    """Name the format that the first 16 bytes of a file belong to: one of FORMATS, ``"foreign"`` or ``""``."""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start.startswith(b"BM"):
        return "BMP"
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    return "foreign" if start.startswith(FOREIGN) or start[4:8] == b"ftyp" else ""


def read_header(path: Path, max_pixels: int) -> Header:
    """Read one image's header and refuse what must not be decoded.

    Raises ForeignFormat, or BadFile (empty_file, not_an_image, too_large, too_small, aspect, multipage, depth,
    truncated, unreadable). Call inside ``own_pixel_cap``.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            kind = sniff(file.read(16))
            named_image = is_picture(path.name)
            if kind == "foreign" or (not kind and not named_image):
                raise ForeignFormat
            if not kind:
                raise BadFile("not_an_image" if size else "empty_file")
            file.seek(0)
            header = _parse(file, kind, max_pixels)
    except OSError as error:
        raise BadFile("unreadable", str(error.strerror or error)) from error
    if size > 16 * header.width * header.height + SLACK:
        raise BadFile("too_large", f"{size / 2**20:.0f} MiB for {header.width} x {header.height} pixels")
    return header


def unread_kind(data: bytes, kind: str, error: Exception) -> BadFile:
    """Why Pillow raised ``error``: a kind that is not read, by its name (depth, undecodable), or damage (truncated).

    ``data`` is the file or its start.
    """
    if kind == "JPEG" and (found := _jpeg_frame(data)):
        marker, bits, channels = found
        if marker in CODINGS:
            return BadFile("undecodable", f"{CODINGS[marker]}, which is not read; save it as PNG")
        if bits != 8:
            return BadFile("depth", f"{bits}-bit JPEG, which is not read; save it as 16-bit PNG or TIFF")
        if channels not in (1, 3, 4):
            return BadFile("depth", f"JPEG of {channels} channels; save it as grey or colour")
    if kind == "BMP" and str(error).startswith("Unsupported BMP"):
        return BadFile("undecodable", f"{str(error).lower().replace('bmp', 'BMP')}; save it as 24-bit BMP or PNG")
    return BadFile("truncated", f"the {kind} ends early or is damaged")


def _jpeg_frame(data: bytes) -> tuple[int, int, int] | None:
    """Marker, bits and number of channels by a JPEG's frame header."""
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in FRAMES:
            return data[at + 1], data[at + 4], data[at + 9]
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _parse_tiff(file: BinaryIO, max_pixels: int) -> Header:
    from pipeline.reading.tiff import first_page, mode_of, orientation_of  # not above: other sets do without

    with first_page(file) as page:
        _check_size(page.imagewidth, page.imagelength, max_pixels)
        return Header("TIFF", mode_of(page), page.imagewidth, page.imagelength, orientation_of(page))


def _parse(file: BinaryIO, kind: str, max_pixels: int) -> Header:
    if kind == "TIFF":
        return _parse_tiff(file, max_pixels)
    try:
        with Image.open(file, formats=(kind,)) as image:
            width, height = image.size
            _check_size(width, height, max_pixels)
            # A phone's MPO is a JPEG with previews behind the picture; its first frame is the picture.
            if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
                raise BadFile("multipage", f"{getattr(image, 'n_frames', 0)} frames; save each as its own file")
            if image.mode in UNSUPPORTED_MODES:
                raise BadFile("depth", f"pixel mode {image.mode}; save it as 8- or 16-bit")
            orientation = image.getexif().get(ORIENTATION, 1)
            return Header(kind, image.mode, width, height, orientation if orientation in range(1, 9) else 1)
    except BadFile:
        raise
    except Exception as error:  # Pillow's parsers raise nearly anything (struct.error, SyntaxError, ...) on damage
        file.seek(0)
        raise unread_kind(file.read(LONGEST_START), kind, error) from error


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        limit = f"data.max_megapixels = {max_pixels / 1e6:g}"
        raise BadFile("too_large", f"{width} x {height} pixels, more than {limit}; raise that, or cut it into parts")
    if min(width, height) < SMALLEST_SIDE:
        raise BadFile("too_small", f"{width} x {height} pixels; the smallest usable side is {SMALLEST_SIDE}")
    if max(width, height) > LONGEST_ASPECT * min(width, height):
        raise BadFile("aspect", f"{width} x {height} pixels, beyond {LONGEST_ASPECT}:1; cut it into parts")


@contextmanager
def own_pixel_cap() -> Iterator[None]:
    """Lift Pillow's cap on pixels for the duration, as ``max_pixels`` is the cap here, and silence the parsers.

    What they have to say of a file is said as BadFile.
    """
    pillows, tifffiles = Image.MAX_IMAGE_PIXELS, logging.getLogger("tifffile")
    was_disabled, opencvs = tifffiles.disabled, cv2.utils.logging.setLogLevel(0)
    Image.MAX_IMAGE_PIXELS, tifffiles.disabled = None, True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, tifffiles.disabled = pillows, was_disabled
        cv2.utils.logging.setLogLevel(opencvs)
