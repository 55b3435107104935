"""Smoothness of the latent space: perceptual path length, evenness of a path, and distance to the real images.

A generator that learned its training images by heart jumps from one to the next and draws nothing in between.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganaug.latent_space import Draw, Features, Layout, interpolate
from ganaug.metrics.neighbours import distances, nearest
from ganaug.seeding import random_stream

EPSILON = 1e-4  # of a path: Karras et al. 2019, section 4.1; images stay floats, grey levels would hide such a step
TRIMMED = 0.01  # of the path lengths are left out at either end, as in the paper's implementation
STEPS = 16  # a path is cut into, to find its jumps
# Bounds of the verdict, in units of what real images do; one and one is what a perfect generator has.
COPIES = 0.5  # images in between lie half as far from a real image as real images lie from each other
FAR = 2.0
COLLAPSED = 0.3  # of the distance between two real images
JUMPS = 0.75  # of a path's length in a quarter of its steps


@dataclass(frozen=True)
class Smoothness:
    """What paths between random latents look like in feature space.

    `path_length` is the perceptual path length; `fastest_quarter` the share of a path that the fastest quarter of its
    steps takes (1/4: an even pace, 1: it stands still and jumps), in the median; `nearest` the median distance of
    images on the paths to the nearest real one; `real_nearest` that of real images to the nearest other one, NaN where
    there is none; `spread` the median distance of the ends of a path over that of two real images.
    """

    path_length: float
    fastest_quarter: float
    nearest: float
    real_nearest: float
    spread: float

    @property
    def ratio(self) -> float:
        """`nearest` over `real_nearest`: near 0 for copies, 1 for images as different from the real ones as these."""
        return self.nearest / self.real_nearest if self.real_nearest else float("nan")

    @property
    def verdict(self) -> str:
        """One of collapsed, memorises, jumps, strays, generalises, unknown."""
        if self.spread < COLLAPSED:
            return "collapsed"
        if self.ratio < COPIES:
            return "memorises"
        if self.fastest_quarter > JUMPS:
            return "jumps"
        if self.ratio > FAR:
            return "strays"
        return "generalises" if self.ratio == self.ratio else "unknown"


def path_lengths(
    draw: Draw, features: Features, a: Tensor, b: Tensor, t: Tensor, layout: Layout, *, epsilon: float = EPSILON
) -> Tensor:
    """|f(G(z(t))) - f(G(z(t + epsilon)))|^2 / epsilon^2 on the arcs from `a` to `b`, `[N, D]`: `float64 [N]`.

    Karras et al. 2019, arXiv 1812.04948, equation 2, with `features` in the place of LPIPS; `t` in [0, 1], `[N]`.
    """
    t = t.double()  # float32 would round a step of epsilon by a thousandth
    before, after = (features(draw(interpolate(a, b, at, layout))).double() for at in (t, t + epsilon))
    return (after - before).square().sum(1) / epsilon**2


def trimmed_mean(values: Tensor) -> float:
    """The mean of values `[N]` without the lowest and the highest hundredth."""
    low = values.quantile(TRIMMED, interpolation="lower")
    high = values.quantile(1 - TRIMMED, interpolation="higher")
    return float(values[(values >= low) & (values <= high)].mean())


def fastest_quarters(path: Tensor) -> Tensor:
    """The share of its length that the fastest quarter of its steps takes, of paths `[N, steps + 1, F]`: `[N]`.

    A path that does not move at all counts as even.
    """
    lengths = path.diff(dim=1).norm(dim=2)
    total, quarter = lengths.sum(1), lengths.shape[1] // 4
    share = lengths.topk(quarter, dim=1).values.sum(1) / torch.where(total > 0, total, 1)
    return torch.where(total > 0, share, quarter / lengths.shape[1])


def real_distances(real: Tensor, groups: Tensor) -> Tensor:
    """Distance of each row of `real` `[M, F]` to the nearest one of another group (`int64 [M]`): `float64 [<= M]`.

    Empty where there is only one group.
    """
    pairwise_distances = distances(real, real).masked_fill(groups[:, None] == groups[None], torch.inf)
    found = pairwise_distances.min(1).values
    return found[found.isfinite()]


def smoothness(
    draw: Draw, features: Features, a: Tensor, b: Tensor, layout: Layout, real: Tensor, groups: Tensor, *, seed: int
) -> Smoothness:
    """Measure the paths between latents `a` and `b`, `[N, D]`, against real images of the same class.

    `real` are these images' features `[M, F]`, M at least 1; near-duplicates share one of `groups` `int64 [M]`.
    """
    t = torch.rand(len(a), generator=random_stream(seed), dtype=torch.float64)
    on_path = torch.linspace(0, 1, STEPS + 1, dtype=torch.float64)
    walks = [
        interpolate(start.expand(STEPS + 1, -1), end.expand(STEPS + 1, -1), on_path, layout)
        for start, end in zip(a, b, strict=True)
    ]
    path = features(draw(torch.cat(walks))).double().view(len(a), STEPS + 1, -1)
    pairs = distances(real, real)[groups[:, None] != groups[None]]
    between = real_distances(real, groups)
    ends_apart = (path[:, 0] - path[:, -1]).norm(dim=1).median()
    return Smoothness(
        path_length=trimmed_mean(path_lengths(draw, features, a, b, t, layout)),
        fastest_quarter=float(fastest_quarters(path).median()),
        nearest=float(nearest(path[:, 1:-1].flatten(0, 1), real)[0].median()),
        real_nearest=float(between.median()) if len(between) else float("nan"),
        spread=float(ends_apart / pairs.median()) if len(pairs) else float("nan"),
    )
