from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from classifiers.bootstrap import Interval
from classifiers.comparison import Gain, detectable, gain
from classifiers.inspection_metrics import Costs, InspectionMetrics, Rates, inspection_metrics
from classifiers.verdict import Lead, decide

NAMES = ["dent", "scratch", "stain"]
NONE = Interval(0.0, -0.05, 0.05)
GOOD = Gain(
    accuracy=Interval(0.021, 0.004, 0.038),
    macro_f1=Interval(0.020, 0.001, 0.040),
    recall=[NONE, NONE, NONE],
    p=0.01,
    recall_p=[1.0, 1.0, 1.0],
    recall_groups=[120, 120, 110],
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
        ({**HARMED, "recall_p": [1.0, 0.02, 1.0]}, 40, "merge", "no class was found harmed."),
        ({"recall_groups": [120, 7, 8]}, 40, "merge", "no class was found harmed; 'scratch' had too few test images"),
        ({"accuracy": Interval(0.01, -0.001, 0.02)}, 40, "inconclusive", "may be chance"),
        ({"p": 0.06}, 40, "inconclusive", "may be chance"),
        ({"macro_f1": Interval(0.01, -0.011, 0.03)}, 40, "inconclusive", "small classes may lose"),
        ({"groups": 19}, 40, "inconclusive", "only 19 of these are independent"),
        ({"seeds": 2}, 40, "inconclusive", "needs at least 3 runs"),
    ],
)
def test_rule(changes: dict[str, object], accepted: int, decision: str, says: str) -> None:
    verdict = decide(Lead(replace(GOOD, **changes)), accepted=accepted, class_names=NAMES)  # type: ignore[arg-type]
    assert verdict.decision == decision
    assert says in verdict.reason
    assert verdict.reason.endswith(".")
    assert "\n" not in verdict.reason


@pytest.mark.parametrize(("low", "decision"), [(0.001, "merge"), (-0.001, "inconclusive")])
def test_a_gain_must_hold_under_the_same_augmentation_too(low: float, decision: str) -> None:
    control = Lead(replace(GOOD, accuracy=Interval(0.008, low, 0.02)))
    verdict = decide(Lead(GOOD), accepted=40, class_names=NAMES, control=control)
    assert verdict.decision == decision
    assert "under the same augmentation" in verdict.reason  # of a merge too
    assert "the synthetic images bring +0.8 points" in verdict.reason


@pytest.mark.parametrize(
    ("miss", "saved", "decision", "says"),
    [
        (Interval(0.04, 0.01, 0.07), None, "do_not_merge", "4.0 percentage points more of the defects are missed"),
        (Interval(0.04, -0.01, 0.09), None, "inconclusive", "4.0 percentage points more of the defects are missed"),
        (None, None, "merge", "more than chance"),
        (Interval(-0.02, -0.04, 0.0), Interval(-3.0, -5.0, -1.0), "do_not_merge", "at the stated costs that is dearer"),
        (
            Interval(-0.02, -0.04, 0.0),
            Interval(-3.0, -7.0, 1.0),
            "inconclusive",
            "at the stated costs nothing is saved",
        ),
        (Interval(-0.02, -0.04, 0.0), Interval(3.0, -1.0, 7.0), "merge", "more than chance"),
    ],
)
def test_misses_and_costs_have_their_say(
    miss: Interval | None, saved: Interval | None, decision: str, says: str
) -> None:
    before = Rates(miss=NONE, false_reject=NONE, missed={})
    after = before if miss is None else replace(before, miss=miss)
    costs = None if saved is None else Costs(10, 1)
    found = InspectionMetrics(before, after, miss=miss, false_reject=None, saved=saved, costs=costs, good=0, kappa=0.9)
    verdict = decide(Lead(GOOD, found), accepted=40, class_names=NAMES)
    assert verdict.decision == decision and says in verdict.reason


def test_costs_that_cannot_be_weighed_leave_a_doubt() -> None:
    rates = Rates(miss=NONE, false_reject=NONE, missed={})
    found = InspectionMetrics(
        rates, rates, miss=None, false_reject=None, saved=None, costs=Costs(10, 5), good=0, kappa=0.9
    )
    verdict = decide(Lead(GOOD, found), accepted=40, class_names=NAMES)
    assert verdict.decision == "inconclusive" and "takes 20 independent images" in verdict.reason


def test_harm_that_is_spread_over_the_classes_is_seen_in_the_misses() -> None:
    # 300 good parts, 60 more of them recognised; of each of six defects 3 of 40 more are called good
    truth = np.repeat(np.arange(7), [300, *[40] * 6])
    before, after = truth.copy(), truth.copy()
    before[:70], after[:10] = 1, 1
    for label in range(1, 7):
        first = int(np.flatnonzero(truth == label)[0])
        before[first], after[first : first + 4] = 0, 0
    arms = truth, np.tile(before, (5, 1)), np.tile(after, (5, 1)), np.arange(len(truth))
    change, names = gain(*arms, classes=7, seed=0), ["good", *"abcdef"]
    assert decide(Lead(change), accepted=9, class_names=names).decision == "merge"
    found = inspection_metrics(*arms, classes=7, good=0, prevalence=0.01, seed=0)
    verdict = decide(Lead(change, found), accepted=9, class_names=names)
    assert (
        verdict.decision == "do_not_merge" and "7.5 percentage points more of the defects are missed" in verdict.reason
    )


