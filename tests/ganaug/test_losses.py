"""Losses and gradient regularisers against values worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ganaug.losses import (
    bce_discriminator,
    gradient_penalty,
    non_saturating_generator,
    r1_penalty,
    wasserstein_critic,
    wasserstein_generator,
)

SHAPE = (5, 3, 4, 4)
MIX = torch.tensor([0.0, 0.2, 0.5, 0.7, 0.9], dtype=torch.float64)[:, None, None, None]


def draw(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(norm: float) -> Tensor:
    """Weights of a linear critic whose gradient has this norm everywhere."""
    weight = draw(7)[0]
    return weight * (norm / weight.norm())


def test_cross_entropy_is_that_of_the_probabilities() -> None:
    real, fake, soft = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 0.0]), torch.tensor([0.9, 0.8])
    p, q = real.sigmoid(), fake.sigmoid()
    expected = -(soft * p.log() + (1 - soft) * (1 - p).log()).mean() - (1 - q).log().mean()
    assert bce_discriminator(real, fake, soft, torch.zeros(2)).item() == pytest.approx(expected.item(), rel=1e-6)
    assert non_saturating_generator(fake).item() == pytest.approx(-q.log().mean().item(), rel=1e-6)


def test_wasserstein_losses_oppose_each_other() -> None:
    real, fake = torch.tensor([3.0, 1.0]), torch.tensor([-1.0, 0.0])
    assert wasserstein_critic(real, fake, torch.ones(2), torch.zeros(2)).item() == -2.5
    assert wasserstein_generator(fake).item() == 0.5


@given(norm=st.floats(0.01, 50))
def test_penalty_of_a_linear_critic_is_its_norm_minus_one_squared(norm: float) -> None:
    weight = linear(norm)
    found = gradient_penalty(lambda x: (x * weight).flatten(1).sum(1), draw(0), draw(1), MIX)
    assert found.item() == pytest.approx((norm - 1) ** 2, abs=1e-9)


def test_penalty_is_taken_on_the_interpolates() -> None:
    real, fake, mix = draw(0), draw(1), MIX
    between = mix * real + (1 - mix) * fake
    expected = (between.flatten(1).norm(dim=1) - 1).square().mean()  # the gradient of |x|^2 / 2 is x
    found = gradient_penalty(lambda x: 0.5 * x.square().flatten(1).sum(1), real, fake, mix)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


def test_penalty_teaches_the_critic_and_nobody_else() -> None:
    weight = linear(3.0).requires_grad_(True)
    real, fake = draw(0).requires_grad_(True), draw(1).requires_grad_(True)
    gradient_penalty(lambda x: (x * weight).flatten(1).sum(1), real, fake, MIX).backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, 2 * (3.0 - 1) * weight.detach() / 3.0)
    assert real.grad is None and fake.grad is None


def test_penalty_of_a_constant_critic_has_a_finite_gradient() -> None:
    weight = torch.zeros(SHAPE[1:], dtype=torch.float64, requires_grad=True)
    penalty = gradient_penalty(lambda x: (x * weight).flatten(1).sum(1), draw(0), draw(1), MIX)
    penalty.backward()
    assert math.isclose(penalty.item(), 1, rel_tol=1e-5)
    assert weight.grad is not None and weight.grad.isfinite().all()


@given(norm=st.floats(0.01, 50), steepness=st.floats(0.01, 5))
def test_r1_is_half_the_squared_gradient_on_real_images(norm: float, steepness: float) -> None:
    real, weight = draw(0), linear(norm)
    assert r1_penalty(lambda x: (x * weight).flatten(1).sum(1), real).item() == pytest.approx(norm**2 / 2)
    squared = real.square().flatten(1).sum(1).mean().item()
    found = r1_penalty(lambda x: 0.5 * steepness * x.square().flatten(1).sum(1), real)
    assert found.item() == pytest.approx(steepness**2 * squared / 2)
