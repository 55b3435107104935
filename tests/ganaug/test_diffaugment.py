"""Every augmentation keeps the shape, lets gradients through, and does what its name says."""

import pytest
import torch
from torch import Tensor

from ganaug.diffaugment import AUGMENTATIONS, diffaugment, parse_policy

EVERY = sorted(AUGMENTATIONS)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(n: int = 6, channels: int = 3, size: int = 8, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(n, channels, size, size, generator=rng(1), dtype=dtype) * 1.8 - 0.9


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("channels", [1, 3])
def test_it_keeps_the_shape_and_is_differentiable(name: str, channels: int) -> None:
    x = draw(3, channels).requires_grad_(True)
    found = diffaugment(parse_policy(name), rng(), x)[0]
    assert found.shape == x.shape and found.dtype == x.dtype
    assert torch.autograd.gradcheck(lambda image: diffaugment(parse_policy(name), rng(), image)[0], x)
    found.square().sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


@pytest.mark.parametrize("name", EVERY)
def test_the_draw_is_the_generators_and_differs_between_images(name: str) -> None:
    x = draw()[:1].expand(6, -1, -1, -1)
    first, again, other = (diffaugment(parse_policy(name), rng(seed), x)[0] for seed in (3, 3, 4))
    assert first.equal(again) and not first.equal(other)
    assert not all(first[0].equal(image) for image in first[1:])


def test_brightness_adds_one_offset_an_image() -> None:
    moved = AUGMENTATIONS["brightness"](x := draw(200), rng()) - x
    offset = moved[:, 0, 0, 0]
    torch.testing.assert_close(moved, offset[:, None, None, None].expand_as(moved))
    assert -0.5 <= offset.min() < -0.4 and 0.4 < offset.max() < 0.5


def test_contrast_and_saturation_scale_about_a_mean_that_stays() -> None:
    x = draw(200)
    for name, axes, lowest, highest in (("contrast", (1, 2, 3), 0.5, 1.5), ("saturation", (1,), 0.0, 2.0)):
        found = AUGMENTATIONS[name](x, rng())
        mean = x.mean(axes, keepdim=True)
        torch.testing.assert_close(found.mean(axes, keepdim=True), mean)
        factor = ((found - mean) / (x - mean))[:, 0, 0, 0]
        torch.testing.assert_close(found, mean + (x - mean) * factor[:, None, None, None])
        assert lowest <= factor.min() < lowest + 0.1 and highest - 0.1 < factor.max() < highest


def test_saturation_leaves_grey_images_alone() -> None:
    torch.testing.assert_close(AUGMENTATIONS["saturation"](x := draw(channels=1), rng()), x)


def test_translation_shifts_by_up_to_an_eighth_and_fills_with_zero() -> None:
    size, reach = 16, 2
    x = draw(120, size=size)
    shifts = set()
    for before, after in zip(x, AUGMENTATIONS["translation"](x, rng()), strict=True):
        wide = torch.nn.functional.pad(before, (reach,) * 4)
        found = [
            (dy, dx)
            for dy in range(2 * reach + 1)
            for dx in range(2 * reach + 1)
            if wide[:, dy : dy + size, dx : dx + size].equal(after)
        ]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) == (2 * reach + 1) ** 2


def test_cutout_blanks_one_square_of_half_the_side() -> None:
    size = 16
    x = draw(200, size=size)
    sides = []
    for before, after in zip(x, AUGMENTATIONS["cutout"](x, rng()), strict=True):
        hole = (after == 0).all(0)
        rows, columns = hole.any(1).nonzero().squeeze(1), hole.any(0).nonzero().squeeze(1)
        assert hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert after[:, ~hole].equal(before[:, ~hole])
        sides += [len(rows), len(columns)]
    assert max(sides) == size // 2  # less only where the border cuts it
    assert sides.count(size // 2) > len(sides) / 3


def test_a_policy_is_a_list_of_names() -> None:
    assert parse_policy("") == [] and diffaugment([], rng(), x := draw())[0] is x
    assert parse_policy(" cutout, brightness ") == [AUGMENTATIONS["cutout"], AUGMENTATIONS["brightness"]]
    with pytest.raises(ValueError, match=r"'zoom'.*brightness, saturation, contrast, translation, cutout"):
        parse_policy("cutout,zoom")


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_moves_with_its_image_and_keeps_its_colours(seed: int) -> None:
    x, picture = draw(), torch.ones(6, 1, 8, 8, dtype=torch.float64)
    seen, moved = diffaugment(parse_policy("translation,brightness,cutout"), rng(seed), x, picture)
    assert seen.equal(diffaugment(parse_policy("translation,brightness,cutout"), rng(seed), x)[0])
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    hole = (seen == 0).all(1, keepdim=True)
    assert hole.any() and (moved[hole] == 0).all()
