"""Which image every training step draws, planned before the first step so that arms differ in nothing else."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
SYNTHETIC_SHARE = 0.5  # beyond half, synthetic images crowd the real ones out


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
    then over the class's images. Then, class by class, every second draw becomes a synthetic image of that class: at
    any point of the training at least 1 - SYNTHETIC_SHARE of each class's draws so far were real, the mix of classes is
    that of the arm without synthetic images, and a class that has none keeps its real draws.
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

    drawn_labels = labels[draws]
    for label in np.unique(synthetic_labels):
        places = np.flatnonzero(drawn_labels == label)
        nth = np.arange(len(places))
        places = places[np.floor((nth + 1) * SYNTHETIC_SHARE) > np.floor(nth * SYNTHETIC_SHARE)]
        candidates = len(labels) + np.flatnonzero(synthetic_labels == label)
        draws[places] = _shuffled_epochs(candidates, len(places), rng)
    return draws.reshape(steps, batch)


def _shuffled_epochs(items: NDArray[Any], count: int, rng: np.random.Generator) -> Indices:
    epochs = [rng.permutation(items) for _ in range(-(-count // len(items)))]
    return np.concatenate([*epochs, np.empty(0, np.int64)])[:count].astype(np.int64)
