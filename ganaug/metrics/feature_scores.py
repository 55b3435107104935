"""All scores of two feature sets at once: distance, fidelity, diversity, authenticity."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from ganaug.metrics.authenticity import authenticity
from ganaug.metrics.diversity import mode_recall, relative_spread
from ganaug.metrics.frechet import frechet_distance
from ganaug.metrics.kernel import kernel_distance
from ganaug.metrics.neighbours import manifold
from ganaug.metrics.spread import Spread, spread


class FeatureScores(NamedTuple):
    """One figure a score; see the function of each."""

    fid: float
    kid: float
    precision: float
    recall: float
    density: float
    coverage: float
    authenticity: float


def feature_scores(generated: Tensor, real: Tensor) -> FeatureScores:
    """Measure ``generated [M, D]`` against ``real [N, D]``, at least 2 rows each."""
    return FeatureScores(
        frechet_distance(generated, real),
        kernel_distance(generated, real),
        *manifold(generated, real),
        authenticity(generated, real),
    )


def feature_scores_over(pairs: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Spread]:
    """Summarise ``feature_scores`` over pairs of sets (generated, real), by score; at least one pair."""
    table = torch.tensor([feature_scores(generated, real) for generated, real in pairs], dtype=torch.float64)
    return {name: spread(column) for name, column in zip(FeatureScores._fields, table.T, strict=True)}


def training_scores(
    generated: Tensor, real: Tensor, conditions: Tensor, modes: Tensor, *, held_out: Tensor | None = None
) -> dict[str, float]:
    """The scores that `ganaug/monitor.py` reads; `modes` as of ``find_modes``.

    ``generated, real [N, D]``, row i of both of condition ``conditions[i]``, ``int64 [N]``; ``real`` are training
    images. FID and KID are measured against ``held_out [M, D]`` where that is given, and `held_out` says so: M, or 0.
    """
    reference = real if held_out is None else held_out
    return {
        "fid": frechet_distance(generated, reference),
        "kid": kernel_distance(generated, reference),
        "held_out": 0.0 if held_out is None else float(len(held_out)),
        "spread": relative_spread(generated, real, conditions),
        "modes": mode_recall(generated, real, conditions, modes),
    }
