"""Inspection metrics: missed defects and false rejects.

A part is *missed* when it has a defect and the classifier calls it good; without a class of good parts, when it is
given a wrong class. A part is *falsely rejected* when it is good and is called defective. Both are shares of the test
images of their kind, means over the runs. What both cost is an endpoint (`classifiers.endpoint`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import cohen_kappa_score

from classifiers.bootstrap import Floats, Interval, Ints, draw, interval, share_interval
from classifiers.comparison import paired, vote
from classifiers.levels import MIN_GROUPS

MILLION = 1_000_000
Bools = NDArray[np.bool_]
Change = tuple[Floats, Floats]  # after minus before: of each run [G, S], and under redrawn images [G, S, R]


@dataclass(frozen=True)
class Rates:
    """Shares of one arm, `missed` by class; `false_reject` is None without test images of good parts."""

    miss: Interval
    false_reject: Interval | None
    missed: dict[int, Interval]


@dataclass(frozen=True)
class InspectionMetrics:
    """Inspection metrics of two arms, and the change from the first to the second (bootstrap intervals).

    A change is None below `MIN_GROUPS` independent images of its kind. `good` is the class of good parts, if there is
    one. `kappa` is Cohen's (1960) agreement of the arms' majority votes over the runs: 1 when they say the same of
    every image, 0 when it is chance.
    """

    before: Rates
    after: Rates
    miss: Interval | None
    false_reject: Interval | None
    good: int | None
    kappa: float


def inspection_metrics(
    truth: ArrayLike,
    baseline: ArrayLike,
    augmented: ArrayLike,
    groups: ArrayLike,
    *,
    classes: int,
    good: int | None,
    resamples: int = 2000,
    seed: int = 0,
) -> InspectionMetrics:
    """Compare two arms: truth int64 [N], predictions as in `comparison.gain`, groups int64 [N]; `good` is a label.

    Raises:
        ValueError: no defective test image, or arms with different numbers of seeds.
    """
    truth, groups = np.asarray(truth), np.unique(groups, return_inverse=True)[1]  # numbered from 0
    arms = paired(baseline, augmented)
    fine = truth == (-1 if good is None else good)
    if fine.all():
        raise ValueError("no test image has a defect, so nothing can be missed")
    events = [_events(truth, predictions, good) for predictions in arms]
    weights = draw(int(groups.max()) + 1, resamples, seed)

    def change(kind: int, among: Bools) -> Change | None:
        if len(np.unique(groups[among])) < MIN_GROUPS:
            return None
        (a, a_draws), (b, b_draws) = (_share(event[kind], among, groups, weights) for event in events)
        return b - a, b_draws - a_draws

    missed, rejected = change(0, ~fine), change(1, fine)
    votes = [vote(predictions, classes) for predictions in arms]
    return InspectionMetrics(
        before=_rates(truth, groups, *events[0], fine, weights),
        after=_rates(truth, groups, *events[1], fine, weights),
        miss=interval(*missed, within=(-1.0, 1.0)) if missed else None,
        false_reject=interval(*rejected, within=(-1.0, 1.0)) if rejected else None,
        good=good,
        kappa=float(cohen_kappa_score(*votes)) if len(np.unique(votes)) > 1 else 1.0,
    )


def _events(truth: Ints, predictions: Ints, good: int | None) -> tuple[Bools, Bools]:
    """What went wrong, bool [generators, seeds, N]: missed, falsely rejected."""
    if good is None:
        return predictions != truth, np.zeros_like(predictions, dtype=bool)
    return (predictions == good) & (truth != good), (predictions != good) & (truth == good)


def _share(event: Bools, among: Bools, groups: Ints, weights: Floats) -> tuple[Floats, Floats]:
    """Share of `among` [N] to which `event` [G, S, N] happened: as observed [G, S], under redrawn groups [G, S, R]."""
    happened = np.zeros((weights.shape[1], *event.shape[:2]))
    np.add.at(happened, groups, np.moveaxis(event, -1, 0).astype(np.float64))
    drawn = weights @ np.bincount(groups, weights=among, minlength=weights.shape[1])
    found = np.moveaxis(np.tensordot(weights, happened, axes=1), 0, -1)
    return event.sum(axis=-1) / among.sum(), np.where(drawn > 0, found / np.maximum(drawn, 1.0), np.nan)


def _rates(truth: Ints, groups: Ints, missed: Bools, rejected: Bools, fine: Bools, weights: Floats) -> Rates:
    def rate(event: Bools, among: Bools) -> Interval:
        point, draws = _share(event & among, among, groups, weights)
        return share_interval(point, draws, len(np.unique(groups[among])))

    return Rates(
        miss=rate(missed, ~fine),
        false_reject=rate(rejected, fine) if fine.any() else None,
        missed={int(k): rate(missed, truth == k) for k in np.unique(truth[~fine])},
    )


def per_million(rate: Interval, share: float) -> Interval:
    """A rate, or a change of one, among parts that are `share` of all: in a million of all parts."""
    return Interval(*(MILLION * share * end for end in (rate.mean, rate.lo, rate.hi)))
