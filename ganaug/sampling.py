"""From a trained generator to images, each reproducible from its own seed (bit for bit on the CPU)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.families.base import Family
from ganaug.seeding import random_stream
from ganaug.spec import Spec

BATCH = 64  # fixed: another batch size may round differently


def to_uint8(images: Tensor) -> Tensor:
    """Float images in [-1, 1] to `uint8` in 0..255, on the CPU."""
    return images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu().contiguous()


def to_float(images: Tensor) -> Tensor:
    """`uint8` images to floats in [-1, 1]; float tensors (text embeddings) pass unchanged."""
    return images if images.is_floating_point() else images.float().div(127.5).sub(1.0)


def full_size(images: Tensor, spec: Spec) -> Tensor:
    """Images of a generator that has not grown up yet, enlarged to the side that all others have."""
    return F.interpolate(images, spec.size, mode="nearest") if images.shape[-1] < spec.size else images


def latents(family: Family, spec: Spec, seeds: Tensor) -> Tensor:
    """Latents `[N, ...]`, row i drawn from `seeds[i]` alone, all bits of it; `seeds` `int64 [N]`, none below 0."""
    return torch.cat([family.latents(1, spec, family.codes, random_stream(seed)) for seed in seeds.tolist()])


@torch.no_grad()
def generate(
    family: Family,
    generator: nn.Module,
    spec: Spec,
    seeds: Tensor,
    conditions: Tensor,
    *,
    conditioning_inputs: Tensor | None = None,
    z: Tensor | None = None,
    device: str = "cpu",
    progress: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Images `uint8 [N, C, S, S]`, one for each seed `int64 [N]` and condition `int64 [N]`.

    `conditioning_inputs` `[N, ...]` are pictures (uint8) or vectors for families that take them; `z` replaces the
    seeds' latents.
    """
    generator = generator.eval().to(device).to(memory_format=torch.channels_last)
    out = []
    for start in range(0, len(seeds), BATCH):
        part = slice(start, start + BATCH)
        noise = latents(family, spec, seeds[part]) if z is None else z[part]
        given = [noise, conditions[part]] + (
            [] if conditioning_inputs is None else [to_float(conditioning_inputs[part])]
        )
        missing = BATCH - len(noise)  # the last batch is padded to the fixed size
        padded = [torch.cat([t, t[-1:].expand(missing, *t.shape[1:])]).to(device) for t in given]
        out.append(to_uint8(full_size(generator(*padded), spec))[: BATCH - missing])
        progress(min(start + BATCH, len(seeds)))
    return torch.cat(out)
