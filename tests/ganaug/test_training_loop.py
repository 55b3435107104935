"""The training loop: repeatable, resumable, regularised as asked, and able to get over a divergence."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ganaug import updates
from ganaug.families import Family, Objective, get_family
from ganaug.losses import bce_discriminator, non_saturating_generator
from ganaug.rollback import MAX_ROLLBACKS, DivergedError
from ganaug.training_loop import LOG_EVERY, SNAPSHOT_EVERY, Figures, Hooks, State, Trainer

DCGAN, PIX2PIX, WGAN = get_family("dcgan"), get_family("pix2pix"), get_family("wgan_gp")
PLAIN = {"r1_weight": 0.0, "diffaugment": "", "flips": False}


def pictures(n: int = 12, channels: int = 1) -> Tensor:
    """Half bright on the left, half bright at the top: neither is its own mirror image."""
    side = torch.linspace(255, 0, 32).expand(32, 32)
    images = torch.stack([side if i % 2 else side.T for i in range(n)])[:, None].expand(-1, channels, -1, -1)
    noise = torch.rand(n, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 20
    return (images * 0.9 + noise).clamp(0, 255).to(torch.uint8).contiguous()


def make(
    family: Family = DCGAN, *, seed: int = 0, n: int = 12, init_from: dict[str, Tensor] | None = None, **options: Any
) -> Trainer:
    chosen = replace(family.defaults, **{"steps": 6, "batch": 4, "width": 4, "latent": 8, **options})
    return Trainer(
        family, pictures(n), torch.arange(n) % 2, n_conditions=2, options=chosen, seed=seed, init_from=init_from
    )


def assert_same(a: State, b: State) -> None:
    assert a[0].keys() == b[0].keys()
    assert [name for name in a[0] if not a[0][name].equal(b[0][name])] == []
    assert a[1] | {"seconds": 0} == b[1] | {"seconds": 0}


def weights(network: torch.nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in network.state_dict().values()]


def with_absurd_rates(trainer: Trainer) -> None:
    """Far above what the options allow, whatever a rollback sets."""
    for optimizer in (trainer.optimizer_g, trainer.optimizer_d):
        optimizer.register_step_pre_hook(lambda optimizer, *_: optimizer.param_groups[0].update(lr=1e30))


def each_step(trainer: Trainer, do: Callable[[Trainer], None]) -> None:
    """Call `do` after every update of the generator."""
    trainer.optimizer_g.register_step_post_hook(lambda *_: do(trainer))


@pytest.mark.parametrize("family", [DCGAN, WGAN])
def test_the_same_seed_gives_the_same_bits_and_another_does_not(family: Family) -> None:
    torch.manual_seed(1)
    first = make(family)
    outside = torch.rand(1)
    first.run()
    torch.manual_seed(1)
    again = make(family)
    assert torch.rand(1).equal(outside)  # the caller's random stream is left alone
    again.run()
    assert_same(first.state(), again.state())
    other = make(family, seed=1)
    other.run()
    assert not other.state()[0]["generator.last.weight"].equal(first.state()[0]["generator.last.weight"])


@pytest.mark.parametrize("family", [DCGAN, WGAN])
@pytest.mark.parametrize("at", [1, 5])
def test_going_on_from_a_state_equals_never_having_stopped(family: Family, at: int) -> None:
    more = {} if family is WGAN else {"label_noise": 0.2, "label_smoothing": 0.1}
    whole = make(family, **more)
    for _ in range(9):
        whole.train_step()
    stopped = make(family, **more)
    for _ in range(at):
        stopped.train_step()
    resumed = make(family, seed=99, **more)
    resumed.load(stopped.state())
    for _ in range(9 - at):
        resumed.train_step()
    assert_same(whole.state(), resumed.state())


def test_a_state_is_a_copy() -> None:
    trainer = make()
    trainer.train_step()
    state = trainer.state()
    kept = {name: tensor.clone() for name, tensor in state[0].items()}
    trainer.run()
    assert all(tensor.equal(kept[name]) for name, tensor in state[0].items())
    assert state[1]["step"] == 1


@pytest.mark.parametrize(("family", "n_critic"), [(DCGAN, 1), (WGAN, 3)])
def test_each_network_is_updated_by_its_own_step_only(family: Family, n_critic: int) -> None:
    trainer = make(family, n_critic=n_critic)
    seen: list[tuple[list[Tensor], list[Tensor | None], list[Tensor]]] = []

    def look(*_: Any) -> None:
        gradients = [p.grad.clone() if p.grad is not None else None for p in trainer.generator.parameters()]
        parameters = [p.detach().clone() for p in trainer.generator.parameters()]
        seen.append((parameters, gradients, weights(trainer.discriminator)))

    trainer.optimizer_d.register_step_post_hook(look)
    trainer.train_step()
    assert len(seen) == n_critic
    assert all(gradient is None for _, gradients, _ in seen for gradient in gradients)
    assert all(a.equal(b) for a, b in zip(weights(trainer.discriminator), seen[-1][2], strict=True))
    gradients = [p.grad.clone() for p in trainer.generator.parameters() if p.grad is not None]
    parameters = [p.detach().clone() for p in trainer.generator.parameters()]
    seen.clear()
    trainer.train_step()
    for during, kept, _ in seen:
        assert all(a.equal(b) for a, b in zip(during, parameters, strict=True))
        assert all(a is not None and a.equal(b) for a, b in zip(kept, gradients, strict=True))
    assert all(p.requires_grad for p in trainer.discriminator.parameters())


class Spied:
    """DCGAN's objective that notes the targets it is given."""

    def __init__(self) -> None:
        self.targets: list[Tensor] = []
        self.family = replace(DCGAN, objective=Objective(self.discriminator, non_saturating_generator))

    def discriminator(self, real: Tensor, fake: Tensor, real_target: Tensor, fake_target: Tensor) -> Tensor:
        self.targets.append(torch.stack([real_target, fake_target]))
        return bce_discriminator(real, fake, real_target, fake_target)


