"""From a trained generator to images, each reproducible from its own seed."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

BATCH = 64  # fixed: another batch size may round differently


def to_uint8(images: Tensor) -> Tensor:
    """Float images in [-1, 1] to `uint8` in 0..255, on the CPU."""
    return images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu().contiguous()


def latent(seeds: Tensor, size: int) -> Tensor:
    """Standard normal noise `[N, size]`, row i drawn from `seeds[i]` alone."""
    return torch.stack([torch.randn(size, generator=torch.Generator().manual_seed(s)) for s in seeds.tolist()])


@torch.no_grad()
def generate(
    generator: nn.Module,
    seeds: Tensor,
    conditions: Tensor,
    *,
    latent_size: int,
    device: str = "cpu",
    progress: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Images `uint8 [N, C, S, S]`, one for each seed `int64 [N]` and condition `int64 [N]`."""
    generator = generator.eval().to(device).to(memory_format=torch.channels_last)
    out = []
    for start in range(0, len(seeds), BATCH):
        z = latent(seeds[start : start + BATCH], latent_size)
        missing = BATCH - len(z)  # the last batch is padded to the fixed size
        z = torch.nn.functional.pad(z, (0, 0, 0, missing))
        condition = torch.nn.functional.pad(conditions[start : start + BATCH], (0, missing))
        out.append(to_uint8(generator(z.to(device), condition.to(device)))[: BATCH - missing])
        progress(min(start + BATCH, len(seeds)))
    return torch.cat(out)
