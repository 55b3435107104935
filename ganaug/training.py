"""The training loop: one for every family."""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ganaug.diffaugment import diffaugment, parse_policy
from ganaug.families import Family
from ganaug.losses import gradient_penalty, r1_penalty
from ganaug.options import Options
from ganaug.sampling import to_uint8
from ganaug.spec import Spec

LOG_EVERY = 20  # steps between two rows of the history
# Steps between two states to roll back to. It divides the steps between two checkpoints, so that a run that was
# resumed rolls back to the same step as one that was not.
SNAPSHOT_EVERY = 250
MAX_ROLLBACKS = 3

State = tuple[dict[str, Tensor], dict[str, Any]]
Row = dict[str, float]


class DivergedError(RuntimeError):
    """Losses kept turning NaN or infinite after every rollback."""


@dataclass
class Hooks:
    """What the caller wants to hear while training goes on; every hook gets the trainer."""

    progress: Callable[["Trainer", Row], None] = field(default=lambda trainer, row: None)  # every LOG_EVERY steps
    checkpoint: Callable[["Trainer"], None] = field(default=lambda trainer: None)
    checkpoint_every: int = 500
    score: Callable[["Trainer"], Row] | None = None  # e.g. FID and KID of fresh samples; joins the history row
    score_every: int = 500


