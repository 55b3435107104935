"""Copies of known images among given ones; each given image is compared with the known ones alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.reading.duplicates import NEAREST, REENCODED, fitting, required_correlation
from pipeline.reading.reencoding import is_copy
from pipeline.reading.thumbnails import Floats, Pixels, correlate, self_similarity, thumbnails, whitened

BLOCK = 512  # given images compared at a time


@dataclass(frozen=True)
class View:
    """An image as the networks see it, ``packed``, and ``whole`` as its file has it; None where it was cut out of that.

    Both are uint8 ``[H, W]`` or ``[H, W, 3]``. ``packed`` has one size for all.
    """

    packed: Pixels
    whole: Pixels | None


@dataclass(frozen=True)
class Copy:
    """The given image that shows what a known one shows, by their indices; certain, or merely likely."""

    given: int
    known: int
    certain: bool


def find_copies(
    given: Sequence[View], known: Sequence[View], groups: Sequence[int], *, among: Sequence[int], threshold: float
) -> list[Copy]:
    """The image ``among`` the known ones (their indices) that each given one is a copy of, or looks like; one at most.

    The other known images say how alike different ones are. Certain is what `is_copy` confirms on the pixels: on whole
    images where both have one size, else as packed. Where it confirms the same of that known image and one of another
    of the ``groups`` of known images, it cannot tell parts apart, and the copy is a likely one. Likely are also those
    whose thumbnails correlate as `required_correlation` of the known images and their own self-similarity require; at a
    ``threshold`` of 1 none.
    """
    if not given or not len(among):
        return []
    its = whitened(thumbnails([view.packed for view in known]))
    required, _ = required_correlation(its, threshold)
    comparison = _Comparison(known, its, np.asarray(groups))
    sought = np.isin(np.arange(len(known)), among)
    found = []
    for start in range(0, len(given), BLOCK):
        views = given[start : start + BLOCK]
        own = whitened(thumbnails([view.packed for view in views]))
        values = np.where(sought, correlate(own, its), -1)
        likely = values >= np.maximum(required[None], (1 + self_similarity(own)[:, None]) / 2)
        for i, view in enumerate(views):
            order = np.argsort(-values[i], kind="stable")
            nearest = [int(j) for j in order[:NEAREST] if values[i, j] >= REENCODED]
            certain = next((j for j in nearest if comparison.same(view, own[i], j)), None)
            alike = [int(j) for j in order if likely[i, j]][:1]
            if certain is not None:
                whole = _of_one_size(view, known[certain]) is not None
                found.append(Copy(start + i, certain, comparison.tells_apart(certain, whole=whole)))
            elif alike:
                found.append(Copy(start + i, alike[0], certain=False))
    return found


class _Comparison:
    """The test on pixels against known images, and whether it tells each of those from the others."""

    def __init__(self, known: Sequence[View], white: Floats, groups: NDArray[np.int64]) -> None:
        self._known, self._white, self._groups = known, white, groups
        self._apart: dict[tuple[int, bool], bool] = {}

    def same(self, view: View, white: Floats, j: int) -> bool:
        """Whether the image, whose whitened thumbnail is `white`, is a copy of the known image j."""
        one, other = _of_one_size(self._known[j], view) or (self._known[j].packed, view.packed)
        return is_copy(one, other, fitting(self._white[j], white))

    def tells_apart(self, j: int, *, whole: bool) -> bool:
        """Whether no known image of another group passes for a copy of the known image j, whole or as packed."""
        if (j, whole) not in self._apart:
            view = self._known[j] if whole else replace(self._known[j], whole=None)
            values = correlate(self._white[j : j + 1], self._white)[0]
            values[self._groups == self._groups[j]] = -1
            nearest = [int(k) for k in np.argsort(-values, kind="stable")[:NEAREST] if values[k] >= REENCODED]
            self._apart[j, whole] = not any(self.same(view, self._white[j], k) for k in nearest)
        return self._apart[j, whole]


def _of_one_size(one: View, other: View) -> tuple[Pixels, Pixels] | None:
    """The whole images of both, where they have one size or are turned against each other."""
    if one.whole is None or other.whole is None or sorted(one.whole.shape[:2]) != sorted(other.whole.shape[:2]):
        return None
    return one.whole, other.whole
