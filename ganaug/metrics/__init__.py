"""Scores of sets of features; each a pure function, independent of the network that made the features."""

from ganaug.metrics.authenticity import authentic, authenticity, authenticity_among
from ganaug.metrics.feature_scores import FeatureScores, feature_scores, feature_scores_over, training_scores
from ganaug.metrics.frechet import frechet_distance
from ganaug.metrics.inception_score import inception_score
from ganaug.metrics.kernel import kernel_distance, kernel_distance_subsets
from ganaug.metrics.neighbours import Manifold, manifold, nearest, realism
from ganaug.metrics.sliced import sliced_wasserstein
from ganaug.metrics.spread import Spread, spread
from ganaug.metrics.yardstick import disjoint_halves, matched_distance, matched_sets, real_against_real

__all__ = [
    "FeatureScores",
    "Manifold",
    "Spread",
    "authentic",
    "authenticity",
    "authenticity_among",
    "disjoint_halves",
    "feature_scores",
    "feature_scores_over",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "kernel_distance_subsets",
    "manifold",
    "matched_distance",
    "matched_sets",
    "nearest",
    "real_against_real",
    "realism",
    "sliced_wasserstein",
    "spread",
    "training_scores",
]
