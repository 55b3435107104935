"""Multi-scale sliced Wasserstein distance between images (Karras et al. 2017, arXiv 1710.10196, section 5).

It compares the statistics of small patches at every scale: the coarse levels tell whether large structures agree, the
finest whether edges and noise do. No network and no training set is involved.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ganaug.seeding import random_stream

PATCH = 7
COARSEST = 16  # side of the last level of the pyramid
PATCHES = 128  # an image and level
DIRECTIONS = 512
BLOCK = 32  # directions projected at a time: bounds the memory
TAPS = (1.0, 4.0, 6.0, 4.0, 1.0)  # binomial filter of the pyramid (Burt & Adelson 1983)


def sliced_wasserstein(a: Tensor, b: Tensor, *, seed: int) -> dict[int, float]:
    """Measure the distance of 7x7 patches at each level of the Laplacian pyramid.

    ``a [N, C, S, S]``, ``b [M, C, S, S]``, ``uint8``, at least one image each, S a power of two and 16 or more. Returns
    ``{S: distance, S / 2: ..., 16: distance}``, each at least 0; the paper prints a thousand times these figures and
    their mean. 128 patches an image and level and 512 directions come from ``seed``; unlike in the paper all images are
    looked at in the same places, so that the figure does not depend on their order. Each set's patches are normalised
    by its own mean and deviation of every colour: brightness and contrast of a level are not compared. Raises
    ``ValueError`` on images of other types or shapes.
    """
    _check(a, b)
    rng = random_stream(seed)
    found = {}
    for level_a, level_b in zip(laplacian_pyramid(a.double()), laplacian_pyramid(b.double()), strict=True):
        side = level_a.shape[-1]
        places = torch.randperm((side - PATCH + 1) ** 2, generator=rng)[:PATCHES]
        found[side] = _sliced(descriptors(level_a, places), descriptors(level_b, places), rng)
    return found


def laplacian_pyramid(images: Tensor) -> list[Tensor]:
    """Split float images ``[N, C, S, S]`` into bands: each level minus its blurred half, down to 16x16."""
    levels = []
    while images.shape[-1] > COARSEST:
        half = _filter(images)[:, :, ::2, ::2]
        spaced = torch.zeros_like(images)
        spaced[:, :, ::2, ::2] = 4 * half
        levels.append(images - _filter(spaced))
        images = half
    return [*levels, images]


def _filter(images: Tensor) -> Tensor:
    taps = torch.tensor(TAPS, dtype=images.dtype) / sum(TAPS)
    kernel = (taps[:, None] * taps).expand(images.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), kernel, groups=images.shape[1])


def descriptors(level: Tensor, places: Tensor) -> Tensor:
    """Cut 7x7 patches out of ``level [N, C, H, H]``, normalised by the set's mean and deviation of every colour.

    ``places int64 [P]`` number the patches' corners row by row. Returns ``[N * P, C * 49]``.
    """
    windows = level.unfold(2, PATCH, 1).unfold(3, PATCH, 1).flatten(2, 3)  # [N, C, places, 7, 7]
    patches = windows[:, :, places].transpose(1, 2).flatten(0, 1)  # [N * P, C, 7, 7]
    centred = patches - patches.mean((0, 2, 3), keepdim=True)
    deviation = centred.square().mean((0, 2, 3), keepdim=True).sqrt()
    return (centred / deviation.clamp_min(1e-6)).flatten(1)  # a level without any contrast stays at zero


def _sliced(a: Tensor, b: Tensor, rng: Generator) -> float:
    """Mean over random directions of the Wasserstein distance between projections of ``a [N, D]`` and ``b [M, D]``."""
    directions = torch.randn(a.shape[1], DIRECTIONS, generator=rng, dtype=a.dtype)
    found = [wasserstein(a @ part, b @ part) for part in (directions / directions.norm(dim=0)).split(BLOCK, dim=1)]
    return torch.cat(found).mean().item()


def wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """Return the Wasserstein-1 distances ``[K]`` between the columns of ``a [N, K]`` and ``b [M, K]``, exactly.

    In one dimension it is the area between the two quantile functions, which are steps of width 1 / N and 1 / M.
    """
    n, m = len(a), len(b)
    steps = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n])  # where they end, in 1 / (N M)
    ends: Tensor = steps.unique()  # type: ignore[no-untyped-call]
    width = torch.diff(ends, prepend=torch.zeros(1, dtype=ends.dtype))
    start = ends - width
    gap = (a.sort(dim=0).values[start // m] - b.sort(dim=0).values[start // n]).abs()
    return (gap * width[:, None]).sum(0) / (n * m)


def _check(a: Tensor, b: Tensor) -> None:
    for name, images in (("first", a), ("second", b)):
        side = images.shape[-1] if images.ndim == 4 else 0
        if images.dtype != torch.uint8 or side < COARSEST or side & (side - 1) or images.shape[2] != side:
            raise ValueError(
                f"The {name} set is {images.dtype} {list(images.shape)}; give uint8 [N, C, S, S], "
                f"S a power of two of at least {COARSEST}."
            )
        if len(images) == 0:
            raise ValueError(f"The {name} set has no images; there is nothing to compare.")
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(
            f"Images of {list(a.shape[1:])} and {list(b.shape[1:])}; bring both sets to one size and depth."
        )
