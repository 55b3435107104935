"""How well an arm does and how much one arm gains over another, with intervals over test images and training seeds.

Three things are left to chance: which images the test set happens to hold, which seed the training had, and how the
generators of the synthetic images came out. The bootstrap redraws the images, near-duplicates together as one group,
and the same draw serves both arms, which share images and seeds, so what is common to the arms cancels; what seeds and,
where there are several, generators vary is added to it (`bootstrap.interval`).

Predictions are int64 [seeds, N] or, of an arm that was trained with the images of several generators (of several
trainings of all of them, strictly), [generators, seeds, N].
"""

from dataclasses import dataclass
from itertools import product
from math import ceil, log2

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import gamma, norm
from statsmodels.stats.contingency_tables import mcnemar

from classifiers.bootstrap import (
    Floats,
    Interval,
    Ints,
    combined_wilson,
    draw,
    interval,
    share_interval,
    spent_alpha,
    wider,
)
from classifiers.endpoint import Endpoint, EndpointName, Tally, balanced_accuracy
from classifiers.levels import ALPHA

POWER = 0.8
MOST_FLIPS, AT_ONCE = 20_000, 1000  # sign flips of a test, and those that are in memory


@dataclass(frozen=True)
class RunScore:
    """Scores of one training run; `endpoint` as `Endpoint.figure` says it."""

    accuracy: float
    macro_f1: float
    endpoint: float


@dataclass(frozen=True)
class ArmSummary:
    """Scores of one arm, `recall` by class; `confusion` [K, K] sums truth x prediction over all runs.

    `endpoint` is the figure that the endpoint's name says: a share in 0..1, or a cost. `runs` has a row for each
    generator, and in it a score for each seed.
    """

    accuracy: Interval
    macro_f1: Interval
    endpoint: Interval
    recall: list[Interval]
    runs: list[list[RunScore]]
    confusion: Ints


@dataclass(frozen=True)
class Change:
    """Change of a score, augmented minus baseline.

    `p` is that of randomised sign flips over groups (two-sided, unadjusted), which unlike an interval stays honest
    where few images changed.
    """

    interval: Interval
    p: float


@dataclass(frozen=True)
class PoweredChange(Change):
    """A change, and `detectable`: the one that a test like this finds in about `POWER` of tries at its level."""

    detectable: float


@dataclass(frozen=True)
class Gain:
    """Augmented minus baseline; larger is better, of every score.

    `endpoint` decides, at the level `alpha` of comparison number `comparison_number` on these test images: `strict` is
    its interval at level 1 - alpha. All other intervals are 95 %; those of `by_class` (scores of `Endpoint.by_class`)
    and of `recall` hold for all classes at once (level 1 - 0.05 / K, Bonferroni). `class_groups` counts each class's
    independent images. `mcnemar_p` compares the two majority votes. With one generator the intervals leave
    out chance in its training.
    """

    name: EndpointName
    endpoint: PoweredChange
    strict: Interval
    comparison_number: int
    by_class: dict[int, Change]
    accuracy: PoweredChange
    macro_f1: Interval
    recall: list[Interval]
    class_groups: list[int]
    mcnemar_p: float
    images: int
    groups: int
    seeds: int
    generators: int = 1

    @property
    def alpha(self) -> float:
        """The significance level of this comparison."""
        return spent_alpha(self.comparison_number)


def summarise(
    truth: ArrayLike,
    predictions: ArrayLike,
    groups: ArrayLike,
    *,
    classes: int,
    endpoint: Endpoint | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> ArmSummary:
    """Score one arm: truth int64 [N], predictions as above, groups int64 [N], all labels in 0..classes-1.

    All are means over runs. Intervals are the wider of two, one of which holds where nearly all is right
    (`bootstrap.share_interval`, `bootstrap.combined_wilson`; a class's F1 stands for a share of its images there). The
    recall of a class without test images is NaN. Without `endpoint` that is balanced accuracy.

    Raises:
        ValueError: shapes or labels that do not fit.
    """
    truth, predictions, groups = _checked(truth, predictions, groups, classes)
    endpoint = endpoint or balanced_accuracy(truth, classes)
    counts = _Counts(truth, predictions, groups, endpoint)
    point = counts.scores()[:, :, 0]
    draws = counts.scores(draw(counts.groups, resamples, seed))
    f1 = counts.f1()[:, 0].mean(axis=0)
    present = np.array(counts.class_groups) > 0
    macro_f1 = combined_wilson(f1, counts.class_groups, present / present.sum())
    decides = combined_wilson(counts.shares(), counts.stratum_groups, endpoint.weights)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (np.broadcast_to(truth, predictions.shape), predictions), 1)
    found = interval(point[..., 2], draws[..., 2], within=(0.0, endpoint.most))
    return ArmSummary(
        accuracy=share_interval(point[..., 0], draws[..., 0], counts.groups),
        macro_f1=wider(interval(point[..., 1], draws[..., 1], within=(0.0, 1.0)), macro_f1),
        endpoint=_figure(endpoint, wider(found, decides)),
        recall=[share_interval(point[..., 3 + k], draws[..., 3 + k], n) for k, n in enumerate(counts.class_groups)],
        runs=[
            [RunScore(float(row[0]), float(row[1]), endpoint.figure(float(row[2]))) for row in of_generator]
            for of_generator in point
        ],
        confusion=confusion,
    )


