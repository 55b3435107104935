"""Conditional GAN: label and picture are inputs of both networks (Mirza & Osindero 2014, section 3.2)."""

import pytest
import torch
from torch import nn

from ganaug.families import get_family
from ganaug.families.cgan import LABEL
from tests.ganaug.families.examples import chain, conditioning_inputs_for, kinds, make, pictures, spec

CGAN = get_family("cgan")
ZERO = torch.zeros(4, dtype=torch.int64)


def test_the_label_meets_noise_and_image_in_a_joint_hidden_layer_of_each_network() -> None:
    torch.manual_seed(0)
    generator, discriminator = CGAN.generator(spec()), CGAN.discriminator(spec())
    for network in (generator, discriminator):
        assert network.get_parameter("label.weight").shape == (3, LABEL)
    assert generator.get_parameter("first.weight").shape[0] == 16 + LABEL  # noise and label
    assert discriminator.get_parameter("joint.weight").shape[1] == 64 + LABEL  # features and label
    z, x = torch.randn(4, 16), torch.randn(4, 1, 64, 64)
    assert not generator(z, ZERO).isclose(generator(z, ZERO + 1)).flatten(1).all(1).any()
    assert not discriminator(x, ZERO).isclose(discriminator(x, ZERO + 1)).any()


def test_the_layers_are_dcgans() -> None:
    up, down = [nn.ConvTranspose2d, nn.BatchNorm2d, "relu"], [nn.Conv2d, "leaky_relu"]
    assert kinds(chain(CGAN.generator(spec(64)), conditioning_input=None)) == up * 4 + [nn.ConvTranspose2d, "tanh"]
    # joint, score
    assert kinds(chain(CGAN.discriminator(spec(64)), conditioning_input=None)) == down * 4 + [*down, nn.Conv2d]


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("size", [32, 64])
def test_a_picture_joins_the_noise_at_every_resolution_and_the_discriminators_input(size: int, planes: int) -> None:
    torch.manual_seed(0)
    conditioned = spec(size, conditioning_channels=planes)
    generator, discriminator = CGAN.generator(conditioned), CGAN.discriminator(conditioned)
    plain = CGAN.generator(spec(size))
    assert discriminator.get_parameter("downs.0.weight").shape[1] == 1 + planes
    inputs = {name: p.shape[0] for name, p in generator.named_parameters() if "ups" in name or name == "last.weight"}
    assert (
        inputs == {name: plain.get_parameter(name).shape[0] + conditioned.width for name in inputs} and len(inputs) >= 3
    )
    conditioning_input, z = torch.randn(4, planes, size, size), torch.randn(4, 16)
    other = conditioning_input.clone()
    other[:, :, : size // 4, : size // 4] *= -1
    images, changed = generator.eval()(z, ZERO, conditioning_input), generator(z, ZERO, other)
    difference = (images - changed).abs().mean((0, 1))
    assert difference[: size // 4, : size // 4].mean() > 3 * difference[size // 2 :, size // 2 :].mean()  # in its place
    assert not generator(z + 1, ZERO, conditioning_input).isclose(images).all()  # the noise still matters
    assert not discriminator(images, ZERO, conditioning_input).isclose(discriminator(images, ZERO, other)).any()


def test_it_takes_edges_or_masks_and_nothing_else() -> None:
    assert CGAN.conditioning_inputs == ("none", "edges", "mask")


def test_it_learns_to_draw_where_the_mask_says() -> None:
    trainer = make(CGAN, conditioning_input="mask", steps=150, ema=0.9)
    trainer.run()
    z, masks = (
        torch.randn(12, 32, generator=torch.Generator().manual_seed(5)),
        conditioning_inputs_for(CGAN, pictures(), "mask"),
    )
    assert masks is not None
    bright = torch.zeros(12, dtype=torch.int64)
    conditioned = masks.float() / 127.5 - 1
    with torch.no_grad():
        drawn = trainer.ema(z, bright, conditioned)[:, 0]
    inside, outside = drawn[masks[:, 0] > 0].mean(), drawn[masks[:, 0] == 0].mean()
    assert inside - outside > 0.2
