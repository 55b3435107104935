"""The training loop: one for every family."""

import math
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.batch_norm import update_batch_norm
from ganaug.batches import Batches
from ganaug.best_checkpoint import BestCheckpoint
from ganaug.diffaugment import diffaugment, parse_policy
from ganaug.distributed import SINGLE_PROCESS, SingleProcess
from ganaug.families import Conditioning, Family, Made, Phase
from ganaug.hacks import Anchors, flip_labels, instance_noise, label_ramp, spectral
from ganaug.losses import consistency_penalty, gradient_penalty, lecam_penalty, r1_penalty
from ganaug.monitor import Finding
from ganaug.optimizers import build_optimizer, load_optimizer, optimizer_tensors
from ganaug.options import Options
from ganaug.preconditions import check_conditioning_inputs, check_images, check_options
from ganaug.sampling import full_size, to_uint8

LOG_EVERY = 20  # steps between two rows of the history
# Steps between two states to roll back to. It divides the steps between two checkpoints, so that a run that was
# resumed rolls back to the same step as one that was not.
SNAPSHOT_EVERY = 250
MAX_ROLLBACKS = 3
BATCH_SCORES = 256  # generated scores that each real one is compared with

State = tuple[dict[str, Tensor], dict[str, Any]]
Row = dict[str, float]


class DivergedError(RuntimeError):
    """Losses kept turning NaN or infinite after every rollback."""


@dataclass
class Hooks:
    """Callbacks during training; each is called with the trainer.

    In distributed training every process calls its own; `state()` is collective, so `checkpoint` calls it in all.
    """

    progress: Callable[["Trainer", Row], None] = field(default=lambda trainer, row: None)  # every LOG_EVERY steps
    checkpoint: Callable[["Trainer"], object] = field(default=lambda trainer: None)
    checkpoint_every: int = 500
    score: Callable[["Trainer"], Row] | None = None  # e.g. FID and KID of fresh samples; joins the history row
    score_every: int = 500
    finding: Callable[["Trainer", Finding], None] = field(default=lambda trainer, finding: None)  # each, once


