"""Plan of the batches: which image every training step draws, fixed before the first step for all arms alike."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
SYNTHETIC_SHARE = 0.5  # beyond half, synthetic images crowd the real ones out
REAL_LAST = 0.2  # share of the steps, the last ones, that see real images only: benchmarks/neu-steel.md


def draw_batches(
    labels: NDArray[Any],
    synthetic_labels: NDArray[Any],
    *,
    steps: int,
    batch: int,
    balanced: bool,
    rng: np.random.Generator,
) -> Indices:
    """Plan the draws: int64 [steps, batch] indices into the real images followed by the synthetic ones.

    First every draw is a real image, from shuffled epochs over the images or, when `balanced`, over the classes and
    then over the class's images. Then, class by class, an evenly spread share of the draws becomes synthetic: the share
    of synthetic images among the class's images, at most SYNTHETIC_SHARE. So at any point of the training at least half
    of each class's draws were real, a handful of synthetic images is not drawn over and over, and the mix of classes is
    that of the arm without synthetic images. The last REAL_LAST of the steps stay real, so that errors of the
    generator are unlearnt.
    """
    count = steps * batch
    if balanced:
        drawn_classes = _shuffled_epochs(np.unique(labels), count, rng)
        draws = np.empty(count, np.int64)
        for label in np.unique(labels):
            places = np.flatnonzero(drawn_classes == label)
            draws[places] = _shuffled_epochs(np.flatnonzero(labels == label), len(places), rng)
    else:
        draws = _shuffled_epochs(np.arange(len(labels)), count, rng)

    drawn_labels = labels[draws[: round((1 - REAL_LAST) * steps) * batch]]
    for label in np.unique(synthetic_labels):
        places = np.flatnonzero(drawn_labels == label)
        nth = np.arange(len(places))
        candidates = len(labels) + np.flatnonzero(synthetic_labels == label)
        share = min(SYNTHETIC_SHARE, len(candidates) / (len(candidates) + np.count_nonzero(labels == label)))
        places = places[np.floor((nth + 1) * share) > np.floor(nth * share)]
        draws[places] = _shuffled_epochs(candidates, len(places), rng)
    return draws.reshape(steps, batch)


def _shuffled_epochs(items: NDArray[Any], count: int, rng: np.random.Generator) -> Indices:
    epochs = [rng.permutation(items) for _ in range(-(-count // len(items)))]
    return np.concatenate([*epochs, np.empty(0, np.int64)])[:count].astype(np.int64)
