"""TIFF: tifffile finds the tags and the strips or tiles, and here is what they mean; JPEG and fax are Pillow's."""

import io
import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import TiffFile, TiffPage

from pipeline.reading.layers import Layers, Pixels, Range
from pipeline.reading.problems import BadFile
from pipeline.reading.tiff_segments import unpack

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
PHOTOMETRICS = {4: "a transparency mask", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*"} | {
    **dict.fromkeys((32844, 32845), "LogLuv"),
    **dict.fromkeys((32803, 34892), "raw sensor data"),
}
UNPACKED = (1, 5, 8, 32946, 32773, 50000)  # none, LZW, deflate (two numbers), PackBits, Zstandard
JPEG = 7
BY_LIBTIFF = (2, 3, 4, JPEG)  # and three kinds of fax
COMPRESSIONS = {6: "old-style JPEG", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50001: "WebP"} | {
    **dict.fromkeys((33003, 33004, 33005), "JPEG 2000"),
    **dict.fromkeys((34676, 34677), "LogLuv"),
    **dict.fromkeys((50002, 52546), "JPEG XL"),
}
PREDICTORS = (1, 2, 3)
UNSIGNED, SIGNED, FLOAT, UNDEFINED = 1, 2, 3, 4  # undefined is to be read as unsigned, says the format
WHOLE_BITS, FLOAT_BITS = (1, 2, 4, 8, 10, 12, 14, 16), (32, 64)
PHOTOMETRIC, SMALLEST_VALUE, LARGEST_VALUE = 262, 340, 341
REDUCED = 1  # kind of page: a smaller copy of another page
LARGEST_WHOLE_VALUE, INK_SET = 281, 332
UNSPECIFIED, PREMULTIPLIED, ALPHA = 0, 1, 2  # meanings of an extra sample
SIZES = ("imagewidth", "imagelength", "imagedepth", "samplesperpixel", "rowsperstrip", "tilewidth", "tilelength")
NUMBERS = (*SIZES, "compression", "fillorder", "photometric", "planarconfig", "predictor", "sampleformat")
LARGEST_TILE = 1 << 24  # pixels; a tile is unpacked whole, whatever the size of the image


@contextmanager
def first_page(file: BinaryIO) -> Iterator[TiffPage]:
    """The only page of a TIFF. Raises BadFile (multipage, truncated); what a decoder raises becomes truncated, too."""
    try:
        with TiffFile(file) as tiff:
            page = tiff.pages.first
            if not all(isinstance(getattr(page, name), int) for name in NUMBERS):  # bytes, times a height, fill memory
                raise BadFile("truncated", "the TIFF has tags of a wrong type; it is damaged")
            others = itertools.islice(tiff.pages, 1, None)
            if page.imagedepth > 1 or not all(_is_preview(other.aspage(), page) for other in others):
                count = max(len(tiff.pages), page.imagedepth)
                raise BadFile("multipage", f"multi-page TIFF of {count} pages; save each as its own file")
            yield page
    except BadFile:
        raise
    except Exception as error:  # parsers of damaged files raise nearly anything
        raise BadFile("truncated", "the TIFF ends early or is damaged") from error


def _is_preview(page: TiffPage, of: TiffPage) -> bool:
    """Whether the page says that it is a smaller copy, and is smaller."""
    smaller = page.imagewidth < of.imagewidth and page.imagelength < of.imagelength
    return bool(page.subfiletype == REDUCED and smaller)


def _photometric(page: TiffPage) -> int:
    """The tag; where a writer left it out, what libtiff and viewers take it for."""
    if PHOTOMETRIC in page.tags or page.compression in BY_LIBTIFF:
        return int(page.photometric)
    return RGB if page.samplesperpixel >= 3 else BLACK_IS_ZERO


def orientation_of(page: TiffPage) -> int:
    """The tag 1..8, as it is or as it should be."""
    tag = page.tags.get(274)
    return tag.value if tag is not None and tag.value in range(1, 9) else 1


