"""Nearest-neighbour measures: nearest rows, and the share of one set on the manifold of the other.

Precision and recall: Kynkäänniemi et al. 2019, arXiv 1904.06991.
Density and coverage: Naeem et al. 2020, arXiv 2002.09797.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ganaug.metrics.feature_pair import feature_pair

BLOCK = 1024  # rows compared at a time


class Manifold(NamedTuple):
    """Shares in [0, 1]; ``density`` alone may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Return the Euclidean distances ``float64 [N, M]`` of ``a [N, D]`` and ``b [M, D]``, exactly 0 for equal rows."""
    a, b = feature_pair(a, b, rows=0)
    exact = "donot_use_mm_for_euclid_dist"  # the faster form loses half the digits, and with them exact copies
    return torch.cat([torch.cdist(part, b, compute_mode=exact) for part in torch.split(a, BLOCK)])


def nearest(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Find the nearest row of ``b [M, D]``, M at least 1, for each row of ``a [N, D]``.

    Returns its distance ``float64 [N]`` and its index ``int64 [N]``. Raises ``ValueError`` where ``b`` is empty.
    """
    a, b = feature_pair(a, b, rows=0)
    if len(b) == 0:
        raise ValueError("There is nothing to be near to: the second feature set is empty.")
    found = distances(a, b).min(dim=1)
    return found.values, found.indices


def radii(features: Tensor, *, k: int) -> Tensor:
    """Return each row's distance to its k-th nearest other row, ``float64 [N]``; ``k`` is lowered to ``N - 1``.

    Raises ``ValueError`` for a single row, which has no neighbour.
    """
    if len(features) < 2:
        raise ValueError(f"{len(features)} feature rows have no neighbours; at least 2 are needed.")
    own = distances(features, features).fill_diagonal_(torch.inf)
    return own.kthvalue(min(k, len(features) - 1), dim=1).values


def realism(generated: Tensor, real: Tensor, *, k: int = 3) -> Tensor:
    """Score images by how deep they lie in the real manifold; 1 and above is inside (arXiv 1904.06991, equation 5).

    ``generated [M, D]``, ``real [N, D]`` with N at least 2; returns ``float64 [M]``, finite even on top of a real row.
    As in the paper, the half of the real rows with the largest radii is left out: with an outlier's radius everything
    would be realistic.
    """
    reach = radii(real, k=k)
    dense = reach <= reach.quantile(0.5)
    ratio = reach[dense] / distances(generated, real[dense]).clamp_min(torch.finfo(torch.float64).eps)
    return ratio.max(dim=1).values


def manifold(generated: Tensor, real: Tensor, *, k: int = 3) -> Manifold:
    """Measure fidelity (precision, density) and diversity (recall, coverage) with k-NN balls around every row.

    ``generated [M, D]``, ``real [N, D]``, at least 2 rows each.
    """
    pairwise_distances = distances(generated, real)
    inside_real = pairwise_distances <= radii(real, k=k)
    inside_generated = pairwise_distances <= radii(generated, k=k)[:, None]
    return Manifold(
        precision=inside_real.any(dim=1).double().mean().item(),
        recall=inside_generated.any(dim=0).double().mean().item(),
        density=inside_real.double().sum(dim=1).mean().item() / min(k, len(real) - 1),
        coverage=inside_real.any(dim=0).double().mean().item(),
    )
