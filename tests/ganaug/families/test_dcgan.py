"""DCGAN's rules for networks (Radford et al. 2015, section 3), for every family that is built of them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ganaug.families import FAMILIES, get_family
from ganaug.networks import ResizeConv2d
from ganaug.preconditions import check_options
from tests.ganaug.families.examples import chain, kinds, make, spec, weights

DCGAN = get_family("dcgan")
BUILT_OF_IT = ("dcgan", "wgan", "wgan_gp")
SIZES = (32, 64, 128, 256)
DOUBLE = {"transposed": nn.ConvTranspose2d, "resize": ResizeConv2d}


@pytest.mark.parametrize("name", BUILT_OF_IT)
@pytest.mark.parametrize("variant", DOUBLE)
@pytest.mark.parametrize("size", SIZES)
def test_the_generator_normalises_all_but_its_output_and_has_no_dense_layer(name: str, variant: str, size: int) -> None:
    layers = chain(get_family(name).generator(spec(size, variant=variant)))
    doublings = size.bit_length() - 3  # from 4x4
    up = DOUBLE[variant]
    hidden = [nn.ConvTranspose2d, nn.BatchNorm2d, "relu"] + [up, nn.BatchNorm2d, "relu"] * (doublings - 1)
    assert kinds(layers) == [*hidden, up, "tanh"]
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    assert [c.stride for c in convolutions] == [(1, 1)] + [(2, 2) if variant == "transposed" else (1, 1)] * doublings
    drawn = torch.cat([c.weight.detach().flatten() for c in convolutions])
    assert drawn.mean().abs() < 1e-3 and drawn.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("name", BUILT_OF_IT)
@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("size", SIZES)
def test_the_discriminator_strides_instead_of_pooling_and_normalises_all_but_its_input(
    name: str, norm: str, size: int
) -> None:
    layers = chain(get_family(name).discriminator(spec(size, critic_norm=norm)))
    halvings = size.bit_length() - 3  # down to 4x4
    between = [nn.Conv2d, nn.BatchNorm2d, "leaky_relu"] if norm == "batch" else [nn.Conv2d, "leaky_relu"]
    assert kinds(layers) == [nn.Conv2d, "leaky_relu"] + between * (halvings - 1) + [nn.Linear]
    assert all(layer.stride == (2, 2) for layer in layers if isinstance(layer, nn.Conv2d))
    assert layers[-1].out_features == 1  # the score: no dense layer is hidden


def test_the_papers_variants_and_norms_are_offered() -> None:
    assert DCGAN.variants == ("transposed", "resize") and set(DCGAN.critic_norms) == {"none", "batch", "spectral"}
    paper = replace(DCGAN.defaults, critic_norm="batch", r1_weight=0.0, separate_batches=True)
    check_options(DCGAN, paper)
    with pytest.raises(ValueError, match=r"gan\.r1_weight to 0"):
        check_options(DCGAN, replace(paper, r1_weight=0.05))


def test_a_normalised_discriminator_keeps_still_while_the_generator_learns() -> None:
    trainer = make(DCGAN, critic_norm="batch", r1_weight=0.0, separate_batches=True)
    own: list[dict[str, Tensor]] = []
    trainer.optimizer_d.register_step_post_hook(lambda *_: own.append(weights(trainer.discriminator)))
    trainer.train_step()
    assert all(tensor.equal(own[-1][name]) for name, tensor in weights(trainer.discriminator).items())
    trainer.train_step()
    assert not own[0]["downs.1.weight"].equal(own[1]["downs.1.weight"])


@pytest.mark.parametrize("size", [4, 8])
def test_on_an_even_map_a_transposed_convolution_draws_a_checkerboard_and_a_resized_one_does_not(size: int) -> None:
    """Odena et al. 2016: its even and its odd rows come from different weights, whatever the weights are."""
    torch.manual_seed(0)
    even = torch.randn(1, 8, 1, 1).expand(-1, -1, size, size)
    for variant in DOUBLE:
        (layer,) = [
            module for name, module in DCGAN.generator(spec(32, variant=variant)).named_modules() if name == "ups.0"
        ]
        channels = next(layer.parameters()).shape[0 if variant == "transposed" else 1]
        out = layer(even.repeat(1, channels // 8, 1, 1)).detach()[..., 2:-2, 2:-2]  # the border sees the padding
        assert out[..., ::2, ::2].std((2, 3)).max() < 1e-6  # of the same phase: the same
        phases = torch.stack([out[..., y::2, x::2].mean((2, 3)) for y in (0, 1) for x in (0, 1)])
        if variant == "transposed":
            assert phases.std(0).mean() > 0.5 * out.std()
        else:
            assert phases.std(0).max() < 1e-6


def stride_energy(variant: str) -> float:
    """Power of an untrained generator's images at the last layer's stride frequency, over that of all but the mean."""
    torch.manual_seed(0)
    images = DCGAN.generator(spec(64, variant=variant))(torch.randn(64, 16), torch.arange(64) % 3).detach()
    power = torch.fft.fft2(images - images.mean((2, 3), keepdim=True)).abs().square().mean((0, 1))  # [64, 64]
    at_stride = power[32, :].sum() + power[:, 32].sum() - power[32, 32]  # one cycle in two pixels, along either axis
    return (at_stride / power.sum()).item()


def test_an_untrained_transposed_generator_has_the_checkerboards_energy() -> None:
    assert stride_energy("transposed") > 10 * stride_energy("resize")


@pytest.mark.parametrize("name", [name for name in BUILT_OF_IT if name in FAMILIES])
def test_the_condition_is_heard_by_both_networks(name: str) -> None:
    torch.manual_seed(0)
    generator, z = get_family(name).generator(spec()), torch.randn(4, 16)
    images = generator(z, torch.zeros(4, dtype=torch.int64))
    assert images.shape == (4, 1, 64, 64) and images.abs().max() <= 1
    generator.get_parameter("norms.0.gain.weight").data[1] = 2
    assert not generator(z, torch.ones(4, dtype=torch.int64)).equal(images)
    critic, condition = get_family(name).discriminator(spec()), torch.tensor([0, 1, 2, 0])
    nn.init.normal_(critic.get_parameter("embedding.weight"))
    scores = critic(images, condition)
    assert scores.shape == (4,) and not torch.isclose(critic(images, (condition + 1) % 3), scores).any()
