"""The two updates of a training step: of the discriminator and of the generator, with their losses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ganaug.distributed import SingleProcess
from ganaug.families import Conditioning, Family, Made
from ganaug.hacks import Anchors
from ganaug.inputs import Inputs, Moment
from ganaug.losses import consistency_penalty, gradient_penalty, lecam_penalty, r1_penalty
from ganaug.options import Options

BATCH_SCORES = 256  # generated scores that each real one is compared with

Figures = dict[str, float]  # of one update or step: losses, scores and norms by name


@dataclass
class Updates:
    """Updates a pair of networks, each with its own optimiser; gradients are averaged over all processes of `context`.

    `perceive` gives features of float images for the families' content losses; `anchors` are LeCam's averages.
    """

    family: Family
    options: Options
    inputs: Inputs
    generator: nn.Module
    discriminator: nn.Module
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    context: SingleProcess
    perceive: Callable[[Tensor], Tensor]
    anchors: Anchors = field(default_factory=Anchors)

    def update_discriminator(self, now: Moment, update: int) -> Figures:
        """One update, number `update` of all (R1 comes every `r1_every` of them)."""
        with self._mixed():
            loss, real_logits, fake_logits = self._discriminator_loss(now, update)
        self.optimizer_d.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._share_gradients(self.discriminator)
        self.optimizer_d.step()
        if self.options.clip:
            with torch.no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-self.options.clip, self.options.clip)
        real_score, fake_score = real_logits.detach().flatten(), fake_logits.detach().flatten()
        return {
            "loss_d": loss.item(),
            "score_real": real_score.mean().item(),
            "score_fake": fake_score.mean().item(),
            "accuracy": (real_score[:, None] > fake_score[None, :BATCH_SCORES]).float().mean().item(),
        }

    def update_generator(self, now: Moment) -> Figures:
        """One update of the generator against the frozen discriminator."""
        self.discriminator.requires_grad_(False)
        with self._mixed():
            loss = self._generator_loss(now)
        self.optimizer_g.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._share_gradients(self.generator)
        norms = torch._foreach_norm([p.grad for p in self.generator.parameters() if p.grad is not None])
        self.optimizer_g.step()
        self.discriminator.requires_grad_(True)
        return {"loss_g": loss.item(), "gradient_g": torch.stack(norms).norm().item()}

    def _discriminator_loss(self, now: Moment, update: int) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, and the logits of a batch of real and of generated images."""
        o, objective = self.options, self.family.objective
        real, conditioning = self.inputs.real_batch(now)
        z = self.inputs.noise(len(real))
        with torch.no_grad():
            fake = self._generated(z, conditioning)
        augmented_real, *conditioning_real = self.inputs.augment(now, real, *conditioning)
        augmented_fake, *conditioning_fake = self.inputs.augment(now, fake, *conditioning)
        real_logits, fake_logits = self._scores(augmented_real, conditioning_real, augmented_fake, conditioning_fake)
        loss = objective.discriminator(real_logits, fake_logits, *self.inputs.targets(real_logits))
        if o.gp_weight:
            loss = loss + o.gp_weight * self._gradient_penalty(
                augmented_real, conditioning_real, augmented_fake, conditioning_fake
            )
        if o.r1_weight and update % o.r1_every == 0:
            penalty = r1_penalty(lambda x: self._score_exactly(x, *conditioning_real), augmented_real)
            loss = loss + o.r1_weight * o.r1_every * penalty
        if o.consistency:
            plain = self._scores(real, conditioning, fake, conditioning)
            for augmented_logits, plain_logits in zip((real_logits, fake_logits), plain, strict=True):
                loss = loss + o.consistency * consistency_penalty(augmented_logits, plain_logits)
        if o.lecam:
            loss = loss + o.lecam * lecam_penalty(real_logits, fake_logits, self.anchors.real, self.anchors.fake)
            self.anchors.update(*self.context.mean(logits.mean().item() for logits in (real_logits, fake_logits)))
        if objective.auxiliary and o.auxiliary_weight:
            made = self._made(now, fake, z, conditioning, real)
            loss = loss + o.auxiliary_weight * objective.auxiliary(self.generator, self.discriminator, made)
        return loss, real_logits, fake_logits

    def _gradient_penalty(
        self, real: Tensor, conditioning_real: Sequence[Tensor], fake: Tensor, conditioning_fake: Sequence[Tensor]
    ) -> Tensor:
        """On interpolates; a picture moves with its image, so an interpolate belongs to an interpolated picture."""
        mix = torch.rand(len(real), 1, 1, 1, generator=self.inputs.batches.rng).to(real.device)
        between = [
            torch.lerp(fake_t, real_t, mix) if real_t.shape[2:] == real.shape[2:] else real_t
            for real_t, fake_t in zip(conditioning_real, conditioning_fake, strict=True)
        ]
        return gradient_penalty(lambda x: self._score_exactly(x, *between), real, fake, mix)

    def _generator_loss(self, now: Moment) -> Tensor:
        o, objective = self.options, self.family.objective
        if self.inputs.batches.conditioning_inputs is not None or objective.content is not None:
            real, conditioning = self.inputs.real_batch(now)
        else:
            real, conditioning = None, (self.inputs.conditions(now),)
        z = self.inputs.noise(self.inputs.batches.size)
        fake = self._generated(z, conditioning)
        adversarial = objective.saturating if o.saturating and objective.saturating else objective.generator
        loss = adversarial(self._score(*self.inputs.augment(now, fake, *conditioning)))
        made = self._made(now, fake, z, conditioning, fake.detach() if real is None else real)
        if objective.auxiliary and o.auxiliary_weight:
            loss = loss + o.auxiliary_weight * objective.auxiliary(self.generator, self.discriminator, made)
        if objective.content and o.content_weight:
            loss = loss + o.content_weight * objective.content(self.generator, self.discriminator, made)
        return loss

    def _made(self, now: Moment, fake: Tensor, z: Tensor, conditioning: Conditioning, real: Tensor) -> Made:
        return Made(fake, z, conditioning, real, self.perceive, lambda images: self.inputs.augment(now, images)[0])

    def _mixed(self) -> torch.autocast:
        """Inside, convolutions and products are of the precision asked for (Micikevicius et al. 2018, arXiv
        1710.03740); without a cache, in which a cast made without gradients would be found by a pass that needs them.
        """
        mixed = self.options.precision == "bf16"
        return torch.autocast(self.inputs.batches.device.type, torch.bfloat16, enabled=mixed, cache_enabled=False)

    def _generated(self, z: Tensor, conditioning: Conditioning) -> Tensor:
        return self.generator(z, *conditioning).float()  # type: ignore[no-any-return]

    def _score(self, x: Tensor, *conditioning: Tensor) -> Tensor:
        return self.discriminator(x, *conditioning).float()  # type: ignore[no-any-return]

    def _score_exactly(self, x: Tensor, *conditioning: Tensor) -> Tensor:
        """In full precision: for gradient penalties, whose own gradients would be lost to rounding."""
        with torch.autocast(x.device.type, enabled=False):
            return self._score(x, *conditioning)

    def _scores(
        self, real: Tensor, conditioning_real: Sequence[Tensor], fake: Tensor, conditioning_fake: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Logits of real and of generated images, in one batch or in two."""
        if self.options.separate_batches:
            return self._score(real, *conditioning_real), self._score(fake, *conditioning_fake)
        joined = (torch.cat(pair) for pair in zip(conditioning_real, conditioning_fake, strict=True))
        real_logits, fake_logits = self._score(torch.cat([real, fake]), *joined).chunk(2)
        return real_logits, fake_logits

    def _share_gradients(self, network: nn.Module) -> None:
        self.context.average([p.grad for p in network.parameters() if p.grad is not None])