class Trainer:
    """Trains one generator and discriminator pair on labelled images.

    Args:
        family: a row of `ganaug.families.FAMILIES`.
        images: `uint8 [N, C, S, S]`, kept in memory.
        conditions: `int64 [N]`, each below `n_conditions`; batches are balanced over those that occur.
        options: usually `family.defaults` with some fields replaced.
        seed: of the networks' initialisation and every draw. Same seed, machine and thread count: same bits.
        init_from: tensors of another trainer's `state()` to start from (fine-tuning); networks only, not the
            optimisers.
        conditioning_inputs: one for each image, for families that take them: pictures `uint8 [N, P, S', S']`, which are
            flipped with the images, or vectors `float32 [N, E]`.
        perceive: features of float images for the families' content losses; by default the pixels.
        context: a single process, or one of several that train this pair with a share of the batch each.

    Raises:
        ValueError: images, conditions or conditioning inputs of the wrong shape, type or range, or options the family
        cannot take.
    """

    def __init__(
        self,
        family: Family,
        images: Tensor,
        conditions: Tensor,
        *,
        n_conditions: int,
        options: Options,
        seed: int,
        device: str = "cpu",
        init_from: dict[str, Tensor] | None = None,
        conditioning_inputs: Tensor | None = None,
        perceive: Callable[[Tensor], Tensor] = lambda images: images.flatten(1),
        context: SingleProcess = SINGLE_PROCESS,
    ) -> None:
        check_images(images, conditions, n_conditions)
        check_options(family, options, processes=context.size)
        check_conditioning_inputs(family, images, conditioning_inputs)
        self.family, self.options, self.device, self.perceive = family, options, torch.device(device), perceive
        self.spec = family.spec(
            options,
            size=images.shape[-1],
            channels=images.shape[1],
            conditions=n_conditions,
            conditioning_shape=() if conditioning_inputs is None else tuple(conditioning_inputs.shape[1:]),
        )
        self.policy, self.context = parse_policy(options.diffaugment), context
        self.rng = torch.Generator().manual_seed(seed + (context.rank << 32))
        self.batches = Batches(
            images,
            conditions,
            conditioning_inputs,
            size=options.batch // context.size,
            flips=options.flips,
            rng=self.rng,
            device=self.device,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.generator = _placed(family.generator(self.spec), self.device)
            discriminator = family.discriminator(self.spec)
            if options.critic_norm == "spectral":
                discriminator = spectral(discriminator)
            self.discriminator = _placed(discriminator, self.device)
        if init_from is not None:
            _load_prefixed(self.generator, init_from, "generator.")
            _load_prefixed(self.discriminator, init_from, "discriminator.")
        self.ema = deepcopy(self.generator).eval().requires_grad_(False)
        self.optimizer_g = build_optimizer(options.optimizer, self.generator, options.lr_g, options.betas)
        self.optimizer_d = build_optimizer(options.optimizer, self.discriminator, options.lr_d, options.betas)
        self.anchors, self.best_checkpoint = Anchors(), BestCheckpoint(options, family.objective.wasserstein)
        self.step, self.seconds, self.grown = 0, 0.0, init_from is not None
        self.minutes: float | None = None
        self.history: list[Row] = []

    def run(self, hooks: Hooks | None = None, *, minutes: float | None = None) -> None:
        """Train until `options.steps` steps, or `minutes` of training in all (earlier runs of this state included).

        With `hooks.score`, training may end early, and it may end with the best generator (`ganaug/monitor.py`).

        Raises:
            DivergedError: NaN or infinite losses in spite of `MAX_ROLLBACKS` returns to the last good state.
        """
        hooks, self.minutes = hooks or Hooks(), minutes
        announced = {(finding.kind, finding.first) for finding in self.findings()}
        good = self.state()
        while not self._finished():
            started = time.monotonic()
            row = self.train_step()
            (passed,) = self.context.mean([time.monotonic() - started])
            self.seconds += passed
            last = self._finished()
            snapshot, checkpoint = self.step % SNAPSHOT_EVERY == 0, self.step % hooks.checkpoint_every == 0
            diverged = not all(map(math.isfinite, row.values()))
            if diverged or ((snapshot or checkpoint or last) and not self._is_finite()):
                self._roll_back(good)
                continue
            scored = hooks.score is not None and (last or self.step % hooks.score_every == 0)
            if scored or checkpoint or last:
                self._update_batch_norm()
            if hooks.score and scored:
                row |= self.context.first(hooks.score(self) if self.context.rank == 0 else None)
            if scored or last or self.step % LOG_EVERY == 0:
                self.history.append(row)
                hooks.progress(self, row)
            if scored or last:
                self.best_checkpoint.update(self.history, self.ema, self.progress)
                self._report_findings(hooks, announced)
            if snapshot:
                good = self.state()
            if checkpoint:
                hooks.checkpoint(self)
        self.best_checkpoint.restore_best(self.history, [self.ema, self.generator])
        self._report_findings(hooks, announced)

    def findings(self) -> list[Finding]:
        """What the monitor has seen so far."""
        return self.best_checkpoint.findings(self.history)

    def _report_findings(self, hooks: Hooks, announced: set[tuple[str, int]]) -> None:
        for finding in self.findings():
            if (finding.kind, finding.first) not in announced:
                announced.add((finding.kind, finding.first))
                hooks.finding(self, finding)

    @property
    def rollbacks(self) -> int:
        """How often training went back to an earlier state, each time at half the learning rates."""
        return min(len(self.best_checkpoint.failures), MAX_ROLLBACKS)

    @property
    def progress(self) -> float:
        """Share of the training that is over, in [0, 1]: of the steps or of the minutes, whichever is further."""
        of_time = 0.0 if self.minutes is None else self.seconds / (60 * self.minutes)
        return min(1.0, max(self.step / self.options.steps, of_time))

    @property
    def phase(self) -> Phase:
        """Current resolution of a growing family; other families, and fine-tunes, are at full size."""
        if self.family.phase is None or self.grown:
            return Phase(self.spec.size)
        return self.family.phase(self.progress, self.spec)

    def _finished(self) -> bool:
        return self.progress >= 1 or bool(self.best_checkpoint.stopped)

    def _is_settling(self) -> bool:
        """Whether scores are not meaningful yet: the pair still grows, or not all labels are used."""
        return self.phase != Phase(self.spec.size) or label_ramp(self.progress, self.options.delay_condition) < 1

    def _is_finite(self) -> bool:
        """Whether all weights are: a gradient that is not spoils them one step before it shows in a loss."""
        networks = (self.generator, self.discriminator, self.ema)
        return all(bool(t.isfinite().all()) for network in networks for t in network.state_dict().values())

    def train_step(self) -> Row:
        """`n_critic` updates of the discriminator, at the very first `warmup` more, then one of the generator."""
        self._enter_phase()
        o = self.options
        done = 0 if self.step == 0 else o.warmup + self.step * o.n_critic
        for update in range(done, o.warmup + (self.step + 1) * o.n_critic):
            row = self._discriminator_update(update)
        row |= self._generator_update()
        self.step += 1
        self.context.average([b for b in self.generator.buffers() if b.is_floating_point()])  # batch statistics
        self._update_ema()
        row = dict(zip(row, self.context.mean(row.values()), strict=True))
        return {"step": self.step, **row, **({"settling": 1.0} if self._is_settling() else {})}

    def _share_gradients(self, network: nn.Module) -> None:
        self.context.average([p.grad for p in network.parameters() if p.grad is not None])

    def _enter_phase(self) -> None:
        if self.family.phase:
            for network in (self.generator, self.discriminator, self.ema):
                network.phase = self.phase  # type: ignore[assignment]

    def _mixed(self) -> torch.autocast:
        """Inside, convolutions and products are of the precision asked for (Micikevicius et al. 2018, arXiv
        1710.03740); without a cache, in which a cast made without gradients would be found by a pass that needs them.
        """
        mixed = self.options.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=mixed, cache_enabled=False)

    def _generated(self, z: Tensor, conditioning: Conditioning) -> Tensor:
        return self.generator(z, *conditioning).float()  # type: ignore[no-any-return]

    def _score(self, x: Tensor, *conditioning: Tensor) -> Tensor:
        return self.discriminator(x, *conditioning).float()  # type: ignore[no-any-return]

    def _score_exactly(self, x: Tensor, *conditioning: Tensor) -> Tensor:
        """In full precision: for gradient penalties, whose own gradients would be lost to rounding."""
        with torch.autocast(self.device.type, enabled=False):
            return self._score(x, *conditioning)

    def _discriminator_update(self, update: int) -> Row:
        with self._mixed():
            loss, real_logits, fake_logits = self._discriminator_loss(update)
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

    def _discriminator_loss(self, update: int) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, and the logits of a batch of real and of generated images."""
        o = self.options
        real, conditioning = self._real_batch()
        z = self._noise(len(real))
        with torch.no_grad():
            fake = self._generated(z, conditioning)
        (augmented_real, *conditioning_real), (augmented_fake, *conditioning_fake) = (
            self._augment(real, *conditioning),
            self._augment(fake, *conditioning),
        )
        real_logits, fake_logits = self._scores(augmented_real, conditioning_real, augmented_fake, conditioning_fake)
        loss = self.family.objective.discriminator(real_logits, fake_logits, *self._targets(real_logits))
        if o.gp_weight:
            mix = torch.rand(len(real), 1, 1, 1, generator=self.rng).to(self.device)
            between = [  # a picture moves with its image, so an interpolate belongs to an interpolated picture
                torch.lerp(fake_t, real_t, mix) if real_t.shape[2:] == augmented_real.shape[2:] else real_t
                for real_t, fake_t in zip(conditioning_real, conditioning_fake, strict=True)
            ]
            loss = loss + o.gp_weight * gradient_penalty(
                lambda x: self._score_exactly(x, *between), augmented_real, augmented_fake, mix
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
        if self.family.objective.auxiliary and o.auxiliary_weight:
            made = Made(fake, z, conditioning, real, self.perceive, self._augment_images)
            loss = loss + o.auxiliary_weight * self.family.objective.auxiliary(self.generator, self.discriminator, made)
        return loss, real_logits, fake_logits

    def _scores(
        self, real: Tensor, conditioning_real: Sequence[Tensor], fake: Tensor, conditioning_fake: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Logits of real and of generated images, in one batch or in two."""
        if self.options.separate_batches:
            return self._score(real, *conditioning_real), self._score(fake, *conditioning_fake)
        joined = (torch.cat(pair) for pair in zip(conditioning_real, conditioning_fake, strict=True))
        real_logits, fake_logits = self._score(torch.cat([real, fake]), *joined).chunk(2)
        return real_logits, fake_logits

    def _generator_update(self) -> Row:
        """One update of the generator against the frozen discriminator."""
        self.discriminator.requires_grad_(False)
        with self._mixed():
            loss = self._generator_loss()
        self.optimizer_g.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._share_gradients(self.generator)
        norms = torch._foreach_norm([p.grad for p in self.generator.parameters() if p.grad is not None])
        self.optimizer_g.step()
        self.discriminator.requires_grad_(True)
        return {"loss_g": loss.item(), "gradient_g": torch.stack(norms).norm().item()}

    def _generator_loss(self) -> Tensor:
        o, objective = self.options, self.family.objective
        paired = self.batches.conditioning_inputs is not None or objective.content is not None
        size = self.batches.size
        real, conditioning = (
            self._real_batch()
            if paired
            else (None, (self._masked_conditions(self.batches.conditions(size, self.rng)),))
        )
        z = self._noise(size)
        fake = self._generated(z, conditioning)
        adversarial = objective.saturating if o.saturating and objective.saturating else objective.generator
        loss = adversarial(self._score(*self._augment(fake, *conditioning)))
        made = Made(fake, z, conditioning, fake.detach() if real is None else real, self.perceive, self._augment_images)
        if objective.auxiliary and o.auxiliary_weight:
            loss = loss + o.auxiliary_weight * objective.auxiliary(self.generator, self.discriminator, made)
        if objective.content and o.content_weight:
            loss = loss + o.content_weight * objective.content(self.generator, self.discriminator, made)
        return loss

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.generator.parameters()), 1 - decay)
        for mine, other in zip(self.ema.buffers(), self.generator.buffers(), strict=True):
            mine.copy_(other)

    def _update_batch_norm(self) -> None:
        """Bring the batch statistics of the averaged generator up to date; training's random stream is not touched."""
        rng = torch.Generator().manual_seed(self.step)
        update_batch_norm(self.ema, lambda: self._drawn(self.batches.conditions(self.options.batch, rng), rng))

    def _drawn(self, conditions: Tensor, rng: torch.Generator) -> Tensor:
        """Float images of the averaged generator; its conditioning input is that of a random image of its condition."""
        z = self.family.latents(len(conditions), self.spec, self.family.codes, rng)
        conditioning = (conditions.to(self.device), *self.batches.conditioning_inputs_of(conditions, rng))
        return self.ema(z.to(self.device), *conditioning)  # type: ignore[no-any-return]

    def _masked_conditions(self, conditions: Tensor) -> Tensor:
        """The conditions, some replaced by random ones early in training with `delay_condition` (see `label_ramp`)."""
        if not self.options.delay_condition:
            return conditions
        share = label_ramp(self.progress, self.options.delay_condition)
        hidden = torch.rand(len(conditions), generator=self.rng) >= share
        return torch.where(hidden.to(self.device), self.batches.conditions(len(conditions), self.rng), conditions)

    def _real_batch(self) -> tuple[Tensor, Conditioning]:
        """Images of one batch at the size of the phase, and their conditioning."""
        real, conditions, *conditioning_input = self.batches.draw()
        return self._at_phase(real), (self._masked_conditions(conditions), *conditioning_input)

    def _at_phase(self, real: Tensor) -> Tensor:
        """Shrink real images to what a growing generator makes: while a layer fades in, so do the real details."""
        if not self.family.phase:
            return real
        phase = self.phase
        real = F.adaptive_avg_pool2d(real, phase.size)
        if phase.alpha < 1:
            blocky = F.interpolate(F.avg_pool2d(real, 2), scale_factor=2, mode="nearest")
            real = torch.lerp(blocky, real, phase.alpha)
        return real

    def _noise(self, n: int) -> Tensor:
        return self.family.latents(n, self.spec, self.family.codes, self.rng).to(self.device)

    def _augment(self, x: Tensor, *conditioning: Tensor) -> tuple[Tensor, ...]:
        """Augment float images for the discriminator; conditioning pictures of their size move with them."""
        if self.options.instance_noise:
            x = instance_noise(x, self.options.instance_noise * (1 - self.progress), self.rng)
        # pictures of the image's side; sentences do not move
        moving = [t for t in conditioning if t.shape[2:] == x.shape[2:]]
        x, *moved = diffaugment(self.policy, self.rng, x, *moving)
        still = conditioning[: len(conditioning) - len(moved)]
        return x.contiguous(memory_format=torch.channels_last), *still, *moved

    def _augment_images(self, x: Tensor) -> Tensor:
        return self._augment(x)[0]

    def _targets(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Targets of real and fake logits: one-sided smoothing, then flips of `label_noise` of them."""
        o = self.options
        real, fake = torch.full_like(like, 1.0 - o.label_smoothing), torch.zeros_like(like)
        if o.label_noise:
            real, fake = (flip_labels(targets, o.label_noise, self.rng) for targets in (real, fake))
        return real, fake

    def sample(self, conditions: Tensor, seed: int) -> Tensor:
        """Images `uint8 [N, C, S, S]` of the averaged generator; does not disturb training's random stream.

        A family with conditioning inputs makes each from the conditioning input of a random training image of the
        condition.
        """
        with torch.no_grad():
            images = self._drawn(conditions, torch.Generator().manual_seed(seed))
        return to_uint8(full_size(images, self.spec))

    def state(self) -> State:
        """Everything a bit-for-bit resume needs: tensors, and a JSON-able record. All processes have to ask for it."""
        tensors: dict[str, Tensor] = {"rng": self.context.gather(self.rng.get_state())}
        for name in ("generator", "discriminator", "ema"):
            tensors |= {f"{name}.{key}": tensor for key, tensor in getattr(self, name).state_dict().items()}
        for name in ("optimizer_g", "optimizer_d"):
            tensors |= {f"{name}.{key}": tensor for key, tensor in optimizer_tensors(getattr(self, name)).items()}
        weights, kept = self.best_checkpoint.state()
        tensors |= {f"best.{key}": tensor for key, tensor in weights.items()}
        record = {
            "family": self.family.name,
            "spec": asdict(self.spec),
            "options": asdict(self.options),
            "step": self.step,
            "seconds": self.seconds,
            "best_checkpoint": kept,
            "rates": [self.optimizer_g.param_groups[0]["lr"], self.optimizer_d.param_groups[0]["lr"]],
            "anchors": asdict(self.anchors),
            "history": list(self.history),
        }
        return {key: tensor.detach().to("cpu", copy=True).contiguous() for key, tensor in tensors.items()}, record

    def load(self, state: State) -> None:
        """Go back to a `state()`."""
        tensors, record = state
        self.rng.set_state(tensors["rng"][self.context.rank].clone())  # of a view, torch crashes
        for name in ("generator", "discriminator", "ema"):
            _load_prefixed(getattr(self, name), tensors, f"{name}.")
        for name, rate in zip(("optimizer_g", "optimizer_d"), record["rates"], strict=True):
            load_optimizer(getattr(self, name), prefixed(tensors, f"{name}."), rate)
        self.step, self.seconds = record["step"], record["seconds"]
        self.best_checkpoint.load(prefixed(tensors, "best."), record["best_checkpoint"])
        self.anchors = Anchors(**record["anchors"])
        self.history = list(record["history"])

    def _roll_back(self, good: State) -> None:
        """Return to `good` with the learning rates halved once more and another random stream."""
        failures, seconds = [*self.best_checkpoint.failures, self.step], self.seconds
        self.best_checkpoint.failures, rollbacks = failures, len(failures)
        if rollbacks > MAX_ROLLBACKS and not (self.options.early_stop and good[1]["best_checkpoint"]["best"]):
            raise DivergedError(
                f"Training diverged at step {failures[-1]} after {MAX_ROLLBACKS} rollbacks; "
                "lower gan.lr_g and gan.lr_d, or raise gan.r1_weight."
            )
        self.load(good)
        self.best_checkpoint.failures, self.seconds = failures, seconds
        if rollbacks > MAX_ROLLBACKS:
            self.best_checkpoint.stopped = "not_finite"  # and what was best so far is kept
        self.rng.manual_seed(self.rng.initial_seed() + rollbacks)
        for optimizer, rate in ((self.optimizer_g, self.options.lr_g), (self.optimizer_d, self.options.lr_d)):
            optimizer.param_groups[0]["lr"] = rate * 0.5**rollbacks


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    return network.to(device).to(memory_format=torch.channels_last)


def prefixed(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of one network of `Trainer.state()`, by their names in it."""
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _load_prefixed(network: nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    network.load_state_dict(prefixed(tensors, prefix))
