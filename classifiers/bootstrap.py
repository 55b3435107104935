"""Redrawing images and seeds, and the intervals that come of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t
from statsmodels.stats.proportion import proportion_confint

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ALPHA = 0.05  # intervals are 95 %
MIN_GROUPS = 20  # independent images; below, an interval from resampling is too narrow to be believed


@dataclass(frozen=True)
class Interval:
    """A figure (a mean, or a difference of means) and its confidence interval; shares are in 0..1, 0.021 is 2.1 %."""

    mean: float
    lo: float
    hi: float


def draw(groups: int, seeds: int, resamples: int, seed: int) -> tuple[Floats, Ints]:
    """Group weights [R, G] (how often each was drawn) and drawn seeds [R, seeds]."""
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(groups, np.full(groups, 1.0 / groups), size=resamples).astype(np.float64)
    return weights, rng.integers(seeds, size=(resamples, seeds))


def interval(
    point: Floats, draws: Floats, seed_draws: Ints, alpha: float = ALPHA, *, within: tuple[float, float]
) -> Interval:
    """Percentile interval from one score a seed, `point` [S], and under redrawn images, `draws` [S, R].

    Redrawing images and seeds in one go counts the noise of single predictions three times (Owen 2007, "The pigeonhole
    bootstrap"), which would hide real gains. So the mean over the seeds is redrawn over images, and to it the redrawn
    deviations of the seeds are added, shrunk to what they vary beyond that noise:
        noise = (mean_s Var_r draws_s - Var_r mean_s draws_s) S / (S - 1)        of one seed, gone in the mean over S
        shrink^2 = max(0, 1 - noise / Var_s point)
    and widened by sqrt(S / (S - 1)) and Student's t over the normal quantile, because S is small. No end lies beyond
    `within`, which is as far as the score can go.
    """
    mean, total = float(point.mean()), draws.mean(axis=0)
    usable = np.isfinite(total)
    if not np.isfinite(mean) or not usable.any():
        return Interval(float("nan"), float("nan"), float("nan"))
    seeds = len(point)
    total = total[usable]
    if seeds > 1 and (spread := float(point.var(ddof=1))) > 0:
        small = seeds / (seeds - 1)
        noise = small * float(draws[:, usable].var(axis=1).mean() - total.var())
        shrink = np.sqrt(max(0.0, 1.0 - noise / spread))
        widen = np.sqrt(small) * t.ppf(1 - alpha / 2, seeds - 1) / norm.ppf(1 - alpha / 2)
        total = total + shrink * widen * (point - mean)[seed_draws[usable]].mean(axis=1)
    lo, hi = np.quantile(total, [alpha / 2, 1 - alpha / 2]).clip(*within)
    return Interval(mean, min(float(lo), mean), max(float(hi), mean))


def wilson(share: float, trials: int) -> Interval:
    """A share with Wilson's interval (Wilson 1927); NaN of no trials. Near-duplicate images are one trial."""
    if trials == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    lo, hi = proportion_confint(share * trials, trials, alpha=ALPHA, method="wilson")
    return Interval(share, min(float(lo), share), max(float(hi), share))  # at 0 and 1 rounding may miss the end
