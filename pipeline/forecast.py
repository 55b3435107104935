"""What a run on a data set can find out, said before anything trains: splits, what a test of that size can show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.levels import ALPHA, MIN_GROUPS
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.reading import Reading
from pipeline.reading.splits import planned_splits

SPLITS = ("train", "val", "test")
ACCURACIES = (0.95, 0.8)  # of a classifier without synthetic images: a good one and a poor one
# Variance of an image's change in 0..1, over the share of wrong answers; the median of 25 real runs
# (`benchmarks/gain/runs`, from 0.07 to 0.56), which tests/pipeline/test_forecast.py takes from them.
CHANGE = 0.23
POWER = 0.8
Z = NormalDist().inv_cdf(1 - ALPHA / 2)
FEW_TEST = 10  # test images of a class; below, its recall is hardly more than a guess


def forecast(reading: Reading, groups: NDArray[np.int64], config: Config) -> dict[str, Any]:
    """Figures, and `said`: sentences for people. `groups` int64 [N] are those of `duplicates_of`.

    By accuracy of the classifier without synthetic images, `accuracy_interval` is what the test would say of it, and
    `detectable` the gain in balanced accuracy, in 0..1, that the test would show in 8 of 10 cases: with n_k test images
    in each of K classes

        (z(1 - ALPHA / 2) + z(POWER)) sqrt(sum_k CHANGE (1 - accuracy) / (K^2 n_k))

    Empty where the images cannot be split; `errors` say why.
    """
    try:
        splits = planned_splits(reading.frame, groups, config)
    except InputError:
        return {}
    labels = reading.frame["label"].tolist()
    counted = Counter(zip(labels, splits, strict=True))
    counts = {name: {split: counted[name, split] for split in SPLITS} for name in reading.classes}
    test = {name: row["test"] for name, row in counts.items() if row["test"]}
    independent = len({group for group, split in zip(groups.tolist(), splits, strict=True) if split == "test"})
    figures: dict[str, Any] = {
        "counts": counts,
        "independent_test_images": independent,
        "accuracy_interval": {str(a): accuracy_interval(a, sum(test.values())) for a in ACCURACIES if test},
        "detectable": {str(a): detectable(a, list(test.values())) for a in ACCURACIES if test},
    }
    return figures | {"said": _said(figures, test, given=any(reading.frame["split"]))}


def accuracy_interval(accuracy: float, images: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a classifier that is right on this share of so many images."""
    centre = (accuracy * images + Z**2 / 2) / (images + Z**2)
    reach = Z / (images + Z**2) * (accuracy * (1 - accuracy) * images + Z**2 / 4) ** 0.5
    return centre - reach, centre + reach


def detectable(accuracy: float, images: Sequence[int]) -> float:
    """The gain that a test with so many images of each class would show; see `forecast`."""
    variance = sum(CHANGE * (1 - accuracy) / n for n in images) / len(images) ** 2
    return (Z + NormalDist().inv_cdf(POWER)) * float(variance**0.5)


def _said(figures: Mapping[str, Any], test: Mapping[str, int], *, given: bool) -> list[str]:
    counts, independent = figures["counts"], figures["independent_test_images"]
    sums = {split: sum(row[split] for row in counts.values()) for split in SPLITS}
    held_out = f", {sums['val']} for choices" if sums["val"] else ", choices by cross-validation on these"
    how = "as the data set splits them" if given else "split by the run"
    said = [f"{sums['train']} images to train on{held_out}, {sums['test']} to test on, {how}."]
    if untested := [name for name in counts if name not in test]:
        said.append(f"No test image of {', '.join(untested)}: nothing will be known about how well they are found.")
    for accuracy, (low, high) in figures["accuracy_interval"].items():
        said.append(
            f"A classifier that is right on {100 * float(accuracy):.0f} % of the test images is known to be right on "
            f"{100 * low:.0f} to {100 * high:.0f} %."
        )
    if independent < MIN_GROUPS:
        said.append(
            f"{independent} test image(s) are independent of each other; a verdict to merge takes {MIN_GROUPS}. Add "
            "test images, or set data.test_fraction higher."
        )
    elif test:
        good, poor = (f"{100 * figures['detectable'][str(accuracy)]:.1f}" for accuracy in ACCURACIES)
        said.append(
            f"Gains below about {good} percentage points of balanced accuracy will seldom be told from chance where "
            f"{100 * ACCURACIES[0]:.0f} % are right without synthetic images, below {poor} where "
            f"{100 * ACCURACIES[1]:.0f} % are."
        )
    few = {name: n for name, n in test.items() if n < FEW_TEST}
    if few:
        named = ", ".join(f"{name} ({n})" for name, n in few.items())
        said.append(f"Fewer than {FEW_TEST} test images: {named}; what is said of these classes alone is little.")
    return said
