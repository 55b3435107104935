"""Estimate of the memory that a training step needs, made before training."""

from typing import Any

import torch
from torch import Tensor, nn

from ganaug.families.base import Family
from ganaug.options import Options
from ganaug.spec import Spec

FLOAT = 4  # bytes
COPIES = 4  # of a weight: itself, its gradient and Adam's two moments
PASSES = 1.5  # activations are kept for the backward pass and meet gradients of their size
PENALTY_PASSES = 0.5  # a gradient penalty keeps a backward pass as well


def training_bytes(family: Family, spec: Spec, options: Options, conditioning_shape: tuple[int, ...] = ()) -> int:
    """Estimate the memory of one training step in bytes, from the shapes alone: nothing of that size is allocated.

    Weights with gradients and moments, and the activations of a generator and a discriminator update over
    `options.batch` images; `conditioning_shape` is that of one conditioning input. Meant for "does it fit at all": good
    to a factor of two.
    """
    with torch.device("meta"), torch.no_grad():
        generator, discriminator = family.generator(spec), family.discriminator(spec)
        z = family.latents(1, spec, family.codes, torch.Generator("cpu")).to("meta")
        conditioning = [torch.zeros(1, dtype=torch.int64)] + (
            [torch.zeros(1, *conditioning_shape)] if conditioning_shape else []
        )
        images, of_generator = _activations(generator, z, *conditioning)
        _, of_discriminator = _activations(discriminator, images, *conditioning)
    weights = sum(p.numel() for network in (generator, discriminator) for p in network.parameters())
    passes = PASSES + (PENALTY_PASSES if options.gp_weight or options.r1_weight else 0)
    return int(FLOAT * (COPIES * weights + passes * options.batch * (of_generator + 2 * of_discriminator)))


def _activations(network: nn.Module, *inputs: Tensor) -> tuple[Tensor, int]:
    """Output of a network, and how many numbers its layers put out."""
    sizes: list[int] = []

    def note(module: nn.Module, given: Any, made: Any) -> None:
        sizes.append(made.numel())

    leaves = [module for module in network.modules() if not list(module.children())]
    handles = [leaf.register_forward_hook(note) for leaf in leaves]
    made: Tensor = network.eval()(*inputs)
    for handle in handles:
        handle.remove()
    return made, sum(sizes)