def test_smoothing_is_one_sided() -> None:
    spied = Spied()
    make(spied.family, label_smoothing=0.1).train_step()
    (targets,) = spied.targets
    assert targets.equal(torch.tensor([[0.9], [0.0]]).expand(2, 4))


def test_noise_flips_that_share_of_the_labels() -> None:
    spied = Spied()
    make(spied.family, label_noise=0.25, batch=64, steps=10).run()
    flipped = (torch.stack(spied.targets) != torch.tensor([[1.0], [0.0]])).float()
    assert flipped.mean().item() == pytest.approx(0.25, abs=0.05)
    assert (flipped.mean((0, 2)) > 0.15).all()


def test_r1_comes_every_so_often_at_a_weight_that_makes_up_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_loss(**options: Any) -> float:
        return make(**{**PLAIN, **options}).train_step()["loss_d"]

    alone = first_loss()
    once = first_loss(r1_weight=0.1, r1_every=1) - alone
    assert once > 0
    assert first_loss(r1_weight=0.1, r1_every=4) - alone == pytest.approx(4 * once, rel=1e-4)
    assert first_loss(r1_weight=0.3, r1_every=1) - alone == pytest.approx(3 * once, rel=1e-4)
    steps: list[int] = []
    trainer = make(r1_weight=0.1, r1_every=4, steps=9)
    penalty = updates.r1_penalty
    monkeypatch.setattr(updates, "r1_penalty", lambda *a: (steps.append(trainer.step), penalty(*a))[1])
    trainer.run()
    assert steps == [0, 4, 8]


def test_the_gradient_penalty_has_its_weight() -> None:
    def loss(weight: float) -> float:
        return make(WGAN, gp_weight=weight, n_critic=1, diffaugment="").train_step()["loss_d"]

    once = loss(1e-6) - loss(0)
    assert loss(10) - loss(0) > 0
    assert loss(20) - loss(0) == pytest.approx(2 * (loss(10) - loss(0)), rel=1e-4) and abs(once) < 1e-3


def test_the_average_follows_the_generator_with_warm_up() -> None:
    trainer = make(ema=0.5, steps=12)
    trainer.train_step()
    expected = [p.detach().clone() for p in trainer.generator.parameters()]
    for n in range(1, 12):
        trainer.train_step()
        decay = min(0.5, (1 + n) / (10 + n))
        expected = [decay * e + (1 - decay) * p for e, p in zip(expected, trainer.generator.parameters(), strict=True)]
    torch.testing.assert_close([p.detach() for p in trainer.ema.parameters()], expected)
    assert all(a.equal(b) for a, b in zip(trainer.ema.buffers(), trainer.generator.buffers(), strict=True))
    at_once = make(ema=0.0)
    at_once.run()
    assert all(a.equal(b) for a, b in zip(at_once.ema.parameters(), at_once.generator.parameters(), strict=True))


