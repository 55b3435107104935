"""The structural rules of Zhang et al. 2016 on the built networks, and what moves in which stage."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ganaug.blocks import ConditioningAugmentation, ResidualBlock, kl_to_standard_normal
from ganaug.families.base import Made, Phase
from ganaug.families.stackgan import (
    N_G,
    STACKGAN,
    augmentation_loss,
    draw_latents,
    matching_aware_discriminator,
    mismatch_loss,
    stage,
    stage_one_size,
)
from ganaug.networks import ConditionalBatchNorm2d
from ganaug.sampling import generate, latents
from ganaug.spec import Spec
from ganaug.training_loop import Trainer
from tests.ganaug.families.examples import make, weights

SPEC = Spec(64, 1, conditions=3, latent=16, width=8, conditioning_channels=12)


def built(kind: str, spec: Spec = SPEC) -> Any:
    torch.manual_seed(0)
    return getattr(STACKGAN, kind)(spec)


def given_inputs(n: int = 4, spec: Spec = SPEC) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, conditions, sentences."""
    draw = torch.Generator().manual_seed(1)
    z = draw_latents(n, spec, None, draw)
    return z, torch.arange(n) % spec.conditions, torch.randn(n, spec.conditioning_channels, generator=draw)


def shapes_along(network: nn.Module, kind: type[nn.Module], *inputs: Tensor) -> dict[str, tuple[int, ...]]:
    """Name of each module of a kind to the shape `[C, H, W]` of what it gives."""
    found: dict[str, tuple[int, ...]] = {}
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: found.update({name: tuple(out.shape[1:])}))
        for name, module in network.named_modules()
        if isinstance(module, kind)
    ]
    network(*inputs)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize(("size", "small"), [(16, 8), (32, 16), (64, 32), (128, 32), (256, 64)])
def test_stage_one_trains_first_and_stage_two_after_it(size: int, small: int) -> None:
    spec = replace(SPEC, size=size)
    assert stage_one_size(spec) == small
    assert [stage(progress, spec) for progress in (0.0, 0.49, 0.5, 1.0)] == [Phase(small)] * 2 + [Phase(size)] * 2
    generator, critic = built("generator", spec), built("discriminator", spec)
    z, condition, phi = given_inputs(2, spec)
    for phase in (Phase(size), Phase(small)):
        generator.phase = critic.phase = phase
        images = generator(z, condition, phi)
        assert images.shape == (2, 1, phase.size, phase.size) and images.abs().max() <= 1
        assert critic(images, condition, phi).shape == (2,)


def test_the_networks_start_at_full_size_and_keep_their_phase_with_their_weights() -> None:
    generator, other = built("generator"), built("generator")
    assert generator.phase == Phase(64)
    generator.phase = Phase(32)
    other.load_state_dict(generator.state_dict())
    assert other.phase == Phase(32)


@settings(max_examples=25, deadline=None)
@given(mu=st.floats(-3, 3), sigma=st.floats(0.1, 3))
def test_the_divergence_is_equation_two(mu: float, sigma: float) -> None:
    mus, variances = torch.full((2, 5), mu), torch.full((2, 5), sigma**2)
    normal = torch.distributions.Normal(mus, variances.sqrt())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_to_standard_normal(mus, variances.log()), expected, rtol=1e-4, atol=1e-5)


def test_c_hat_is_drawn_around_the_sentences_mean_with_the_epsilon_that_is_given() -> None:
    torch.manual_seed(0)
    augmentation = ConditioningAugmentation(12, N_G)
    phi = torch.randn(1, 12)
    mu, log_variance = augmentation.moments(phi)
    torch.testing.assert_close(augmentation(phi, torch.zeros(1, N_G)), mu)
    torch.testing.assert_close(augmentation(phi, torch.ones(1, N_G)), mu + (log_variance / 2).exp())
    assert augmentation(phi, torch.zeros(1, N_G)).equal(augmentation(phi, torch.zeros(1, N_G)))


@pytest.mark.parametrize("phase", [Phase(32), Phase(64)])
def test_all_randomness_comes_from_the_latents(phase: Phase) -> None:
    generator = built("generator").eval()
    generator.phase = phase
    inputs = given_inputs()
    before = torch.random.get_rng_state()
    first = generator(*inputs)
    torch.rand(7)
    assert generator(*inputs).equal(first)
    torch.random.set_rng_state(before)
    generator(*inputs)
    assert torch.random.get_rng_state().equal(before)  # nothing is drawn in forward


