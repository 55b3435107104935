"""Bytes to pixels: OpenCV decodes, alpha is composited, EXIF rotation applied, 16 bits kept for a common scale."""

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.reading.header import Header
from pipeline.reading.problems import BadFile

Pixels = NDArray[Any]  # uint8 or uint16, checked on decoding
GREY_TOLERANCE = 4  # grey levels between channels: JPEG chroma rounding leaves up to this much on a grey picture
BACKGROUND = (255, 255, 255)  # RGB, behind what is transparent


def decode(data: bytes, header: Header, background: tuple[int, int, int] = BACKGROUND) -> tuple[Pixels, str]:
    """Decode one image; returns pixels ``[H, W]`` (grey) or ``[H, W, 3]`` (RGB), uint8 or uint16, and its mode.

    Transparent pixels show ``background`` (RGB, 0..255). The mode is Pillow's name of what the file holds, with
    ``";16"`` behind 16-bit ones. Raises BadFile (truncated, undecodable, depth).
    """
    strict = _strict(data, header.format)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise BadFile("undecodable", f"OpenCV cannot decode this {header.format}")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise BadFile("depth", f"pixels of type {pixels.dtype}; save it as 8- or 16-bit")
    lossy_alpha = header.format == "TIFF" or pixels.ndim == 2  # OpenCV premultiplies there, or drops a grey's alpha
    if strict.has_transparency_data and pixels.dtype == np.uint8 and lossy_alpha:
        pixels = cv2.cvtColor(np.asarray(strict.convert("RGBA")), cv2.COLOR_RGBA2BGRA)
    elif header.format != "TIFF":  # both decoders turn a TIFF upright by themselves
        pixels = _upright(pixels, header.orientation)
    if pixels.ndim == 3:
        pixels = _composite(pixels, background) if pixels.shape[2] == 4 else pixels
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    mode = header.mode if pixels.dtype == np.uint8 or ";16" in header.mode else f"{header.mode};16"
    return _without_colour(pixels), mode


def _strict(data: bytes, kind: str) -> Image.Image:
    """Decode with Pillow, which reports missing data where OpenCV fills the gap with grey."""
    try:
        image = Image.open(io.BytesIO(data), formats=(kind,))
        image.load()
    except Exception as error:  # as in header.py: parsers of damaged files raise nearly anything
        raise BadFile("truncated", f"the {kind} data ends early or is damaged") from error
    return image


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo the EXIF orientation: 2-4 mirror or turn by half, 5-8 transpose first."""
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _composite(pixels: Pixels, background: tuple[int, int, int]) -> Pixels:
    """Composite BGRA over a background: c = alpha f + (1 - alpha) b (Porter & Duff, "over")."""
    full = np.iinfo(pixels.dtype).max
    alpha = pixels[..., 3:].astype(np.float32) / full
    behind = np.asarray(background[::-1], np.float32) * (full / 255)
    blended: Pixels = np.rint(alpha * pixels[..., :3] + (1 - alpha) * behind).astype(pixels.dtype)
    return blended


def _without_colour(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels)
    tolerance = GREY_TOLERANCE * (257 if pixels.dtype == np.uint16 else 1)
    red, green, blue = (pixels[..., k].astype(np.int32) for k in range(3))
    spread = max(int(np.abs(red - green).max()), int(np.abs(green - blue).max()), int(np.abs(red - blue).max()))
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if spread <= tolerance else pixels


def white_level(largest: int) -> int:
    """The full scale of 16-bit cameras whose brightest pixel is ``largest``: 10-, 12- and 14-bit data fill only part.

    Returns 2^k - 1 with k in 8..16, for a whole data set, so that relative brightness survives and nothing clips.
    """
    return (1 << min(16, max(8, int(largest).bit_length()))) - 1


def to_eight_bits(pixels: Pixels, white: int) -> NDArray[np.uint8]:
    """Scale uint16 pixels so that ``white`` becomes 255; uint8 pixels pass unchanged."""
    if pixels.dtype == np.uint8:
        return pixels
    scaled: NDArray[np.uint8] = np.rint(pixels.astype(np.float64) * (255 / white)).astype(np.uint8)
    return scaled
