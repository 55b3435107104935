"""Near-duplicates: certain ones are grouped, likely ones where correlation distinguishes them from chance.

Equal files, equal pixels and the same picture stored again are certain. A high correlation is not: two boards
with one straight track each, or two parts in one fixture, correlate and are different. So a pair is likely only where
its correlation exceeds by far that of chance in this set, and the self-similarity of its images. Certain ones are
confirmed on the pixels, whatever chance is.
`benchmarks/duplicates.md` has precision and recall.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.reading.reader import progress_of
from pipeline.reading.reencoding import Symmetry, is_reencoding
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
NEAREST = 4  # images most like an image, among which it is looked for stored again; further copies are found from those
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
    thumbnails that a likely pair needs at least (see `required_correlation`); at 1 only certain pairs count. Groups
    are the connected components of the certain and the likely pairs, and of images that share a ``known`` name other
    than "". A likely pair in two of the given ``splits`` ("" for none) is listed and groups nothing.
    """
    identical = _identical(images, sha256s)
    pairs = [Pair(i, j, 1.0, identical=True, certain=True) for i, j in identical]
    looked, usual = _alike(images, threshold, identical)
    pairs += looked
    pairs.sort(key=lambda pair: (not pair.identical, not pair.certain, -pair.correlation, pair.first, pair.second))
    joined = [(pair.first, pair.second) for pair in pairs if pair.certain or not _apart(splits, pair)]
    firsts: dict[str, int] = {}
    joined += [(firsts.setdefault(name, i), i) for i, name in enumerate(known) if name]
    return Duplicates(_components(len(images), joined), pairs, usual)


def find_identical(images: Sequence[Pixels], sha256s: Sequence[str]) -> Duplicates:
    """As `find_duplicates`, of equal files and equal pixels alone: quick, no two images are compared."""
    joined = sorted(_identical(images, sha256s))
    pairs = [Pair(i, j, 1.0, identical=True, certain=True) for i, j in joined]
    return Duplicates(_components(len(images), joined), pairs)


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
    """Pairs that are not identical but stored again, or more alike than chance makes them, and how alike is usual."""
    small = thumbnails(images)
    white = whitened(small)
    required, usual = required_correlation(white, threshold)
    first = np.ones(len(images), bool)
    first[[again for _, again in identical]] = False  # the first of its kind stands for them
    pairs = []
    for i, j, correlation, likely in _candidates(white, required, first):
        certain = correlation >= REENCODED and _stored_again(images, small, white, i, j)
        if certain or likely:
            exact = round(_correlation(white[i], white[j]), 4)
            pairs.append(Pair(i, j, exact, identical=False, certain=certain))
    return pairs, usual if threshold < 1 else 0.0


def _candidates(white: Floats, required: Floats, first: NDArray[np.bool_]) -> Iterator[tuple[int, int, float, bool]]:
    """Pairs i < j, their correlation, and whether it is what both require; else j is among the nearest of i."""
    with progress_of("compare", len(white)) as bar:
        for start in range(0, len(white), BLOCK):
            yield from _candidates_of_rows(white, required, first, start)
            if bar is not None:
                bar.advance(min(BLOCK, len(white) - start))


def _candidates_of_rows(
    white: Floats, required: Floats, first: NDArray[np.bool_], start: int
) -> Iterator[tuple[int, int, float, bool]]:
    """The same for the i of one block; never holds more than a block of correlations."""
    one = slice(start, start + BLOCK)
    near: list[tuple[NDArray[np.int64], Floats, NDArray[np.bool_]]] = []  # of each block: columns, values, likely
    for begin in range(start, len(white), BLOCK):
        other = slice(begin, begin + BLOCK)
        values = correlate(white[one], white[other])
        values[~first[one]] = -1
        values[:, ~first[other]] = -1
        if begin == start:
            values[np.tril_indices(len(values))] = -1
        likely = values >= np.maximum(required[one, None], required[None, other])
        for i, j in np.argwhere(likely):
            yield int(start + i), int(begin + j), float(values[i, j]), True
        if (values >= REENCODED).any():
            nearest = _largest(values)
            near.append((begin + nearest, *_taken(nearest, values, likely)))
    if not near:
        return
    columns, values, likely = (np.hstack(parts) for parts in zip(*near, strict=True))
    nearest = _largest(values)
    columns = np.take_along_axis(columns, nearest, 1)
    values, likely = _taken(nearest, values, likely)
    for i, k in np.argwhere((values >= REENCODED) & ~likely):
        yield int(start + i), int(columns[i, k]), float(values[i, k]), False


