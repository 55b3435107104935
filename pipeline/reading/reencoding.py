"""Detection of re-encoded and of brightened copies of an image, pixel by pixel."""

from collections.abc import Callable, Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.reading.thumbnails import SYMMETRIES, Pixels, grey

PATCH = 8  # pixels, the block of JPEG: over one, what a lossy encoder changes averages out, and what a defect adds not
LOCAL = 3.5  # grey levels that the mean of a patch may change by; one black pixel on white would change it by 4
CHROMA = 16.0  # levels of a colour channel that it may change by: colour is stored at half the resolution
OVERALL = 1.5  # grey levels that the mean of the picture may change by; another lamp changes it by more
GAIN = 2.0  # factor of contrast up to which a brightened or darkened picture is looked for
FINE = 1.5  # sigma in pixels of the blur that leaves the fine texture and a camera's noise
NEIGHBOURHOOD = 7  # pixels across which the fine texture of both is correlated; few of them hold an edge of the part
STRUCTURE = 0.1  # variance in grey levels squared below which a neighbourhood shows nothing
AGREEMENT = 0.2  # correlation that the fine texture has to reach in nine tenths of the neighbourhoods
FAITHFUL = 0.4  # the same where the brightness differs, which then says nothing

Symmetry = Callable[[NDArray], NDArray]
Floats = NDArray[np.float32]


def is_reencoding(one: Pixels, other: Pixels, symmetries: Iterable[Symmetry] = SYMMETRIES) -> bool:
    """Whether ``other`` is ``one`` after lossy compression at ordinary quality, turned or mirrored as it may be.

    Both are uint8 ``[H, W]`` or ``[H, W, 3]``. In grey, the mean of no patch of 8 x 8 pixels may differ by more than
    3.5 levels and that of the picture by no more than 1.5; in colour, patches by 16 in each channel. And the fine
    texture has to agree nearly everywhere, since a camera's noise comes anew with every shot, however steady the
    scene. A picture of another size, brightness or place is none. Only the ``symmetries`` given are tried on ``other``.
    """
    return any(
        _agree(one, turned)
        for turned in (_turned(other, symmetry) for symmetry in symmetries)
        if one.shape[:2] == turned.shape[:2]
    )


def is_copy(one: Pixels, other: Pixels, symmetries: Iterable[Symmetry] = SYMMETRIES) -> bool:
    """Whether ``other`` is a re-encoding of ``one``, or that after a change of brightness and contrast.

    The change is ``other = clip(a one + b)`` with ``a`` in 1/2 to 2, fitted in each channel by least squares; what it
    leaves is compared as by `is_reencoding`, in levels of the picture of higher contrast.
    """
    return any(
        _agree(one, turned) or _agree_relit(one, turned)
        for turned in (_turned(other, symmetry) for symmetry in symmetries)
        if one.shape[:2] == turned.shape[:2]
    )


def _turned(image: Pixels, symmetry: Symmetry) -> Pixels:
    """A symmetry of the square applied to ``[H, W]`` or ``[H, W, 3]``; it acts on the last two axes."""
    turned = symmetry(image) if image.ndim == 2 else symmetry(image.transpose(2, 0, 1)).transpose(1, 2, 0)
    return np.ascontiguousarray(turned)


def _agree(one: Pixels, other: Pixels) -> bool:
    first, second = grey(one).astype(np.float32), grey(other).astype(np.float32)
    error = first - second
    if abs(float(error.mean())) > OVERALL or _largest(error) > LOCAL:
        return False
    if 3 in (one.ndim, other.ndim) and _largest(_in_colour(one) - _in_colour(other)) > CHROMA:
        return False
    return _texture_agreement(first, second) >= AGREEMENT


def _agree_relit(one: Pixels, other: Pixels) -> bool:
    first, second = grey(one).astype(np.float32), grey(other).astype(np.float32)
    predicted, gain = _relit(first, second)
    if not 1 / GAIN <= gain <= GAIN or _largest(second - predicted) > LOCAL * min(1.0, gain):
        return False
    if 3 in (one.ndim, other.ndim):
        for channel, its in zip(np.moveaxis(_in_colour(one), 2, 0), np.moveaxis(_in_colour(other), 2, 0), strict=True):
            predicted_channel, gain = _relit(channel, its)
            if _largest(its - predicted_channel) > CHROMA * min(1.0, gain):
                return False
    return _texture_agreement(predicted, second) >= FAITHFUL


def _relit(one: Floats, other: Floats) -> tuple[Floats, float]:
    """``clip(a one + b)`` nearest to ``other``, fitted where that is not saturated, and ``a``."""
    fitted = (other > 0) & (other < 255)
    if not fitted.any() or np.ptp(one[fitted]) < 1:  # black and white alone
        fitted = np.ones_like(fitted)
    x, y = one[fitted], other[fitted]
    deviation = x - x.mean()
    gain = float((deviation * y).sum() / max(float((deviation * deviation).sum()), 1e-6))
    return np.clip(gain * (one - x.mean()) + y.mean(), 0, 255).astype(np.float32), gain


def _largest(error: Floats) -> float:
    """The largest difference of the means of a patch."""
    return float(np.abs(_local_mean(error, PATCH)).max())


def _in_colour(image: Pixels) -> Floats:
    return np.asarray(np.dstack([image] * 3) if image.ndim == 2 else image, np.float32)


def _texture_agreement(one: Floats, other: Floats) -> float:
    """Correlation of the fine texture that nine tenths of the neighbourhoods reach; 1 where there is no texture."""
    first, second = _fine(one), _fine(other)
    own, its, common = (_local_mean(x, NEIGHBOURHOOD) for x in (first * first, second * second, first * second))
    structured = np.maximum(own, its) > STRUCTURE
    if not structured.any():
        return 1.0
    correlation = common[structured] / np.sqrt(own[structured] * its[structured] + 1e-6)
    return float(np.quantile(correlation, 0.1))


def _fine(pixels: Floats) -> Floats:
    return pixels - np.asarray(cv2.GaussianBlur(pixels, (0, 0), FINE), np.float32)


def _local_mean(values: Floats, side: int) -> Floats:
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)
