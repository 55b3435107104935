"""What a decoder hands on: colours and alpha as the file stores them, and what it says of their range."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Pixels = NDArray[Any]  # uint8, uint16 or float32, checked on decoding
Range = tuple[float, float]  # of the values that became black and white
BAND = 1 << 20  # pixels that are worked on at once: numbers of 32 and 64 bits take many times the memory of an image


@dataclass(frozen=True)
class Layers:
    """Colours ``[H, W]`` or ``[H, W, 3]`` (RGB) and alpha ``[H, W]``, both uint8, uint16 or float32.

    ``premultiplied`` colours hold their alpha already. ``negative``: white is 0; only for uint16 and float32, as
    uint8 is turned over on decoding. ``declared`` is the range that the file gives for its uint16 or float32 values.
    ``upright``: the decoder has turned the image already.
    """

    colour: Pixels
    alpha: Pixels | None = None
    premultiplied: bool = False
    negative: bool = False
    declared: Range | None = None
    upright: bool = False


@dataclass(frozen=True)
class Picture:
    """One decoded image: pixels ``[H, W]`` (grey) or ``[H, W, 3]`` (RGB), uint8, uint16 or float32, upright.

    ``mode`` is Pillow's name of what the file holds, with ``";16"`` behind 16-bit ones and ``";F"`` behind colour of
    floating point. ``declared`` and ``negative`` as in `Layers`. ``revealed``: alpha was 0 everywhere, so that the
    colours are shown without it.
    """

    pixels: Pixels
    mode: str
    declared: Range | None = None
    negative: bool = False
    revealed: bool = False


def bands(pixels: Pixels) -> Iterator[slice]:
    """Rows of ``[H, W, ...]``, some BAND pixels at a time."""
    height, width = pixels.shape[:2]
    step = max(1, BAND // width)
    return (slice(top, top + step) for top in range(0, height, step))
