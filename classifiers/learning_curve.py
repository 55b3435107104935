"""The gain as a number of labelled images: how many more real images would have brought it.

A classifier's error falls as a power of the number of training images n (Cortes et al. 1993, "Learning curves"):
    error(n) = a n^-b,   so   error(n') = e   at   n' = n (error(n) / e)^(1/b)
b is the slope of a straight line through the logarithms of errors that were measured with a part of the images.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from classifiers.bootstrap import ALPHA, Floats, Interval, Ints, draw

MOST = 9.0  # times the images that there are: further out a power law is a guess


def worth(
    truth: ArrayLike,
    curve: Mapping[int, Ints],
    augmented: ArrayLike,
    groups: ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval | None:
    """Further real images that would do what the synthetic ones do, as a share of those there are; `MOST` at most.

    `curve` maps numbers of training images to predictions int64 [seeds, N]; its largest key is the baseline itself.
    `augmented` int64 [seeds, N] are the predictions with synthetic images. Negative: the synthetic images cost as much
    as losing so many real ones. Images (by group) and seeds are redrawn together, which makes the interval rather too
    wide than too narrow. None where the error does not fall with more images: then nothing can be said.

    Raises:
        ValueError: fewer than two sizes in the curve.
    """
    if len(curve) < 2:
        raise ValueError("a learning curve needs at least two sizes")
    sizes = sorted(curve)
    truth, (_, group) = np.asarray(truth), np.unique(groups, return_inverse=True)
    wrong = np.stack([np.asarray(p) != truth for p in (*(curve[n] for n in sizes), augmented)])  # [C + 1, S, N]
    by_group = np.zeros((int(group.max()) + 1, *wrong.shape[:2]))
    np.add.at(by_group, group, np.moveaxis(wrong, 2, 0).astype(np.float64))
    seeds = wrong.shape[1]
    weights = draw(len(by_group), resamples, seed)
    seed_draws = np.random.default_rng((seed, seeds)).integers(seeds, size=(resamples, seeds))
    images = weights @ np.bincount(group)
    drawn = np.einsum("rg,gcs->rsc", weights, by_group)  # [R, S, C + 1]
    drawn = np.take_along_axis(drawn, seed_draws[:, :, None], axis=1).mean(1) / images[:, None]
    point = _further(wrong.mean((1, 2))[None], np.array(sizes), len(truth))[0]
    if np.isnan(point):
        return None
    further = _further(drawn, np.array(sizes), len(truth), flat=(MOST, -1.0))
    lo, hi = np.quantile(further, [ALPHA / 2, 1 - ALPHA / 2])
    return Interval(float(point), min(float(lo), float(point)), max(float(hi), float(point)))


def _further(errors: Floats, sizes: Floats, images: int, flat: tuple[float, float] = (np.nan, np.nan)) -> Floats:
    """Share of further images, [R], from errors [R, C + 1]; no error counts as half an image.

    `flat` is what a gain and a loss are worth where a curve does not fall.
    """
    logs = np.log(np.maximum(errors, 0.5 / images))
    x = np.log(sizes) - np.log(sizes).mean()
    slope = -(logs[:, :-1] @ x) / (x @ x)  # b
    better = logs[:, -2] - logs[:, -1]
    falls = slope > 1e-9
    factor = np.exp((better / np.where(falls, slope, 1.0)).clip(-50, 50))
    share = np.where(falls, factor - 1, np.where(better == 0, 0.0, np.where(better > 0, *flat)))
    further: Floats = np.minimum(share, MOST)
    return further