def gain(
    truth: ArrayLike,
    baseline: ArrayLike,
    augmented: ArrayLike,
    groups: ArrayLike,
    *,
    classes: int,
    endpoint: Endpoint | None = None,
    comparison_number: int = 1,
    resamples: int = 2000,
    seed: int = 0,
) -> Gain:
    """Compare two arms on the same images and seeds: predictions as above, row s of each trained with the same seed.

    An arm of real images, [seeds, N], is compared with another one's runs of every generator, seed by seed.

    `comparison_number` is the number of this comparison, from 1, on these test images: the later, the more it takes to
    decide.

    Raises:
        ValueError: shapes or labels that do not fit, or arms with different numbers of seeds.
    """
    truth, baseline, groups = _checked(truth, baseline, groups, classes)
    truth, augmented, groups = _checked(truth, augmented, groups, classes)
    baseline, augmented = paired(baseline, augmented)
    endpoint, alpha = endpoint or balanced_accuracy(truth, classes), spent_alpha(comparison_number)
    before, after = (_Counts(truth, predictions, groups, endpoint) for predictions in (baseline, augmented))
    weights = draw(before.groups, resamples, seed)
    point, draws = (after.scores() - before.scores())[:, :, 0], after.scores(weights) - before.scores(weights)
    image_weights = before.image_weights()
    flips = max(resamples, ceil(2 * classes / ALPHA), min(MOST_FLIPS, ceil(4 / alpha)))
    p = _sign_flips(after.contributions() - before.contributions(), flips, seed)

    def between(column: int, level: float, most: float = 1.0) -> Interval:
        return interval(point[..., column], draws[..., column], level, within=(-most, most))

    def powered(column: int, row: int, most: float) -> PoweredChange:
        found = between(column, ALPHA, most)
        return PoweredChange(found, p[row], _detectable(found, image_weights[row], most, alpha))

    k = classes
    return Gain(
        name=endpoint.name,
        endpoint=powered(2, 1, endpoint.most),
        strict=between(2, alpha, endpoint.most),
        comparison_number=comparison_number,
        by_class={
            label: Change(between(3 + k + i, ALPHA / classes, float(row.sum())), p[2 + i])
            for i, (label, row) in enumerate(endpoint.by_class.items())
        },
        accuracy=powered(0, 0, 1.0),
        macro_f1=between(1, ALPHA),
        recall=[between(3 + label, ALPHA / classes) for label in range(classes)],
        class_groups=before.class_groups,
        mcnemar_p=mcnemar_exact(truth, baseline, augmented, groups, classes=classes),
        images=len(truth),
        groups=before.groups,
        seeds=baseline.shape[1],
        generators=len(baseline),
    )


def _figure(endpoint: Endpoint, score: Interval) -> Interval:
    """An interval of the score as one of the endpoint's figure."""
    lo, hi = sorted((endpoint.figure(score.lo), endpoint.figure(score.hi)))
    return Interval(endpoint.figure(score.mean), lo, hi)


