from dataclasses import replace

import numpy as np
import pytest

from classifiers.bootstrap import Interval
from classifiers.comparison import Gain, gain
from classifiers.verdict import decide

NAMES = ["dent", "scratch", "stain"]
NONE = Interval(0.0, -0.05, 0.05)
GOOD = Gain(
    accuracy=Interval(0.021, 0.004, 0.038),
    macro_f1=Interval(0.020, 0.001, 0.040),
    recall=[NONE, NONE, NONE],
    recall_p=[1.0, 1.0, 1.0],
    mcnemar_p=0.01,
    images=360,
    groups=350,
    seeds=5,
)
HARMED = {"recall": [NONE, Interval(-0.125, -0.2, -0.03), NONE], "recall_p": [1.0, 0.001, 1.0]}


@pytest.mark.parametrize(
    ("changes", "accepted", "decision", "says"),
    [
        ({}, 40, "merge", "recognises 2.1 percentage points more of the 360 real test images"),
        ({}, 40, "merge", "95 % interval +0.4 to +3.8; mean of 5 training runs"),
        ({}, 0, "do_not_merge", "accepted no synthetic image"),
        ({"accuracy": Interval(-0.02, -0.04, -0.001)}, 40, "do_not_merge", "2.0 percentage points fewer"),
        ({"accuracy": Interval(0.0, -0.02, 0.02)}, 40, "do_not_merge", "recognises no more of the 360"),
        (HARMED, 40, "do_not_merge", "12.5 percentage points fewer of class 'scratch'"),
        ({**HARMED, "recall_p": [1.0, 0.02, 1.0]}, 40, "merge", "no class is harmed"),
        ({"accuracy": Interval(0.01, -0.001, 0.02)}, 40, "inconclusive", "may be chance"),
        ({"macro_f1": Interval(0.01, -0.011, 0.03)}, 40, "inconclusive", "small classes may lose"),
        ({"groups": 19}, 40, "inconclusive", "only 19 of these are independent"),
    ],
)
def test_rule(changes: dict[str, object], accepted: int, decision: str, says: str) -> None:
    verdict = decide(replace(GOOD, **changes), accepted=accepted, class_names=NAMES)  # type: ignore[arg-type]
    assert verdict.decision == decision
    assert says in verdict.reason
    assert verdict.reason.endswith(".")
    assert "\n" not in verdict.reason


@pytest.mark.parametrize(("low", "decision"), [(0.001, "merge"), (-0.001, "inconclusive")])
def test_a_gain_must_hold_under_the_same_augmentation_too(low: float, decision: str) -> None:
    control = replace(GOOD, accuracy=Interval(0.008, low, 0.02))
    verdict = decide(GOOD, accepted=40, class_names=NAMES, control=control)
    assert verdict.decision == decision
    assert ("under the same one they bring +0.8 points" in verdict.reason) == (decision == "inconclusive")


def test_names_must_match_the_classes() -> None:
    with pytest.raises(ValueError, match="2 class names for 3 classes"):
        decide(GOOD, accepted=1, class_names=NAMES[:2])


def simulated(rng: np.random.Generator, shift: float, run_to_run: float) -> tuple[np.ndarray, ...]:
    """A test set of 240 images, some easier than others, and two arms of 5 runs, some runs luckier than others."""
    truth = np.arange(240) % 3
    ease = rng.normal(2.0, 1.5, 240)
    arms = []
    for bonus in (0.0, shift):
        logit = ease + bonus + rng.normal(0, run_to_run, (5, 1))
        right = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
        arms.append(np.where(right, truth, (truth + rng.integers(1, 3, right.shape)) % 3))
    return truth, *arms, np.arange(240)


def share_of_merges(shift: float, run_to_run: float, simulations: int = 250) -> float:
    merges = 0
    for i in range(simulations):
        data = simulated(np.random.default_rng(i), shift, run_to_run)
        change = gain(*data, classes=3, resamples=300, seed=i)
        merges += decide(change, accepted=1, class_names=NAMES).decision == "merge"
    return merges / simulations


@pytest.mark.parametrize("run_to_run", [0.0, 0.15])
def test_useless_images_are_rarely_merged(run_to_run: float) -> None:
    slack = 3 * (0.025 * 0.975 / 250) ** 0.5  # three standard errors of the simulation
    assert share_of_merges(0.0, run_to_run) <= 0.025 + slack


def test_useful_images_are_mostly_merged() -> None:
    assert share_of_merges(0.6, 0.1, simulations=60) > 0.8