def mode_of(page: TiffPage) -> str:
    """Pillow's name of what the page holds, as in `Picture`. Raises BadFile (depth, undecodable) with the reason."""
    _check_compression(page)
    _check_depth(page)
    if page.predictor not in PREDICTORS:
        raise BadFile("undecodable", f"TIFF with predictor {int(page.predictor)}; save it uncompressed")
    photometric, samples, bits = _photometric(page), page.samplesperpixel, page.bitspersample
    extra = _extra_samples(page)
    if photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
        if samples == 2 and extra[:1] not in ((PREMULTIPLIED,), (ALPHA,)):
            raise BadFile("depth", "two channels, the second of no declared meaning; save it as grey or colour")
        mode = {1: "L", 2: "LA"}.get(samples, "")
    elif photometric == RGB:
        mode = {3: "RGB", 4: "RGBA" if extra[:1] in ((PREMULTIPLIED,), (ALPHA,)) else "RGBX"}.get(samples, "")
    elif photometric == PALETTE:
        mode = "P" if samples == 1 and bits <= 8 and page.sampleformat in (UNSIGNED, UNDEFINED) else ""
    elif photometric == CMYK:
        if bits != 8 or _tag(page, INK_SET, 1) != 1:
            raise BadFile("depth", f"{bits}-bit inks, or other inks than CMYK; save it as RGB")
        mode = "CMYK" if samples == 4 else ""
    elif photometric == YCBCR and page.compression == JPEG:
        mode = "RGB" if samples == 3 else ""
    else:
        name = "YCbCr without JPEG" if photometric == YCBCR else PHOTOMETRICS.get(photometric, f"kind {photometric}")
        raise BadFile("undecodable", f"TIFF whose pixels are {name}; save it as grey or RGB")
    if not mode:
        raise BadFile("depth", f"{_channels(samples)}; save it as grey or RGB")
    if _is_negative(page) and mode == "LA" and bits > 8:
        raise BadFile("depth", "a deep negative with transparency; save it without alpha")
    if page.sampleformat == FLOAT:
        return "F" if mode == "L" else f"{mode};F"
    if bits > 8:
        return "I;16" if mode == "L" else f"{mode};16"
    return "1" if mode == "L" and bits == 1 else mode


