"""Inputs of the two networks: real batches, noise and conditioning, augmented as configured."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ganaug.batches import Batches
from ganaug.diffaugment import diffaugment, parse_policy
from ganaug.families import Conditioning, Family, Phase
from ganaug.hacks import flip_labels, instance_noise, label_ramp
from ganaug.options import Options
from ganaug.spec import Spec


class Moment(NamedTuple):
    """Progress of the training in [0, 1], and the phase of a growing pair."""

    progress: float
    phase: Phase


@dataclass
class Inputs:
    """Draws the random inputs of an update from the random stream of its batches."""

    family: Family
    spec: Spec
    options: Options
    batches: Batches

    def __post_init__(self) -> None:
        self.policy = parse_policy(self.options.diffaugment)

    def noise(self, n: int) -> Tensor:
        """Latents `[n, ...]`."""
        return self.family.latents(n, self.spec, self.family.codes, self.batches.rng).to(self.batches.device)

    def conditions(self, now: Moment) -> Tensor:
        """Conditions alone of one batch, `int64 [size]`."""
        return self._masked_conditions(now, self.batches.conditions(self.batches.size, self.batches.rng))

    def real_batch(self, now: Moment) -> tuple[Tensor, Conditioning]:
        """Images of one batch at the size of the phase, and their conditioning."""
        real, conditions, *conditioning_input = self.batches.draw()
        return self._at_phase(now.phase, real), (self._masked_conditions(now, conditions), *conditioning_input)

    def augment(self, now: Moment, x: Tensor, *conditioning: Tensor) -> tuple[Tensor, ...]:
        """Augment float images for the discriminator; conditioning pictures of their size move with them."""
        if self.options.instance_noise:
            x = instance_noise(x, self.options.instance_noise * (1 - now.progress), self.batches.rng)
        # pictures of the image's side; sentences do not move
        moving = [t for t in conditioning if t.shape[2:] == x.shape[2:]]
        x, *moved = diffaugment(self.policy, self.batches.rng, x, *moving)
        still = conditioning[: len(conditioning) - len(moved)]
        return x.contiguous(memory_format=torch.channels_last), *still, *moved

    def targets(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Targets of real and fake logits: one-sided smoothing, then flips of `label_noise` of them."""
        o = self.options
        real, fake = torch.full_like(like, 1.0 - o.label_smoothing), torch.zeros_like(like)
        if o.label_noise:
            real, fake = (flip_labels(targets, o.label_noise, self.batches.rng) for targets in (real, fake))
        return real, fake

    def _masked_conditions(self, now: Moment, conditions: Tensor) -> Tensor:
        """The conditions, some replaced by random ones early in training with `delay_condition` (see `label_ramp`)."""
        if not self.options.delay_condition:
            return conditions
        share = label_ramp(now.progress, self.options.delay_condition)
        hidden = torch.rand(len(conditions), generator=self.batches.rng) >= share
        others = self.batches.conditions(len(conditions), self.batches.rng)
        return torch.where(hidden.to(conditions.device), others, conditions)

    def _at_phase(self, phase: Phase, real: Tensor) -> Tensor:
        """Shrink real images to what a growing generator makes: while a layer fades in, so do the real details."""
        if not self.family.phase:
            return real
        real = F.adaptive_avg_pool2d(real, phase.size)
        if phase.alpha < 1:
            blocky = F.interpolate(F.avg_pool2d(real, 2), scale_factor=2, mode="nearest")
            real = torch.lerp(blocky, real, phase.alpha)
        return real