def _detectable(found: Interval, image_weights: Floats, most: float, alpha: float) -> float:
    """The change that a test like this finds in about `POWER` of tries, at level `alpha`; `most` at most.

    z(1 - alpha/2) + z(power) standard errors (Cohen 1988, "Statistical Power Analysis"), read off the 95 % interval as
    if it were normal: where few runs differ widely the figure is up to a tenth too large, and more where two or three
    generators do. At least what so many average
    images bring as sign flips need: n that change, all one way, with 2 / 2^n below alpha, and the mean of a Poisson
    number that is no less in `POWER` of tries.
    """
    error = (found.hi - found.lo) / 2 / norm.ppf(1 - ALPHA / 2)
    needed = round(gamma.ppf(POWER, ceil(1 - log2(alpha))))
    handful = needed * image_weights.mean()
    return float(min(most, max(error * (norm.ppf(1 - alpha / 2) + norm.ppf(POWER)), handful)))


def mcnemar_exact(truth: Ints, baseline: Ints, augmented: Ints, groups: Ints, *, classes: int) -> float:
    """McNemar's exact two-sided p (McNemar 1947) on the arms' majority votes over all runs (ties: the lower class).

    The vote makes one prediction an image, which is what the test is about; it looks at fewer data than the bootstrap.
    Near-duplicates are one trial: whichever arm more of them speak for.
    """
    before, after = (vote(predictions, classes) == truth for predictions in (baseline, augmented))
    _, group = np.unique(groups, return_inverse=True)
    change = np.bincount(group, weights=after.astype(np.float64) - before)
    better, worse = int((change > 0).sum()), int((change < 0).sum())
    return float(mcnemar([[0, worse], [better, 0]], exact=True).pvalue)


class _Counts:
    """An arm's answers by group and run, and every score of them: a resample is then one matrix product."""

    def __init__(self, truth: Ints, predictions: Ints, groups: Ints, endpoint: Endpoint) -> None:
        self.endpoint, classes, self.shape = endpoint, len(endpoint.acceptable), predictions.shape[:2]
        predictions = predictions.reshape(-1, len(truth))
        self.named = Tally(np.eye(classes, dtype=bool), truth, predictions, groups)  # by the right name
        self.decides = Tally(endpoint.acceptable, truth, predictions, groups)
        self.groups = self.named.groups
        _, group = np.unique(groups, return_inverse=True)
        self.predicted = np.zeros_like(self.named.found)
        np.add.at(self.predicted, (group[None], np.arange(len(predictions))[:, None], predictions), 1.0)
        self.class_groups: list[int] = np.count_nonzero(self.named.truth, axis=0).tolist()
        self.stratum_groups: list[int] = np.count_nonzero(self.named.truth @ endpoint.strata.T, axis=0).tolist()

    def scores(self, weights: Floats | None = None) -> Floats:
        """[generators, seeds, R, 3 + K + C] under group weights [R, G]: accuracy, macro-F1, endpoint, recalls, those
        `by_class`.

        A class that a resample leaves out has no recall there (NaN) and is left out of the mean of F1.
        """
        weights = np.ones((1, self.groups)) if weights is None else weights
        found, truth = self._sum(self.named.found, weights), weights @ self.named.truth
        present = truth > 0
        accuracy = found.sum(-1) / truth.sum(-1)
        macro_f1 = (self.f1(weights) * present).sum(-1) / present.sum(-1)
        recall = np.where(present, found / np.maximum(truth, 1.0), np.nan)
        decides = self.decides.scores(self.endpoint, weights)
        parts = [accuracy[..., None], macro_f1[..., None], decides[..., :1], recall, decides[..., 1:]]
        scores = np.concatenate(parts, axis=-1)
        return scores.reshape(*self.shape, *scores.shape[1:])

    def f1(self, weights: Floats | None = None) -> Floats:
        """F1 of each class, [runs, R, K]."""
        weights = np.ones((1, self.groups)) if weights is None else weights
        found, predicted = self._sum(self.named.found, weights), self._sum(self.predicted, weights)
        f1: Floats = 2.0 * found / np.maximum(predicted + weights @ self.named.truth, 1.0)
        return f1

    def shares(self) -> Floats:
        """Mean over the runs of each stratum's share, [S]; 0 where there is no image."""
        strata = self.endpoint.strata.T
        found = self.decides.found.sum(axis=0).mean(axis=0) @ strata
        shares: Floats = found / np.maximum(self.named.truth.sum(axis=0) @ strata, 1.0)
        return shares

    def image_weights(self) -> Floats:
        """What all images of a group bring to accuracy, endpoint and the scores `by_class`, [2 + C, G]."""
        weights: Floats = self._class_weights() @ self.named.truth.T
        return weights

    def contributions(self) -> Floats:
        """What each group brought to those scores, mean over the runs, [G, 2 + C]."""
        weights = self._class_weights()
        named, decides = (tally.found.mean(axis=1) for tally in (self.named, self.decides))
        return np.hstack([named @ weights[:1].T, decides @ weights[1:].T])

    def _class_weights(self) -> Floats:
        equal = np.full((1, self.named.truth.shape[1]), 1 / self.named.truth.sum())
        return np.vstack([equal, self.decides.image_weights(self.endpoint)])

    @staticmethod
    def _sum(counts: Floats, weights: Floats) -> Floats:
        """Counts [G, runs, K] under group weights, [runs, R, K]."""
        return np.tensordot(weights, counts, axes=1).swapaxes(0, 1)


