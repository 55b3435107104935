"""Fréchet distance between two sets of features, each summarised by its mean and covariance (Heusel et al. 2017)."""

import math

import torch
from torch import Tensor

from ganaug.metrics.feature_pair import feature_pair


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Measure ``|m_a - m_b|^2 + tr S_a + tr S_b - 2 tr sqrt(S_a S_b)`` without ever forming a covariance.

    ``a [N, D]``, ``b [M, D]``, at least 2 rows each; computed in float64, in squared units of the features, never
    negative. Few samples bias it upwards, the more the smaller ``min(N, M) / D``: compare figures of equal N and M.
    Raises ``ValueError`` on shapes that do not fit, on fewer than 2 rows, and on features that are not finite.

    Mathiasen & Hvilshøj 2020 (arXiv 2009.14075), section 3: ``tr sqrt(S_a S_b)`` is the nuclear norm of ``A B^T``, with
    ``A`` the centred features over ``sqrt(N - 1)``. An orthogonal factor leaves the nuclear norm alone, so a set with
    more rows than columns is first replaced by the triangle of its QR decomposition: the SVD is never larger than D.
    """
    a, b = feature_pair(a, b, rows=2)
    root_a, root_b = covariance_factor(a), covariance_factor(b)
    cross = torch.linalg.svdvals(root_a @ root_b.T).sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + root_a.square().sum() + root_b.square().sum() - 2 * cross
    return max(0.0, float(distance))


def covariance_factor(features: Tensor) -> Tensor:
    """Return ``R [min(N, D), D]`` with ``R^T R`` the unbiased covariance of ``features [N, D]``, N at least 2."""
    rows, columns = features.shape
    centred = (features - features.mean(0)) / math.sqrt(rows - 1)
    return centred if rows <= columns else torch.linalg.qr(centred, mode="r").R
