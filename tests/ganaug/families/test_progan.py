"""ProGAN: grows from 4x4, normalises pixels, sees the spread of a batch, and scores without a bound."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ganaug.families import Family, Phase, get_family
from ganaug.families.growing import GROWTH, grow
from ganaug.families.progan import DRIFT, drifting_critic
from ganaug.layers import EqualConv2d, EqualLinear
from ganaug.sampling import generate
from ganaug.training_loop import Hooks, State, Trainer
from tests.ganaug.families.examples import make, spec

PROGAN, STYLEGAN = get_family("progan"), get_family("stylegan")
GROWING = pytest.mark.parametrize("family", [PROGAN, STYLEGAN], ids=["progan", "stylegan"])


def networks(family: Family, size: int = 32, channels: int = 1) -> tuple[nn.Module, nn.Module, Tensor, Tensor]:
    """Generator, critic, latents and conditions of three images."""
    torch.manual_seed(0)
    shape = spec(size, channels)
    z = family.latents(3, shape, None, torch.Generator().manual_seed(1))
    z[:, 2 * shape.latent : 2 * shape.latent + 1] = 0.95  # StyleGAN's crossover: styles are not mixed
    return family.generator(shape), family.discriminator(shape), z, torch.tensor([0, 1, 2])


def at(network: nn.Module, phase: Phase) -> nn.Module:
    network.phase = phase  # type: ignore[assignment]
    return network


@given(st.sampled_from([16, 32, 64, 128, 256]), st.floats(0, 1), st.floats(0, 1))
def test_growth_never_goes_back(size: int, early: float, late: float) -> None:
    early, late = sorted((early, late))
    first, second = (grow(progress, spec(size)) for progress in (early, late))
    assert (first.size, first.alpha) <= (second.size, second.alpha)
    assert 4 <= first.size <= size and 0 <= first.alpha <= 1 and (first.size > 4 or first.alpha == 1)


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
def test_every_resolution_fades_in_for_as_long_as_it_then_stays(size: int) -> None:
    assert grow(0, spec(size)) == Phase(4) and grow(1, spec(size)) == Phase(size)
    steps = 20_000
    seen = [grow(GROWTH * i / steps, spec(size)) for i in range(steps)]
    sides = sorted({phase.size for phase in seen})
    assert sides == [4 * 2**i for i in range(len(sides))] and sides[-1] == size
    stable = {side: sum(phase == Phase(side) for phase in seen) for side in sides}
    fading = {side: sum(phase.size == side and phase.alpha < 1 for phase in seen) for side in sides[1:]}
    assert all(count == pytest.approx(stable[4], abs=2) for count in [*stable.values(), *fading.values()])
    assert all(grow(GROWTH + i / 100, spec(size)) == Phase(size) for i in range(1, 40))


@GROWING
@pytest.mark.parametrize(("size", "channels"), [(16, 3), (32, 1), (64, 1)])
def test_networks_start_full_grown_and_take_and_make_images_of_the_phase(
    family: Family, size: int, channels: int
) -> None:
    generator, critic, z, condition = networks(family, size, channels)
    assert generator.phase == critic.phase == Phase(size)  # type: ignore[comparison-overlap]
    side = 4
    while side <= size:
        phase = Phase(side, 0.5 if side > 4 else 1.0)
        images = at(generator, phase)(z, condition)
        assert images.shape == (3, channels, side, side)
        assert at(critic, phase)(images, condition).shape == (3,)
        side *= 2


@GROWING
@pytest.mark.parametrize("side", [8, 16, 32])
def test_a_layer_fades_in_without_a_jump(family: Family, side: int) -> None:
    """Alpha 0 is the lower resolution, enlarged; alpha 1 the new layer alone; between them a straight line."""
    generator, critic, z, condition = networks(family)
    lower = at(generator, Phase(side // 2))(z, condition)
    enlarged = F.interpolate(lower, scale_factor=2, mode="nearest")
    old, half, new = (at(generator, Phase(side, alpha))(z, condition) for alpha in (0.0, 0.5, 1.0))
    torch.testing.assert_close(old, enlarged)
    torch.testing.assert_close(half, (old + new) / 2)
    assert not torch.allclose(old, new, atol=0.1)
    images = torch.rand(3, 1, side, side) * 2 - 1
    score = at(critic, Phase(side, 0.0))(images, condition)
    torch.testing.assert_close(score, at(critic, Phase(side // 2))(F.avg_pool2d(images, 2), condition))
    nearly, whole = (at(critic, Phase(side, alpha))(images, condition) for alpha in (1 - 1e-6, 1.0))
    torch.testing.assert_close(nearly, whole, rtol=1e-3, atol=1e-4)


@GROWING
def test_low_resolutions_do_no_work_above_them(family: Family) -> None:
    generator, critic, z, condition = networks(family, 64)
    sides: list[int] = []
    for module in [*generator.modules(), *critic.modules()]:
        if isinstance(module, EqualConv2d):
            module.register_forward_hook(lambda _m, _i, out: sides.append(out.shape[-1]))
    phase = Phase(8, 0.5)
    at(critic, phase)(at(generator, phase)(z, condition), condition)
    assert set(sides) == {4, 8}


@GROWING
@pytest.mark.parametrize("part", [0, 1])
def test_every_weight_is_equalised(family: Family, part: int) -> None:
    layers = [m for m in networks(family)[part].modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert layers and all(isinstance(layer, EqualConv2d | EqualLinear) for layer in layers)
    for layer in layers:
        scale = getattr(layer, "multiplier", 1.0)
        assert (layer.weight * scale).std().item() == pytest.approx(1, rel=0.25 if layer.weight.numel() > 50 else 1)


@GROWING
def test_the_critic_is_two_convolutions_a_resolution_and_no_normalisation(family: Family) -> None:
    critic = networks(family, 64)[1]
    called: list[tuple[int, int]] = []
    for module in critic.modules():
        assert not isinstance(module, nn.modules.batchnorm._NormBase)
        if isinstance(module, EqualConv2d):
            module.register_forward_hook(lambda m, i, _out: called.append((m.kernel_size[0], i[0].shape[-1])))
    critic(torch.zeros(2, 1, 64, 64), torch.tensor([0, 1]))
    assert called == [(1, 64), *((3, side) for side in (64, 32, 16, 8) for _ in range(2)), (3, 4)]


@GROWING
def test_the_critic_sees_how_much_a_batch_varies_and_each_images_class(family: Family) -> None:
    critic, condition = networks(family)[1], torch.zeros(4, dtype=torch.int64)
    images = torch.rand(4, 1, 32, 32)
    together, alone = critic(images, condition), critic(images[:1].expand(4, -1, -1, -1), condition)
    assert not torch.isclose(together[0], alone[0])  # the same image among different ones
    assert critic.get_parameter("last.weight").shape[1] == critic.get_parameter("last.weight").shape[0] + 1
    nn.init.normal_(critic.get_parameter("embedding.weight"))
    assert not torch.isclose(critic(images, condition), critic(images, condition + 1)).any()


def test_pixels_are_normalised_after_each_convolution_of_the_generator() -> None:
    generator, _, z, condition = networks(PROGAN, 32)
    inputs: list[Tensor] = []
    for name, module in generator.named_modules():
        if isinstance(module, EqualConv2d):
            module.register_forward_pre_hook(lambda _m, i: inputs.append(i[0]))
            assert module.kernel_size == ((1, 1) if "to_rgb" in name else (3, 3))
    generator(z, condition)
    assert len(inputs) == 1 + 2 * 3 + 1  # 4x4 starts with a dense layer, then two a resolution, then the image's
    for x in inputs:
        torch.testing.assert_close(x.square().mean(1), torch.ones(3, *x.shape[2:]), rtol=1e-3, atol=1e-3)


@GROWING
def test_latents_lie_on_a_hypersphere_and_the_class_is_heard(family: Family) -> None:
    generator, _, z, condition = networks(family)
    longer = z.clone()
    longer[:, : spec().latent] *= 7  # of StyleGAN's latents those that the mapping network takes
    generator.eval()
    torch.testing.assert_close(generator(longer, condition), generator(z, condition), rtol=1e-3, atol=1e-3)
    if family is PROGAN:
        assert not torch.allclose(generator(z, condition), generator(z, (condition + 1) % 3), atol=0.05)


def test_the_loss_is_wasserstein_with_a_penalty_and_a_drift() -> None:
    assert PROGAN.objective.wasserstein and PROGAN.defaults.gp_weight == 10 and PROGAN.defaults.n_critic == 1
    assert PROGAN.defaults.betas == (0, 0.99) and PROGAN.defaults.lr_g == 1e-3 and PROGAN.defaults.ema == 0.999
    real, fake = torch.tensor([3.0, 1.0]), torch.tensor([-2.0, 4.0])
    loss = drifting_critic(real, fake, torch.ones(2), torch.zeros(2))
    assert loss.item() == pytest.approx(1 - 2 + DRIFT * (9 + 1) / 2)


@GROWING
def test_real_and_generated_images_are_never_in_one_batch(family: Family) -> None:
    assert family.defaults.separate_batches and family.critic_norms == ("none",)
    trainer, sizes = make(family), []
    trainer.discriminator.register_forward_pre_hook(lambda _m, i: sizes.append(len(i[0])))
    trainer.train_step()
    assert set(sizes) == {trainer.options.batch}


def stepped(trainer: Trainer, steps: int) -> Trainer:
    for _ in range(steps):
        trainer.train_step()
    return trainer


def assert_same(a: State, b: State) -> None:
    assert a[0].keys() == b[0].keys()
    assert [name for name in a[0] if not a[0][name].equal(b[0][name])] == []
    assert a[1] | {"seconds": 0} == b[1] | {"seconds": 0}


@GROWING
def test_a_resume_in_the_middle_of_a_fade_equals_never_having_stopped(family: Family) -> None:
    small = {"steps": 40, "width": 4, "batch": 4, "latent": 8}
    whole, stopped = stepped(make(family, **small), 12), stepped(make(family, **small), 6)
    assert stopped.generator.phase.size == 8 and 0 < stopped.generator.phase.alpha < 1  # type: ignore[union-attr]
    resumed = make(family, **small)
    resumed.load(stopped.state())
    for name in ("generator", "discriminator", "ema"):
        assert getattr(resumed, name).phase == getattr(stopped, name).phase
    asked = torch.tensor([0, 1])
    assert resumed.sample(asked, seed=3).equal(stopped.sample(asked, seed=3))
    assert resumed.sample(asked, seed=3).shape == (2, 1, 32, 32)
    assert_same(stepped(resumed, 6).state(), whole.state())
    assert whole.generator.phase.size == 16  # type: ignore[union-attr]


@GROWING
def test_a_budget_of_minutes_ends_full_grown(family: Family) -> None:
    """Growth follows the share of time where that is what ends training."""
    trainer = make(family, steps=10**6, width=4, batch=4, latent=8)
    phases: list[Phase] = []

    def clock(_module: nn.Module, _arguments: object) -> None:
        trainer.seconds += 1  # as if each pass of the generator took a second
        phases.append(trainer.generator.phase)  # type: ignore[arg-type]

    trainer.generator.register_forward_pre_hook(clock)
    trainer.run(Hooks(), minutes=1)
    assert trainer.step < 40 and trainer.generator.phase == Phase(32)
    assert {phase.size for phase in phases} == {4, 8, 16, 32}


@GROWING
def test_an_image_is_its_seed_and_condition_in_any_batch(family: Family) -> None:
    trainer = stepped(make(family, width=4, batch=4, latent=8, steps=4), 4)
    seeds, conditions = torch.tensor([5, 6, 7]), torch.tensor([0, 1, 0])
    together = generate(family, trainer.ema, trainer.spec, seeds, conditions)
    apart = generate(family, trainer.ema, trainer.spec, seeds[1:2], conditions[1:2])
    assert together[1:2].equal(apart) and not together[0].equal(together[2])
    assert together.shape == (3, 1, 32, 32)


@GROWING
def test_a_generator_that_has_not_grown_up_is_saved_as_such_and_its_images_are_enlarged(family: Family) -> None:
    trainer = stepped(make(family, width=4, batch=4, latent=8, steps=40), 1)
    loaded = family.generator(trainer.spec)
    loaded.load_state_dict({k[4:]: t for k, t in trainer.state()[0].items() if k.startswith("ema.")})
    assert loaded.phase == Phase(4)
    images = generate(family, loaded, trainer.spec, torch.tensor([1]), torch.tensor([0]))
    assert images.shape == (1, 1, 32, 32)
    assert images.equal(F.interpolate(images[:, :, ::8, ::8], 32, mode="nearest"))


@GROWING
def test_fine_tuning_goes_on_at_full_size(family: Family) -> None:
    base = stepped(make(family, width=4, batch=4, latent=8, steps=2), 2)
    trainer = make(family, width=4, batch=4, latent=8, steps=50)
    tuned = Trainer(
        family,
        trainer.batches.images,
        torch.arange(12) % 2,
        n_conditions=2,
        options=trainer.options,
        seed=1,
        init_from=base.state()[0],
    )
    tuned.train_step()
    assert tuned.generator.phase == tuned.discriminator.phase == Phase(32)  # type: ignore[comparison-overlap]


def test_images_of_the_average_keep_to_the_range_while_training_is_linear() -> None:
    generator, _, z, condition = networks(PROGAN)
    nn.init.constant_(generator.get_parameter("to_rgb.3.bias"), 5.0)
    assert generator(z, condition).max() > 1
    assert generator.eval()(z, condition).abs().max() <= 1