def _sign_flips(change: Floats, flips: int, seed: int) -> list[float]:
    """Two-sided p a column that the groups' changes [G, K] are symmetric about 0 (Fisher's randomisation test).

    Exact where there are no more ways to flip the signs than `flips`. Else the least p that random flips can give is
    1 / (1 + flips); smaller ones are Hoeffding's (1963) bound, which no exact p of this test exceeds:
        P(|sum_g +-c_g| >= t) <= 2 exp(-t^2 / (2 sum_g c_g^2))
    """
    change = change[np.any(change != 0, axis=1)]  # what has not changed has no sign
    observed = np.abs(change.sum(axis=0))
    slack = 1e-9 * np.abs(change).sum(axis=0)  # counts a flip that ties with what was observed, whatever the order

    def extreme(signs: Floats) -> Floats:
        found: Floats = (np.abs(signs @ change) >= observed - slack).sum(axis=0)
        return found

    if 2 ** len(change) <= flips:
        signs = np.array(list(product([-1.0, 1.0], repeat=len(change))))
        return [float(p) for p in extreme(signs) / len(signs)]
    rng = np.random.default_rng(seed)
    parts = [min(AT_ONCE, flips - start) for start in range(0, flips, AT_ONCE)]
    counted = sum(extreme(rng.choice([-1.0, 1.0], size=(part, len(change)))) for part in parts)
    bound = 2 * np.exp(-(observed**2) / np.maximum(2 * (change**2).sum(axis=0), 1e-300))
    return [float(p) for p in np.minimum((1 + counted) / (1 + flips), bound)]


def vote(predictions: Ints, classes: int) -> Ints:
    """The class that most of predictions `[..., N]` name for each image; ties go to the lower label."""
    votes = np.stack([(predictions == k).reshape(-1, predictions.shape[-1]).sum(axis=0) for k in range(classes)])
    winners: Ints = votes.argmax(axis=0)
    return winners


def by_generator(predictions: ArrayLike) -> Ints:
    """Predictions [seeds, N] as those with the images of one generator, [1, seeds, N]; others as they are."""
    predictions = np.asarray(predictions)
    return predictions[None] if predictions.ndim == 2 else predictions


def paired(baseline: ArrayLike, augmented: ArrayLike) -> tuple[Ints, Ints]:
    """Predictions of two arms, both [generators, seeds, N]: those of real images alone are the same for each generator.

    Raises:
        ValueError: arms with different numbers of seeds.
    """
    before, after = by_generator(baseline), by_generator(augmented)
    if before.shape[1] != after.shape[1]:
        raise ValueError(f"the arms must share their seeds: baseline has {before.shape[1]}, augmented {after.shape[1]}")
    before, after = np.broadcast_arrays(before, after)
    return before, after


def _checked(truth: ArrayLike, predictions: ArrayLike, groups: ArrayLike, classes: int) -> tuple[Ints, Ints, Ints]:
    truth, predictions, groups = np.asarray(truth), by_generator(predictions), np.asarray(groups)
    if truth.ndim != 1 or not len(truth) or groups.shape != truth.shape or predictions.shape[2:] != truth.shape:
        raise ValueError(
            "truth and groups must be [N] and predictions [seeds, N] or [generators, seeds, N] with N > 0, got "
            f"{list(truth.shape)}, {list(groups.shape)} and {list(predictions.shape)}"
        )
    for name, labels in (("truth", truth), ("predictions", predictions)):
        if not labels.size or not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"{name} must hold labels in 0..{classes - 1} and at least one seed")
    return truth.astype(np.int64), predictions.astype(np.int64), groups.astype(np.int64)
