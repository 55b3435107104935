"""Training hacks: each does what its paper says, seen through the loop, with every family that allows it."""

import functools
import json
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganaug.families import FAMILIES, Family, get_family
from ganaug.hacks import Anchors, label_ramp
from ganaug.losses import r1_penalty
from ganaug.training_loop import Figures, Trainer
from tests.ganaug.families.examples import make, weights

DCGAN = get_family("dcgan")
TINY = {"steps": 20, "batch": 4, "width": 4, "latent": 12, "n_critic": 1}
SHORT = TINY | {"steps": 8}
PLAIN = TINY | {"r1_weight": 0.0, "diffaugment": "", "flips": False}
HACKS: dict[str, dict[str, Any]] = {
    "smoothing": {"label_smoothing": 0.2},
    "label noise": {"label_noise": 0.3},
    "instance noise": {"instance_noise": 0.2},
    "uniform": {"noise": "uniform"},
    "warm-up": {"warmup": 3},
    "two rates": {"lr_g": 1e-4, "lr_d": 4e-4},
    "LeCam": {"lecam": 0.1},
    "consistency": {"consistency": 1.0, "diffaugment": "translation"},
    "delayed conditions": {"delay_condition": 0.4},
    "separate batches": {"separate_batches": True},
    "spectral": {"critic_norm": "spectral"},
}
UNHEARD = {("srgan", "uniform")}  # a family without noise


def takes(family: Family, options: dict[str, Any]) -> bool:
    return options.get("critic_norm", "none") in (*family.critic_norms, "none")


def all_hacks(family: Family) -> dict[str, Any]:
    """Every hack at once, of those that the family allows."""
    chosen: dict[str, Any] = {}
    for options in HACKS.values():
        chosen |= options if takes(family, options) else {}
    return chosen


@functools.cache
def without_hacks(name: str) -> dict[str, Tensor]:
    trainer = make(FAMILIES[name], size=16, **SHORT)
    trainer.run()
    return trainer.state()[0]


@pytest.mark.parametrize("hack", HACKS)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_trains_with_every_hack_and_heeds_it(name: str, hack: str) -> None:
    family, options = FAMILIES[name], HACKS[hack]
    if not takes(family, options):
        with pytest.raises(ValueError, match=rf"gan\.critic_norm = spectral breaks gan\.family {name}; choose one of"):
            make(family, size=16, **SHORT | options)
        return
    trainer = make(family, size=16, **SHORT | options)
    trainer.run()
    tensors = trainer.state()[0]
    assert trainer.step == 8 and trainer.rollbacks == 0
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    # separate batches are nothing but rounding where no layer looks at the whole batch
    if hack != "separate batches" and (name, hack) not in UNHEARD:
        before = without_hacks(name)
        assert any(key not in before or not tensors[key].equal(before[key]) for key in tensors if "generator." in key)


@pytest.mark.parametrize("name", FAMILIES)
def test_with_all_hacks_on_going_on_equals_never_having_stopped(name: str) -> None:
    family = FAMILIES[name]
    options = TINY | {"steps": 12} | all_hacks(family)
    whole, stopped, resumed = (make(family, size=16, **options) for _ in range(3))
    resumed.rng.manual_seed(99)
    whole.run()
    for _ in range(5):
        stopped.train_step()
    tensors, record = stopped.state()
    resumed.load((tensors, json.loads(json.dumps(record))))
    resumed.run()
    (ours, mine), (theirs, other) = whole.state(), resumed.state()
    assert ours.keys() == theirs.keys()
    assert [key for key in ours if not ours[key].equal(theirs[key])] == []
    assert (mine["anchors"], mine["rates"]) == (other["anchors"], other["rates"])
    assert mine["anchors"] != asdict(Anchors())


class Spy:
    """A family whose discriminator's loss notes what it is given."""

    def __init__(self, family: Family) -> None:
        self.given: list[tuple[Tensor, ...]] = []
        self.loss = family.objective.discriminator
        self.family = replace(family, objective=replace(family.objective, discriminator=self._note))

    def _note(self, *given: Tensor) -> Tensor:
        self.given.append(tuple(tensor.detach().clone() for tensor in given))
        return self.loss(*given)


@pytest.mark.parametrize("name", FAMILIES)
def test_smoothing_softens_the_real_labels_only(name: str) -> None:
    spy = Spy(FAMILIES[name])
    make(spy.family, size=16, **TINY, label_smoothing=0.1).train_step()
    ((real, fake, real_target, fake_target),) = spy.given
    assert real_target.shape == real.shape == fake.shape
    assert real_target.unique().tolist() == pytest.approx([0.9]) and fake_target.unique().tolist() == [0.0]