def real_inputs(trainer: Trainer, steps: int = 40) -> tuple[Tensor, Tensor]:
    """The real images `[M, C, S, S]` that the discriminator was shown, and their conditions `[M]`."""
    images, conditions = [], []

    def look(_: torch.nn.Module, arguments: tuple[Tensor, Tensor]) -> None:
        x, condition = arguments
        if len(x) == 2 * trainer.options.batch:  # real and fake in one batch: the discriminator's own step
            images.append(x[: len(x) // 2].clone())
            conditions.append(condition[: len(x) // 2].clone())

    handle = trainer.discriminator.register_forward_pre_hook(look)
    for _ in range(steps):
        trainer.train_step()
    handle.remove()
    return torch.cat(images), torch.cat(conditions)


@pytest.mark.parametrize("flips", [False, True])
def test_flips_mirror_half_of_the_real_images_left_to_right(flips: bool) -> None:
    trainer = make(**PLAIN | {"flips": flips})
    augmented, conditions = real_inputs(trainer)
    known = trainer.batches.images.float() / 127.5 - 1
    as_is = (augmented[:, None] == known).flatten(2).all(2)  # [M, N]
    mirrored = (augmented[:, None] == known.flip(3)).flatten(2).all(2)
    assert (as_is | mirrored).any(1).all()
    assert mirrored.any(1).float().mean().item() == pytest.approx(0.5 if flips else 0, abs=0.12)
    of = (as_is | mirrored).int().argmax(1)
    assert (of % 2).equal(conditions)  # every image goes with its own condition


def test_batches_are_balanced_over_the_conditions_that_occur() -> None:
    options = replace(DCGAN.defaults, batch=8, width=4, latent=8, **PLAIN)
    conditions = torch.tensor([0] * 10 + [3] * 2)
    trainer = Trainer(DCGAN, pictures(12), conditions, n_conditions=5, options=options, seed=0)
    _, drawn = real_inputs(trainer)
    assert set(drawn.tolist()) == {0, 3}
    assert (drawn == 3).float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_diffaugment_acts_on_what_the_discriminator_sees() -> None:
    trainer = make(**PLAIN | {"diffaugment": "cutout"})
    augmented, _ = real_inputs(trainer, steps=2)
    assert ((augmented == 0).flatten(1).sum(1) >= 8 * 8).all()


def test_the_time_budget_ends_training_with_a_complete_history() -> None:
    trainer = make(steps=10_000)
    scored: list[int] = []

    def score(trainer: Trainer) -> Figures:
        scored.append(trainer.step)
        return {"fid": 1.0}

    trainer.run(Hooks(score=score), minutes=1e-9)
    assert trainer.step == 1 and scored == [1]
    assert [row["step"] for row in trainer.history] == [1] and trainer.history[-1]["fid"] == 1.0
    trainer.run(minutes=1e-9)  # the budget is of the whole training, not of one call
    assert trainer.step == 1


def test_hooks_are_called_in_their_rhythm() -> None:
    seen: dict[str, list[int]] = {"progress": [], "checkpoint": [], "score": []}

    def score(trainer: Trainer) -> Figures:
        seen["score"].append(trainer.step)
        return {"fid": float(trainer.step)}

    trainer = make(steps=2 * LOG_EVERY + 5)
    trainer.run(
        Hooks(
            progress=lambda t, row: seen["progress"].append(t.step),
            checkpoint=lambda t: seen["checkpoint"].append(t.step),
            checkpoint_every=15,
            score=score,
            score_every=30,  # not a step at which a row is due: it gets a row of its own
        )
    )
    assert seen["checkpoint"] == [15, 30, 45] and seen["score"] == [30, 45]
    assert seen["progress"] == [20, 30, 40, 45]
    assert [row.get("fid") for row in trainer.history] == [None, 30.0, None, 45.0]
    assert all({"loss_d", "loss_g", "score_real", "score_fake"} <= row.keys() for row in trainer.history)


def poison(trainer: Trainer) -> None:
    next(trainer.generator.parameters()).data.fill_(math.nan)


@pytest.mark.parametrize("at", [3, SNAPSHOT_EVERY, SNAPSHOT_EVERY + 5])
def test_a_divergence_is_undone_at_lower_rates(at: int) -> None:
    """At a snapshot and at the end too: the loss of that step was still finite, only its gradient was not."""
    trainer = make(steps=SNAPSHOT_EVERY + 5)
    struck: list[int] = []

    def strike(trainer: Trainer) -> None:
        if trainer.step + 1 == at and not struck:
            struck.append(at)
            poison(trainer)

    each_step(trainer, strike)
    trainer.run()
    tensors, record = trainer.state()
    assert struck and trainer.step == SNAPSHOT_EVERY + 5 and trainer.rollbacks == 1
    assert record["rates"] == [DCGAN.defaults.lr_g / 2, DCGAN.defaults.lr_d / 2]
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert [row["step"] for row in trainer.history] == sorted({row["step"] for row in trainer.history})


def test_no_checkpoint_holds_a_divergence() -> None:
    trainer = make(steps=12)
    struck: list[int] = []
    saved: list[bool] = []

    def strike(trainer: Trainer) -> None:
        if trainer.step + 1 == 5 and not struck:
            struck.append(5)
            poison(trainer)

    def checkpoint(trainer: Trainer) -> None:
        saved.append(all(tensor.isfinite().all() for tensor in trainer.state()[0].values()))

    each_step(trainer, strike)
    trainer.run(Hooks(checkpoint=checkpoint, checkpoint_every=5))
    assert saved == [True, True] and trainer.rollbacks == 1


def test_rollbacks_are_bounded_and_halve_the_rates_each_time() -> None:
    trainer = make(steps=50)
    rates: list[float] = []

    def strike(trainer: Trainer) -> None:
        rates.append(trainer.optimizer_g.param_groups[0]["lr"])
        poison(trainer)

    each_step(trainer, strike)
    with pytest.raises(DivergedError, match=rf"{MAX_ROLLBACKS} rollbacks; lower gan\.lr_g"):
        trainer.run()
    assert trainer.rollbacks == MAX_ROLLBACKS
    whole = DCGAN.defaults.lr_g
    assert sorted(set(rates), reverse=True) == [whole / 2**k for k in range(MAX_ROLLBACKS + 1)]


@pytest.mark.parametrize("family", [DCGAN, WGAN])
def test_an_absurd_rate_ends_in_an_error_not_in_rubbish(family: Family) -> None:
    trainer = make(family, steps=50)
    with_absurd_rates(trainer)
    with pytest.raises(DivergedError):
        trainer.run()


def test_a_base_gives_the_networks_and_nothing_else() -> None:
    base = make(seed=5)
    base.run()
    tuned = make(seed=6, init_from=base.state()[0])
    for name in ("generator", "discriminator"):
        both = zip(weights(getattr(base, name)), weights(getattr(tuned, name)), strict=True)
        assert all(a.equal(b) for a, b in both)
    assert tuned.step == 0 and not tuned.optimizer_g.state
    tuned.run()
    assert tuned.step == 6


def test_sampling_does_not_disturb_training() -> None:
    quiet, watched = make(), make()
    watched.sample(torch.tensor([0, 1]), seed=3)
    for trainer in (quiet, watched):
        trainer.train_step()
    first, again = (watched.sample(torch.tensor([0, 1]), seed=3) for _ in range(2))
    quiet.run()
    watched.run()
    assert first.equal(again)
    assert_same(quiet.state(), watched.state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(4, 1, 32, 32)}, "uint8"),
        ({"images": torch.zeros(4, 1, 32, 16, dtype=torch.uint8)}, r"\[N, C, S, S\]"),
        ({"conditions": torch.zeros(3).long()}, r"int64 \[4\]"),
        ({"conditions": torch.tensor([0, 1, 2, 0])}, r"0\.\.1"),
        ({"images": torch.zeros(1, 1, 32, 32, dtype=torch.uint8), "conditions": torch.zeros(1).long()}, "at least 2"),
        ({"options": replace(DCGAN.defaults, diffaugment="cutout,swirl")}, "'swirl'; choose among"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "images": torch.zeros(4, 1, 32, 32, dtype=torch.uint8),
        "conditions": torch.zeros(4).long(),
        "options": DCGAN.defaults,
    }
    given |= change
    with pytest.raises(ValueError, match=message):
        Trainer(DCGAN, given["images"], given["conditions"], n_conditions=2, options=given["options"], seed=0)


def test_the_discriminator_sees_a_picture_shifted_and_cut_out_with_its_image() -> None:
    images = pictures(8)
    options = replace(PIX2PIX.defaults, batch=4, width=4, latent=8, diffaugment="translation,cutout")
    labels = torch.zeros(8, dtype=torch.int64)
    trainer = Trainer(PIX2PIX, images, labels, n_conditions=1, options=options, seed=0, conditioning_inputs=images)
    seen: list[tuple[Tensor, Tensor]] = []

    def look(_: torch.nn.Module, arguments: tuple[Tensor, Tensor, Tensor]) -> None:
        if len(arguments[0]) == 8:  # real and fake in one batch
            seen.append((arguments[0][:4], arguments[2]))

    trainer.discriminator.register_forward_pre_hook(look)
    trainer.train_step()
    real, conditioning_pictures = seen[0]
    assert real.equal(conditioning_pictures[:4])  # these conditioning inputs are the images themselves
    # generated images move in another way, conditioning inputs with them
    assert not conditioning_pictures[:4].equal(conditioning_pictures[4:])