def test_latents_hold_the_noise_and_the_epsilon_of_either_stage() -> None:
    wide = replace(SPEC, latent=3000, noise="uniform")
    z = latents(STACKGAN, wide, torch.tensor([7, 8]))
    assert z.shape == (2, 3000 + 2 * N_G) and not z[0].equal(z[1])
    assert z[:, :3000].abs().max() <= 1  # as asked for; the epsilons stay normal
    many = latents(STACKGAN, replace(wide, latent=2), torch.arange(60))[:, 2:]
    assert many.abs().max() > 2 and many.std().item() == pytest.approx(1, abs=0.05)


def test_both_epsilons_the_noise_the_sentence_and_the_class_are_heard_where_they_should_be() -> None:
    generator = built("generator").eval()
    with torch.no_grad():
        for name, weight in generator.named_parameters():
            weight.mul_(5 if weight.ndim == 4 else 1)
            weight.add_(torch.randn_like(weight) if "gain" in name else 0)
    z, condition, phi = given_inputs()
    noise, epsilon_0, epsilon = slice(0, 16), slice(16, 16 + N_G), slice(16 + N_G, None)
    heard = {}
    for phase in (Phase(32), Phase(64)):
        generator.phase = phase
        reference = generator(z, condition, phi)
        for name, part in (("noise", noise), ("epsilon_0", epsilon_0), ("epsilon", epsilon)):
            changed = z.clone()
            changed[:, part] += 1
            heard[phase.size, name] = not generator(changed, condition, phi).allclose(reference, atol=1e-4)
        assert not generator(z, condition, phi + 1).allclose(reference, atol=1e-4)
        assert not generator(z, (condition + 1) % 3, phi).allclose(reference, atol=1e-4)
    # stage II has no noise of its own: what it hears of z comes with the small image
    assert heard == {(s, n): (s, n) != (32, "epsilon") for s in (32, 64) for n in ("noise", "epsilon_0", "epsilon")}


def test_stage_one_goes_up_from_4x4_by_nearest_neighbour_and_3x3() -> None:
    generator = built("generator")
    generator.phase = Phase(32)
    shapes = shapes_along(generator, nn.Conv2d, *given_inputs())
    assert [shape for name, shape in shapes.items() if name.startswith("one.")] == [
        (32, 8, 8),
        (16, 16, 16),
        (8, 32, 32),
        (1, 32, 32),
    ]
    assert not any(name.startswith("two.") for name in shapes)
    assert generator.one.first.in_features == 16 + N_G
    convolutions = [m for m in generator.one.modules() if isinstance(m, nn.Conv2d)]
    assert {(c.kernel_size, c.stride) for c in convolutions} == {((3, 3), (1, 1))}