class Trainer:
    """Trains one generator and discriminator pair on labelled images.

    Args:
        family: a row of `ganaug.families.FAMILIES`.
        images: `uint8 [N, C, S, S]`, kept in memory.
        conditions: `int64 [N]`, each below `n_conditions`; batches are balanced over those that occur.
        options: usually `family.defaults` with some fields replaced.
        seed: of the networks' initialisation and every draw. Same seed, machine and thread count: same bits.
        base: tensors of another trainer's `state()` to start from (fine-tuning); networks only, not the optimisers.

    Raises:
        ValueError: images or conditions of the wrong shape, type or range, or options the family cannot take.
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
        base: dict[str, Tensor] | None = None,
    ) -> None:
        _check(family, images, conditions, n_conditions, options)
        self.family, self.options, self.device = family, options, torch.device(device)
        self.spec = Spec(images.shape[-1], images.shape[1], n_conditions, options.latent, options.width)
        self.images = images.to(self.device)
        found: Tensor = conditions.unique()  # type: ignore[no-untyped-call]
        self.pools = [torch.nonzero(conditions == c).squeeze(1) for c in found.tolist()]
        self.pool_conditions = found
        self.policy = parse_policy(options.diffaugment)
        self.rng = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.generator = _placed(family.generator(self.spec), self.device)
            self.discriminator = _placed(family.discriminator(self.spec), self.device)
        if base is not None:
            _load_prefixed(self.generator, base, "generator.")
            _load_prefixed(self.discriminator, base, "discriminator.")
        self.ema = deepcopy(self.generator).eval().requires_grad_(False)
        self.optimizer_g = _adam(self.generator, options.rate_g, options.betas)
        self.optimizer_d = _adam(self.discriminator, options.rate_d, options.betas)
        self.step, self.seconds, self.rollbacks = 0, 0.0, 0
        self.history: list[Row] = []

    def run(self, hooks: Hooks | None = None, *, minutes: float | None = None) -> None:
        """Train until `options.steps` steps, or `minutes` of training in all (earlier runs of this state included).

        Raises:
            DivergedError: NaN or infinite losses in spite of `MAX_ROLLBACKS` returns to the last good state.
        """
        hooks = hooks or Hooks()
        good = self.state()
        while not self._finished(minutes):
            started = time.monotonic()
            row = self.train_step()
            self.seconds += time.monotonic() - started
            last = self._finished(minutes)
            snapshot, checkpoint = self.step % SNAPSHOT_EVERY == 0, self.step % hooks.checkpoint_every == 0
            diverged = not all(map(math.isfinite, row.values()))
            if diverged or ((snapshot or checkpoint or last) and not self._is_finite()):
                self._roll_back(good)
                continue
            scored = hooks.score is not None and (last or self.step % hooks.score_every == 0)
            if hooks.score and scored:
                row |= hooks.score(self)
            if scored or last or self.step % LOG_EVERY == 0:
                self.history.append(row)
                hooks.progress(self, row)
            if snapshot:
                good = self.state()
            if checkpoint:
                hooks.checkpoint(self)

    def _finished(self, minutes: float | None) -> bool:
        return self.step >= self.options.steps or (minutes is not None and self.seconds >= minutes * 60)

    def _is_finite(self) -> bool:
        """Whether all weights are: a gradient that is not spoils them one step before it shows in a loss."""
        networks = (self.generator, self.discriminator, self.ema)
        return all(bool(t.isfinite().all()) for network in networks for t in network.state_dict().values())

    def train_step(self) -> Row:
        """`critic_steps` updates of the discriminator, then one of the generator."""
        for _ in range(self.options.critic_steps):
            loss_d, real_score, fake_score = self._discriminator_update()
        loss_g = self._generator_update()
        self.step += 1
        self._update_ema()
        return {
            "step": self.step,
            "loss_d": loss_d,
            "loss_g": loss_g,
            "score_real": real_score,
            "score_fake": fake_score,
        }

    def _discriminator_update(self) -> tuple[float, float, float]:
        o = self.options
        real, condition = self._real_batch()
        with torch.no_grad():
            fake = self.generator(self._noise(len(real)), condition)
        real, fake = self._augment(real), self._augment(fake)

        def critic(x: Tensor) -> Tensor:
            logits: Tensor = self.discriminator(x, condition)
            return logits

        real_logits, fake_logits = self.discriminator(torch.cat([real, fake]), condition.repeat(2)).chunk(2)
        loss = self.family.objective.discriminator(real_logits, fake_logits, *self._targets(len(real)))
        if o.gp_weight:
            mix = torch.rand(len(real), 1, 1, 1, generator=self.rng).to(self.device)
            loss = loss + o.gp_weight * gradient_penalty(critic, real, fake, mix)
        if o.r1_weight and self.step % o.r1_every == 0:
            loss = loss + o.r1_weight * o.r1_every * r1_penalty(critic, real)
        self.optimizer_d.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer_d.step()
        return loss.item(), real_logits.mean().item(), fake_logits.mean().item()

    def _generator_update(self) -> float:
        condition = self._draw_conditions(self.options.batch)
        self.discriminator.requires_grad_(False)
        fake = self._augment(self.generator(self._noise(len(condition)), condition))
        loss = self.family.objective.generator(self.discriminator(fake, condition))
        self.optimizer_g.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer_g.step()
        self.discriminator.requires_grad_(True)
        return loss.item()

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.generator.parameters()), 1 - decay)
        for mine, other in zip(self.ema.buffers(), self.generator.buffers(), strict=True):
            mine.copy_(other)

    def _draw_conditions(self, n: int) -> Tensor:
        return self.pool_conditions[torch.randint(len(self.pools), (n,), generator=self.rng)].to(self.device)

    def _real_batch(self) -> tuple[Tensor, Tensor]:
        pools = torch.randint(len(self.pools), (self.options.batch,), generator=self.rng)
        draws = torch.rand(self.options.batch, generator=self.rng)
        index = torch.stack(
            [self.pools[p][int(u * len(self.pools[p]))] for p, u in zip(pools.tolist(), draws.tolist(), strict=True)]
        )
        real = self.images[index.to(self.device)].float().div(127.5).sub(1.0)  # uint8 => [-1, 1]
        if self.options.flips:
            flipped = torch.rand(len(real), generator=self.rng).to(self.device) < 0.5
            real = torch.where(flipped[:, None, None, None], real.flip(3), real)
        return real, self.pool_conditions[pools].to(self.device)

    def _noise(self, n: int) -> Tensor:
        return torch.randn(n, self.options.latent, generator=self.rng).to(self.device)

    def _augment(self, x: Tensor) -> Tensor:
        return diffaugment(x, self.policy, self.rng).contiguous(memory_format=torch.channels_last)

    def _targets(self, n: int) -> tuple[Tensor, Tensor]:
        """Targets of real and fake logits, `[N]` each: one-sided smoothing, then flips of `label_noise` of them."""
        o = self.options
        real, fake = torch.full((n,), 1.0 - o.label_smoothing), torch.zeros(n)
        if o.label_noise:
            flip = torch.rand(2, n, generator=self.rng) < o.label_noise
            real, fake = torch.where(flip[0], 1 - real, real), torch.where(flip[1], 1 - fake, fake)
        return real.to(self.device), fake.to(self.device)

    def sample(self, conditions: Tensor, seed: int) -> Tensor:
        """Images `uint8 [N, C, S, S]` of the averaged generator; does not disturb training's random stream."""
        z = torch.randn(len(conditions), self.options.latent, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            return to_uint8(self.ema(z.to(self.device), conditions.to(self.device)))

    def state(self) -> State:
        """Everything a bit-for-bit resume needs: tensors, and a JSON-able record."""
        tensors: dict[str, Tensor] = {"rng": self.rng.get_state()}
        for name in ("generator", "discriminator", "ema"):
            for key, tensor in getattr(self, name).state_dict().items():
                tensors[f"{name}.{key}"] = tensor
        for name in ("optimizer_g", "optimizer_d"):
            for index, slots in getattr(self, name).state_dict()["state"].items():
                for key, tensor in slots.items():
                    tensors[f"{name}.{index}.{key}"] = tensor
        record = {
            "family": self.family.name,
            "spec": asdict(self.spec),
            "options": asdict(self.options),
            "step": self.step,
            "seconds": self.seconds,
            "rollbacks": self.rollbacks,
            "rates": [self.optimizer_g.param_groups[0]["lr"], self.optimizer_d.param_groups[0]["lr"]],
            "history": list(self.history),
        }
        return {key: tensor.detach().to("cpu", copy=True).contiguous() for key, tensor in tensors.items()}, record

    def load(self, state: State) -> None:
        """Go back to a `state()`."""
        tensors, record = state
        self.rng.set_state(tensors["rng"])
        for name in ("generator", "discriminator", "ema"):
            _load_prefixed(getattr(self, name), tensors, f"{name}.")
        for name, rate in zip(("optimizer_g", "optimizer_d"), record["rates"], strict=True):
            _load_optimizer(getattr(self, name), tensors, f"{name}.", rate)
        self.step, self.seconds, self.rollbacks = record["step"], record["seconds"], record["rollbacks"]
        self.history = list(record["history"])

    def _roll_back(self, good: State) -> None:
        """Return to `good` with the learning rates halved once more and another random stream."""
        failed_at, rollbacks, seconds = self.step, self.rollbacks + 1, self.seconds
        if rollbacks > MAX_ROLLBACKS:
            raise DivergedError(
                f"Training diverged at step {failed_at} after {MAX_ROLLBACKS} rollbacks; "
                "lower gan.rate_g and gan.rate_d, or raise gan.r1_weight."
            )
        self.load(good)
        self.rollbacks, self.seconds = rollbacks, seconds
        self.rng.manual_seed(self.rng.initial_seed() + rollbacks)
        for optimizer, rate in ((self.optimizer_g, self.options.rate_g), (self.optimizer_d, self.options.rate_d)):
            optimizer.param_groups[0]["lr"] = rate * 0.5**rollbacks


def _check(family: Family, images: Tensor, conditions: Tensor, n_conditions: int, options: Options) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ValueError(f"images must be uint8 [N, C, S, S], not {images.dtype} {list(images.shape)}")
    if conditions.dtype != torch.int64 or conditions.shape != images.shape[:1]:
        raise ValueError(f"conditions must be int64 [{len(images)}], not {conditions.dtype} {list(conditions.shape)}")
    if len(images) < 2:
        raise ValueError(f"{len(images)} training images: a GAN needs at least 2")
    if not 0 <= int(conditions.min()) <= int(conditions.max()) < n_conditions:
        raise ValueError(f"conditions must lie in 0..{n_conditions - 1}")
    check_options(family, options)


def check_options(family: Family, options: Options) -> None:
    """Raise ValueError for options that have no meaning for the family or name an unknown augmentation."""
    parse_policy(options.diffaugment)
    if family.objective.wasserstein:
        for name in ("r1_weight", "label_smoothing", "label_noise"):
            if getattr(options, name):
                raise ValueError(f"gan.{name} has no meaning for the Wasserstein family {family.name}; set it to 0")


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    return network.to(device).to(memory_format=torch.channels_last)


def _adam(network: nn.Module, rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    fused = next(network.parameters()).device.type in ("cpu", "cuda")
    return torch.optim.Adam(network.parameters(), lr=rate, betas=betas, fused=fused)


def _load_prefixed(network: nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    network.load_state_dict({key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)})


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], prefix: str, rate: float) -> None:
    (group,) = optimizer.param_groups
    slots: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(prefix):
            index, name = key.removeprefix(prefix).split(".")
            parameter = group["params"][int(index)]
            # Fused Adam walks the memory of a parameter and of its moments side by side: their layouts must agree.
            moment = torch.empty_like(parameter, requires_grad=False).copy_(tensor) if tensor.ndim else tensor.clone()
            slots.setdefault(int(index), {})[name] = moment
    groups = optimizer.state_dict()["param_groups"]
    groups[0]["lr"] = rate
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