def _largest(values: Floats) -> NDArray[np.int64]:
    """Columns of the `NEAREST` largest values of each row, in no order."""
    count = min(NEAREST, values.shape[1])
    return np.argpartition(-values, count - 1, axis=1)[:, :count]


def _correlation(one: Floats, other: Floats) -> float:
    """As `correlate` of two, in double precision: what is reported does not depend on how the products were blocked."""
    precise = one.astype(np.float64)
    return max(float((precise * symmetry(other)).sum()) for symmetry in SYMMETRIES)


def _taken(columns: NDArray[np.int64], values: Floats, likely: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    return np.take_along_axis(values, columns, 1), np.take_along_axis(likely, columns, 1)


def _stored_again(images: Sequence[Pixels], small: Floats, white: Floats, i: int, j: int) -> bool:
    return _close(small[i], small[j]) and is_reencoding(images[i], images[j], fitting(white[i], white[j]))


def fitting(one: Floats, other: Floats) -> Sequence[Symmetry]:
    """The symmetries of the square by which the other whitened thumbnail correlates as that of a copy does.

    Of a picture with too little structure the identity alone: turned, two lone blobs may be alike to the pixel.
    """
    tried = SYMMETRIES if float(effective_pixels(one[None])[0]) >= LEAST_STRUCTURE else SYMMETRIES[:1]
    return [symmetry for symmetry in tried if float((one * symmetry(other)).sum()) >= REENCODED]


def _close(one: Floats, other: Floats) -> bool:
    """Whether two thumbnails differ by a few grey levels in some symmetry: cheap, before the pixels are compared."""
    return any(float(np.abs(one - symmetry(other)).max()) <= NEAR for symmetry in SYMMETRIES)


def required_correlation(white: Floats, threshold: float) -> tuple[Floats, float]:
    """The correlation at which each image has a likely near-duplicate, and how alike the images usually are.

    It is halfway from chance to identity, (1 + m) / 2, and at least the threshold. Chance, m, is the highest of

    - its correlation with the next image when as many are set aside as may be its near-duplicates (`MOST`, `FEW`);
    - the median of this over all images: the ones out of the ordinary are as alike by chance as the others;
    - its self-similarity: two images of straight tracks fit as well as one fits itself further along.

    It is infinite where the thumbnail has too little structure (`LEAST_STRUCTURE`), and for all at a threshold of 1.
    """
    own = self_similarity(white)
    usual = np.zeros(len(white), np.float32)
    if len(white) >= ENOUGH:
        chosen = np.unique(np.linspace(0, len(white) - 1, SAMPLE).astype(int))
        blocks = range(0, len(white), BLOCK)
        values = np.vstack([correlate(white[start : start + BLOCK], white[chosen]) for start in blocks])
        values[chosen, np.arange(len(chosen))] = np.nan  # an image with itself
        usual = np.nanquantile(values, 1 - max(MOST, FEW / (len(white) - 1)), axis=1).astype(np.float32)
    middle = max(0.0, float(np.median(usual))) if len(usual) else 0.0
    chance = np.maximum(np.maximum(usual, middle), own)
    required: Floats = np.maximum((1 + chance) / 2, np.float32(threshold))
    if threshold >= 1:
        required[:] = np.inf
    required[effective_pixels(white) < LEAST_STRUCTURE] = np.inf
    return required, middle
