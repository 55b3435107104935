"""From deep pixels to 8 bits: one range for a whole data set, so that relative brightness survives.

A hot pixel of the sensor must not darken every image: single pixels far beyond all others are clipped, and said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.reading.layers import Picture, Pixels, Range, bands

HOT_SHARE = 1e-3  # of a set's pixels may be hot at most; more are no faults of a sensor
NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)


@dataclass(frozen=True)
class Scale:
    """What becomes white of uint16 pixels, and the range of float32 ones; None where a data set has no such images."""

    white: int | None = None
    float_range: Range | None = None

    def range_of(self, pixels: Pixels) -> Range | None:
        """The values that become 0 and 255."""
        if pixels.dtype == np.uint16:
            return None if self.white is None else (0, self.white)
        return (0, 255) if pixels.dtype == np.uint8 else self.float_range


def to_eight_bits(pixels: Pixels, limits: Range, *, negative: bool = False) -> NDArray[np.uint8]:
    """Scale uint16 or float32 pixels so that ``limits`` become 0 and 255, or 255 and 0 for a ``negative``.

    What lies beyond is clipped; uint8 pixels pass unchanged.
    """
    if pixels.dtype == np.uint8:
        return pixels
    low, high = limits
    scaled = np.empty(pixels.shape, np.uint8)
    for rows in bands(pixels):
        level = np.clip(pixels[rows], low, high, dtype=np.float64) - low
        scaled[rows] = np.rint(level * (255 / ((high - low) or 1)))
    return 255 - scaled if negative else scaled


def outside(pixels: Pixels, limits: Range) -> int:
    """How many pixel values lie beyond ``limits``."""
    return int(np.count_nonzero((pixels < limits[0]) | (pixels > limits[1])))


def white_level(largest: int) -> int:
    """The full scale of 16-bit cameras whose brightest pixel is ``largest``: 10-, 12- and 14-bit data fill only part.

    Returns 2^k - 1 with k in 8..16.
    """
    return (1 << min(16, max(8, int(largest).bit_length()))) - 1


def common_scale(paths: Sequence[str], pictures: Sequence[Picture]) -> tuple[Scale, list[str]]:
    """The scale of a data set, and what was done in sentences."""
    notes: list[str] = []
    white, float_range = None, None
    deep = [k for k, picture in enumerate(pictures) if picture.pixels.dtype == np.uint16]
    if deep:
        white = _white([pictures[k] for k in deep])
        clipped = _clipped([paths[k] for k in deep], [pictures[k] for k in deep], (0, white))
        notes.append(f"{len(deep)} 16-bit image(s) were scaled by 255/{white} to 8 bits; {clipped}.")
    floating = [k for k, picture in enumerate(pictures) if picture.pixels.dtype == np.float32]
    if floating:
        found = [pictures[k] for k in floating]
        float_range = _declared_range(found) or _range_but_hot(found)
        clipped = _clipped([paths[k] for k in floating], found, float_range)
        low, high = float_range
        notes.append(
            f"{len(floating)} floating-point image(s) were scaled to 8 bits, all alike: {low:.6g} became 0 and "
            f"{high:.6g} became 255; {clipped}."
        )
    return Scale(white, float_range), notes


def _white(pictures: Sequence[Picture]) -> int:
    declared = _declared_range(pictures)
    return int(declared[1]) if declared else white_level(int(_range_but_hot(pictures)[1]))


def _declared_range(pictures: Sequence[Picture]) -> Range | None:
    """The range that files declare, if it holds everything but hot pixels: some writers declare what is not so."""
    declared = [picture.declared for picture in pictures if picture.declared]
    if not declared:
        return None
    limits = min(low for low, _ in declared), max(high for _, high in declared)
    calm = _calm_range(pictures)
    believed = limits[0] <= calm[0] and calm[1] <= limits[1] and _few_outside(pictures, limits)
    return limits if believed else None


def _range_but_hot(pictures: Sequence[Picture]) -> Range:
    """Smallest and largest value, except for the few single pixels that would at least double the range."""
    low, high = _calm_range(pictures)
    width = high - low
    limits = low - width, high + width
    if not _few_outside(pictures, limits):
        limits = -np.inf, np.inf
    kept = [_range(picture.pixels[_within(picture.pixels, limits)]) for picture in pictures]
    return _union([one for one in kept if one])


def _calm_range(pictures: Sequence[Picture]) -> Range:
    """The range where each pixel is held within its eight neighbours': a lone one counts for nothing, a line does."""
    ranges = []
    for picture in pictures:
        pixels = picture.pixels
        high = np.minimum(pixels, cv2.dilate(pixels, NEIGHBOURS)).max()
        low = np.maximum(pixels, cv2.erode(pixels, NEIGHBOURS)).min()
        ranges.append((float(low), float(high)))
    return _union(ranges)


def _few_outside(pictures: Sequence[Picture], limits: Range) -> bool:
    total = sum(picture.pixels.size for picture in pictures)
    return sum(outside(picture.pixels, limits) for picture in pictures) <= HOT_SHARE * total


def _within(pixels: Pixels, limits: Range) -> NDArray[np.bool_]:
    return (pixels >= limits[0]) & (pixels <= limits[1])


def _range(values: NDArray[Any]) -> Range | None:
    return (float(values.min()), float(values.max())) if values.size else None


def _union(ranges: Sequence[Range]) -> Range:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _clipped(paths: Sequence[str], pictures: Sequence[Picture], limits: Range) -> str:
    counts = {path: outside(picture.pixels, limits) for path, picture in zip(paths, pictures, strict=True)}
    hit = [path for path, count in counts.items() if count]
    if not hit:
        return "nothing was clipped"
    above = f"above {limits[1]:.6g}" if limits[0] == 0 else f"outside {limits[0]:.6g} to {limits[1]:.6g}"
    return (
        f"{sum(counts.values())} pixel value(s) of {len(hit)} image(s) {above}, such as in {hit[0]!r}, were clipped "
        "as faults of the sensor"
    )
