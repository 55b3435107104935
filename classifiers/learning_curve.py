"""The gain as a number of labelled images: how many more real images would have brought it.

A classifier's error falls as a power of the number of training images n (Cortes et al. 1993, "Learning curves"):
    error(n) = a n^-b,   so   error(n') = e   at   n' = n (error(n) / e)^(1/b)
b is the slope of a straight line through the logarithms of errors that were measured with a part of the images. Error
is what the endpoint lacks to that of a faultless classifier: the expected cost, or 1 - balanced accuracy.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from classifiers.bootstrap import Floats, Interval, Ints, draw
from classifiers.comparison import by_generator
from classifiers.endpoint import Endpoint, Tally
from classifiers.levels import ALPHA

MOST = 9.0  # times the images that there are: further out a power law is a guess


def worth(
    truth: ArrayLike,
    curve: Mapping[int, Ints],
    augmented: ArrayLike,
    groups: ArrayLike,
    endpoint: Endpoint,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval | None:
    """Further real images that would do what the synthetic ones do, as a share of those there are; `MOST` at most.

    `curve` maps numbers of training images to predictions int64 [seeds, N]; its largest key is the baseline itself.
    `augmented` int64 [seeds, N] or [generators, seeds, N] are the predictions with synthetic images. Negative: the
    synthetic images cost as much as losing so many real ones. Images (by group), seeds and generators are redrawn
    together, which makes the interval rather too wide than too narrow, but for the generators, if there are few. None
    where the error does not fall with more images: then nothing can be said.

    Raises:
        ValueError: fewer than two sizes in the curve.
    """
    if len(curve) < 2:
        raise ValueError("a learning curve needs at least two sizes")
    sizes = sorted(curve)
    truth, groups = np.asarray(truth), np.asarray(groups)
    augmented = by_generator(augmented)
    generators, seeds = augmented.shape[:2]
    *real, made = (
        Tally(endpoint.acceptable, truth, np.asarray(p), groups)
        for p in (*(curve[n] for n in sizes), augmented.reshape(-1, len(truth)))
    )

    def errors(weights: Floats | None, of_generators: Floats) -> Floats:
        """[R, S, C + 1] under group weights [R, G'] and generator weights [R, G]."""
        scores = [tally.scores(endpoint, weights)[:, :, 0].T for tally in real]
        of_each = made.scores(endpoint, weights)[:, :, 0].reshape(generators, seeds, -1)
        scores.append(np.einsum("gsr,rg->rs", of_each, of_generators))
        lacking: Floats = endpoint.most - np.stack(scores, axis=-1)
        return lacking

    equal = np.full(generators, 1 / generators)
    seed_draws = np.random.default_rng((seed, seeds)).integers(seeds, size=(resamples, seeds))
    generator_draws = np.random.default_rng((seed, seeds, generators)).multinomial(generators, equal, size=resamples)
    observed = errors(None, equal[None])
    drawn = errors(draw(made.groups, resamples, seed), generator_draws / generators)
    drawn = np.take_along_axis(drawn, seed_draws[:, :, None], axis=1).mean(1)
    least = endpoint.most / 2 / len(truth)
    point = _further(observed.mean(1), np.array(sizes), least)[0]
    if np.isnan(point):
        return None
    further = _further(drawn[np.isfinite(drawn).all(1)], np.array(sizes), least, flat=(MOST, -1.0))
    lo, hi = np.quantile(further, [ALPHA / 2, 1 - ALPHA / 2])
    return Interval(float(point), min(float(lo), float(point)), max(float(hi), float(point)))


def _further(errors: Floats, sizes: Floats, least: float, flat: tuple[float, float] = (np.nan, np.nan)) -> Floats:
    """Share of further images, [R], from errors [R, C + 1]; no error counts as `least`, half an average image.

    `flat` is what a gain and a loss are worth where a curve does not fall.
    """
    logs = np.log(np.maximum(errors, least))
    x = np.log(sizes) - np.log(sizes).mean()
    slope = -(logs[:, :-1] @ x) / (x @ x)  # b
    better = logs[:, -2] - logs[:, -1]
    falls = slope > 1e-9
    factor = np.exp((better / np.where(falls, slope, 1.0)).clip(-50, 50))
    share = np.where(falls, factor - 1, np.where(better == 0, 0.0, np.where(better > 0, *flat)))
    further: Floats = np.minimum(share, MOST)
    return further
