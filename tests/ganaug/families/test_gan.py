"""The original GAN: rectified and maxout layers, cross-entropy of a sigmoid, and the two losses of the generator."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ganaug.families import get_family
from ganaug.families.gan import maxout, probability
from ganaug.losses import bce_discriminator, non_saturating_generator, saturating_generator
from tests.ganaug.families.examples import chain, kinds, make, spec, weights

GAN = get_family("gan")
LOGITS = st.lists(st.floats(-8, 8), min_size=1, max_size=6).map(torch.tensor)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_dense_layers_are_rectified_in_one_network_and_maxout_in_the_other(size: int) -> None:
    assert GAN.variants[0] == "dense"
    layers = chain(GAN.generator(spec(size, variant="dense")))
    assert kinds(layers) == [nn.Linear, "relu", nn.Linear, "relu", nn.Linear, "tanh"]
    assert kinds(chain(GAN.discriminator(spec(size, variant="dense")))) == [nn.Linear, "amax"] * 2 + [nn.Linear]


@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_convolutional_variant_is_one_transposed_convolution_against_three(size: int) -> None:
    generator = kinds(chain(GAN.generator(spec(size, variant="conv"))))
    assert generator == [nn.Linear, "relu", nn.Linear, "relu", nn.ConvTranspose2d, "tanh"]
    assert kinds(chain(GAN.discriminator(spec(size, variant="conv")))) == [nn.Conv2d, "amax"] * 3 + [nn.Linear]


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_maxout_takes_the_largest_piece_of_each_unit(units: int, pieces: int, seed: int) -> None:
    x = torch.randn(3, units * pieces, 2, generator=torch.Generator().manual_seed(seed))
    expected = torch.stack([x[:, u::units].max(1).values for u in range(units)], dim=1)
    assert maxout(x, pieces).equal(expected)


@pytest.mark.parametrize("variant", GAN.variants)
def test_the_probability_is_the_sigmoid_and_the_loss_its_cross_entropy(variant: str) -> None:
    torch.manual_seed(0)
    discriminator, label = GAN.discriminator(spec(32, variant=variant)), torch.tensor([0, 1, 2, 0])
    real, fake = torch.randn(4, 1, 32, 32), torch.zeros(4, 1, 32, 32)
    p, q = probability(discriminator, real, label), probability(discriminator, fake, label)
    assert p.shape == (4,) and ((p > 0) & (p < 1)).all()
    logits = discriminator(real, label), discriminator(fake, label)
    loss = bce_discriminator(*logits, torch.ones(4), torch.zeros(4))
    torch.testing.assert_close(loss, -p.log().mean() - (1 - q).log().mean())
    torch.testing.assert_close(non_saturating_generator(logits[1]), -q.log().mean())
    torch.testing.assert_close(saturating_generator(logits[1]), (1 - q).log().mean())


@pytest.mark.parametrize("variant", GAN.variants)
@pytest.mark.parametrize("saturating", [False, True])
def test_the_discriminator_is_frozen_while_the_generator_learns_to_be_called_real(
    variant: str, saturating: bool
) -> None:
    trainer = make(GAN, variant=variant, saturating=saturating)
    after_its_own: list[dict[str, Tensor]] = []
    scores: list[Tensor] = []
    trainer.optimizer_d.register_step_post_hook(lambda *_: after_its_own.append(weights(trainer.discriminator)))
    trainer.discriminator.register_forward_hook(lambda _module, _given, out: scores.append(out.detach()))
    before = weights(trainer.generator)
    for _ in range(3):
        row = trainer.train_step()
        fake = scores[-1]  # what the generator's update was scored with
        real_label, fake_label = torch.ones_like(fake), torch.zeros_like(fake)
        crossed = F.binary_cross_entropy_with_logits
        expected = -crossed(fake, fake_label) if saturating else crossed(fake, real_label)
        assert row["loss_g"] == pytest.approx(expected.item(), rel=1e-5)
        now = weights(trainer.discriminator)
        assert all(now[name].equal(tensor) for name, tensor in after_its_own[-1].items())
    assert not after_its_own[0]["first.weight"].equal(after_its_own[1]["first.weight"])
    assert all(not tensor.equal(before[name]) for name, tensor in weights(trainer.generator).items())


@given(LOGITS)
def test_the_saturating_loss_is_the_other_side_of_one_game(fake: Tensor) -> None:
    """min_G max_D V(D, G): what the discriminator gains on generated images is what the generator loses."""
    sure = torch.full_like(fake, 100.0)  # real images cost nothing
    loss = bce_discriminator(sure, fake, torch.ones_like(fake), torch.zeros_like(fake))
    torch.testing.assert_close(saturating_generator(fake), -loss, atol=1e-6, rtol=1e-5)


@given(st.floats(-30, -4))
def test_only_the_saturating_loss_loses_its_gradient_where_the_discriminator_is_sure(logit: float) -> None:
    def slope(loss: Any) -> float:
        fake = torch.tensor([logit], requires_grad=True)
        (gradient,) = torch.autograd.grad(loss(fake), fake)
        return abs(gradient.item())

    assert slope(saturating_generator) < 0.02 < 0.98 < slope(non_saturating_generator)


@pytest.mark.parametrize("variant", GAN.variants)
def test_the_label_is_one_more_one_hot_input(variant: str) -> None:
    generator, z, label = GAN.generator(spec(32, variant=variant)), torch.randn(3, 16), torch.tensor([2, 0, 1])
    first, embedding = generator.get_submodule("first"), generator.get_parameter("label.weight")
    joint = torch.cat([first.get_parameter("weight"), embedding.T], dim=1)  # of a layer on [z, one-hot label]
    given_both = torch.cat([z, F.one_hot(label, 3).float()], dim=1)
    expected = given_both @ joint.T + first.get_parameter("bias")
    seen: list[Tensor] = []
    generator.get_submodule("second").register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    generator(z, label)
    torch.testing.assert_close(seen[0], expected.relu())
