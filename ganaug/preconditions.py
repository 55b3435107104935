"""Preconditions of training: shapes and types of images and conditioning inputs, options that fit the family."""

import torch
from torch import Tensor

from ganaug.diffaugment import parse_policy
from ganaug.families.base import Family
from ganaug.options import Options


def check_images(images: Tensor, conditions: Tensor, n_conditions: int) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ValueError(f"images must be uint8 [N, C, S, S], not {images.dtype} {list(images.shape)}")
    if conditions.dtype != torch.int64 or conditions.shape != images.shape[:1]:
        raise ValueError(f"conditions must be int64 [{len(images)}], not {conditions.dtype} {list(conditions.shape)}")
    if len(images) < 2:
        raise ValueError(f"{len(images)} training images: a GAN needs at least 2")
    if not 0 <= int(conditions.min()) <= int(conditions.max()) < n_conditions:
        raise ValueError(f"conditions must lie in 0..{n_conditions - 1}")


def check_options(family: Family, options: Options, *, processes: int = 1) -> None:
    """Raise ValueError for options that have no meaning for the family or name an unknown augmentation."""
    parse_policy(options.diffaugment)
    if options.batch % processes:
        raise ValueError(f"gan.batch = {options.batch} cannot be shared by gan.devices = {processes}; take a multiple")
    if family.objective.wasserstein and options.r1_weight:
        raise ValueError(
            f"gan.r1_weight has no meaning for the Wasserstein family {family.name}; set it to 0, or use gan.gp_weight"
        )
    if family.codes and options.latent <= family.codes.size:
        raise ValueError(
            f"gan.latent = {options.latent}: the codes of gan.family {family.name} take {family.codes.size} of it; "
            f"set it to {family.codes.size + 1} or more"
        )
    if options.saturating and family.objective.saturating is None:
        raise ValueError(f"gan.saturating: the loss of gan.family {family.name} does not saturate; set it to false")
    if options.variant and options.variant not in family.variants:
        known = ", ".join(variant for variant in family.variants if variant) or "leave it empty"
        raise ValueError(f"gan.variant = {options.variant!r} of gan.family {family.name}: choose one of {known}")
    if options.critic_norm not in family.critic_norms:
        raise ValueError(
            f"gan.critic_norm = {options.critic_norm} breaks gan.family {family.name}; "
            f"choose one of {', '.join(family.critic_norms)}"
        )
    if options.critic_norm == "batch" and (options.gp_weight or options.r1_weight):
        raise ValueError(
            "gan.critic_norm = batch: a gradient penalty needs a critic that judges each image by itself; "
            "set gan.gp_weight and gan.r1_weight to 0"
        )


def check_conditioning_inputs(family: Family, images: Tensor, conditioning_inputs: Tensor | None) -> None:
    if conditioning_inputs is None:
        if "none" not in family.conditioning_inputs:
            raise ValueError(
                f"gan.family {family.name} needs a conditioning input: {', '.join(family.conditioning_inputs)}"
            )
        return
    if family.conditioning_inputs == ("none",):
        raise ValueError(f"gan.family {family.name} takes no conditioning input; set gan.conditioning_input to none")
    if len(conditioning_inputs) != len(images) or not (
        (conditioning_inputs.dtype == torch.uint8 and conditioning_inputs.ndim == 4)
        or (conditioning_inputs.dtype == torch.float32 and conditioning_inputs.ndim == 2)
    ):
        raise ValueError(
            f"conditioning inputs must be uint8 [{len(images)}, P, S, S] or float32 [{len(images)}, E], "
            f"not {conditioning_inputs.dtype} {list(conditioning_inputs.shape)}"
        )
