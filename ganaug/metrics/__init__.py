"""Distances between sets of features; each a pure function that never asks which network made them."""

from ganaug.metrics.frechet import frechet_distance
from ganaug.metrics.kernel import kernel_distance
from ganaug.metrics.neighbours import Manifold, manifold, nearest, realism
from ganaug.metrics.yardstick import matched_distance, real_against_real

__all__ = [
    "Manifold",
    "frechet_distance",
    "kernel_distance",
    "manifold",
    "matched_distance",
    "nearest",
    "real_against_real",
    "realism",
]
