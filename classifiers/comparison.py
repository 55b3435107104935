"""How well an arm does and how much one arm gains over another, with intervals over test images and training seeds.

Two things are left to chance: which images the test set happens to hold, and which seed the training had. The bootstrap
redraws the images, near-duplicates together as one group, and the same draw serves both arms, which share images and
seeds, so what is common to the arms cancels; what the seeds vary is added to it (`bootstrap.interval`).
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar

from classifiers.bootstrap import ALPHA, Floats, Interval, Ints, draw, interval, share_interval

POWER = 0.8
# Images: sign flips need 6 that change, all one way (2 / 2^6 < 0.05); where 8 do on average, 6 do in POWER of tries.
LEAST = 8


@dataclass(frozen=True)
class SeedScore:
    """Scores of one training run, in the order of the predictions' rows."""

    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class ArmSummary:
    """Scores of one arm, `recall` by class; `confusion` [K, K] sums truth x prediction over the seeds."""

    accuracy: Interval
    macro_f1: Interval
    recall: list[Interval]
    per_seed: list[SeedScore]
    confusion: Ints


@dataclass(frozen=True)
class Gain:
    """Augmented minus baseline. `recall` intervals hold for all classes at once (level 1 - 0.05 / K, Bonferroni).

    `p` and, class by class, `recall_p` test the change by randomised sign flips over groups (two-sided, unadjusted),
    which unlike an interval stays honest where few images changed; `recall_groups` counts a class's independent ones.
    `mcnemar_p` compares the two majority votes.
    """

    accuracy: Interval
    macro_f1: Interval
    recall: list[Interval]
    p: float
    recall_p: list[float]
    recall_groups: list[int]
    mcnemar_p: float
    images: int
    groups: int
    seeds: int


def summarise(
    truth: ArrayLike,
    predictions: ArrayLike,
    groups: ArrayLike,
    *,
    classes: int,
    resamples: int = 2000,
    seed: int = 0,
) -> ArmSummary:
    """Score one arm: truth int64 [N], predictions int64 [seeds, N], groups int64 [N], all labels in 0..classes-1.

    All are means over seeds. Recall has the interval of a share (`bootstrap.share_interval`); that of a class without
    test images is NaN.

    Raises:
        ValueError: shapes or labels that do not fit.
    """
    truth, predictions, groups = _checked(truth, predictions, groups, classes)
    counts = _Counts(truth, predictions, groups, classes)
    point = counts.scores(np.ones((1, counts.groups)))[:, 0]
    draws = counts.scores(draw(counts.groups, resamples, seed))
    accuracy, macro_f1 = (interval(point[:, m], draws[:, :, m], within=(0.0, 1.0)) for m in (0, 1))
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (np.broadcast_to(truth, predictions.shape), predictions), 1)
    return ArmSummary(
        accuracy=accuracy,
        macro_f1=macro_f1,
        recall=[share_interval(point[:, 2 + k], draws[:, :, 2 + k], n) for k, n in enumerate(counts.independent)],
        per_seed=[SeedScore(float(row[0]), float(row[1])) for row in point],
        confusion=confusion,
    )


def gain(
    truth: ArrayLike,
    baseline: ArrayLike,
    augmented: ArrayLike,
    groups: ArrayLike,
    *,
    classes: int,
    resamples: int = 2000,
    seed: int = 0,
) -> Gain:
    """Compare two arms on the same images and seeds: both int64 [seeds, N], row s of each trained with the same seed.

    Raises:
        ValueError: shapes or labels that do not fit, or arms with different numbers of seeds.
    """
    truth, baseline, groups = _checked(truth, baseline, groups, classes)
    truth, augmented, groups = _checked(truth, augmented, groups, classes)
    if baseline.shape != augmented.shape:
        raise ValueError(f"the arms must share their seeds: baseline has {len(baseline)}, augmented {len(augmented)}")
    arms = [_Counts(truth, predictions, groups, classes) for predictions in (baseline, augmented)]
    before, after = (arm.scores(np.ones((1, arm.groups)))[:, 0] for arm in arms)
    weights = draw(arms[0].groups, resamples, seed)
    point, draws = after - before, arms[1].scores(weights) - arms[0].scores(weights)
    levels = [ALPHA, ALPHA] + [ALPHA / classes] * classes
    intervals = [interval(point[:, m], draws[:, :, m], level, within=(-1.0, 1.0)) for m, level in enumerate(levels)]
    change = (arms[1].found - arms[0].found).mean(axis=1)
    tested = np.column_stack([change, change.sum(axis=1)])
    *recall_p, p = _sign_flips(tested, max(resamples, ceil(2 * classes / ALPHA)), seed)
    return Gain(
        accuracy=intervals[0],
        macro_f1=intervals[1],
        recall=intervals[2:],
        p=p,
        recall_p=recall_p,
        recall_groups=arms[0].independent,
        mcnemar_p=mcnemar_exact(truth, baseline, augmented, groups, classes=classes),
        images=len(truth),
        groups=arms[0].groups,
        seeds=len(baseline),
    )


