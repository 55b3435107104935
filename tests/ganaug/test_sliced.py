"""Sliced Wasserstein distance: zero where it must be, growing with what separates two sets, blind to their order."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ganaug.metrics import sliced_wasserstein
from ganaug.metrics.sliced import descriptors, laplacian_pyramid, wasserstein


def textures(n: int, size: int = 32, channels: int = 1, seed: int = 0) -> Tensor:
    """Noise under a slope: detail at every scale."""
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, channels, size, size, generator=draw)
    return (noise * 40 + torch.linspace(60, 190, size)).clamp(0, 255).to(torch.uint8)


def blurred(images: Tensor, times: int) -> Tensor:
    x = images.float()
    for _ in range(times):
        x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return x.round().to(torch.uint8)


@pytest.mark.parametrize(("size", "channels"), [(16, 1), (32, 3), (64, 1)])
def test_a_set_is_at_no_distance_from_itself_at_every_level(size: int, channels: int) -> None:
    images = textures(4, size, channels)
    found = sliced_wasserstein(images, images, seed=0)
    assert list(found) == [side for side in (64, 32, 16) if side <= size]
    assert set(found.values()) == {0.0}


@settings(max_examples=5, deadline=None)
@given(order=st.permutations(range(5)), seed=st.integers(0, 2**31))
def test_the_order_of_images_does_not_matter(order: list[int], seed: int) -> None:
    a, b = textures(5), textures(4, seed=1)
    whole = sliced_wasserstein(a, b, seed=seed)
    assert sliced_wasserstein(a[order], b, seed=seed) == pytest.approx(whole, rel=1e-9)
    assert sliced_wasserstein(b, a[order], seed=seed) == pytest.approx(whole, rel=1e-9)


def test_it_grows_with_blur_and_most_where_the_detail_is() -> None:
    reference, images = textures(8), textures(8, seed=1)
    by_blur = [sliced_wasserstein(blurred(images, times), reference, seed=0) for times in range(4)]
    for side in (32, 16):
        distances = [found[side] for found in by_blur]
        assert distances == sorted(distances) and distances[0] < distances[-1] / 2
    assert by_blur[1][32] > 2 * by_blur[1][16]


def test_a_seed_gives_the_same_figure_and_the_global_stream_is_left_alone() -> None:
    a, b = textures(3), textures(3, seed=1)
    torch.manual_seed(0)
    first = sliced_wasserstein(a, b, seed=7)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert sliced_wasserstein(a, b, seed=7) == first != sliced_wasserstein(a, b, seed=8)
    torch.manual_seed(0)
    assert torch.rand(1).equal(after)


def test_brightness_and_contrast_of_a_level_are_not_compared() -> None:
    images = textures(4) // 2
    assert sliced_wasserstein(images, 2 * images, seed=0)[32] == pytest.approx(0, abs=1e-9)
    assert sliced_wasserstein(images, images + 100, seed=0)[16] == pytest.approx(0, abs=1e-9)


def test_flat_images_are_at_a_finite_distance() -> None:
    flat = torch.full((2, 1, 32, 32), 9, dtype=torch.uint8)
    assert set(sliced_wasserstein(flat, flat + 50, seed=0).values()) == {0.0}
    assert 0 < sliced_wasserstein(flat, textures(2), seed=0)[32] < 10


def test_the_pyramid_adds_up_to_the_image() -> None:
    images = textures(2, 64).double()
    fine, middle, coarse = laplacian_pyramid(images)
    assert [level.shape[-1] for level in (fine, middle, coarse)] == [64, 32, 16]
    flat = laplacian_pyramid(torch.full((1, 1, 64, 64), 3.0))
    assert flat[0].abs().max() < 1e-5 and flat[1].abs().max() < 1e-5
    torch.testing.assert_close(flat[2], torch.full((1, 1, 16, 16), 3.0))
    assert fine.mean().abs() < 0.5 < coarse.mean()  # the coarsest keeps the brightness


def test_descriptors_are_normalised_patches() -> None:
    level = textures(3, 32, 3).double()
    places = torch.tensor([0, 27])  # corners (0, 0) and (1, 1) of the 26 x 26 that fit
    found = descriptors(level, places).view(3, 2, 3, 49)
    torch.testing.assert_close(found.mean((0, 1, 3)), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(found.square().mean((0, 1, 3)), torch.ones(3, dtype=torch.float64))
    patch = level[2, 1, 1:8, 1:8].flatten()
    assert torch.corrcoef(torch.stack([found[2, 1, 1], patch]))[0, 1].item() == pytest.approx(1)


@settings(max_examples=50, deadline=None)
@given(
    a=st.lists(st.integers(-20, 20), min_size=1, max_size=6), b=st.lists(st.integers(-20, 20), min_size=1, max_size=6)
)
def test_in_one_dimension_it_is_the_cost_of_moving_one_set_onto_the_other(a: list[int], b: list[int]) -> None:
    copies_a, copies_b = torch.tensor(a).repeat(len(b)), torch.tensor(b).repeat(len(a))  # sets of equal size
    cost = (copies_a.sort().values - copies_b.sort().values).abs().double().mean()
    found = wasserstein(torch.tensor(a).double()[:, None], torch.tensor(b).double()[:, None])
    torch.testing.assert_close(found, cost[None])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": torch.zeros(2, 1, 32, 32)}, "first set is torch.float32"),
        ({"b": torch.zeros(2, 1, 8, 8, dtype=torch.uint8)}, "second set.*at least 16"),
        ({"a": torch.zeros(2, 1, 24, 24, dtype=torch.uint8)}, "first set.*power of two"),
        ({"b": torch.zeros(2, 1, 32, 16, dtype=torch.uint8)}, r"\[2, 1, 32, 16\]"),
        ({"a": torch.zeros(0, 1, 32, 32, dtype=torch.uint8)}, "first set has no images"),
        ({"b": torch.zeros(2, 3, 32, 32, dtype=torch.uint8)}, "one size and depth"),
    ],
)
def test_what_cannot_be_compared_is_named(change: dict[str, Any], message: str) -> None:
    given_sets = {"a": textures(2), "b": textures(2, seed=1)} | change
    with pytest.raises(ValueError, match=message):
        sliced_wasserstein(**given_sets, seed=0)