@pytest.mark.parametrize(
    ("lead", "p", "decision"),
    [
        (Interval(0.02, 0.001, 0.04), 0.03, "merge"),
        (Interval(0.02, 0.001, 0.04), 0.06, "inconclusive"),
        (Interval(0.001, -0.02, 0.02), 0.9, "inconclusive"),
        (Interval(-0.02, -0.04, -0.001), 0.03, "inconclusive"),
    ],
)
def test_every_arm_of_real_images_must_be_beaten(lead: Interval, p: float, decision: str) -> None:
    rivals = {
        "real": Lead(replace(GOOD, accuracy=Interval(0.1, 0.05, 0.15))),
        "balanced": Lead(replace(GOOD, accuracy=lead, p=p)),
    }
    verdict = decide(Lead(GOOD), accepted=40, class_names=NAMES, rivals=rivals)
    assert verdict.decision == decision
    assert ("'balanced'" in verdict.reason) == (decision == "inconclusive")


def counted(truth: np.ndarray, good_rejected: int, defects_missed: int) -> np.ndarray:
    """Predictions that reject so many of the good parts (class 0) and miss so many defects (class 1), in five runs."""
    said = truth.copy()
    said[np.flatnonzero(truth == 0)[:good_rejected]] = 1
    said[np.flatnonzero(truth == 1)[:defects_missed]] = 0
    return np.tile(said, (5, 1))


@pytest.mark.parametrize("place", ["rival", "control"])
@pytest.mark.parametrize(
    ("over", "decision", "says"),
    [
        # 11.7 % more of the defects are missed than by other training on real images
        (
            (60, 4),
            "inconclusive",
            "it recognises 11.7 percentage points fewer of class 'dent', which is more than chance",
        ),
        ((60, 17), "inconclusive", "0.8 percentage points more of the defects are missed"),
        ((60, 19), "merge", "more than chance"),
    ],
)
def test_what_a_rival_or_the_control_finds_must_not_be_lost(
    place: str, over: tuple[int, int], decision: str, says: str
) -> None:
    truth, names = np.repeat([0, 1], [300, 120]), ["good", "dent"]
    after, groups = counted(truth, 10, 18), np.arange(420)

    def lead(before: np.ndarray) -> Lead:
        found = inspection_metrics(truth, before, after, groups, classes=2, good=0, prevalence=0.01, seed=0)
        return Lead(gain(truth, before, after, groups, classes=2, seed=0), found)

    other = lead(counted(truth, *over))
    more = {"rival": {"rivals": {"classical": other}}, "control": {"control": other}}[place]
    verdict = decide(lead(counted(truth, 70, 24)), accepted=9, class_names=names, **more)  # type: ignore[arg-type]
    assert verdict.decision == decision and says in verdict.reason


@pytest.mark.parametrize("label", [0, 1])
def test_to_call_every_part_the_same_is_no_gain_where_no_other_is_tested(label: int) -> None:
    truth = np.full(60, label)
    before, after, groups = np.tile(np.where(np.arange(60) < 15, 1 - truth, truth), (5, 1)), truth, np.arange(60)
    change = gain(truth, before, np.tile(after, (5, 1)), groups, classes=2, seed=0)
    verdict = decide(Lead(change), accepted=9, class_names=["good", "dent"])
    assert verdict.decision == "inconclusive" and "all of these are of one class" in verdict.reason


def test_good_parts_that_are_not_tested_leave_a_doubt() -> None:
    truth, groups = np.repeat([1, 2], 40), np.arange(80)
    before, after = np.tile(np.where(groups % 40 < 10, 0, truth), (5, 1)), np.tile(truth, (5, 1))
    found = inspection_metrics(truth, before, after, groups, classes=3, good=0, prevalence=0.01, seed=0)
    lead = Lead(gain(truth, before, after, groups, classes=3, seed=0), found)
    verdict = decide(lead, accepted=9, class_names=["good", "dent", "pit"])
    assert verdict.decision == "inconclusive" and "none of these is a good part" in verdict.reason


@pytest.mark.parametrize(("better", "decision"), [(5, "inconclusive"), (6, "merge")])
def test_a_handful_of_images_that_changed_is_no_proof(better: int, decision: str) -> None:
    # all for the better: by heads or tails alone 2 in 32 and 2 in 64
    truth = np.arange(600) % 3
    before, after = np.where(np.arange(600) < 30, (truth + 1) % 3, truth), truth.copy()
    after[better:30] = before[better:30]
    change = gain(truth, np.tile(before, (5, 1)), np.tile(after, (5, 1)), np.arange(600), classes=3, seed=0)
    assert change.accuracy.lo > 0
    assert decide(Lead(change), accepted=9, class_names=NAMES).decision == decision


