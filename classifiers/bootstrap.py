"""Bootstrap over images, and confidence intervals that hold chance in generators and training seeds too."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t
from statsmodels.stats.proportion import proportion_confint

from classifiers.levels import ALPHA

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FEWEST_BEYOND = 5  # draws beyond either end of an interval; with fewer the end is not known


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
    """Interval from a score for each seed, `point` [S], or each generator and seed, [G, S]; `draws` [..., R] are the
    same under redrawn images.

    For the generators at hand it is `_over_seeds` of the scores' means over them, (lo, hi). What their training leaves
    to chance is added by squares, as of independent parts (MOVER, Zou and Donner 2008):
        lo' = mean - sqrt((mean - lo)^2 + reach^2),   hi' = mean + sqrt((hi - mean)^2 + reach^2)
        reach = t(G - 1) sqrt(max(0, between - noise)),  of the scores' means over the seeds (`_between`)
    What is due to a generator and a seed together counts in both parts, which makes the interval rather too wide. A
    single generator has no `reach`: the interval leaves out chance in its training. No end lies beyond `within`, which
    is as far as the score can go.
    """
    point = np.atleast_2d(point)
    draws = draws.reshape(*point.shape, -1)
    usable = np.isfinite(draws.mean(axis=(0, 1)))
    mean, draws = float(point.mean()), draws[..., usable]
    if not np.isfinite(mean) or not usable.any():
        return Interval(float("nan"), float("nan"), float("nan"))
    lo, hi = _over_seeds(point.mean(axis=0), draws.mean(axis=0), alpha)
    reach = 0.0
    if len(point) > 1:
        between, noise = _between(point.mean(axis=1), draws.mean(axis=1))
        reach = float(t.ppf(1 - alpha / 2, len(point) - 1)) * max(0.0, between - noise) ** 0.5
    lo, hi = np.clip([mean - np.hypot(mean - lo, reach), mean + np.hypot(hi - mean, reach)], *within)
    return Interval(mean, min(float(lo), mean), max(float(hi), mean))


def _over_seeds(point: Floats, draws: Floats, alpha: float) -> tuple[float, float]:
    """The ends of an interval from one score a seed, `point` [S], and under redrawn images, `draws` [S, R].

    For the seeds at hand it is the percentile interval of their mean, redrawn over images. Where seeds differ, or the
    level asks for more draws than there are, it reaches at least as far as Student's t does for the variance of two
    crossed effects, images and seeds, with Satterthwaite's (1946) degrees of freedom (those of the images are taken for
    many):
        variance = images + max(0, seeds - noise),   images = Var_r mean_s draws_s,   seeds and noise as `_between`
        degrees of freedom = (S - 1) (variance / seeds)^2, at least 1
    """
    mean, total = float(point.mean()), draws.mean(axis=0)
    lo, hi = np.quantile(total, [alpha / 2, 1 - alpha / 2])
    variance, freedom = float(total.var()), np.inf
    seeds, noise = _between(point, draws)
    if seeds > 0:
        variance += max(0.0, seeds - noise)
        freedom = max(1.0, (len(point) - 1) * (variance / seeds) ** 2)
    if seeds > 0 or alpha / 2 * len(total) < FEWEST_BEYOND:
        reach = t.ppf(1 - alpha / 2, freedom) * np.sqrt(variance)
        lo, hi = min(lo, mean - reach), max(hi, mean + reach)
    return min(float(lo), mean), max(float(hi), mean)


def _between(point: Floats, draws: Floats) -> tuple[float, float]:
    """What k runs vary of their mean, and how much of that is noise; `point` [k], `draws` [k, R] under redrawn images.

        between = Var_k point / k,   noise = (mean_k Var_r draws_k - Var_r mean_k draws_k) / (k - 1)
    Noise is that of single predictions, which images and runs both hold. (To redraw images and runs in one go would
    count it three times: Owen 2007, "The pigeonhole bootstrap".) Both are 0 of a single run.
    """
    runs = len(point)
    if runs < 2:
        return 0.0, 0.0
    noise = (float(draws.var(axis=1).mean()) - float(draws.mean(axis=0).var())) / (runs - 1)
    return float(point.var(ddof=1)) / runs, noise


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