@pytest.mark.parametrize("name", FAMILIES)
def test_label_noise_flips_labels_of_both_kinds_one_by_one(name: str) -> None:
    spy = Spy(FAMILIES[name])
    make(spy.family, size=16, **TINY | {"batch": 64, "label_noise": 0.25}).train_step()
    ((_, _, real_target, fake_target),) = spy.given
    assert set(real_target.unique().tolist()) == set(fake_target.unique().tolist()) == {0.0, 1.0}
    assert (real_target == 0).float().mean().item() == pytest.approx(0.25, abs=0.2)
    assert (fake_target == 1).float().mean().item() == pytest.approx(0.25, abs=0.2)
    assert not (1 - real_target).equal(fake_target)


def augmented_inputs(trainer: Trainer, steps: int) -> list[tuple[Tensor, ...]]:
    """What the discriminator was called with in its own updates: images, conditions and conditioning inputs."""
    calls: list[tuple[Tensor, ...]] = []

    def look(network: nn.Module, given: tuple[Tensor, ...]) -> None:
        if next(network.parameters()).requires_grad:
            calls.append(tuple(tensor.detach().clone() for tensor in given))

    handle = trainer.discriminator.register_forward_pre_hook(look)
    for _ in range(steps):
        trainer.train_step()
    handle.remove()
    return calls


def test_instance_noise_falls_to_nothing_along_the_training() -> None:
    grey = torch.full((4, 1, 32, 32), 51, dtype=torch.uint8)
    options = replace(DCGAN.defaults, **PLAIN, instance_noise=0.5)
    trainer = Trainer(DCGAN, grey, torch.zeros(4).long(), n_conditions=1, options=options, seed=0)
    calls = augmented_inputs(trainer, 20)
    noise = [images[:4] - (51 / 127.5 - 1) for images, _ in calls]
    expected = [0.5 * (1 - step / 20) for step in range(20)]
    assert [part.std().item() for part in noise] == pytest.approx(expected, rel=0.1)
    assert all(abs(part.mean().item()) < 0.05 for part in noise)
    assert not torch.allclose(noise[0][0], noise[0][1])  # each image has its own


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("noise", "deviation"), [("normal", 1.0), ("uniform", 3**-0.5)])
def test_latents_are_drawn_as_asked(name: str, noise: str, deviation: float) -> None:
    trainer = make(FAMILIES[name], size=16, **TINY | {"batch": 64, "latent": 64, "noise": noise})
    drawn: list[Tensor] = []
    handle = trainer.generator.register_forward_pre_hook(lambda _, given: drawn.append(given[0]))
    trainer.train_step()
    handle.remove()
    free = trainer.spec.latent - (trainer.family.codes.size if trainer.family.codes else 0)
    z = torch.cat([part[:, :free] for part in drawn])
    assert z.std().item() == pytest.approx(deviation, rel=0.05)
    assert (z.abs().max() <= 1).item() == (noise == "uniform")


@pytest.mark.parametrize("n_critic", [1, 3])
def test_warm_up_trains_the_discriminator_alone_at_first(n_critic: int) -> None:
    trainer = make(DCGAN, **TINY | {"warmup": 7, "n_critic": n_critic})
    turns: list[str] = []
    trainer.optimizer_d.register_step_post_hook(lambda *_: turns.append("d"))
    trainer.optimizer_g.register_step_post_hook(lambda *_: turns.append("g"))
    start = weights(trainer.generator)
    trainer.train_step()
    trainer.train_step()
    assert "".join(turns) == "d" * (7 + n_critic) + "g" + "d" * n_critic + "g"
    assert any(not tensor.equal(start[key]) for key, tensor in weights(trainer.generator).items())


def test_r1_keeps_its_rhythm_through_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(DCGAN, **TINY | {"warmup": 6, "r1_weight": 0.1, "r1_every": 4})
    updates, penalised = [0], []
    trainer.optimizer_d.register_step_post_hook(lambda *_: updates.append(1))
    monkeypatch.setattr("ganaug.updates.r1_penalty", lambda *a: (penalised.append(sum(updates)), r1_penalty(*a))[1])
    for _ in range(6):
        trainer.train_step()
    assert sum(updates) == 12 and penalised == [0, 4, 8]


def test_two_rates_move_each_network_by_its_own() -> None:
    trainer = make(DCGAN, **TINY | {"lr_g": 1e-4, "lr_d": 7e-4})
    networks = (trainer.generator, trainer.discriminator)
    before = [[p.detach().clone() for p in network.parameters()] for network in networks]
    trainer.train_step()
    for network, start, rate in zip(networks, before, (1e-4, 7e-4), strict=True):
        moved = max((p - q).abs().max().item() for p, q in zip(network.parameters(), start, strict=True))
        assert moved == pytest.approx(rate, rel=0.02)  # the first step of Adam is the rate, whatever the gradient