@pytest.mark.parametrize(("size", "blocks"), [(64, 2), (128, 2), (256, 4)])
def test_stage_two_encodes_joins_the_sentence_refines_and_decodes(size: int, blocks: int) -> None:
    spec = replace(SPEC, size=size)
    generator, small = built("generator", spec), stage_one_size(spec)
    shapes = shapes_along(generator, nn.Conv2d, *given_inputs(2, spec))
    inner = (32, small // 4, small // 4)  # M_g
    assert shapes["two.first"] == (8, small, small)
    assert [shapes[f"two.downs.{i}.conv"] for i in (0, 1)] == [(16, small // 2, small // 2), inner]
    assert shapes["two.join.conv"] == inner and generator.two.join.conv.in_channels == 32 + N_G
    assert len(generator.two.residual) == blocks
    assert all(isinstance(block, ResidualBlock) for block in generator.two.residual)
    assert [shapes[f"two.ups.{i}.conv"][1] for i in range(len(generator.two.ups))] == [
        small // 4 * 2 ** (i + 1) for i in range(len(generator.two.ups))
    ]
    assert shapes["two.last"] == (1, size, size)
    assert generator.one.augmentation is not generator.two.augmentation  # own dense layers (section 3.4)
    normalised = sum(isinstance(m, ConditionalBatchNorm2d) for m in generator.two.modules())
    convolutions = sum(isinstance(m, nn.Conv2d) for m in generator.two.modules())
    assert convolutions - normalised == 2  # neither the first nor the last


def test_stage_two_starts_from_the_image_of_stage_one() -> None:
    """Before it has learnt anything: with nothing to add, it enlarges."""
    generator = built("generator").eval()
    for parameter in generator.two.last.parameters():
        parameter.data.zero_()
    small, images = (drawn(generator, size) for size in (SPEC.size // 2, SPEC.size))
    assert nn.functional.avg_pool2d(images, 2).sub(small).abs().mean() < 0.1 * small.std()


def drawn(generator: Any, size: int) -> Tensor:
    generator.phase = Phase(size)
    images: Tensor = generator(*given_inputs())
    return images


@pytest.mark.parametrize("phase", [Phase(32), Phase(64)])
def test_a_critic_joins_the_sentence_at_4x4_by_a_1x1_convolution(phase: Phase) -> None:
    critic = built("discriminator")
    critic.phase = phase
    _, condition, phi = given_inputs()
    images = torch.randn(4, 1, phase.size, phase.size)
    shapes = shapes_along(critic, nn.Conv2d, images, condition, phi)
    stage_ = "one" if phase.size == 32 else "two"
    assert {name.split(".")[0] for name in shapes} == {stage_}
    part = critic.get_submodule(stage_)
    assert shapes[f"{stage_}.join"][1:] == (4, 4) and part.join.kernel_size == (1, 1)
    assert all(down.kernel_size == (4, 4) and down.stride == (2, 2) for down in part.downs)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in critic.modules())
    scores = critic(images, condition, phi)
    assert not torch.isclose(critic(images, condition, phi + 1), scores).any()
    nn.init.normal_(part.embedding.weight)
    assert not torch.isclose(critic(images, (condition + 1) % 3, phi), critic(images, condition, phi)).any()


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The stages of which a parameter or a buffer changed."""
    return {name.split(".")[0] for name in before if not before[name].equal(after[name])} - {"_extra_state"}


@pytest.mark.parametrize(("done", "learns"), [(0, "one"), (5, "two")])
def test_only_the_stage_in_training_moves(done: int, learns: str) -> None:
    trainer = make(STACKGAN, steps=10)
    for _ in range(done):
        trainer.train_step()
    before = [weights(network) for network in (trainer.generator, trainer.discriminator)]
    for _ in range(3):
        trainer.train_step()
        for network in (trainer.generator, trainer.discriminator):
            flows = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
            assert flows == {learns}  # not even a gradient goes into the other
    after = [weights(network) for network in (trainer.generator, trainer.discriminator)]
    assert [moved(a, b) for a, b in zip(before, after, strict=True)] == [{learns}, {learns}]
    every = {name for name, p in trainer.generator.named_parameters() if name.startswith(f"{learns}.")}
    assert all(not before[0][name].equal(after[0][name]) for name in every if "augmentation" in name)


def test_going_on_from_a_state_equals_never_having_stopped_in_either_stage() -> None:
    whole = make(STACKGAN, steps=8, r1_every=2)
    states = []
    for _ in range(8):
        states.append(whole.state())
        whole.train_step()
    for at in (2, 4, 6):
        resumed = make(STACKGAN, steps=8, r1_every=2)
        resumed.load(states[at])
        asked = torch.tensor([0, 1])
        assert resumed.sample(asked, seed=0).shape == (2, 1, 32, 32)
        for _ in range(8 - at):
            resumed.train_step()
        ended, tensors = whole.state()[0], resumed.state()[0]
        assert [name for name in ended if not ended[name].equal(tensors[name])] == []


def made_of(phi: Tensor, augment: Any = lambda images: images) -> Made:
    images = torch.randn(len(phi), 1, 64, 64, generator=torch.Generator().manual_seed(2))
    return Made(images, images, (torch.arange(len(phi)) % 3, phi), images, lambda x: x, augment)


def test_generated_images_are_one_of_two_kinds_of_fakes() -> None:
    real, fake = torch.tensor([0.3, -2.0]), torch.tensor([1.0, 0.5])
    loss = matching_aware_discriminator(real, fake, torch.ones(2), torch.zeros(2))
    expected = -(real.sigmoid().log().mean()) - 0.5 * (1 - fake.sigmoid()).log().mean()
    torch.testing.assert_close(loss, expected)


def test_real_images_with_the_sentence_of_another_are_the_other_kind() -> None:
    critic, phi = built("discriminator"), given_inputs()[2]
    made = made_of(phi, augment=lambda images: images * 0.5)
    # as the discriminator sees them elsewhere
    scores = critic(made.real * 0.5, made.conditioning[0], phi[[3, 0, 1, 2]])
    expected = -0.5 * (1 - scores.sigmoid()).log().mean()
    torch.testing.assert_close(mismatch_loss(critic, critic, made), expected)


def test_a_pair_whose_sentences_agree_is_no_mismatch() -> None:
    critic, phi = built("discriminator"), given_inputs()[2]
    phi[2] = phi[1]  # the third image's wrong sentence is its own
    made = made_of(phi)
    scores = critic(made.real, made.conditioning[0], phi[[3, 0, 1, 2]])[[0, 1, 3]]
    torch.testing.assert_close(mismatch_loss(critic, critic, made), 0.5 * nn.functional.softplus(scores).mean())
    assert mismatch_loss(critic, critic, made_of(phi[:1].expand(4, -1))).item() == 0


def test_the_generator_pays_for_its_augmentation_and_not_for_mismatches() -> None:
    generator, (_, condition, phi) = built("generator"), given_inputs()
    images = torch.randn(4, 1, 64, 64, requires_grad=True)
    made = Made(images, images, (condition, phi), images.detach(), lambda x: x)
    assert mismatch_loss(generator, built("discriminator"), made).item() == 0
    for phase, name in ((Phase(32), "one"), (Phase(64), "two")):
        generator.zero_grad()
        generator.phase = phase
        loss = augmentation_loss(generator, generator, made)
        assert math.isclose(
            loss.item(), kl_to_standard_normal(*generator.get_submodule(name).augmentation.moments(phi)).item()
        )
        loss.backward()
        assert {n for n, p in generator.named_parameters() if p.grad is not None} == {
            f"{name}.augmentation.dense.{part}" for part in ("weight", "bias")
        }


def test_mismatches_teach_the_discriminator_to_read() -> None:
    """Four equal images that differ in brightness and a sentence that says it: the wrong sentence must cost score."""
    levels = torch.tensor([40, 215]).repeat(6)
    images = levels.to(torch.uint8)[:, None, None, None].expand(-1, 1, 32, 32).contiguous()
    phi = (levels > 128).float()[:, None] * 2 - 1
    options = replace(STACKGAN.defaults, steps=200, batch=8, width=8, latent=8, diffaugment="")
    zeros = torch.zeros(12, dtype=torch.int64)
    trainer = Trainer(STACKGAN, images, zeros, n_conditions=1, options=options, seed=0, conditioning_inputs=phi)
    for _ in range(60):
        trainer.train_step()
    real = nn.functional.adaptive_avg_pool2d(images.float() / 127.5 - 1, 16)
    with torch.no_grad():
        right, wrong = (trainer.discriminator(real, zeros, sentence) for sentence in (phi, -phi))
    assert (right > wrong + 0.5).all()


def test_an_image_depends_on_its_own_seed_class_and_sentence_alone() -> None:
    generator = built("generator")
    _, condition, phi = given_inputs(9)
    seeds = torch.arange(9)
    whole = generate(STACKGAN, generator, SPEC, seeds, condition, conditioning_inputs=phi)
    some = torch.tensor([7, 2])
    assert generate(STACKGAN, generator, SPEC, seeds[some], condition[some], conditioning_inputs=phi[some]).equal(
        whole[some]
    )


def test_it_needs_a_sentence() -> None:
    images = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)
    with pytest.raises(ValueError, match="stackgan needs a conditioning input: text"):
        Trainer(STACKGAN, images, torch.zeros(4).long(), n_conditions=1, options=STACKGAN.defaults, seed=0)


def test_defaults() -> None:
    # a mirrored image would contradict "left"
    assert STACKGAN.conditioning_inputs == ("text",) and not STACKGAN.defaults.flips
    assert STACKGAN.defaults.content_weight == pytest.approx(1 / 128)