def detectable(found: Gain) -> float:
    """The gain in accuracy that a test like this finds in about `POWER` of tries.

    z(1 - alpha/2) + z(power) standard errors (Cohen 1988, "Statistical Power Analysis"), read off the interval as if
    it were normal: where few runs differ widely the figure is up to a tenth too large. At least `LEAST` images,
    and all of them where there are fewer.
    """
    half = (found.accuracy.hi - found.accuracy.lo) / 2
    errors = half * (1 + norm.ppf(POWER) / norm.ppf(1 - ALPHA / 2))
    return min(1.0, max(float(errors), LEAST / found.groups))


def mcnemar_exact(truth: Ints, baseline: Ints, augmented: Ints, groups: Ints, *, classes: int) -> float:
    """McNemar's exact two-sided p (McNemar 1947) on the arms' majority votes over the seeds (ties: the lower class).

    The vote makes one prediction an image, which is what the test is about; it looks at fewer data than the bootstrap.
    Near-duplicates are one trial: whichever arm more of them speak for.
    """
    before, after = (vote(predictions, classes) == truth for predictions in (baseline, augmented))
    _, group = np.unique(groups, return_inverse=True)
    change = np.bincount(group, weights=after.astype(np.float64) - before)
    better, worse = int((change > 0).sum()), int((change < 0).sum())
    return float(mcnemar([[0, worse], [better, 0]], exact=True).pvalue)


class _Counts:
    """Per group and seed, what every score is a function of: a resample is then one matrix product."""

    def __init__(self, truth: Ints, predictions: Ints, groups: Ints, classes: int) -> None:
        _, group = np.unique(groups, return_inverse=True)
        self.groups = int(group.max()) + 1
        seeds = np.arange(len(predictions))[:, None]
        self.found = np.zeros((self.groups, len(predictions), classes))
        np.add.at(self.found, (group[None], seeds, truth[None]), predictions == truth)
        self.predicted = np.zeros_like(self.found)
        np.add.at(self.predicted, (group[None], seeds, predictions), 1.0)
        self.truth = np.zeros((self.groups, classes))
        np.add.at(self.truth, (group, truth), 1.0)
        self.independent: list[int] = np.count_nonzero(self.truth, axis=0).tolist()  # groups of each class

    def scores(self, weights: Floats) -> Floats:
        """Scores under group weights [R, G]: [seeds, R, 2 + K], accuracy, macro-F1, then each class's recall.

        A class that a resample leaves out has no recall there (NaN) and is left out of the mean of F1.
        """
        found, predicted = (np.tensordot(weights, x, axes=1).swapaxes(0, 1) for x in (self.found, self.predicted))
        truth = weights @ self.truth
        present = truth > 0
        f1 = 2.0 * found / np.maximum(predicted + truth, 1.0)
        macro_f1 = (f1 * present).sum(-1) / present.sum(-1)
        recall = np.where(present, found / np.maximum(truth, 1.0), np.nan)
        return np.concatenate([(found.sum(-1) / truth.sum(-1))[..., None], macro_f1[..., None], recall], axis=-1)


def _sign_flips(change: Floats, resamples: int, seed: int) -> list[float]:
    """Two-sided p a column that the groups' changes [G, K] are symmetric about 0 (Fisher's randomisation test).

    The least p there can be is 1 / (1 + resamples).
    """
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(resamples, len(change)))
    # The slack counts a flip that ties with what was observed, whatever the order of the sums.
    extreme = np.abs(signs @ change) >= np.abs(change.sum(axis=0)) - 1e-9
    return [float(p) for p in (1 + extreme.sum(axis=0)) / (1 + resamples)]


def vote(predictions: Ints, classes: int) -> Ints:
    """The class that most of predictions `[seeds, N]` name for each image; ties go to the lower label."""
    votes = np.stack([(predictions == k).sum(axis=0) for k in range(classes)])
    winners: Ints = votes.argmax(axis=0)
    return winners


def _checked(truth: ArrayLike, predictions: ArrayLike, groups: ArrayLike, classes: int) -> tuple[Ints, Ints, Ints]:
    truth, predictions, groups = (np.asarray(x) for x in (truth, predictions, groups))
    if truth.ndim != 1 or not len(truth) or groups.shape != truth.shape or predictions.shape[1:] != truth.shape:
        raise ValueError(
            "truth and groups must be [N] and predictions [seeds, N] with N > 0, got "
            f"{list(truth.shape)}, {list(groups.shape)} and {list(predictions.shape)}"
        )
    for name, labels in (("truth", truth), ("predictions", predictions)):
        if not labels.size or not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"{name} must hold labels in 0..{classes - 1} and at least one seed")
    return truth.astype(np.int64), predictions.astype(np.int64), groups.astype(np.int64)