def test_few_defective_images_that_are_missed_more_often_leave_a_doubt() -> None:
    # 200 good parts, 50 more of them recognised; 12 defective ones, 3 more of them called good
    truth = np.repeat([0, 1], [200, 12])
    before, after = truth.copy(), truth.copy()
    before[:60], after[:10] = 1, 1
    before[200:202], after[200:205] = 0, 0
    arms = truth, np.tile(before, (5, 1)), np.tile(after, (5, 1)), np.arange(len(truth))
    found = inspection_metrics(*arms, classes=2, good=0, prevalence=0.01, seed=0)
    verdict = decide(Lead(gain(*arms, classes=2, seed=0), found), accepted=9, class_names=["good", "dent"])
    assert verdict.decision == "inconclusive"
    assert "25.0 percentage points more of the defects are missed (too few test images" in verdict.reason


def test_few_resamples_do_not_hide_harm() -> None:
    truth = np.repeat(np.arange(6), 60)
    before, after = np.where(np.arange(360) % 10 < 3, (truth + 1) % 6, truth), truth.copy()
    before[:60], after[:20] = 0, 1  # class 0: 60 of 60, then 40
    arms = truth, np.tile(before, (5, 1)), np.tile(after, (5, 1)), np.arange(360)
    change = gain(*arms, classes=6, resamples=100, seed=0)
    assert change.accuracy.lo > 0
    verdict = decide(Lead(change), accepted=9, class_names=list("abcdef"))
    assert verdict.decision == "do_not_merge" and "of class 'a'" in verdict.reason


def test_names_must_match_the_classes() -> None:
    with pytest.raises(ValueError, match="2 class names for 3 classes"):
        decide(Lead(GOOD), accepted=1, class_names=NAMES[:2])


def simulated(rng: np.random.Generator, shift: float, run_to_run: float, runs: int) -> tuple[np.ndarray, ...]:
    """A test set of 240 images, some easier than others, and two arms of `runs`, some runs luckier than others."""
    truth = np.arange(240) % 3
    ease = rng.normal(2.0, 1.5, 240)
    arms = []
    for bonus in (0.0, shift):
        logit = ease + bonus + rng.normal(0, run_to_run, (runs, 1))
        right = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
        arms.append(np.where(right, truth, (truth + rng.integers(1, 3, right.shape)) % 3))
    return truth, *arms, np.arange(240)


def share_of_merges(shift: float, run_to_run: float, *, runs: int = 5, simulations: int) -> float:
    merges = 0
    for i in range(simulations):
        data = simulated(np.random.default_rng(i), shift, run_to_run, runs)
        change = gain(*data, classes=3, resamples=300, seed=i)
        merges += decide(Lead(change), accepted=1, class_names=NAMES).decision == "merge"
    return merges / simulations


# Runs whose accuracy varies not at all, usually and wildly. The standard error of 600 tries about 2.5 % is 0.6 %.
@pytest.mark.parametrize(("run_to_run", "runs"), [(0.0, 5), (0.15, 5), (0.4, 5), (0.4, 3), (0.4, 1)])
def test_useless_images_are_rarely_merged(run_to_run: float, runs: int) -> None:
    assert share_of_merges(0.0, run_to_run, runs=runs, simulations=600) <= 0.025 + 2 * 0.006


def test_useful_images_are_mostly_merged() -> None:
    assert share_of_merges(0.6, 0.1, simulations=60) > 0.8


def test_a_gain_in_a_handful_of_images_is_found_about_as_often_as_promised() -> None:
    truth, groups, rng = np.arange(600) % 3, np.arange(600), np.random.default_rng(0)

    def improved(share: float) -> Gain:
        before = np.where(rng.random(600) < share, (truth + 1) % 3, truth)
        arms = np.tile(before, (5, 1)), np.tile(truth, (5, 1))
        return gain(truth, *arms, groups, classes=3, resamples=500)

    promised = detectable(improved(1 / 600))  # runs that agree, and hardly anything to gain
    found = [decide(Lead(improved(promised)), accepted=1, class_names=NAMES).decision for _ in range(200)]
    assert found.count("merge") / 200 == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize("shift", [0.3, 0.5])
def test_gains_are_detected_about_as_often_as_the_detectable_one_lets_expect(shift: float) -> None:
    """From the gain found in four of five tries to any other: z(power) is linear in the gain."""
    changes = [
        gain(*simulated(np.random.default_rng(i), shift, 0.1, 5), classes=3, resamples=300, seed=i) for i in range(200)
    ]
    true = np.mean([change.accuracy.mean for change in changes])
    standard = norm.ppf(0.975)
    expected = norm.cdf((standard + norm.ppf(0.8)) * true / np.mean([*map(detectable, changes)]) - standard)
    assert np.mean([change.accuracy.lo > 0 for change in changes]) == pytest.approx(expected, abs=0.1)
