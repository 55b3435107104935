"""Whitened thumbnails for pairwise correlation, and measures of how informative that is.

Plain correlation of thumbnails calls any two images with the same lighting or one straight line alike. So a thumbnail
is high-passed, divided by its local contrast, and rid of its row and column means, which hold the lines along an axis.

The filter of synthetic images has a correlation of its own (`ganaug.symmetries`), on purpose: it compares images of one
size and one lighting, tries shifts as well, and keeps the local contrast, since its limit comes from the real images of
a class. Here the same part may come under another exposure, and light must not count.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 32  # pixels of a thumbnail
DETAIL = 2.0  # sigma in thumbnail pixels of the blur that is subtracted
CONTRAST = 4.0  # sigma of the neighbourhood whose contrast is divided out
NOISE = 1.0  # grey levels; contrast below this is noise and must not be amplified
APART = 3  # thumbnail pixels; a pattern shifted by less still overlaps itself
OVERLAP = 0.25  # of an image's energy; what two shifted copies share has to hold that much to be compared
BLOCK = 512  # images whose spectra are held at a time

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def _symmetry(turns: int, mirrored: bool) -> Callable[[NDArray], NDArray]:
    def apply(image: NDArray) -> NDArray:
        turned = np.rot90(image, turns, axes=(-2, -1))
        return turned[..., ::-1] if mirrored else turned

    return apply


SYMMETRIES = tuple(_symmetry(turns, mirrored) for mirrored in (False, True) for turns in range(4))
"""The eight symmetries of the square, each acting on ``[..., H, W]``; the first is the identity."""


def grey(image: Pixels) -> Pixels:
    """``uint8 [H, W]`` of a grey or RGB image."""
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def thumbnails(images: Sequence[Pixels]) -> Floats:
    """Shrink ``uint8 [H, W]`` or ``[H, W, 3]`` to grey ``float32 [N, 32, 32]`` of 0 to 255 by area averaging."""
    small = np.zeros((len(images), SIDE, SIDE), np.float32)
    for k, image in enumerate(images):
        small[k] = cv2.resize(grey(image).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small


def whitened(small: Floats) -> Floats:
    """Whiten thumbnails; returns float32 ``[N, 32, 32]``, unit norm or all zeros."""
    out = np.zeros_like(small)
    for k, thumbnail in enumerate(small):
        detail = thumbnail - cv2.GaussianBlur(thumbnail, (0, 0), DETAIL)
        detail /= np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), CONTRAST) + NOISE**2)
        detail += detail.mean() - detail.mean(axis=0, keepdims=True) - detail.mean(axis=1, keepdims=True)
        norm = float(np.linalg.norm(detail))
        out[k] = detail / norm if norm > 1e-3 * SIDE else 0.0
    return out


def correlate(one: Floats, other: Floats) -> Floats:
    """Best dot product over the eight symmetries; ``[A, 32, 32]``, ``[B, 32, 32]`` -> float32 ``[A, B]``.

    An image is the sum of four parts, even or odd in rows and in columns. A mirror only changes signs of these, and
    parts of different kinds are orthogonal: so four products of quarter length give the four symmetries that do not
    exchange the axes, and four more those that do; a quarter of the work.
    """
    mine = _parts(one)
    best = np.full((len(one), len(other)), -1, np.float32)
    for theirs in (_parts(other), _parts(other.swapaxes(-2, -1))):
        neither, columns, rows, both = (a @ b.T for a, b in zip(mine, theirs, strict=True))
        np.maximum(best, neither + both + np.abs(columns + rows), out=best)
        np.maximum(best, neither - both + np.abs(columns - rows), out=best)
    return best


def _parts(images: Floats) -> list[Floats]:
    """What is even in both axes, odd in columns, odd in rows, odd in both; ``[N, 32, 32]`` -> each ``[N, 256]``.

    Only a quarter of each part is kept, scaled so that dot products are those of the whole.
    """
    half = SIDE // 2
    upper, lower = images[:, :half], images[:, ::-1][:, :half]
    found: list[Floats] = []
    for band in (upper + lower, upper - lower):
        left, right = band[..., :half], band[..., ::-1][..., :half]
        found += [part.reshape(len(images), -1) * np.float32(0.5) for part in (left + right, left - right)]
    return found


def effective_pixels(white: Floats) -> NDArray[np.float64]:
    """Over how many pixels the structure is spread: (sum x^2)^2 / sum x^4 (participation ratio); ``[N]``, 0 if flat."""
    found = np.zeros(len(white))
    for start in range(0, len(white), BLOCK):
        squares = white[start : start + BLOCK].reshape(-1, SIDE * SIDE).astype(np.float64) ** 2
        energy, fourth = squares.sum(axis=1), (squares * squares).sum(axis=1)
        np.divide(energy**2, fourth, out=found[start : start + BLOCK], where=fourth > 0)
    return found


def self_similarity(white: Floats) -> Floats:
    """How well an image fits itself elsewhere: its highest correlation with itself shifted by 3 to 16 pixels; ``[N]``.

    Nearly 1 for a straight track, which looks alike all along; about 0.2 for a texture. Two different images of such a
    pattern correlate as well by chance. The correlation is that of the overlap (normalised by its energy on both
    sides), wherever that holds a quarter of the whole.
    """
    size = (2 * SIDE, 2 * SIDE)  # zero padded: shifts do not wrap around
    inside = np.conj(np.fft.rfft2(np.ones((SIDE, SIDE)), s=size))
    steps = np.minimum(np.arange(2 * SIDE), 2 * SIDE - np.arange(2 * SIDE))
    reach = np.maximum(steps[:, None], steps[None])
    far = (reach >= APART) & (reach <= SIDE // 2)
    found = np.zeros(len(white), np.float32)
    for start in range(0, len(white), BLOCK):
        part = white[start : start + BLOCK]
        spectrum = np.fft.rfft2(part, s=size)
        products = np.fft.irfft2(spectrum * spectrum.conj(), s=size)
        energy = np.fft.irfft2(np.fft.rfft2(part**2, s=size) * inside, s=size)  # of the overlap, on one side
        opposite = np.roll(energy[:, ::-1, ::-1], 1, axis=(1, 2))  # and on the other: the same at minus the shift
        shared = np.sqrt(np.maximum(energy * opposite, 0))
        usable = far & (shared > OVERLAP)
        ratios = np.where(usable, products / np.maximum(shared, OVERLAP), 0)
        found[start : start + BLOCK] = ratios.reshape(len(part), -1).max(axis=1)
    return found
