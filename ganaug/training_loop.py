"""The training loop: one for every family."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ganaug.batch_norm import update_batch_norm
from ganaug.batches import Batches
from ganaug.best_checkpoint import BestCheckpoint
from ganaug.checkpoint import State, load_network, restore, state_of
from ganaug.distributed import SINGLE_PROCESS, SingleProcess
from ganaug.families import Family, Phase
from ganaug.hacks import label_ramp, spectral
from ganaug.inputs import Inputs, Moment
from ganaug.monitor import Finding
from ganaug.moving_average import moving_average
from ganaug.optimizers import build_optimizer
from ganaug.options import Options
from ganaug.preconditions import check_conditioning_inputs, check_images, check_options
from ganaug.rollback import MAX_ROLLBACKS, roll_back
from ganaug.sampling import full_size, to_uint8
from ganaug.seeding import default_stream, random_stream
from ganaug.updates import Figures, Updates

LOG_EVERY = 20  # steps between two rows of the history
# Steps between two states to roll back to. It divides the steps between two checkpoints, so that a run that was
# resumed rolls back to the same step as one that was not.
SNAPSHOT_EVERY = 250


@dataclass
class Hooks:
    """Callbacks during training; each is called with the trainer.

    In distributed training every process calls its own; `state()` is collective, so `checkpoint` calls it in all.
    """

    progress: Callable[["Trainer", Figures], None] = field(default=lambda trainer, row: None)  # every LOG_EVERY steps
    checkpoint: Callable[["Trainer"], object] = field(default=lambda trainer: None)
    checkpoint_every: int = 500
    score: Callable[["Trainer"], Figures] | None = None  # e.g. FID and KID of fresh samples; joins the history row
    score_every: int = 500
    finding: Callable[["Trainer", Finding], None] = field(default=lambda trainer, finding: None)  # each, once


class Trainer:
    """Trains one generator and discriminator pair on labelled images.

    Args:
        family: a row of `ganaug.families.FAMILIES`.
        images: `uint8 [N, C, S, S]`, kept in memory.
        conditions: `int64 [N]`, each below `n_conditions`; batches are balanced over those that occur.
        options: usually `family.defaults` with some fields replaced.
        seed: 0 or more, of the networks' initialisation and every draw. On the CPU the same seed, machine and thread
            count give the same bits; on accelerators sums may be taken in another order.
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
        self.family, self.options, self.device, self.context = family, options, torch.device(device), context
        self.spec = family.spec(
            options,
            size=images.shape[-1],
            channels=images.shape[1],
            conditions=n_conditions,
            conditioning_shape=() if conditioning_inputs is None else tuple(conditioning_inputs.shape[1:]),
        )
        self.rng = random_stream(seed, context.rank)
        batches = Batches(
            images,
            conditions,
            conditioning_inputs,
            size=options.batch // context.size,
            flips=options.flips,
            rng=self.rng,
            device=self.device,
        )
        self.inputs = Inputs(family, self.spec, options, batches)
        with default_stream(seed):  # the same weights in all processes
            self.generator = _placed(family.generator(self.spec), self.device)
            discriminator = family.discriminator(self.spec)
            if options.critic_norm == "spectral":
                discriminator = spectral(discriminator)
            self.discriminator = _placed(discriminator, self.device)
        if init_from is not None:
            load_network(self.generator, init_from, "generator")
            load_network(self.discriminator, init_from, "discriminator")
        self.average = moving_average(self.generator, options.ema)
        self.optimizer_g = build_optimizer(options.optimizer, self.generator, options.lr_g, options.betas)
        self.optimizer_d = build_optimizer(options.optimizer, self.discriminator, options.lr_d, options.betas)
        self.updates = Updates(
            family,
            options,
            self.inputs,
            self.generator,
            self.discriminator,
            self.optimizer_g,
            self.optimizer_d,
            context,
            perceive,
        )
        self.best_checkpoint = BestCheckpoint(options, family.objective.wasserstein)
        self.step, self.seconds, self.grown = 0, 0.0, init_from is not None
        self.minutes: float | None = None
        self.history: list[Figures] = []

    def run(self, hooks: Hooks | None = None, *, minutes: float | None = None) -> None:
        """Train until `options.steps` steps, or `minutes` of training in all (earlier runs of this state included).

        With `hooks.score`, training may end early, and it may end with the best pair (`ganaug/monitor.py`).

        Raises:
            DivergedError: NaN or infinite losses in spite of `MAX_ROLLBACKS` returns to the last good state.
        """
        hooks, self.minutes = hooks or Hooks(), minutes
        announced = {(finding.kind, finding.first) for finding in self.findings()}
        good = self.state()
        while not self._finished():
            row = self._timed_step()
            last = self._finished()
            snapshot, checkpoint = self.step % SNAPSHOT_EVERY == 0, self.step % hooks.checkpoint_every == 0
            if self._has_diverged(row, look_at_weights=snapshot or checkpoint or last):
                roll_back(self, good)
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
                self.best_checkpoint.update(self.history, self.ema, self.discriminator, self.progress)
                self._report_findings(hooks, announced)
            if snapshot:
                good = self.state()
            if checkpoint:
                hooks.checkpoint(self)
        self.best_checkpoint.restore_best(self.history, [self.ema, self.generator], self.discriminator)
        self._report_findings(hooks, announced)

    def train_step(self) -> Figures:
        """`n_critic` updates of the discriminator, at the very first `warmup` more, then one of the generator."""
        now, o = self.now, self.options
        if self.family.phase:
            for network in (self.generator, self.discriminator, self.ema):
                network.phase = now.phase  # type: ignore[assignment]
        done = 0 if self.step == 0 else o.warmup + self.step * o.n_critic
        for update in range(done, o.warmup + (self.step + 1) * o.n_critic):
            row = self.updates.update_discriminator(now, update)
        row |= self.updates.update_generator(now)
        self.step += 1
        self.context.average([b for b in self.generator.buffers() if b.is_floating_point()])  # batch statistics
        self.average.update_parameters(self.generator)
        row = dict(zip(row, self.context.mean(row.values()), strict=True))
        return {"step": self.step, **row, **({"settling": 1.0} if self._is_settling() else {})}

    def sample(self, conditions: Tensor, seed: int) -> Tensor:
        """Images `uint8 [N, C, S, S]` of the averaged generator; does not disturb training's random stream.

        A family with conditioning inputs makes each from the conditioning input of a random training image of the
        condition.
        """
        with torch.no_grad():
            images = self._drawn(conditions, random_stream(seed))
        return to_uint8(full_size(images, self.spec))

    def state(self) -> State:
        """Tensors and a JSON-able record, from which `load` goes on bit for bit on the CPU (`ganaug/checkpoint.py`)."""
        return state_of(self)

    def load(self, state: State) -> None:
        """Go back to a `state()`."""
        restore(self, state)

    def findings(self) -> list[Finding]:
        """What the monitor has seen so far."""
        return self.best_checkpoint.findings(self.history)

    @property
    def ema(self) -> nn.Module:
        """The averaged generator, which makes the images."""
        return self.average.module

    @property
    def batches(self) -> Batches:
        """The training images."""
        return self.inputs.batches

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

    @property
    def now(self) -> Moment:
        """Where training stands."""
        return Moment(self.progress, self.phase)

    def _timed_step(self) -> Figures:
        started = time.monotonic()
        row = self.train_step()
        (passed,) = self.context.mean([time.monotonic() - started])
        self.seconds += passed
        return row

    def _finished(self) -> bool:
        return self.progress >= 1 or bool(self.best_checkpoint.stopped)

    def _is_settling(self) -> bool:
        """Whether scores are not meaningful yet: the pair still grows, or not all labels are used."""
        return self.phase != Phase(self.spec.size) or label_ramp(self.progress, self.options.delay_condition) < 1

    def _has_diverged(self, row: Figures, *, look_at_weights: bool) -> bool:
        """A gradient that is not finite spoils the weights one step before it shows in a loss."""
        if not all(map(math.isfinite, row.values())):
            return True
        networks = (self.generator, self.discriminator, self.ema) if look_at_weights else ()
        return not all(bool(t.isfinite().all()) for network in networks for t in network.state_dict().values())

    def _update_batch_norm(self) -> None:
        """Bring the batch statistics of the averaged generator up to date; training's random stream is not touched."""
        rng = random_stream(self.step)
        update_batch_norm(self.ema, lambda: self._drawn(self.batches.conditions(self.options.batch, rng), rng))

    def _drawn(self, conditions: Tensor, rng: torch.Generator) -> Tensor:
        """Float images of the averaged generator; its conditioning input is that of a random image of its condition."""
        z = self.family.latents(len(conditions), self.spec, self.family.codes, rng)
        conditioning = (conditions.to(self.device), *self.batches.conditioning_inputs_of(conditions, rng))
        return self.ema(z.to(self.device), *conditioning)  # type: ignore[no-any-return]

    def _report_findings(self, hooks: Hooks, announced: set[tuple[str, int]]) -> None:
        for finding in self.findings():
            if (finding.kind, finding.first) not in announced:
                announced.add((finding.kind, finding.first))
                hooks.finding(self, finding)


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    return network.to(device).to(memory_format=torch.channels_last)
