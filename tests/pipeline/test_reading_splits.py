"""Splits: stratified, whole groups, given ones kept."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.reading import assign_splits

FRACTIONS: dict[str, Any] = {"test_fraction": 0.25, "val_fraction": 0.15}


def split(labels: Sequence[str], groups: np.ndarray, given: Sequence[str], **more: Any) -> list[str]:
    """`assign_splits` of images that are told apart by their class and their place in it."""
    seen: Counter[str] = Counter()
    keys = [f"{label} {seen.update([label]) or seen[label]}" for label in labels]
    return assign_splits(labels, groups, given, keys=keys, **more)


@st.composite
def labelled_groups(draw: st.DrawFn) -> tuple[list[str], np.ndarray]:
    rows = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 25)), min_size=4, max_size=90))
    return [label for label, _ in rows], np.array([group for _, group in rows], np.int64)


@settings(max_examples=150, deadline=None)
@given(labelled_groups(), st.integers(0, 5), st.none() | st.integers(1, 12))
def test_no_group_is_ever_in_two_splits_and_every_class_is_trained_on(
    data: tuple[list[str], np.ndarray], seed: int, keep: int | None
) -> None:
    labels, groups = data
    splits = split(labels, groups, [""] * len(labels), **FRACTIONS, seed=seed, train_per_class=keep)
    for group in set(groups.tolist()):
        seen = {splits[i] for i in np.flatnonzero(groups == group)}
        assert len(seen - {"unused"}) == 1 or seen == {"unused"}
        assert seen <= {"train", "unused"} or len(seen) == 1
    trained = Counter(label for label, split in zip(labels, splits, strict=True) if split == "train")
    whole = split(labels, groups, [""] * len(labels), **FRACTIONS, seed=seed)
    available = Counter(label for label, split in zip(labels, whole, strict=True) if split == "train")
    for label in set(labels):
        assert trained[label] == (available[label] if keep is None else min(keep, available[label]))
        assert trained[label] > 0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(8, 60))
def test_single_images_are_split_by_the_fractions_in_every_class(seed: int, each: int) -> None:
    labels = ["x"] * each + ["y"] * (2 * each)
    splits = split(labels, np.arange(3 * each), [""] * (3 * each), **FRACTIONS, seed=seed)
    counts = Counter(zip(labels, splits, strict=True))
    for label, total in (("x", each), ("y", 2 * each)):
        assert counts[label, "test"] == round(0.25 * total)
        assert counts[label, "val"] == max(1, round(0.15 * total))


def test_the_seed_decides() -> None:
    labels, groups = ["x", "y"] * 30, np.arange(60)
    first, again, other = (split(labels, groups, [""] * 60, **FRACTIONS, seed=s) for s in (1, 1, 2))
    assert first == again != other


def test_a_class_of_one_group_is_trained_on_and_not_tested() -> None:
    labels, groups = ["x"] * 10 + ["y"] * 15, np.array([*range(10)] + [10] * 15)
    splits = split(labels, groups, [""] * 25, **FRACTIONS, seed=0)
    assert set(splits[10:]) == {"train"}


def test_a_given_split_is_kept_and_only_val_is_carved() -> None:
    labels = ["x", "y"] * 20
    given = ["train"] * 28 + ["test"] * 12
    splits = split(labels, np.arange(40), given, **FRACTIONS, seed=0)
    assert splits[28:] == ["test"] * 12
    assert Counter(splits[:28]) == {"train": 22, "val": 6}
    kept = split(labels, np.arange(40), given, test_fraction=0.25, val_fraction=0, seed=0)
    assert kept == given
    all_given = ["train"] * 24 + ["val"] * 4 + ["test"] * 12
    assert split(labels, np.arange(40), all_given, **FRACTIONS, seed=0) == all_given


def test_a_given_split_through_a_group_or_without_training_images_is_refused() -> None:
    with pytest.raises(InputError, match="both train and test"):
        split(["x", "y", "x"], np.array([0, 1, 0]), ["train", "train", "test"], **FRACTIONS, seed=0)
    with pytest.raises(InputError, match="No training image of y"):
        split(["x", "y"], np.array([0, 1]), ["train", "test"], **FRACTIONS, seed=0)


def test_a_few_shot_draw_prefers_whole_groups() -> None:
    labels, groups = ["x"] * 12, np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
    splits = split(labels, groups, [""] * 12, test_fraction=0, val_fraction=0, seed=3, train_per_class=6)
    assert sorted(Counter(np.array(groups)[np.array(splits) == "train"].tolist()).values()) == [3, 3]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 100), st.integers(3, 30), st.integers(3, 30), st.none() | st.integers(1, 10))
def test_a_class_that_joins_leaves_the_splits_of_the_others(seed: int, a: int, b: int, keep: int | None) -> None:
    options = {**FRACTIONS, "seed": seed, "train_per_class": keep}
    alone = split(["x"] * a, np.arange(a), [""] * a, **options)
    joined = split(["a"] * b + ["x"] * a, np.arange(a + b), [""] * (a + b), **options)
    assert joined[b:] == alone
