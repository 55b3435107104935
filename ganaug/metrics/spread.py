"""A figure measured on several sets of images: its mean and how much it varied."""

from typing import NamedTuple

from torch import Tensor


class Spread(NamedTuple):
    """Mean and (population) standard deviation over the sets."""

    mean: float
    std: float


def spread(values: Tensor) -> Spread:
    """Summarise ``values [R]``, R at least 1."""
    return Spread(values.mean().item(), values.std(unbiased=False).item())
