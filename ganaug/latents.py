"""Latents: noise, and InfoGAN's codes."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ganaug.spec import Spec


class Codes(NamedTuple):
    """The last dimensions of a latent: first a one-hot choice among `categorical`, then `continuous` in [-1, 1)."""

    categorical: int
    continuous: int

    @property
    def size(self) -> int:
        return self.categorical + self.continuous


def draw_noise(n: int, spec: Spec, codes: Codes | None, rng: Generator) -> Tensor:
    """Draw latents `float32 [n, spec.latent]`: standard normal, or uniform in [-1, 1), and the codes at the end."""
    plain = spec.latent - (codes.size if codes else 0)
    z = torch.randn(n, plain, generator=rng) if spec.noise == "normal" else _uniform(n, plain, rng)
    return z if codes is None else torch.cat([z, draw_codes(n, codes, rng)], dim=1)


def draw_codes(n: int, codes: Codes, rng: Generator) -> Tensor:
    """Draw codes `float32 [n, codes.size]`."""
    choice = torch.randint(codes.categorical, (n,), generator=rng)
    one_hot = torch.nn.functional.one_hot(choice, codes.categorical).float()
    return torch.cat([one_hot, _uniform(n, codes.continuous, rng)], dim=1)


def _uniform(n: int, size: int, rng: Generator) -> Tensor:
    return torch.rand(n, size, generator=rng) * 2 - 1
