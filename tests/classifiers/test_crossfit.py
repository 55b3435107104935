import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor

from classifiers.crossfit import CrossFit, cross_fit, folds, repeated_folds
from classifiers.fitting import Recipe

Textures = Callable[..., tuple[Tensor, Tensor]]

QUICK = Recipe(steps=60, batch=16, policy="flips")


@given(
    images=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=2, max_size=30),
    splits=st.integers(2, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_image_is_held_out_once_and_groups_stay_whole(
    images: list[tuple[int, int]], splits: int, seed: int
) -> None:
    labels, groups = np.array(images).T
    assume(len(np.unique(groups)) > 1)
    made = folds(labels, groups, splits=splits, seed=seed)
    assert 2 <= len(made) <= splits
    assert sorted(i for _, held in made for i in held) == list(range(len(images)))
    for train, held in made:
        assert not set(groups[train]) & set(groups[held])
        assert len(train) + len(held) == len(images)


def test_folds_are_stratified_where_the_classes_allow() -> None:
    labels = np.repeat([0, 1], [30, 12])
    for _, held in folds(labels, np.arange(42), splits=3, seed=0):
        assert np.bincount(labels[held]).tolist() == [10, 4]


def test_repeats_differ_and_come_from_the_seed() -> None:
    labels, groups = np.repeat([0, 1], 10), np.arange(20)
    first, second = (repeated_folds(labels, groups, splits=2, repeats=3, seed=s) for s in (0, 0))
    held = [made[0][1].tolist() for made in first]
    assert held == [made[0][1].tolist() for made in second]
    assert len({tuple(h) for h in held}) == 3


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="not near-duplicates"):
        folds([0, 1], [7, 7], splits=3, seed=0)


def test_cross_fit_judges_by_models_that_have_not_seen_the_image(textures: Textures) -> None:
    images, labels = textures(10, seed=0)
    mislabelled = labels.clone()
    mislabelled[0] = 1
    fitted = cross_fit(images, mislabelled, torch.arange(30), QUICK, classes=3, splits=3, seed=0)
    assert len(fitted.models) == 3
    assert fitted.probabilities[0].argmax() == 0, "the label of the image itself must not leak into its judgement"
    for i, model in enumerate(fitted.models):
        held = fitted.fold == i
        alone = CrossFit([model], fitted.probabilities, fitted.fold, QUICK, 1).score(images[held])
        torch.testing.assert_close(alone, fitted.probabilities[held])
    unseen, truth = textures(10, seed=1)
    assert (fitted.score(unseen).argmax(dim=1) == truth).float().mean() > 0.9


def test_stored_cross_fit_scores_bit_for_bit(textures: Textures) -> None:
    images, labels = textures(2, seed=0)
    fitted = cross_fit(images, labels, torch.arange(6), replace(QUICK, steps=3), classes=3, splits=2, seed=0)
    tensors, description = fitted.state()
    restored = CrossFit.from_state(load(save(tensors)), json.loads(json.dumps(description)))
    assert restored.recipe == fitted.recipe
    assert torch.equal(restored.score(images), fitted.score(images))
    assert torch.equal(restored.probabilities, fitted.probabilities)
    del tensors["models.0.head.weight"]
    with pytest.raises(ValueError, match="does not fit small_resnet"):
        CrossFit.from_state(tensors, description)
