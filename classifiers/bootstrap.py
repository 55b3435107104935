"""Bootstrap over images and training seeds, and its confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t
from statsmodels.stats.proportion import proportion_confint

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ALPHA = 0.05  # intervals are 95 %
MIN_GROUPS = 20  # independent images; below, an interval from resampling is too narrow to be believed
FEWEST_BEYOND = 5  # draws beyond either end of an interval; with fewer the end is not known
MIN_SEEDS = 3  # training runs; below, the variance between runs cannot be estimated


def spent_alpha(comparison_number: int) -> float:
    """Significance level of comparison `comparison_number` (from 1) of any number: 0.030, 0.0076, 0.0034, ...

        alpha_k = ALPHA 6 / (pi k)^2,   sum_k alpha_k = ALPHA
    By Bonferroni's inequality chance passes in at most `ALPHA` of all series of comparisons, however many there are and
    however alike their images: alpha spending without an end (Foster and Stine 2008, "Alpha-investing").
    """
    return ALPHA * 6 / (np.pi * comparison_number) ** 2


@dataclass(frozen=True)
class Interval:
    """A figure (a mean, or a difference of means) and its confidence interval; shares are in 0..1, 0.021 is 2.1 %."""

    mean: float
    lo: float
    hi: float


def draw(groups: int, resamples: int, seed: int) -> Floats:
    """How often each group was drawn: weights [R, G]."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(groups, np.full(groups, 1.0 / groups), size=resamples).astype(np.float64)


def interval(point: Floats, draws: Floats, alpha: float = ALPHA, *, within: tuple[float, float]) -> Interval:
    """Interval from one score a seed, `point` [S], and under redrawn images, `draws` [S, R].

    For the seeds at hand it is the percentile interval of their mean, redrawn over images. Where seeds differ, or the
    level asks for more draws than there are, it reaches at least as far as Student's t does for the variance of two
    crossed effects, images and seeds, with Satterthwaite's (1946) degrees of freedom (those of the images are taken for
    many):
        variance = images + max(0, seeds - noise),   images = Var_r mean_s draws_s,   seeds = Var_s point / S
        noise = (mean_s Var_r draws_s - images) / (S - 1)        of single predictions, which both hold
        degrees of freedom = (S - 1) (variance / seeds)^2, at least 1
    (To redraw images and seeds in one go would count the noise three times: Owen 2007, "The pigeonhole bootstrap".)
    No end lies beyond `within`, which is as far as the score can go.
    """
    mean, total = float(point.mean()), draws.mean(axis=0)
    usable = np.isfinite(total)
    if not np.isfinite(mean) or not usable.any():
        return Interval(float("nan"), float("nan"), float("nan"))
    lo, hi = np.quantile(total[usable], [alpha / 2, 1 - alpha / 2])
    runs, variance, freedom = len(point), float(total[usable].var()), np.inf
    seeds = float(point.var(ddof=1)) / runs if runs > 1 else 0.0
    if seeds > 0:
        noise = (float(draws[:, usable].var(axis=1).mean()) - variance) / (runs - 1)
        variance += max(0.0, seeds - noise)
        freedom = max(1.0, (runs - 1) * (variance / seeds) ** 2)
    if seeds > 0 or alpha / 2 * usable.sum() < FEWEST_BEYOND:
        reach = t.ppf(1 - alpha / 2, freedom) * np.sqrt(variance)
        lo, hi = min(lo, mean - reach), max(hi, mean + reach)
    lo, hi = np.clip([lo, hi], *within)
    return Interval(mean, min(float(lo), mean), max(float(hi), mean))


def wilson(share: float, trials: int) -> Interval:
    """A share with Wilson's interval (Wilson 1927); NaN of no trials. Near-duplicate images are one trial."""
    if trials == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    lo, hi = proportion_confint(share * trials, trials, alpha=ALPHA, method="wilson")
    return Interval(share, min(float(lo), share), max(float(hi), share))  # at 0 and 1 rounding may miss the end


def combined_wilson(shares: Floats, trials: Sequence[int], weights: Floats) -> Interval:
    """Interval of sum_k weights_k shares_k, of independent shares [K], each of `trials` independent images.

    The square-and-add method, MOVER (Zou and Donner 2008), on Wilson's limits (l_k, u_k):
        lo = mean - sqrt(sum_k weights_k^2 (shares_k - l_k)^2),   hi = mean + sqrt(sum_k weights_k^2 (u_k - shares_k)^2)
    Unlike redrawn images it knows, where nearly all were right, that others may be wrong. NaN if a share that has a
    weight has no trials.
    """
    limits = [wilson(float(share), n) for share, n, weight in zip(shares, trials, weights, strict=True) if weight]
    used = weights[weights != 0]
    low, high = (
        float(np.sqrt(sum((w * (end - one.mean)) ** 2 for w, one, end in zip(used, limits, ends, strict=True))))
        for ends in ([one.lo for one in limits], [one.hi for one in limits])
    )
    mean = float(sum(w * one.mean for w, one in zip(used, limits, strict=True)))
    return Interval(mean, mean - low, mean + high)


def wider(redrawn: Interval, known: Interval) -> Interval:
    """The first figure, with ends at least as far out as those of the second; NaN if either is."""
    ends = redrawn.lo, redrawn.hi, known.lo, known.hi
    if np.isnan(ends).any():
        return Interval(redrawn.mean, float("nan"), float("nan"))
    return Interval(redrawn.mean, min(redrawn.lo, known.lo), max(redrawn.hi, known.hi))


def share_interval(point: Floats, draws: Floats, trials: int) -> Interval:
    """A share, from what `interval` takes and the number of independent images: the wider of two intervals.

    Wilson's holds near 0 and 1, where redrawn images hardly differ; `interval` knows how far the runs are apart.
    """
    if trials == 0:
        return wilson(0.0, 0)
    return wider(interval(point, draws, within=(0.0, 1.0)), wilson(float(point.mean()), trials))