@pytest.mark.parametrize("apart", [False, True])
def test_separate_batches_keep_statistics_apart(apart: bool) -> None:
    trainer = make(DCGAN, **PLAIN | {"critic_norm": "batch", "separate_batches": apart})
    norm = next(module for module in trainer.discriminator.modules() if isinstance(module, nn.BatchNorm2d))
    seen: list[Tensor] = []
    images: list[Tensor] = []
    trainer.discriminator.register_forward_pre_hook(lambda _, given: images.append(given[0].detach()))
    norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    trainer.train_step()
    real = trainer.batches.images.float() / 127.5 - 1

    def is_real(image: Tensor) -> bool:
        return bool((image == real).flatten(1).all(1).any())

    kinds = [{is_real(image) for image in batch} for batch in images]
    assert kinds == ([{True}, {False}, {False}] if apart else [{True, False}, {False}])
    assert [len(part) for part in seen] == ([4, 4, 4] if apart else [8, 4])


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if "spectral" in family.critic_norms])
def test_spectral_normalisation_brings_the_largest_singular_value_to_one(name: str) -> None:
    trainer = make(FAMILIES[name], size=16, **TINY | {"critic_norm": "spectral", "steps": 5})
    layers = [m for m in trainer.discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert layers
    trainer.run()
    trainer.discriminator.requires_grad_(False)
    real = (trainer.batches.images.float() / 127.5 - 1)[:4]
    conditioning = trainer.inputs.real_batch(trainer.now)[1]
    for _ in range(100):  # the power iteration goes one round a forward pass, the weights now at rest
        trainer.discriminator(real, *conditioning)
    values = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]
    assert values == pytest.approx([1.0] * len(layers), abs=0.05)


def test_lecam_pulls_each_score_towards_the_other_sides_average() -> None:
    def first_loss(weight: float) -> tuple[Figures, tuple[Tensor, ...]]:
        spy = Spy(DCGAN)
        trainer = make(spy.family, **PLAIN | {"lecam": weight})
        trainer.updates.anchors = Anchors(real=2.0, fake=-3.0)
        return trainer.train_step(), spy.given[0]

    plain, (real, fake, *_) = first_loss(0.0)
    pulled, _ = first_loss(0.25)
    expected = 0.25 * ((real + 3).square().mean() + (fake - 2).square().mean())  # equation 3
    assert pulled["loss_d"] - plain["loss_d"] == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("apart", [False, True])
def test_consistency_compares_the_scores_before_and_after_augmentation(apart: bool) -> None:
    def first_loss(weight: float) -> tuple[Figures, list[Tensor]]:
        options = PLAIN | {"consistency": weight, "diffaugment": "brightness", "separate_batches": apart}
        trainer, scores = make(DCGAN, **options), list[Tensor]()
        trainer.discriminator.register_forward_hook(lambda _, given, scored: scores.append(scored.detach()))
        return trainer.train_step(), scores

    without, _ = first_loss(0.0)
    regularised, scores = first_loss(0.5)
    seen, plain = scores[: len(scores) // 2], scores[len(scores) // 2 : -1]  # the last is the generator's update
    if not apart:
        (seen, plain) = (list(scores[i].chunk(2)) for i in (0, 1))
    expected = sum(0.5 * (a - b).square().mean() for a, b in zip(seen, plain, strict=True))
    assert float(expected) > 0
    assert regularised["loss_d"] - without["loss_d"] == pytest.approx(float(expected), rel=1e-3)


def test_lecam_averages_are_of_all_scores_so_far() -> None:
    trainer = make(DCGAN, **PLAIN | {"lecam": 0.1})
    real = fake = 0.0
    for _ in range(10):
        row = trainer.train_step()
        real, fake = 0.99 * real + 0.01 * row["score_real"], 0.99 * fake + 0.01 * row["score_fake"]
    assert (trainer.updates.anchors.real, trainer.updates.anchors.fake) == pytest.approx((real, fake), rel=1e-5)


@pytest.mark.parametrize("name", ["dcgan", "wgan", "infogan", "pix2pix"])
def test_labels_are_told_late(name: str) -> None:
    """Both kinds of pictures are told a random label until a quarter of the training, their own from a half on."""
    trainer = make(FAMILIES[name], **PLAIN | {"steps": 80, "delay_condition": 0.25, "n_critic": 1, "latent": 16})
    known = trainer.batches.images.float() / 127.5 - 1
    of = torch.arange(12) % 2
    agree: list[float] = []
    generator_conditioning: list[Tensor] = []
    trainer.generator.register_forward_pre_hook(lambda _, given: generator_conditioning.append(given[1]))
    for _ in range(80):
        generator_conditioning.clear()
        images, condition, *_ = augmented_inputs(trainer, 1)[0]
        index = (images[:4, None] == known).flatten(2).all(2).int().argmax(1)
        agree.append((of[index] == condition[:4]).float().mean().item())
        assert generator_conditioning[0].equal(condition[:4])  # both networks are told the same
    early, late = agree[:20], agree[40:]
    assert sum(early) / len(early) == pytest.approx(0.5, abs=0.2) and min(late) == 1
    assert 0.55 < sum(agree[20:40]) / 20 < 0.95


def test_the_ramp_of_labels() -> None:
    assert [label_ramp(p, 0.2) for p in (0, 0.19, 0.3, 0.4, 1)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert label_ramp(0, 0) == 1
