"""Pick, out of many candidates, a subset whose Fréchet distance to the real images is small."""

from typing import NamedTuple

import torch
from torch import Tensor

from ganaug.metrics.feature_pair import feature_pair
from ganaug.metrics.frechet import covariance_factor

BATCH_SHARE = 4  # the first passes swap up to this fraction (1 / 4) of the subset at once
PAIRS = 8  # single swaps tried before the search calls it a minimum
GAIN = 1e-9  # of the distance at the start: a smaller improvement is rounding
RANK_FLOOR = 1e-10  # eigenvalues below this share of the largest are rounding, not variance


class _Target(NamedTuple):
    """The real images: their mean ``[D]`` and the factor ``R [r, D]`` of their covariance, ``R^T R``."""

    mean: Tensor
    factor: Tensor


class _Moments(NamedTuple):
    """A subset: how many rows, their sum ``[D]`` and the sum of their outer products ``[D, D]``."""

    size: int
    first: Tensor
    second: Tensor

    @property
    def mean(self) -> Tensor:
        return self.first / self.size

    @property
    def covariance(self) -> Tensor:
        return (self.second - torch.outer(self.first, self.mean)) / max(1, self.size - 1)

    def swap(self, leaving: Tensor, entering: Tensor) -> "_Moments":
        """Exchange rows ``[k, D]`` for others: a rank-2k update, so no pass ever reads the whole subset again."""
        first = self.first + entering.sum(0) - leaving.sum(0)
        return _Moments(self.size, first, self.second + entering.T @ entering - leaving.T @ leaving)


def frechet_subset(candidates: Tensor, real: Tensor, size: int, *, seed: int) -> Tensor:
    """Choose ``size`` candidates by local search so that their Fréchet distance to the real features comes down.

    ``candidates [M, D]``, ``real [N, D]`` with N at least 2; returns sorted ``int64 [size]``. The search starts from a
    random subset drawn from ``seed`` and accepts a swap only when the exact distance falls, so the result is never
    worse than its start. Raises ``ValueError`` where ``size`` is negative or more than there are candidates.
    """
    candidates, _ = feature_pair(candidates, real, rows=0)
    real, _ = feature_pair(real, real, rows=2)
    count = len(candidates)
    if not 0 <= size <= count:
        raise ValueError(f"A subset of {size} cannot be chosen from {count} candidates.")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    inside, outside = order[:size], order[size:]
    if 0 < size < count:
        origin = real.mean(0)  # distances do not see a shift of the origin; sums of squares lose digits far from it
        target = _Target(torch.zeros_like(origin), covariance_factor(real))
        inside = _search(candidates - origin, target, inside, outside)
    return inside.sort().values


def _search(features: Tensor, target: _Target, inside: Tensor, outside: Tensor) -> Tensor:
    rows = features[inside]
    moments = _Moments(len(inside), rows.sum(0), rows.T @ rows)
    best, slope, curve = _evaluate(moments, target)
    gain = GAIN * abs(best)
    batch = max(1, min(len(inside), len(outside)) // BATCH_SHARE)
    while True:
        influence = _influence(features, moments, slope, curve)
        leave = influence[inside].argsort(descending=True, stable=True)
        enter = influence[outside].argsort(stable=True)
        for out, into in _proposals(leave, enter, batch):
            trial = moments.swap(features[inside[out]], features[outside[into]])
            found, new_slope, new_curve = _evaluate(trial, target)
            if found < best - gain:
                moments, best, slope, curve = trial, found, new_slope, new_curve
                inside[out], outside[into] = outside[into], inside[out]
                batch = len(out)
                break
        else:
            return inside


def _proposals(leave: Tensor, enter: Tensor, batch: int) -> list[tuple[Tensor, Tensor]]:
    """List the swaps to evaluate exactly: shrinking batches of the most promising, then single pairs further down."""
    sizes = []
    while batch >= 1:
        sizes.append(batch)
        batch //= 2
    proposals = [(leave[:k], enter[:k]) for k in sizes]
    pairs = sorted((i + j, i, j) for i in range(min(PAIRS, len(leave))) for j in range(min(PAIRS, len(enter))))
    return proposals + [(leave[i : i + 1], enter[j : j + 1]) for _, i, j in pairs[1:]]


def _evaluate(moments: _Moments, target: _Target) -> tuple[float, Tensor, Tensor]:
    """Return the exact distance and its gradients by the subset's mean ``[D]`` and covariance ``[D, D]``.

    With ``R^T R`` the real covariance, ``tr sqrt(S_r S) = tr sqrt(R S R^T)``, and the gradient by ``S`` is ``I - T``,
    ``T = R^T (R S R^T)^(-1/2) R`` being the optimal transport from one Gaussian to the other (pseudo-inverse where
    the subset has no variance).
    """
    covariance, gap = moments.covariance, moments.mean - target.mean
    values, vectors = torch.linalg.eigh(target.factor @ covariance @ target.factor.T)
    roots = values.clamp_min(0).sqrt()
    distance = gap.square().sum() + covariance.trace() + target.factor.square().sum() - 2 * roots.sum()
    inverse = torch.where(values > RANK_FLOOR * values[-1], 1 / roots, 0.0)
    half = vectors.T @ target.factor
    transport = half.T @ (inverse[:, None] * half)
    return distance.item(), 2 * gap, torch.eye(len(gap), dtype=gap.dtype) - transport


def _influence(features: Tensor, moments: _Moments, slope: Tensor, curve: Tensor) -> Tensor:
    """Tell, to first order, how much the distance grows when each row gains weight in the subset, ``[M]``."""
    centred = features - moments.mean
    return centred @ slope / moments.size + ((centred @ curve) * centred).sum(1) / max(1, moments.size - 1)
