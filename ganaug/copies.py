"""Copy detection: pixel correlation and feature distance, with thresholds from the real images of the class."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganaug.metrics.neighbours import distances
from ganaug.symmetries import correlation

SLACK = 2  # 64ths of the side by which a copy may be shifted


@dataclass(frozen=True)
class Likeness:
    """Extremes between different real images of a class: highest correlation and smallest feature distance."""

    correlation: float
    distance: float


@dataclass(frozen=True)
class CopyRule:
    """Two images are copies on strong evidence from pixels or from features, or on weaker evidence from both.

    - Pixels: a correlation above the bar, which stands halfway between the most alike real images and identity, kept
      within ``floor`` and ``ceiling``: a class of parallel scratches gets a higher bar than a class of blotches.
    - Features: a distance below ``near`` times the smallest real one. The smallest itself would be too strict: a new
      real image is compared with N others, so about one in ten comes closer than those N ever did to each other.
    - Both: a correlation halfway from the highest real one to the bar, and a distance below the smallest real one.

    Generated images repeat each other on stronger evidence: a correlation above ``repeat`` or a distance below half of
    ``near``. Those of one class are more alike than its real images are, and dropping every one that merely resembles
    another would leave a fifth of the candidates and gain nothing (benchmarks/neu-steel.md).

    Pairs of real images that correlate above ``ceiling`` are the same piece photographed twice and set no limit.
    """

    floor: float = 0.7
    ceiling: float = 0.95
    near: float = 0.4
    repeat: float = 0.9

    def likeness(self, images: Tensor, features: Tensor) -> Likeness:
        """Measure different real images of one class, ``[N, C, H, W]`` and ``[N, D]``; a lone image sets no limit."""
        correlations = correlation(images, images, slack=SLACK)
        different = torch.triu(correlations < self.ceiling, diagonal=1)
        if not different.any():
            return Likeness(correlation=0.0, distance=0.0)
        feature_distances = distances(features, features)
        return Likeness(correlations[different].max().item(), feature_distances[different].min().item())

    def copies(self, correlations: Tensor, feature_distances: Tensor, real: Likeness) -> Tensor:
        """Apply the rule to correlations and distances ``[N, M]``; returns ``bool [N, M]``."""
        bar = min(self.ceiling, max(self.floor, (1 + real.correlation) / 2))
        return (
            (correlations >= bar)
            | (feature_distances < self.near * real.distance)
            | ((correlations > (real.correlation + bar) / 2) & (feature_distances < real.distance))
        )

    def repeats(self, correlations: Tensor, feature_distances: Tensor, real: Likeness) -> Tensor:
        """Mark generated images that repeat each other, from correlations and distances ``[N, N]``; ``bool [N, N]``."""
        return (correlations >= self.repeat) | (feature_distances < self.near / 2 * real.distance)
