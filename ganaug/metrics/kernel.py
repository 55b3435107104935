"""Kernel distance between two sets of features (Bińkowski et al. 2018, arXiv 1801.01401)."""

import torch
from torch import Tensor

from ganaug.metrics.feature_pair import feature_pair
from ganaug.metrics.spread import Spread, spread
from ganaug.metrics.yardstick import matched_sets

DEGREE = 3


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Estimate the squared maximum mean discrepancy without bias, for the kernel ``(x . y / D + 1)^3``.

    ``a [N, D]``, ``b [M, D]``, at least 2 rows each; computed in float64. Being unbiased, it does not drift with N and
    M as the Fréchet distance does, and it falls below zero by chance when both sets come from one distribution.
    Raises ``ValueError`` on shapes that do not fit, on fewer than 2 rows, and on features that are not finite.
    """
    a, b = feature_pair(a, b, rows=2)
    return (_mean_off_diagonal(_kernel(a, a)) + _mean_off_diagonal(_kernel(b, b)) - 2 * _kernel(a, b).mean()).item()


def kernel_distance_subsets(a: Tensor, b: Tensor, *, subsets: int = 100, size: int, seed: int) -> Spread:
    """Summarise ``kernel_distance`` over random subsets of ``size`` rows from each side: the customary KID.

    ``a [N, D]``, ``b [M, D]``, ``size`` from 2 to the smaller of N and M. The mean estimates what ``kernel_distance``
    does; the deviation says how much sets of this size vary. Raises ``ValueError`` on any other size.
    """
    pairs = matched_sets(a, b, size=size, splits=subsets, seed=seed)
    return spread(torch.tensor([kernel_distance(x, y) for x, y in pairs], dtype=torch.float64))


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** DEGREE


def _mean_off_diagonal(kernel: Tensor) -> Tensor:
    rows = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (rows * (rows - 1))
