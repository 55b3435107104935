"""Train, validation and test: stratified by class, never through a group, and a given split is kept."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.config import Config


def planned_splits(frame: pd.DataFrame, groups: NDArray[np.int64], config: "Config") -> list[str]:
    """`assign_splits` of a `Reading.frame` as a run does it.

    With few training images a class there is no validation split: its images stay in train, for k-fold.
    """
    labels, given, data = frame["label"].tolist(), frame["split"].tolist(), config.data

    def assign(val_fraction: float) -> list[str]:
        return assign_splits(
            labels,
            groups,
            given,
            keys=frame["sha256"].tolist(),
            test_fraction=data.test_fraction,
            val_fraction=val_fraction,
            seed=config.seed,
            train_per_class=data.train_per_class,
        )

    splits = assign(data.val_fraction)
    smallest = min(Counter(label for label, s in zip(labels, splits, strict=True) if s == "train").values())
    return assign(0.0) if smallest < data.min_for_validation and "val" not in given else splits


def assign_splits(
    labels: Sequence[str],
    groups: NDArray[np.int64],
    given: Sequence[str],
    *,
    keys: Sequence[str],
    test_fraction: float,
    val_fraction: float,
    seed: int,
    train_per_class: int | None = None,
) -> list[str]:
    """Give every image one of "train", "val", "test" or "unused".

    ``labels``, ``groups`` int64, ``given`` ("" or a split) and ``keys`` all have length N; fractions are of each
    class's images. Chance enters by ``seed`` and ``keys``, each image's digest, so that other classes and the order of
    the images change nothing for a class.
    A given split is kept: test (or val) images are drawn only where the data set has none of its own. A class always
    keeps a group in train; with one group it has no test image. ``train_per_class`` keeps that many training images a
    class: the rest of train becomes "unused", which leaves no group half in train and half in test. Raises InputError
    when a given split cuts through a group or leaves a class without training images.
    """
    _require_whole(groups, given)
    splits = [split or "train" for split in given]
    for name, fraction in (("test", test_fraction), ("val", val_fraction)):
        if name not in given and fraction > 0:
            _carve(splits, labels, groups, name, fraction, ranks(groups.tolist(), keys, f"{seed}/{name}"))
    bare = sorted(set(labels) - {label for label, split in zip(labels, splits, strict=True) if split == "train"})
    if bare:
        raise InputError(f"No training image of {', '.join(bare)}; put some of its images into the train split.")
    if train_per_class is not None:
        _keep(splits, labels, groups, train_per_class, ranks(groups.tolist(), keys, f"{seed}/keep"))
    return splits


def _require_whole(groups: NDArray[np.int64], given: Sequence[str]) -> None:
    first: dict[int, str] = {}
    for group, split in zip(groups.tolist(), given, strict=True):
        if first.setdefault(group, split) != split:
            raise InputError(
                f"Images that belong together are in both {first[group]} and {split}; move them into one split "
                "(`ganaug inspect` names them)."
            )


def _carve(
    splits: list[str],
    labels: Sequence[str],
    groups: NDArray[np.int64],
    name: str,
    fraction: float,
    rank: Mapping[int, str],
) -> None:
    """Move whole groups from train to ``name``: drawn at random, taken while every class they touch stays in quota.

    A class with two groups or more that got none this way gives its smallest one, if it keeps another in train.
    """
    members = _members(splits, groups)
    contents = {group: Counter(labels[i] for i in rows) for group, rows in members.items()}
    left = Counter(label for content in contents.values() for label in content)  # groups of each class still in train
    sizes = Counter(label for label, split in zip(labels, splits, strict=True) if split == "train")
    quota = {label: max(1, round(fraction * _total(labels, label))) for label in sizes}
    taken: Counter[str] = Counter()

    def take(group: int) -> None:
        taken.update(contents[group])
        left.subtract(contents[group].keys())
        for i in members.pop(group):
            splits[i] = name

    for group in sorted(members, key=rank.__getitem__):
        content = contents[group]
        if all(taken[label] + count <= quota[label] and left[label] > 1 for label, count in content.items()):
            take(group)
    for label in sorted(quota):
        spare = [group for group in sorted(members) if label in contents[group]]
        spare = [group for group in spare if all(left[other] > 1 for other in contents[group])]
        if not taken[label] and spare:
            take(min(spare, key=lambda group: len(members[group])))


def _total(labels: Sequence[str], label: str) -> int:
    return sum(other == label for other in labels)


def _members(splits: Sequence[str], groups: NDArray[np.int64]) -> dict[int, list[int]]:
    members: dict[int, list[int]] = {}
    for i, (group, split) in enumerate(zip(groups.tolist(), splits, strict=True)):
        if split == "train":
            members.setdefault(group, []).append(i)
    return members


def ranks(groups: Sequence[int], keys: Sequence[str], salt: str) -> dict[int, str]:
    """Group -> its place in a random order, as text to sort by: the least digest among its images."""
    drawn = [hashlib.sha256(f"{salt}/{key}".encode()).hexdigest() for key in keys]
    least: dict[int, str] = {}
    for group, text in zip(groups, drawn, strict=True):
        least[group] = min(text, least.get(group, text))
    return least


def _keep(
    splits: list[str], labels: Sequence[str], groups: NDArray[np.int64], count: int, rank: Mapping[int, str]
) -> None:
    """Keep ``count`` training images a class, whole groups first; the last group is cut where nothing else fits.

    What is cut off is unused, in no split, so that no group is ever on both sides of the comparison.
    """
    for label in sorted(set(labels)):
        rows = [i for i, split in enumerate(splits) if split == "train" and labels[i] == label]
        whole: dict[int, list[int]] = {}
        for i in sorted(rows, key=lambda i: (rank[int(groups[i])], i)):
            whole.setdefault(int(groups[i]), []).append(i)
        kept: list[int] = []
        for same in whole.values():
            if len(kept) + len(same) <= count:
                kept += same
        kept += [i for same in whole.values() for i in same if i not in kept][: max(0, count - len(kept))]
        for i in set(rows) - set(kept):
            splits[i] = "unused"
