"""Near-duplicates: certain ones are grouped, likely ones where correlation distinguishes them from chance.

Equal files, equal pixels and the same picture stored again are certain. A high correlation is not: two boards
with one straight track each, or two parts in one fixture, correlate and are different. So a pair counts only where its
correlation exceeds by far that of chance in this set, and the self-similarity of its images.
`benchmarks/duplicates.md` has precision and recall.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.reading.reader import progress_of
from pipeline.reading.reencoding import is_reencoding
from pipeline.reading.thumbnails import (
    SYMMETRIES,
    Floats,
    Pixels,
    correlate,
    effective_pixels,
    self_similarity,
    thumbnails,
    whitened,
)

THRESHOLD = 0.6  # correlation of whitened thumbnails below which two images are never taken for one thing
REENCODED = 0.9  # correlation below which a pair is not compared at full resolution
NEAR = 5.0  # grey levels between two pixels of the thumbnails, with which a pair may still be one picture stored again
ENOUGH = 8  # images, to speak of how alike two of them usually are
SAMPLE = 256  # images that stand for the data set when that is measured
MOST = 0.05  # of the data set may be near-duplicates of one image
FEW = 4  # near-duplicates that an image may have however small the data set
LEAST_STRUCTURE = 50  # effective pixels of a thumbnail, of 1024; two lone blobs may be alike to the pixel
BLOCK = 512  # rows compared at a time


@dataclass(frozen=True)
class Pair:
    """Two rows of the frame that show one thing, and the correlation of their whitened thumbnails.

    ``identical``: equal files or pixels. ``certain``: identical, or one picture stored again. Else it is likely.
    """

    first: int
    second: int
    correlation: float
    identical: bool
    certain: bool


@dataclass(frozen=True)
class Duplicates:
    """``groups`` int64 ``[N]``, numbered by first appearance, and the pairs: identical, then certain, then likely.

    Of many identical images each is paired with the first one. ``usual`` is how well the images of the data set
    correlate with those most like them, near-duplicates set aside: the median over all, 0 if it was not measured.
    """

    groups: NDArray[np.int64]
    pairs: list[Pair]
    usual: float = 0.0


def find_duplicates(
    images: Sequence[Pixels],
    sha256s: Sequence[str],
    *,
    threshold: float = THRESHOLD,
    known: Sequence[str] = (),
    splits: Sequence[str] = (),
) -> Duplicates:
    """Group images of one thing, in any of the square's eight symmetries.

    ``images`` are uint8 ``[H, W]`` or ``[H, W, 3]`` of any size; ``threshold`` in (0, 1] is the correlation of whitened
    thumbnails that a likely pair needs at least (see ``_required``); at 1 only identical images are looked for. Groups
    are the connected components of the certain and the likely pairs, and of images that share a ``known`` name other
    than "". A likely pair in two of the given ``splits`` ("" for none) is listed and groups nothing.
    """
    identical = _identical(images, sha256s)
    pairs = [Pair(i, j, 1.0, identical=True, certain=True) for i, j in identical]
    usual = 0.0
    if threshold < 1:
        looked, usual = _alike(images, threshold, identical)
        pairs += looked
    pairs.sort(key=lambda pair: (not pair.identical, not pair.certain, -pair.correlation, pair.first, pair.second))
    joined = [(pair.first, pair.second) for pair in pairs if pair.certain or not _apart(splits, pair)]
    firsts: dict[str, int] = {}
    joined += [(firsts.setdefault(name, i), i) for i, name in enumerate(known) if name]
    return Duplicates(_components(len(images), joined), pairs, usual)


def _identical(images: Sequence[Pixels], sha256s: Sequence[str]) -> set[tuple[int, int]]:
    """Every image whose file or pixels equal those of an earlier one, behind the first such."""
    found: set[tuple[int, int]] = set()
    pixels = [hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest() for image in images]
    for keys in (sha256s, pixels):
        first: dict[str, int] = {}
        found |= {(first[key], i) for i, key in enumerate(keys) if first.setdefault(key, i) != i}
    return found


def _apart(splits: Sequence[str], pair: Pair) -> bool:
    if not splits:
        return False
    one, other = splits[pair.first], splits[pair.second]
    return bool(one and other and one != other)


def _components(count: int, joined: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Connected components by union-find, numbered by first appearance."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for i, j in joined:
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    return pd.factorize(np.array([root(i) for i in range(count)], np.int64))[0].astype(np.int64)


def _alike(images: Sequence[Pixels], threshold: float, identical: set[tuple[int, int]]) -> tuple[list[Pair], float]:
    """Pairs that are not identical and more alike than chance makes them, and how alike the images usually are."""
    small = thumbnails(images)
    white = whitened(small)
    required, usual = _required(white, threshold)
    required[effective_pixels(white) < LEAST_STRUCTURE] = np.inf
    required[[again for _, again in identical]] = np.inf  # the first of its kind stands for them
    pairs = []
    for i, j, correlation in _above(white, required):
        certain = correlation >= REENCODED and _close(small[i], small[j]) and is_reencoding(images[i], images[j])
        pairs.append(Pair(i, j, round(correlation, 4), identical=False, certain=certain))
    return pairs, usual


def _above(white: Floats, required: Floats) -> Iterator[tuple[int, int, float]]:
    """Every pair i < j whose correlation is at least what both require."""
    with progress_of("compare", len(white)) as bar:
        for start in range(0, len(white), BLOCK):
            for other in range(start, len(white), BLOCK):
                one, two = slice(start, start + BLOCK), slice(other, other + BLOCK)
                values = correlate(white[one], white[two])
                enough = values >= np.maximum(required[one, None], required[None, two])
                for i, j in np.argwhere(enough):
                    if start + i < other + j:
                        yield int(start + i), int(other + j), float(values[i, j])
            if bar is not None:
                bar.advance(len(white[start : start + BLOCK]))


def _close(one: Floats, other: Floats) -> bool:
    """Whether two thumbnails differ by a few grey levels in some symmetry: cheap, before the pixels are compared."""
    return any(float(np.abs(one - symmetry(other)).max()) <= NEAR for symmetry in SYMMETRIES)


def _required(white: Floats, threshold: float) -> tuple[Floats, float]:
    """The correlation at which each image has a near-duplicate, and how alike the images usually are.

    It is halfway from chance to identity, (1 + m) / 2, and at least the threshold. Chance, m, is the highest of

    - its correlation with the next image when as many are set aside as may be its near-duplicates (`MOST`, `FEW`);
    - the median of this over all images: the ones out of the ordinary are as alike by chance as the others;
    - its self-similarity: two images of straight tracks fit as well as one fits itself further along.
    """
    own = self_similarity(white)
    usual = np.zeros(len(white), np.float32)
    if len(white) >= ENOUGH:
        chosen = np.unique(np.linspace(0, len(white) - 1, SAMPLE).astype(int))
        values = correlate(white, white[chosen])
        values[chosen, np.arange(len(chosen))] = np.nan  # an image with itself
        usual = np.nanquantile(values, 1 - max(MOST, FEW / (len(white) - 1)), axis=1).astype(np.float32)
    middle = max(0.0, float(np.median(usual))) if len(usual) else 0.0
    chance = np.maximum(np.maximum(usual, middle), own)
    required: Floats = np.maximum((1 + chance) / 2, np.float32(threshold))
    return required, middle
