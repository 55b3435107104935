"""Bytes to pixels: the decoder that is right for each kind, then alpha composited and EXIF rotation applied."""

import io

import cv2
import numpy as np
from PIL import Image

from pipeline.reading.header import Header, unread_kind
from pipeline.reading.layers import Layers, Picture, Pixels, Range, bands
from pipeline.reading.problems import BadFile

GREY_TOLERANCE = 4  # grey levels between channels: JPEG chroma rounding leaves up to this much on a grey picture
BACKGROUND = (255, 255, 255)  # RGB, behind what is transparent
GREY_WITH_ALPHA = 4  # colour type of PNG
RUN_LENGTHS = (1, 2)  # compressions of BMP, of 8 and of 4 bits


def decode(
    data: bytes, header: Header, background: tuple[int, int, int] = BACKGROUND, *, reveal: bool = True
) -> Picture:
    """Decode one image, upright.

    Transparent pixels show ``background`` (RGB, 0..255). An alpha of 0 everywhere is a fourth byte that a program left
    empty: with ``reveal``, the colours are shown without it. Raises BadFile (truncated, undecodable, depth, too_large).
    """
    layers = _layers(data, header)
    colour, alpha = layers.colour, layers.alpha
    if colour.shape[:2] != (header.height, header.width) and not layers.upright:
        raise BadFile("truncated", "it changed while it was read")
    count = _not_finite(colour) + (0 if alpha is None else _not_finite(alpha))
    if count:
        raise BadFile("depth", f"{count} of its pixel values are no numbers (NaN or infinite); replace them")
    revealed = reveal and alpha is not None and not alpha.any()
    if alpha is not None and not revealed:
        _check_floats(colour, alpha)
        colour = _composite(colour, alpha, background, premultiplied=layers.premultiplied)
    pixels = _without_colour(colour if layers.upright else _upright(colour, header.orientation))
    return Picture(pixels, _mode(layers, header), layers.declared, layers.negative, revealed)


def _not_finite(samples: Pixels) -> int:
    return int(np.count_nonzero(~np.isfinite(samples))) if samples.dtype == np.float32 else 0


def _layers(data: bytes, header: Header) -> Layers:
    if header.format == "PNG":
        return _png(data)
    if header.format == "TIFF":
        from pipeline.reading.tiff import decode_tiff  # not above: other sets are read before that is loaded

        layers = decode_tiff(data)
        if layers is not None:
            return layers
    if header.format == "BMP" and int.from_bytes(data[14:18], "little") >= 40 and data[30] in RUN_LENGTHS:
        return _by_opencv(data)
    return _by_pillow(_opened(data, header.format), upright=header.format == "TIFF")  # Pillow turns these by itself


def _opened(data: bytes, kind: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=(kind,))
        image.load()
    except Exception as error:  # as in header.py: parsers of damaged files raise nearly anything
        raise unread_kind(data, kind, error) from error
    return image


def _by_pillow(image: Image.Image, *, upright: bool = False) -> Layers:
    if image.has_transparency_data:
        layers = np.asarray(image.convert("RGBA"))
        return Layers(layers[..., :3], layers[..., 3], upright=upright)
    return Layers(np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB")), upright=upright)


def _by_opencv(data: bytes) -> Layers:
    """BMP with run lengths, of which Pillow misreads odd numbers of 4 bits and lines that end early or hold nothing."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise BadFile("truncated", "the BMP ends early or is damaged")
    return Layers(pixels)


def _png(data: bytes) -> Layers:
    """Pillow, except for 16 bits in colour, which it cuts to 8, and a transparent grey, which it takes for another."""
    image = _opened(data, "PNG")  # reports missing data where OpenCV fills the gap with black
    bits, colour_type = data[24], data[25]
    if colour_type == 0:
        grey = np.asarray(image) if bits == 16 else np.asarray(image.convert("L"))
        key = png_chunk(data, b"tRNS")
        if len(key) == 2:
            transparent = int.from_bytes(key, "big") * (255 // (2**bits - 1) if bits < 8 else 1)
            full = 255 if bits <= 8 else 65535
            return Layers(grey, np.where(grey == transparent, 0, full).astype(grey.dtype), declared=_significant(data))
        return Layers(grey, declared=_significant(data))
    if bits < 16:
        return _by_pillow(image)
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if samples is None or samples.dtype != np.uint16 or samples.ndim != 3:
        raise BadFile("truncated", "the PNG is damaged")
    alpha = samples[..., 3] if samples.shape[2] == 4 else None
    colour = samples[..., 0] if colour_type == GREY_WITH_ALPHA else samples[..., 2::-1]
    return Layers(colour, alpha, declared=_significant(data))


def png_chunk(data: bytes, name: bytes) -> bytes:
    """The body of a chunk before the pixels; empty where there is none."""
    at = 8
    while at + 8 <= len(data) and (found := data[at + 4 : at + 8]) not in (b"IDAT", b"IEND"):
        length = int.from_bytes(data[at : at + 4], "big")
        if found == name:
            return data[at + 8 : at + 8 + length]
        at += 12 + length
    return b""


def _significant(data: bytes) -> Range | None:
    """The range of 16 bits by the chunk sBIT, for writers that leave the bits at the lower end."""
    bits = max(png_chunk(data, b"sBIT")[:3], default=0)
    return (0, 2**bits - 1) if data[24] == 16 and 8 <= bits < 16 else None


def _mode(layers: Layers, header: Header) -> str:
    if layers.colour.dtype != np.uint16 or ";16" in header.mode:
        return header.mode
    return "LA;16" if layers.colour.ndim == 2 and layers.alpha is not None else f"{header.mode};16"


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo the EXIF orientation: 2-4 mirror or turn by half, 5-8 transpose first."""
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _check_floats(colour: Pixels, alpha: Pixels) -> None:
    """Where white is, and what is opaque, nobody says of floating-point numbers beyond 0 to 1."""
    if colour.dtype == np.float32 and (alpha.min() < 0 or alpha.max() > 1 or (alpha.min() < 1 and colour.max() > 1)):
        raise BadFile("depth", "floating-point transparency of numbers beyond 0 to 1; save it without alpha")


def _composite(colour: Pixels, alpha: Pixels, background: tuple[int, int, int], *, premultiplied: bool) -> Pixels:
    """Composite over a background: c = alpha f + (1 - alpha) b (Porter & Duff, "over"); RGB of the same type."""
    blended = np.empty((*alpha.shape, 3), colour.dtype)
    whole = colour.dtype != np.float32
    full = np.iinfo(colour.dtype).max if whole else 1  # floating-point alpha is 0..1
    behind = np.asarray(background, np.float32) * (full / 255)
    for rows in bands(alpha):
        share = alpha[rows, :, None].astype(np.float32) / full
        front = colour[rows] if colour.ndim == 3 else colour[rows, :, None]
        band = (front if premultiplied else share * front) + (1 - share) * behind
        blended[rows] = np.clip(np.rint(band), 0, full) if whole else band
    return blended


def _without_colour(pixels: Pixels) -> Pixels:
    """Grey ``[H, W]`` where the channels nowhere differ by more than the tolerance."""
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels)
    whole = pixels.dtype != np.float32
    tolerance = GREY_TOLERANCE * (257 if pixels.dtype == np.uint16 else 1) if whole else 0
    for rows in bands(pixels):
        channels = np.moveaxis(pixels[rows], 2, 0)
        if (np.maximum.reduce(channels) - np.minimum.reduce(channels)).max() > tolerance:
            return np.ascontiguousarray(pixels)
    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY) if whole else np.array(pixels[..., 0])
