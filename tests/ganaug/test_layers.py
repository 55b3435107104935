"""Layers of the growing families, against what the papers say of them."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ganaug.layers import (
    EqualConv2d,
    EqualLinear,
    enlarge,
    enlarge_smoothly,
    minibatch_stddev,
    pixel_norm,
    shrink,
    shrink_smoothly,
)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("layer", [EqualConv2d(64, 48, 3), EqualLinear(256, 256)])
def test_weights_start_from_a_standard_normal_and_are_scaled_when_used(layer: EqualConv2d | EqualLinear) -> None:
    assert layer.weight.std().item() == pytest.approx(1, rel=0.02) and abs(layer.weight.mean().item()) < 0.02
    assert layer.bias is not None and not layer.bias.any()
    fan_in = layer.weight[0].numel()
    x = randn(8, 64, 16, 16) if isinstance(layer, EqualConv2d) else randn(64, 256)
    used = layer.weight * math.sqrt(2 / fan_in)  # He's constant
    expected = F.conv2d(x, used, padding=1) if isinstance(layer, EqualConv2d) else F.linear(x, used)
    torch.testing.assert_close(layer(x), expected)
    assert expected.square().mean().item() == pytest.approx(2, rel=0.15)  # a rectifier halves it


def moved_by_adam(layer: nn.Linear) -> float:
    """Share by which one step changes the weights."""
    before = layer.weight.detach().clone()
    layer(randn(16, layer.in_features)).square().mean().backward()
    torch.optim.Adam(layer.parameters(), lr=1e-2).step()
    return ((layer.weight - before).norm() / before.norm()).item()


def test_one_step_of_adam_moves_narrow_and_wide_layers_by_the_same_share() -> None:
    assert moved_by_adam(EqualLinear(400, 64)) == pytest.approx(moved_by_adam(EqualLinear(4, 64)), rel=0.1)
    plain = [nn.Linear(4, 64), nn.Linear(400, 64)]
    for layer in plain:
        nn.init.kaiming_normal_(layer.weight)
    assert moved_by_adam(plain[1]) > 5 * moved_by_adam(plain[0])


def test_a_multiplier_slows_the_layer_down_and_leaves_its_output() -> None:
    moved = []
    for multiplier in (1.0, 0.01):
        torch.manual_seed(0)
        layer, x = EqualLinear(32, 32, multiplier=multiplier), randn(16, 32)
        before = layer(x).detach()
        assert before.square().mean().item() == pytest.approx(2, rel=0.3)
        layer(x).square().mean().backward()
        torch.optim.Adam(layer.parameters(), lr=1e-3).step()
        moved.append((layer(x) - before).norm().item())
    assert moved[1] == pytest.approx(moved[0] / 100, rel=0.1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), factor=st.floats(0.1, 100))
def test_pixel_norm_puts_every_pixel_on_a_sphere_and_forgets_its_scale(seed: int, factor: float) -> None:
    x = randn(2, 5, 3, 3, seed=seed) + 0.1
    normalised = pixel_norm(x)
    torch.testing.assert_close(normalised.square().mean(1), torch.ones(2, 3, 3), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(pixel_norm(x * factor), normalised, rtol=1e-3, atol=1e-3)


def test_the_spread_of_a_batch_is_one_feature_map() -> None:
    x = randn(8, 6, 4, 4)
    found = minibatch_stddev(x)
    assert found.shape == (8, 7, 4, 4) and found[:, :6].equal(x)
    for group in (slice(0, 4), slice(4, 8)):
        spread = x[group].std(0, correction=0).mean()
        torch.testing.assert_close(found[group, 6], spread.expand(4, 4, 4))


def test_equal_images_have_no_spread_and_a_finite_gradient() -> None:
    x = randn(1, 6, 4, 4).expand(4, -1, -1, -1).clone().requires_grad_(True)
    found = minibatch_stddev(x)
    assert found[:, 6].max() < 1e-3
    found.sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 23))
def test_any_batch_falls_into_groups_of_at_most_four(n: int) -> None:
    x = torch.zeros(n, 1, 4, 4)
    groups = []
    for i in range(n):
        alone = x.clone()
        alone[i] = 1
        groups.append(int((minibatch_stddev(alone)[:, 1, 0, 0] > 0.01).sum()))
    assert max(groups) <= 4 and (n == 1 or min(groups) >= 2)


def test_filters_keep_what_is_flat_and_undo_each_others_size() -> None:
    flat = torch.full((1, 2, 8, 8), 3.0)
    for up in (enlarge, enlarge_smoothly):
        assert up(flat).equal(torch.full((1, 2, 16, 16), 3.0))
    assert shrink(flat).equal(torch.full((1, 2, 4, 4), 3.0))
    torch.testing.assert_close(shrink_smoothly(flat)[:, :, 1:-1, 1:-1], torch.full((1, 2, 2, 2), 3.0))
    x = randn(1, 2, 8, 8)
    torch.testing.assert_close(shrink(enlarge(x)), x)


def test_smooth_filters_are_the_plain_ones_and_a_binomial_blur() -> None:
    taps = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = (taps[:, None] * taps).expand(1, 1, 3, 3)
    x = randn(1, 1, 8, 8)
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # they treat the border differently
    torch.testing.assert_close(enlarge_smoothly(x)[inside], F.conv2d(enlarge(x), kernel, padding=1)[inside])
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(shrink_smoothly(x)[inside], shrink(F.conv2d(x, kernel, padding=1))[inside])