def decode_tiff(data: bytes) -> Layers | None:
    """Decode a TIFF of a mode that `mode_of` names; None where Pillow has to. Raises BadFile (truncated, too_large)."""
    with first_page(io.BytesIO(data)) as page:
        if page.compression in BY_LIBTIFF:
            return None
        _check_segments(page, len(data))
        samples = _samples(page, data)
        negative, declared, bits = _is_negative(page), _declared(page), page.bitspersample
        alpha = None
        if _photometric(page) == PALETTE:
            return Layers(_palette(page)[samples[..., 0]])
        if _photometric(page) == CMYK:
            return Layers(np.asarray(Image.fromarray(samples, "CMYK").convert("RGB")))
        if bits < 8:
            samples = samples.astype(np.uint8) * np.uint8(255 // (2**bits - 1))
        channels = 3 if _photometric(page) == RGB else 1
        meaning = (*_extra_samples(page), UNSPECIFIED)[0] if samples.shape[2] > channels else UNSPECIFIED
        if meaning != UNSPECIFIED:
            alpha = samples[..., channels]
        colour = samples[..., :channels] if channels == 3 else samples[..., 0]
        if negative and bits <= 8:
            colour, negative = 255 - colour, False
        return Layers(colour, alpha, meaning == PREMULTIPLIED, negative, declared)


def _check_compression(page: TiffPage) -> None:
    if page.compression in BY_LIBTIFF:
        if page.bitspersample != (8 if page.compression == JPEG else 1):
            raise BadFile("depth", f"{page.bitspersample}-bit JPEG inside TIFF; save it uncompressed")
        if page.planarconfig != 1:
            raise BadFile("undecodable", "JPEG inside TIFF, channel by channel; save it uncompressed")
    elif page.compression not in UNPACKED:
        number = int(page.compression)
        raise BadFile(
            "undecodable", f"TIFF compressed with {COMPRESSIONS.get(number, f'method {number}')}; save it uncompressed"
        )


def _check_depth(page: TiffPage) -> None:
    bits, kind = page.bitspersample, page.sampleformat
    if not isinstance(bits, int):
        raise BadFile("depth", "its channels differ in depth; save it as 8- or 16-bit")
    if bits in {UNSIGNED: WHOLE_BITS, UNDEFINED: WHOLE_BITS, FLOAT: FLOAT_BITS}.get(kind, ()):
        return
    names = {
        UNSIGNED: "whole numbers",
        UNDEFINED: "undefined numbers",
        SIGNED: "signed whole numbers",
        FLOAT: "floating-point numbers",
    }
    found = f"{bits}-bit {names.get(kind, 'complex numbers')}"
    named = f"half floats ({found})" if (kind, bits) == (FLOAT, 16) else found
    raise BadFile("depth", f"{named}; save it as 8- or 16-bit, or as 32-bit floats")


def _channels(samples: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return f"{words[samples] if samples < len(words) else samples} channel{'' if samples == 1 else 's'}"


def _extra_samples(page: TiffPage) -> tuple[int, ...]:
    return tuple(int(meaning) for meaning in page.extrasamples)


def _tag(page: TiffPage, code: int, otherwise: Any) -> Any:
    tag = page.tags.get(code)
    return otherwise if tag is None else tag.value


def _is_negative(page: TiffPage) -> bool:
    return _photometric(page) == WHITE_IS_ZERO


def _declared(page: TiffPage) -> Range | None:
    """The range of the values by the tags, where these say more than the type does."""
    smallest, largest = _tag(page, SMALLEST_VALUE, None), _tag(page, LARGEST_VALUE, None)
    if page.sampleformat == FLOAT:
        if smallest is None or largest is None:
            return None
        low, high = float(np.min(smallest)), float(np.max(largest))
        return (low, high) if np.isfinite([low, high]).all() and low < high else None
    if 8 < page.bitspersample < 16:
        return 0, 2**page.bitspersample - 1
    if page.bitspersample < 16:
        return None
    largest = int(np.max(_tag(page, LARGEST_WHOLE_VALUE, 0) if largest is None else largest))
    bits = max(8, largest.bit_length())  # some writers give the depth, some the largest value of this very image
    return (0, 2**bits - 1) if largest > 0 and bits < 16 else None


def _check_segments(page: TiffPage, size: int) -> None:
    """Every strip or tile has to be there whole; a tile is unpacked as large as it says, whatever the image."""
    if page.is_tiled and page.tilewidth * page.tilelength > LARGEST_TILE:
        raise BadFile("too_large", f"tiles of {page.tilewidth} x {page.tilelength} pixels")
    places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    whole = all(offset > 0 and count > 0 and offset + count <= size for offset, count in places)
    if not whole or len(places) < math.prod(page.chunked):
        raise BadFile("truncated", "the TIFF ends early: not all of its strips or tiles are there")


def _samples(page: TiffPage, data: bytes) -> Pixels:
    """Samples ``[H, W, C]``: uint8 of 1 to 8 bits, uint16 of 9 to 16, float32."""
    height, width, channels = page.imagelength, page.imagewidth, page.samplesperpixel
    planes, channels = (channels, 1) if page.planarconfig == 2 else (1, channels)
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip, height), width)
    places = itertools.product(range(planes), range(0, height, rows), range(0, width, columns))
    kind = np.float32 if page.sampleformat == FLOAT else np.uint8 if page.bitspersample <= 8 else np.uint16
    samples = np.empty((height, width, planes * channels), kind)
    for (plane, top, left), start, count in zip(places, page.dataoffsets, page.databytecounts, strict=False):
        lines = rows if page.is_tiled else min(rows, height - top)
        part = unpack(page, data[start : start + count], (lines, columns, channels))
        into = samples[top : top + lines, left : left + columns, plane * channels : (plane + 1) * channels]
        with np.errstate(over="ignore"):  # a double beyond the range of float32 becomes infinite, which is refused
            into[...] = part[: into.shape[0], : into.shape[1]]
    return samples


def _palette(page: TiffPage) -> NDArray[np.uint8]:
    """Colours ``[entries, 3]``; 16 bits by the format, while some writers leave them at 8."""
    entries = np.asarray(page.colormap).T
    return (entries >> 8 if int(entries.max()) > 255 else entries).astype(np.uint8)
