"""Refusal of a whole class: its generated images are too far from its real ones, or nearer to another class."""

from collections.abc import Sequence
from statistics import median

from torch import Tensor

from ganaug.metrics.frechet import frechet_distance
from ganaug.metrics.kernel import kernel_distance
from ganaug.metrics.yardstick import Distance, half_size, matched_distance, split_distances

METRICS: dict[str, Distance] = {"FID": frechet_distance, "KID": kernel_distance}
PASSES = 2.0  # within this many times real-against-real, images pass for real images of a class
NEARER = 1.4  # images that pass for another class are refused when they are this many times nearer to it
MUCH_NEARER = 4.0  # and images that do not pass for it, when they are this many times nearer


def refusal(
    generated: Tensor,
    real: Tensor,
    others: Sequence[Tensor],
    *,
    ratio: float,
    splits: int,
    seed: int,
    far: str,
    nearer: str,
) -> str | None:
    """Say why a whole class is refused, or return None.

    ``generated [M, D]`` (before the FID-driven choice, which hides what the generator does), ``real [N, D]`` and the
    real features of every other class. FID and KID must agree that the generated images

    - are far from their class: more than ``ratio`` times what real images have among themselves, and farther than the
      median other class. A usable generator trained on few images may lie farther out than the nearest other class, and
      the farthest can be farther than noise. Or
    - are nearer to another class: clearly, where they pass for real images of it, else by far.

    ``far`` and ``nearer`` are what helps in either case, the end of the sentence that is returned.

    All sets are compared at one size, half the real images, averaged over ``splits`` draws. Fewer than 4 real or 2
    generated images decide nothing.
    """
    size = half_size(len(real), len(generated))
    if size < 2:
        return None
    others = [other for other in others if len(other) >= 2 * size]

    def measure(name: str, a: Tensor, b: Tensor) -> float:
        return matched_distance(a, b, distance=METRICS[name], splits=splits, seed=seed, size=size)

    found = {name: measure(name, generated, real) for name in METRICS}
    scale = {name: _typical(real, METRICS[name], splits=splits, seed=seed, size=size) for name in METRICS}
    elsewhere = {name: [measure(name, other, real) for other in others] or [0.0] for name in METRICS}
    limit = {name: max(ratio * scale[name], median(elsewhere[name])) for name in METRICS}
    if all(found[name] > limit[name] for name in METRICS):
        figures = " and ".join(f"{n} {found[n]:.3g} against a limit of {limit[n]:.3g}" for n in METRICS)
        return f"The synthetic images are far from the real ones ({figures}, sets of {size}); {far}."

    for other in others:
        theirs = {name: measure(name, generated, other) for name in METRICS}
        among = {name: _typical(other, METRICS[name], splits=splits, seed=seed, size=size) for name in METRICS}
        passes = all(theirs[name] <= PASSES * among[name] for name in METRICS)
        factor = NEARER if passes else MUCH_NEARER
        if all(found[name] > max(scale[name], factor * theirs[name]) for name in METRICS):
            return (
                f"The synthetic images look like another class (FID {theirs['FID']:.3g} to its real images, "
                f"{found['FID']:.3g} to their own, sets of {size}); {nearer}."
            )
    return None


def _typical(real: Tensor, distance: Distance, *, splits: int, seed: int, size: int) -> float:
    """Mean magnitude over halves of the real images: KID is unbiased, so its plain mean is near zero and no length."""
    return split_distances(real, distance=distance, splits=splits, seed=seed, size=size).abs().mean().item()
