"""StyleGAN: a constant shaped by styles and noise, mixed in training and truncated in sampling; it grows as progan."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ganaug.families import Phase, get_family
from ganaug.families.stylegan import MAPPING_RATE, MIXING, StyledLayer, StyleGenerator, layer_sizes
from ganaug.layers import EqualLinear
from ganaug.losses import bce_discriminator, non_saturating_generator
from tests.ganaug.families.examples import make, spec

STYLEGAN = get_family("stylegan")
SPEC = spec(32)
LATENT = SPEC.latent
CLASSES = torch.tensor([0, 1, 2])


def generator(*, noisy: bool = False) -> StyleGenerator:
    """As built, which is in training; `noisy` as if the scales of the noise had been learned."""
    torch.manual_seed(0)
    built = StyleGenerator(SPEC)
    if noisy:
        for layer in styled(built):
            nn.init.constant_(layer.noise_scale, 0.5)
    return built


def styled(built: StyleGenerator) -> list[StyledLayer]:
    return [module for module in built.modules() if isinstance(module, StyledLayer)]


def latents(n: int = 3, seed: int = 1, crossover: float | None = None) -> Tensor:
    z = STYLEGAN.latents(n, SPEC, None, torch.Generator().manual_seed(seed))
    if crossover is not None:
        z[:, 2 * LATENT] = crossover
    return z


def outputs(built: StyleGenerator, z: Tensor, condition: Tensor = CLASSES) -> list[Tensor]:
    """What comes out of each layer that takes a style."""
    found: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: found.append(out)) for layer in styled(built)]
    built(z, condition)
    for hook in hooks:
        hook.remove()
    return found


def test_synthesis_starts_from_a_learned_constant() -> None:
    built = generator()
    assert built.constant.shape[1:] == (4, 4)
    assert any(built.constant is parameter for parameter in built.parameters())
    seen: list[Tensor] = []
    styled(built)[0].register_forward_pre_hook(lambda _m, i: seen.append(i[0]))
    built(latents(), CLASSES)
    assert (seen[0] == built.constant).all()  # the latent enters through styles alone


def test_the_mapping_network_is_eight_slow_equalised_layers() -> None:
    built = generator()
    layers = [module for module in built.mapping.children() if isinstance(module, EqualLinear)]
    assert len(layers) == 8 and all(layer.multiplier == MAPPING_RATE == 0.01 for layer in layers)
    assert all(isinstance(after, nn.LeakyReLU) for after in list(built.mapping)[1::2])
    w = built.map(latents(64)[:, :LATENT], torch.zeros(64, dtype=torch.int64))
    assert w.shape == (64, LATENT) and 0.05 < w.std() < 5  # the slow layers do not start small


def test_every_resolution_takes_two_styles_and_two_noise_maps() -> None:
    sides: list[int] = []
    built = generator()
    for layer in styled(built):
        layer.register_forward_pre_hook(lambda _m, i: sides.append(i[2].shape[-1]))
    built(latents(), CLASSES)
    assert sides == layer_sizes(32) == [4, 4, 8, 8, 16, 16, 32, 32]


def test_adaptive_instance_normalisation_gives_every_map_the_moments_of_its_style() -> None:
    torch.manual_seed(0)
    layer, x, w = StyledLayer(6, 8), torch.randn(3, 6, 8, 8) * 4 + 2, torch.randn(3, 8)
    nn.init.normal_(layer.style.bias)
    out = layer(x, w, torch.zeros(3, 1, 8, 8))
    scale, shift = layer.style(w).chunk(2, dim=1)
    torch.testing.assert_close(out.mean((2, 3)), shift, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(out.std((2, 3), correction=0), scale.abs(), rtol=1e-3, atol=1e-3)


def test_styles_start_neutral_and_noise_starts_silent() -> None:
    built = generator().eval()
    for layer in styled(built):
        scale, shift = layer.style.bias.chunk(2)
        assert (scale == 1).all() and not shift.any() and not layer.noise_scale.any()
        assert layer.noise_scale.shape == layer.bias.shape  # one a channel
    z, other = latents(), latents(seed=2)
    other[:, : 2 * LATENT + 1] = z[:, : 2 * LATENT + 1]
    assert built(z, CLASSES).equal(built(other, CLASSES))
    loud = generator(noisy=True).eval()
    assert not torch.allclose(loud(z, CLASSES), loud(other, CLASSES), atol=0.01)


@given(layer=st.integers(0, 7))
def test_each_part_of_the_noise_reaches_its_own_layer_and_those_after_it(layer: int) -> None:
    built, z, other = generator(noisy=True).eval(), latents(), latents()
    start = 2 * LATENT + 1 + sum(side**2 for side in layer_sizes(32)[:layer])
    other[:, start] += 3
    same = [a.equal(b) for a, b in zip(outputs(built, z), outputs(built, other), strict=True)]
    assert same == [i < layer for i in range(8)]


@given(first=st.integers(1, 7))
def test_mixing_changes_only_layers_from_the_crossover_on(first: int) -> None:
    crossover = MIXING * (first - 0.5) / 7
    built, z, other = generator(), latents(crossover=crossover), latents(crossover=crossover)
    other[:, LATENT : 2 * LATENT] = latents(seed=2)[:, LATENT : 2 * LATENT]
    same = [torch.equal(a, b) for a, b in zip(outputs(built, z), outputs(built, other), strict=True)]
    assert same == [i < first for i in range(8)]


def test_nine_of_ten_training_images_are_mixed_and_no_sample_is() -> None:
    n = 2000
    z = latents(n)
    built, condition = generator(), torch.zeros(n, dtype=torch.int64)
    w = built.styles(z[:, : 2 * LATENT], z[:, 2 * LATENT :][:, :1], condition, layers=8)
    mixed = (w[0] != w[-1]).any(1)
    assert mixed.float().mean().item() == pytest.approx(MIXING, abs=0.03) and MIXING == 0.9
    lengths = (w == w[0]).all(2).sum(0)[mixed]
    assert lengths.min() == 1 and lengths.max() == 7
    assert lengths.bincount(minlength=8)[1:].float().std() / lengths.bincount(minlength=8)[1:].float().mean() < 0.2
    w = built.eval().styles(z[:, : 2 * LATENT], z[:, 2 * LATENT :][:, :1], condition, layers=8)
    assert (w == w[0]).all()


def test_mixing_stays_within_the_layers_that_have_grown() -> None:
    built = generator()
    built.phase = Phase(4)
    images = [built(latents(crossover=value), CLASSES) for value in (0.0, 0.89, 0.95)]
    assert images[0].equal(images[1])  # two layers: one place to cross over
    assert not images[0].equal(images[2])  # not mixed


def test_truncation_pulls_styles_to_the_mean_of_their_class() -> None:
    built = generator(noisy=True).eval()
    nn.init.normal_(built.w_avg)
    z = latents(6)
    z[:, 2 * LATENT + 1 :] = z[:1, 2 * LATENT + 1 :]  # the same noise maps: only the styles differ
    condition = torch.tensor([0, 0, 0, 1, 1, 1])
    whole = built(z, condition)
    built.truncation = 0.0
    none = built(z, condition)
    for of_class in (none[:3], none[3:]):
        torch.testing.assert_close(of_class, of_class[:1].expand(3, -1, -1, -1))
    assert not torch.allclose(none[0], none[3], atol=0.01) and not torch.allclose(whole[0], whole[1], atol=0.01)
    built.truncation = 0.5
    w = built.styles(z[:, : 2 * LATENT], z[:, :1], condition, layers=8)
    torch.testing.assert_close(w[0], (built.map(z[:, :LATENT], condition) + built.w_avg[condition]) / 2)
    assert built.truncation != generator().truncation == 1.0


def test_the_mean_style_of_each_class_is_followed_in_training_alone() -> None:
    built, condition = generator(), torch.tensor([0, 2, 2])
    z = latents()
    w = built.map(z[:, :LATENT], condition)
    built(z, condition)
    torch.testing.assert_close(built.w_avg[2], 0.005 * w[1:].mean(0))
    torch.testing.assert_close(built.w_avg[0], 0.005 * w[0])
    assert not built.w_avg[1].any()
    before = built.w_avg.clone()
    built.eval()(z, condition)
    assert built.w_avg.equal(before)


def test_the_class_is_heard_by_the_mapping_network() -> None:
    built, z = generator().eval(), latents()
    assert not torch.allclose(built(z, CLASSES), built(z, (CLASSES + 1) % 3), atol=0.01)


def test_upsampling_is_bilinear() -> None:
    built = generator().eval()
    nn.init.zeros_(built.convolutions[0].weight)
    seen: list[Tensor] = []
    built.convolutions[1].register_forward_pre_hook(lambda _m, i: seen.append(i[0]))
    before = outputs(built, latents())[1]
    torch.testing.assert_close(seen[0], F.interpolate(before, scale_factor=2, mode="bilinear", align_corners=False))


def test_the_loss_is_non_saturating_with_r1() -> None:
    assert STYLEGAN.objective.discriminator is bce_discriminator
    assert STYLEGAN.objective.generator is non_saturating_generator
    assert STYLEGAN.defaults.r1_weight > 0 == STYLEGAN.defaults.gp_weight
    assert STYLEGAN.defaults.betas == (0, 0.99)


def test_training_moves_the_scales_of_the_noise_and_the_mean_style() -> None:
    trainer = make(STYLEGAN, steps=8, width=4, batch=4, latent=8)
    trainer.run()
    layers = [module for module in trainer.generator.modules() if isinstance(module, StyledLayer)]
    assert all(layer.noise_scale.any() for layer in layers)
    assert trainer.ema.get_buffer("w_avg").equal(trainer.generator.get_buffer("w_avg"))
    assert trainer.ema.get_buffer("w_avg").any()
