from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from classifiers.fitting import Recipe, fit, lr_factor, predict, steps_for

Textures = Callable[..., tuple[Tensor, Tensor]]

QUICK = Recipe(steps=60, batch=16)


@pytest.mark.parametrize(("channels", "precision"), [(1, "fp32"), (3, "fp32"), (1, "bf16")])
def test_learns_textures(textures: Textures, channels: int, precision: str) -> None:
    images, labels = textures(8, seed=0, channels=channels)
    unseen, truth = textures(20, seed=1, channels=channels)
    model = fit(images, labels, replace(QUICK, policy="flips", precision=precision), classes=3, seed=0)
    assert predict(model, unseen[:0]).shape == (0, 3)
    probabilities = predict(model, unseen)
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(60))
    assert (probabilities.argmax(dim=1) == truth).float().mean() > 0.9


@pytest.mark.parametrize(
    "recipe",
    [
        replace(QUICK, steps=10, policy="flips_shift_light"),
        replace(QUICK, steps=10, precision="bf16"),
        Recipe("mobilenet_v3_small", steps=3, batch=8),
    ],
)
def test_equal_arguments_give_equal_weights_and_leave_the_global_state(textures: Textures, recipe: Recipe) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        images, labels = textures(4, seed=0)
        synthetic = textures(6, seed=2)
        torch.manual_seed(1)
        state = torch.get_rng_state()
        first = fit(images, labels, recipe, classes=3, seed=5, synthetic=synthetic)
        assert torch.equal(state, torch.get_rng_state())
        torch.manual_seed(2)
        second = fit(images, labels, recipe, classes=3, seed=5, synthetic=synthetic)
        other = fit(images, labels, recipe, classes=3, seed=6, synthetic=synthetic)
    finally:
        torch.set_num_threads(threads)
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert not torch.equal(predict(first, images), predict(other, images))


def test_synthetic_images_are_learnt_from(textures: Textures) -> None:
    images, labels = textures(4, seed=0)
    # The one real image of class 1 looks like class 0; only the synthetic ones show what the class looks like.
    kept = torch.tensor([0, 1, 2, 8, 9, 10, 3])
    images, labels, synthetic = images[kept], torch.tensor([0, 0, 0, 2, 2, 2, 1]), textures(8, seed=3)
    unseen, truth = textures(20, seed=1)
    recall = {}
    for name, extra in (("without", None), ("with", synthetic)):
        predictions = predict(fit(images, labels, QUICK, classes=3, seed=0, synthetic=extra), unseen).argmax(1)
        recall[name] = (predictions[truth == 1] == 1).float().mean()
    assert recall["with"] > recall["without"] + 0.3


def test_no_synthetic_images_is_the_same_as_none(textures: Textures) -> None:
    images, labels = textures(2, seed=0)
    short = replace(QUICK, steps=2)
    a = fit(images, labels, short, classes=3, seed=0)
    b = fit(images, labels, short, classes=3, seed=0, synthetic=(images[:0], labels[:0]))
    assert torch.equal(predict(a, images), predict(b, images))


def test_progress_is_told_of_every_step(textures: Textures) -> None:
    images, labels = textures(2, seed=0)
    told: list[int] = []
    fit(images, labels, replace(QUICK, steps=3), classes=3, seed=0, progress=lambda step, loss: told.append(step))
    assert told == [1, 2, 3]


@pytest.mark.parametrize("steps", [1, 2, 10, 500])
def test_rate_peaks_once_and_never_vanishes(steps: int) -> None:
    factors = [lr_factor(step, steps) for step in range(steps)]
    assert max(factors) == 1.0
    assert min(factors) > 0
    peak = factors.index(1.0)
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_more_images_never_mean_fewer_steps_and_there_are_bounds(few: int, many: int) -> None:
    assert 1000 <= steps_for(min(few, many)) <= steps_for(max(few, many)) <= 3000
    assert [steps_for(images) for images in (60, 120, 300)] == [1000, 1200, 3000]


def test_bad_input_is_named(textures: Textures) -> None:
    images, labels = textures(2, seed=0)
    with pytest.raises(ValueError, match="training images must be uint8"):
        fit(images.float(), labels, QUICK, classes=3, seed=0)
    with pytest.raises(ValueError, match=r"must lie in 0\.\.1, got 0\.\.2"):
        fit(images, labels, QUICK, classes=2, seed=0)
    with pytest.raises(ValueError, match="there are no training images"):
        fit(images[:0], labels[:0], QUICK, classes=3, seed=0)
    with pytest.raises(ValueError, match="synthetic images are"):
        fit(images, labels, QUICK, classes=3, seed=0, synthetic=textures(1, seed=0, channels=3))
    with pytest.raises(FloatingPointError, match="lower its learning rate"):
        fit(images, labels, replace(QUICK, lr=1e30), classes=3, seed=0)
