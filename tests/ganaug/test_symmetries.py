import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ganaug.symmetries import SYMMETRIES, correlation, thumbnails


def pictures(count: int, *, size: int = 64, channels: int = 1, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, size // 4, size // 4, generator=draw)
    return (torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear") * 255).to(torch.uint8)


def test_the_eight_symmetries_differ_and_form_a_group() -> None:
    square = torch.arange(9).view(3, 3)
    reached = {tuple(s(square).flatten().tolist()) for s in SYMMETRIES}
    assert len(SYMMETRIES) == len(reached) == 8
    assert {tuple(s(r(square)).flatten().tolist()) for s in SYMMETRIES for r in SYMMETRIES} == reached


@settings(deadline=None)
@given(which=st.integers(0, 7), gain=st.floats(0.5, 1.0), size=st.sampled_from([32, 64, 128]), colour=st.booleans())
def test_a_turned_and_dimmed_picture_matches_its_original(which: int, gain: float, size: int, colour: bool) -> None:
    original = pictures(5, size=size, channels=3 if colour else 1)
    turned = (SYMMETRIES[which](original) * gain).to(torch.uint8)
    found = correlation(turned, original)
    assert found.shape == (5, 5)
    assert found.dtype == torch.float32
    assert (found.diagonal() > 0.99).all()
    assert (found.fill_diagonal_(0) < 0.8).all()


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("shift", [(1, 0), (-2, 1), (2, 2)])
def test_slack_finds_a_shifted_copy(size: int, shift: tuple[int, int]) -> None:
    unit = size // 64
    wide = pictures(4, size=2 * size)
    start = size // 2
    original = wide[..., start : start + size, start : start + size]
    down, right = start + shift[0] * unit, start + shift[1] * unit
    moved = SYMMETRIES[5](wide[..., down : down + size, right : right + size])
    assert (correlation(moved, original, slack=2).diagonal() > 0.999).all()


def test_shared_illumination_does_not_make_pictures_alike() -> None:
    draw = torch.Generator().manual_seed(1)
    light = torch.linspace(0, 200, 64).view(1, 1, 1, 64)
    lit = light + 10 * torch.randn(6, 1, 64, 64, generator=draw)
    assert correlation(lit, lit).fill_diagonal_(0).max() < 0.5


def test_pictures_without_structure_correlate_with_nothing() -> None:
    flat = torch.full((2, 1, 64, 64), 128, dtype=torch.uint8)
    assert not thumbnails(flat).any()
    assert not correlation(flat, pictures(3)).any()


def test_empty_sets_and_many_rows_keep_their_shape() -> None:
    assert correlation(pictures(0), pictures(3)).shape == (0, 3)
    assert correlation(pictures(3), pictures(0)).shape == (3, 0)
    many = pictures(600, size=32)
    assert torch.allclose(correlation(many, many[:2])[599:], correlation(many[599:], many[:2]), atol=1e-5)


def test_a_single_image_without_its_batch_is_an_error() -> None:
    with pytest.raises(ValueError, match="give \\[N, C, H, W\\]"):
        thumbnails(pictures(1)[0])
