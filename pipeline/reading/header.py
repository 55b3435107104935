"""What a file says it is, read from its first bytes and its header before anything is decoded."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from pipeline.reading.problems import BadFile, ForeignFormat

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp"})
FOREIGN = (b"GIF8", b"8BPS", b"%PDF", b"\x00\x00\x00\x0cJXL ", b"\x00\x00\x00\x0cjP  ", b"\xff\x0a", b"#?RADIANCE")
SMALLEST_SIDE = 16  # pixels; half the smallest image size the networks accept
LONGEST_ASPECT = 20
SLACK = 16 << 20  # bytes of metadata allowed beyond 8 bytes a pixel (16-bit, four channels, uncompressed)
UNSUPPORTED_MODES = frozenset({"F", "I", "LAB", "HSV"})
ORIENTATION = 0x0112  # EXIF tag


@dataclass(frozen=True)
class Header:
    """Format, Pillow mode, width and height in pixels as stored, and the EXIF orientation 1..8."""

    format: str
    mode: str
    width: int
    height: int
    orientation: int


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
            named_image = path.suffix.lower() in SUFFIXES
            if kind == "foreign" or (not kind and not named_image):
                raise ForeignFormat
            if not kind:
                raise BadFile("not_an_image" if size else "empty_file")
            file.seek(0)
            header = _parse(file, kind, max_pixels)
    except OSError as error:
        raise BadFile("unreadable", str(error.strerror or error)) from error
    if size > 8 * header.width * header.height + SLACK:
        raise BadFile("too_large", f"{size / 2**20:.0f} MiB for {header.width} x {header.height} pixels")
    return header


def _parse(file: BinaryIO, kind: str, max_pixels: int) -> Header:
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
    except Image.DecompressionBombError as error:
        raise BadFile("too_large", "the header declares more pixels than any image of a line has") from error
    except Exception as error:  # Pillow's parsers raise nearly anything (struct.error, SyntaxError, ...) on damage
        raise BadFile("truncated", f"the {kind} header is damaged") from error


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        limit = f"{max_pixels / 1e6:g} megapixels"
        raise BadFile("too_large", f"{width} x {height} pixels, more than {limit}")
    if min(width, height) < SMALLEST_SIDE:
        raise BadFile("too_small", f"{width} x {height} pixels; the smallest usable side is {SMALLEST_SIDE}")
    if max(width, height) > LONGEST_ASPECT * min(width, height):
        raise BadFile("aspect", f"{width} x {height} pixels, beyond {LONGEST_ASPECT}:1; crop it")


@contextmanager
def own_pixel_cap() -> Iterator[None]:
    """Silence Pillow's warning about large images for the duration: ``max_pixels`` is the cap here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module="PIL")
        yield
