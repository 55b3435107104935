"""What the two networks are fed: real batches, noise and conditions, augmented as the options ask."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ganaug.batches import Batches
from ganaug.diffaugment import diffaugment, parse_policy
from ganaug.families import Family, Phase, Told
from ganaug.hacks import flip_labels, instance_noise, label_ramp
from ganaug.options import Options
from ganaug.spec import Spec


class Moment(NamedTuple):
    """Where training stands: the share that is over, in [0, 1], and the phase of a pair that grows."""

    progress: float
    phase: Phase


@dataclass
class Inputs:
    """Draws everything random of an update from the random stream of its batches."""

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
        return self._blurred(now, self.batches.conditions(self.batches.size, self.batches.rng))

    def real_batch(self, now: Moment) -> tuple[Tensor, Told]:
        """Images of one batch at the size of the phase, and what both networks are told about them."""
        real, conditions, *guide = self.batches.draw()
        return self._at_phase(now.phase, real), (self._blurred(now, conditions), *guide)

    def augment(self, now: Moment, x: Tensor, *told: Tensor) -> tuple[Tensor, ...]:
        """What the discriminator gets to see of float images and is told: a picture moves with its image."""
        if self.options.instance_noise:
            x = instance_noise(x, self.options.instance_noise * (1 - now.progress), self.batches.rng)
        moving = [t for t in told if t.shape[2:] == x.shape[2:]]  # pictures of the image's side; sentences do not move
        x, *moved = diffaugment(self.policy, self.batches.rng, x, *moving)
        still = told[: len(told) - len(moved)]
        return x.contiguous(memory_format=torch.channels_last), *still, *moved

    def targets(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Targets of real and fake logits: one-sided smoothing, then flips of `label_noise` of them."""
        o = self.options
        real, fake = torch.full_like(like, 1.0 - o.label_smoothing), torch.zeros_like(like)
        if o.label_noise:
            real, fake = (flip_labels(targets, o.label_noise, self.batches.rng) for targets in (real, fake))
        return real, fake

    def _blurred(self, now: Moment, conditions: Tensor) -> Tensor:
        """The conditions as the networks are told them: early on, with `delay_condition`, they say nothing."""
        if not self.options.delay_condition:
            return conditions
        told = label_ramp(now.progress, self.options.delay_condition)
        hidden = torch.rand(len(conditions), generator=self.batches.rng) >= told
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
