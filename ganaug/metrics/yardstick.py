"""Distance between two sets of real images: the reference for the distance of generated images."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ganaug.seeding import random_stream

Distance = Callable[[Tensor, Tensor], float]


def half_size(real: int, *others: int) -> int:
    """Return the largest number of images at which halves of the real set and all the other sets can be compared."""
    return min(real // 2, *others)


def disjoint_halves(
    features: Tensor, *, splits: int, seed: int, size: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw two disjoint sets of ``size`` rows (``N // 2`` by default) from ``features [N, D]``, ``splits`` times.

    Raises ``ValueError`` where the sets would have fewer than 2 rows or overlap.
    """
    size = len(features) // 2 if size is None else size
    if size < 2 or 2 * size > len(features):
        raise ValueError(f"{len(features)} images cannot be split into two disjoint sets of {size}, at least 2 each.")
    draw = random_stream(seed)
    orders = (torch.randperm(len(features), generator=draw) for _ in range(splits))
    return ((features[order[:size]], features[order[size : 2 * size]]) for order in orders)


def matched_sets(
    generated: Tensor, real: Tensor, *, splits: int, seed: int, size: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw sets of ``size`` rows from ``generated [M, D]`` and ``real [N, D]``, ``splits`` times.

    ``size`` is ``min(N // 2, M)`` by default. Raises ``ValueError`` where the sets would have fewer than 2 rows or more
    than there are.
    """
    size = half_size(len(real), len(generated)) if size is None else size
    if size < 2 or size > min(len(generated), len(real)):
        raise ValueError(f"Sets of {size} cannot be drawn from {len(generated)} generated and {len(real)} real images.")
    draw = random_stream(seed)
    orders = (
        (torch.randperm(len(generated), generator=draw), torch.randperm(len(real), generator=draw))
        for _ in range(splits)
    )
    return ((generated[ours[:size]], real[theirs[:size]]) for ours, theirs in orders)


def split_distances(features: Tensor, *, distance: Distance, splits: int, seed: int, size: int | None = None) -> Tensor:
    """Measure random halves of one set against each other.

    ``features [N, D]``; each of the ``splits`` draws two disjoint sets of ``size`` rows, ``N // 2`` by default. Returns
    ``float64 [splits]``. Raises ``ValueError`` where the halves would have fewer than 2 rows or overlap.
    """
    halves = disjoint_halves(features, splits=splits, seed=seed, size=size)
    return torch.tensor([distance(a, b) for a, b in halves], dtype=torch.float64)


def real_against_real(
    features: Tensor, *, distance: Distance, splits: int = 20, seed: int, size: int | None = None
) -> float:
    """Average a distance over random halves of the real images: the least that a generator can be expected to reach.

    As ``split_distances``. The halves hold ``N // 2`` images, and a Fréchet distance falls as the sets grow: the figure
    to hold against this one is ``matched_distance``, which measures the generated images at the same size.
    """
    return split_distances(features, distance=distance, splits=splits, seed=seed, size=size).mean().item()


def matched_distance(
    generated: Tensor, real: Tensor, *, distance: Distance, splits: int = 20, seed: int, size: int | None = None
) -> float:
    """Average a distance over random sets of equal size, one from each side.

    ``generated [M, D]``, ``real [N, D]``; sets of ``size`` rows, by default ``min(N // 2, M)``. Raises ``ValueError``
    where the sets would have fewer than 2 rows or more than there are.
    """
    found = [distance(a, b) for a, b in matched_sets(generated, real, splits=splits, seed=seed, size=size)]
    return sum(found) / len(found)
