"""Latent space of a trained generator: interpolation, arithmetic, and traversal of codes and principal directions.

A latent is a row `[noise | codes | rest]`: codes where the family has them, and rest what it draws beyond
`spec.latent`, such as StyleGAN's noise maps. A walk leaves the rest as it was where it began.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ganaug.families.base import Family
from ganaug.latents import Codes
from ganaug.spec import Spec

PARALLEL = 1e-4  # radians between two latents below which their arc is their chord
STEP = 1e-2  # of a finite difference: large beside float32's rounding, small beside a latent's unit deviation

Draw = Callable[[Tensor], Tensor]  # latents [N, D] -> float images [N, C, S, S] in [-1, 1]
Features = Callable[[Tensor], Tensor]  # such images -> features [N, F]


class Layout(NamedTuple):
    """Where things are in a latent."""

    noise: int
    codes: Codes

    @property
    def values(self) -> int:
        """Where the continuous codes begin."""
        return self.noise + self.codes.categorical

    @property
    def end(self) -> int:
        """Where the rest begins."""
        return self.noise + self.codes.size


def layout_of(family: Family, spec: Spec) -> Layout:
    """The layout of the family's latents."""
    codes = family.codes or Codes(0, 0)
    return Layout(spec.latent - codes.size, codes)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Points on the arcs from `a` to `b`, `float [N, D]`, at `t` in [0, 1], `[N]` (White 2016, arXiv 1609.04468).

    The straight line between two normal latents leads through shorter ones than the generator was trained on.
    """
    t = t[:, None]
    cosine = torch.nn.functional.cosine_similarity(a.double(), b.double()).clamp(-1, 1)[:, None]
    angle = cosine.acos()
    straight = (angle < PARALLEL) | (torch.pi - angle < PARALLEL)  # opposite latents have no shortest arc
    safe = torch.where(straight, 1.0, angle)
    from_a = torch.where(straight, 1 - t, ((1 - t) * safe).sin() / safe.sin())
    from_b = torch.where(straight, t, (t * safe).sin() / safe.sin())
    return (from_a * a + from_b * b).to(a.dtype)


def interpolate(a: Tensor, b: Tensor, t: Tensor, layout: Layout) -> Tensor:
    """Latents `[N, D]` on the way from `a` to `b`: the noise along the arc, the codes along the line, `a`'s rest."""
    codes = torch.lerp(a[:, layout.noise : layout.end], b[:, layout.noise : layout.end], t[:, None].to(a.dtype))
    return torch.cat([slerp(a[:, : layout.noise], b[:, : layout.noise], t), codes, a[:, layout.end :]], dim=1)


def arithmetic(plus: Tensor, minus: Tensor, target: Tensor, layout: Layout) -> Tensor:
    """mean(plus) - mean(minus) + mean(target) of groups of latents `[n, D]` (Radford et al. 2015, section 6.3.2).

    Returns one latent `[D]` with codes that exist (see `settle`) and the rest of the first target.

    Raises:
        ValueError: a group is empty.
    """
    for name, group in (("with", plus), ("without", minus), ("target", target)):
        if len(group) == 0:
            raise ValueError(f"The group '{name}' is empty: name at least one seed.")
    moved = plus.mean(0) - minus.mean(0) + target.mean(0)
    return settle(torch.cat([moved[: layout.end], target[0, layout.end :]])[None], layout)[0]


def settle(z: Tensor, layout: Layout) -> Tensor:
    """Latents `[N, D]` with their codes made valid: the largest category alone, continuous ones within [-1, 1]."""
    z = z.clone()
    if layout.codes.categorical:
        choice = z[:, layout.noise : layout.values].argmax(1)
        z[:, layout.noise : layout.values] = torch.eye(layout.codes.categorical, dtype=z.dtype)[choice]
    z[:, layout.values : layout.end] = z[:, layout.values : layout.end].clamp(-1, 1)
    return z


def traverse_codes(z: Tensor, layout: Layout, steps: int) -> dict[str, Tensor]:
    """Each code of a latent `[D]` through all its values, the others as they are: its name -> latents `[n, D]`.

    As figure 2 of Chen et al. 2016: every category, and `steps` values of each continuous code from -1 to 1.
    """
    rows = {}
    if layout.codes.categorical:
        every = z.repeat(layout.codes.categorical, 1)
        every[:, layout.noise : layout.values] = torch.eye(layout.codes.categorical, dtype=z.dtype)
        rows["category"] = every
    for i in range(layout.codes.continuous):
        every = z.repeat(steps, 1)
        every[:, layout.values + i] = torch.linspace(-1, 1, steps, dtype=z.dtype)
        rows[f"code {i + 1}"] = every
    return rows


class Directions(NamedTuple):
    """Orthonormal directions of the noise, `[k, noise]`, and the share of the whole effect that each has, `[k]`."""

    vectors: Tensor
    shares: Tensor


def directions(draw: Draw, features: Features, z: Tensor, layout: Layout, k: int) -> Directions:
    """The `k` directions of the noise along which features change most, on average over the latents `z` `[N, D]`.

    They are the leading eigenvectors of E[J^T J], J the derivative of the features by the noise: the metric that the
    generator gives its latent space (Wang & Ponce 2021, arXiv 2101.06006), whose trace the perceptual path length
    samples. J is taken by differences, one image a dimension, so it asks nothing of the network's layers.

    Raises:
        ValueError: `k` is not in 1..noise.
    """
    if not 1 <= k <= layout.noise:
        raise ValueError(f"{k} directions of {layout.noise} dimensions of noise: ask for 1 to {layout.noise}")
    steps = torch.zeros(layout.noise, z.shape[1])
    steps[:, : layout.noise].fill_diagonal_(STEP)
    metric = torch.zeros(layout.noise, layout.noise, dtype=torch.float64)
    for row in z:
        here, *there = features(draw(torch.cat([row[None], row + steps]))).double()
        jacobian = (torch.stack(there) - here) / STEP  # transposed: [noise, F]
        metric += jacobian @ jacobian.T
    values, vectors = torch.linalg.eigh(metric)
    leading = vectors.flip(1)[:, :k].T
    # A direction is defined up to its sign: make its largest entry positive.
    signs = leading.gather(1, leading.abs().argmax(1, keepdim=True)).sign()
    shares = values.flip(0)[:k] / values.sum().clamp_min(torch.finfo(torch.float64).tiny)
    return Directions((leading * signs).to(z.dtype), shares)


def traverse_direction(z: Tensor, direction: Tensor, places: Tensor, layout: Layout) -> Tensor:
    """A latent `[D]` with its part along a unit `direction` `[noise]` set to each of `places` `[n]`: `[n, D]`."""
    noise = z[: layout.noise]
    moved = noise + (places[:, None] - noise @ direction) * direction
    return torch.cat([moved, z[layout.noise :].expand(len(places), -1)], dim=1)
