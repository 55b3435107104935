"""Detection of re-encoded copies of an image, at full resolution."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.reading.thumbnails import SYMMETRIES, Pixels, grey

PATCH = 8  # pixels, the block of JPEG: over one, what a lossy encoder changes averages out, and what a defect adds not
LOCAL = 3.5  # grey levels that the mean of a patch may change by; one black pixel on white would change it by 4
CHROMA = 16.0  # levels of a colour channel that it may change by: colour is stored at half the resolution
OVERALL = 1.5  # grey levels that the mean of the picture may change by; another lamp changes it by more
FINE = 1.5  # sigma in pixels of the blur that leaves the fine texture and a camera's noise
NEIGHBOURHOOD = 15  # pixels across which the fine texture of both is correlated
STRUCTURE = 0.25  # variance in grey levels squared below which a neighbourhood shows nothing
AGREEMENT = 0.3  # correlation that the fine texture has to reach in nine tenths of the neighbourhoods


def is_reencoding(one: Pixels, other: Pixels) -> bool:
    """Whether ``other`` is ``one`` after lossy compression at ordinary quality, turned or mirrored as it may be.

    Both are uint8 ``[H, W]`` or ``[H, W, 3]``. In grey, the mean of no patch of 8 x 8 pixels may differ by more than
    3.5 levels and that of the picture by no more than 1.5; in colour, patches by 16 in each channel. And the fine
    texture has to agree nearly everywhere, since a camera's noise comes anew with every shot, however steady the
    scene. A picture of another size, brightness or place is none.
    """
    colour = 3 in (one.ndim, other.ndim)
    return any(_agree(one, _turned(other, symmetry), colour) for symmetry in SYMMETRIES)


def _turned(image: Pixels, symmetry: Callable[[NDArray], NDArray]) -> Pixels:
    """A symmetry of the square applied to ``[H, W]`` or ``[H, W, 3]``; it acts on the last two axes."""
    turned = symmetry(image) if image.ndim == 2 else symmetry(image.transpose(2, 0, 1)).transpose(1, 2, 0)
    return np.ascontiguousarray(turned)


def _agree(one: Pixels, other: Pixels, colour: bool) -> bool:
    if one.shape[:2] != other.shape[:2]:
        return False
    first, second = grey(one), grey(other)
    error = first.astype(np.float32) - second
    if abs(float(error.mean())) > OVERALL or np.abs(_local_mean(error, PATCH)).max() > LOCAL:
        return False
    if colour and np.abs(_local_mean(_in_colour(one) - _in_colour(other), PATCH)).max() > CHROMA:
        return False
    return _same_texture(first, second)


def _in_colour(image: Pixels) -> NDArray[np.float32]:
    return np.asarray(np.dstack([image] * 3) if image.ndim == 2 else image, np.float32)


def _same_texture(one: Pixels, other: Pixels) -> bool:
    first, second = (_fine(image) for image in (one, other))
    own, its, common = (_local_mean(x, NEIGHBOURHOOD) for x in (first * first, second * second, first * second))
    structured = np.maximum(own, its) > STRUCTURE
    if not structured.any():
        return True
    correlation = common[structured] / np.sqrt(own[structured] * its[structured] + 1e-6)
    return bool(np.quantile(correlation, 0.1) >= AGREEMENT)


def _fine(image: Pixels) -> NDArray[np.float32]:
    pixels = image.astype(np.float32)
    return pixels - np.asarray(cv2.GaussianBlur(pixels, (0, 0), FINE), np.float32)


def _local_mean(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)
