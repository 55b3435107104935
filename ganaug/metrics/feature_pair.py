"""Preconditions of the metrics on their two feature sets."""

import torch
from torch import Tensor


def feature_pair(a: Tensor, b: Tensor, *, rows: int) -> tuple[Tensor, Tensor]:
    """Return both feature sets in float64; ValueError says which one is unusable and why."""
    for name, features in (("first", a), ("second", b)):
        if features.ndim != 2:
            raise ValueError(f"The {name} feature set has shape {tuple(features.shape)}; give [N, D].")
        if len(features) < rows:
            raise ValueError(f"The {name} feature set has {len(features)} rows; this metric needs at least {rows}.")
        if not torch.isfinite(features).all():
            raise ValueError(f"The {name} feature set holds NaN or infinite values; leave those images out first.")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"Features of {a.shape[1]} and {b.shape[1]} dimensions: use one extractor for both sets.")
    return a.double(), b.double()
