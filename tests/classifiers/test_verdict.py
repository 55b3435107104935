from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from classifiers.bootstrap import Interval, spent_alpha
from classifiers.comparison import Change, Gain, PoweredChange, gain
from classifiers.endpoint import Costs, Endpoint, Tally, balanced_accuracy, expected_cost
from classifiers.inspection_metrics import InspectionMetrics, Rates, inspection_metrics
from classifiers.verdict import Lead, decide

NAMES = ["dent", "scratch", "stain"]
FIVE = Interval(0.0, -0.05, 0.05)
NONE = Change(FIVE, p=1.0)
BETTER = PoweredChange(Interval(0.021, 0.004, 0.038), p=0.01, detectable=0.03)
GOOD = Gain(
    name="balanced_accuracy",
    endpoint=BETTER,
    strict=Interval(0.021, 0.002, 0.040),
    comparison_number=1,
    by_class={0: NONE, 1: NONE, 2: NONE},
    accuracy=BETTER,
    macro_f1=Interval(0.020, 0.001, 0.040),
    recall=[FIVE, FIVE, FIVE],
    class_groups=[120, 120, 110],
    mcnemar_p=0.01,
    images=360,
    groups=350,
    seeds=5,
)
LOST = Change(Interval(-0.125, -0.2, -0.03), p=0.001)
HARMED = {"by_class": {0: NONE, 1: LOST, 2: NONE}}


def changed(mean: float, low: float, high: float, p: float = 0.01) -> dict[str, Any]:
    """An endpoint that changes so, with the interval that decides as the one that is shown."""
    interval = Interval(mean, low, high)
    return {"endpoint": replace(BETTER, interval=interval, p=p), "strict": interval}


@pytest.mark.parametrize(
    ("changes", "accepted", "decision", "says"),
    [
        ({}, 40, "merge", "recognises 2.1 percentage points more of the parts, each class counting alike"),
        ({}, 40, "merge", "95 % interval +0.4 to +3.8; mean of 5 training runs on 360 real test images"),
        ({}, 0, "do_not_merge", "accepted no synthetic image"),
        (changed(-0.02, -0.04, -0.001), 40, "do_not_merge", "2.0 percentage points fewer"),
        (changed(-0.02, -0.04, -0.001), 40, "do_not_merge", "do harm"),
        (changed(-0.02, -0.04, 0.001), 40, "do_not_merge", "no gain was measured"),
        (changed(0.0, -0.02, 0.02), 40, "do_not_merge", "recognises no more of the parts"),
        ({"accuracy": LOST}, 40, "merge", "more than chance"),  # it does not decide
        (HARMED, 40, "do_not_merge", "12.5 percentage points fewer of class 'scratch'"),
        ({"by_class": {0: NONE, 1: replace(LOST, p=0.02), 2: NONE}}, 40, "merge", "no class was found harmed."),
        ({"class_groups": [120, 7, 8]}, 40, "merge", "no class was found harmed; 'scratch' had too few test images"),
        (changed(0.01, -0.001, 0.02), 40, "inconclusive", "may be chance"),
        (changed(0.02, 0.001, 0.04, p=0.031), 40, "inconclusive", "may be chance"),  # 0.0304 is the level of the first
        ({"strict": Interval(0.021, -0.001, 0.04)}, 40, "inconclusive", "may be chance"),
        ({"comparison_number": 2, **changed(0.02, 0.001, 0.04, p=0.007)}, 40, "merge", "more than chance"),
        (
            {"comparison_number": 2, **changed(0.02, 0.001, 0.04)},
            40,
            "inconclusive",
            "comparison number 2 on these test images, which needs p = 0.0076",
        ),
        ({"macro_f1": Interval(0.01, -0.011, 0.03)}, 40, "inconclusive", "small classes may lose"),
        ({"groups": 19}, 40, "inconclusive", "only 19 of these are independent"),
        ({"seeds": 2}, 40, "inconclusive", "needs at least 3 runs"),
    ],
)
def test_rule(changes: dict[str, Any], accepted: int, decision: str, says: str) -> None:
    verdict = decide(Lead(replace(GOOD, **changes)), accepted=accepted, class_names=NAMES)
    assert verdict.decision == decision
    assert says in verdict.reason
    assert verdict.reason.endswith(".")
    assert "\n" not in verdict.reason


@pytest.mark.parametrize(("low", "decision"), [(0.001, "merge"), (-0.001, "inconclusive")])
def test_a_gain_must_hold_under_the_same_augmentation_too(low: float, decision: str) -> None:
    control = Lead(replace(GOOD, **changed(0.008, low, 0.02)))
    verdict = decide(Lead(GOOD), accepted=40, class_names=NAMES, control=control)
    assert verdict.decision == decision
    assert "under the same augmentation" in verdict.reason  # of a merge too
    assert "the synthetic images bring +0.8 points of balanced accuracy" in verdict.reason


@pytest.mark.parametrize(
    ("miss", "decision", "says"),
    [
        (Interval(0.04, 0.01, 0.07), "do_not_merge", "4.0 percentage points more of the defects are missed"),
        (Interval(0.04, -0.01, 0.09), "inconclusive", "4.0 percentage points more of the defects are missed"),
        (None, "merge", "more than chance"),
    ],
)
@pytest.mark.parametrize("priced", [False, True])
def test_without_costs_misses_have_their_say(miss: Interval | None, decision: str, says: str, priced: bool) -> None:
    before = Rates(miss=FIVE, false_reject=FIVE, missed={})
    after = before if miss is None else replace(before, miss=miss)
    found = InspectionMetrics(before, after, miss=miss or FIVE, false_reject=FIVE, good=0, kappa=0.9)
    lead = Lead(replace(GOOD, name="expected_cost") if priced else GOOD, found)
    verdict = decide(lead, accepted=40, class_names=NAMES)
    if priced:  # with costs a miss has its price
        assert verdict.decision == "merge" and "a part costs 0.021 less at the stated costs" in verdict.reason
    else:
        assert verdict.decision == decision and says in verdict.reason


@pytest.mark.parametrize("few", ["miss", "false_reject"])
def test_costs_that_cannot_be_weighed_leave_a_doubt(few: str) -> None:
    rates = Rates(miss=FIVE, false_reject=FIVE, missed={})
    known: dict[str, Any] = {"miss": FIVE, "false_reject": FIVE, few: None}
    lead = Lead(replace(GOOD, name="expected_cost"), InspectionMetrics(rates, rates, **known, good=0, kappa=0.9))
    verdict = decide(lead, accepted=40, class_names=NAMES)
    assert verdict.decision == "inconclusive" and "takes 20 independent images" in verdict.reason


SIZES = {"good": 300, "dent": 60}
TRUTH = np.repeat([0, 1], list(SIZES.values()))
COST = expected_cost(2, good=0, prevalence=0.05, costs=Costs(miss=250, false_reject=1.5))


def lead_over(before: np.ndarray, after: np.ndarray, endpoint: Endpoint | None = None, truth: Any = TRUTH) -> Lead:
    classes, groups = int(truth.max()) + 1, np.arange(len(truth))
    found = inspection_metrics(truth, before, after, groups, classes=classes, good=0, seed=0)
    return Lead(gain(truth, before, after, groups, classes=classes, endpoint=endpoint, seed=0), found)


def test_costs_decide_where_defects_are_rare() -> None:
    """Misses fall from 40 to 10 %; so many more good parts are rejected that fewer parts are right altogether."""
    before, after = counted(TRUTH, 15, 24), counted(TRUTH, 36, 6)
    assert (after == TRUTH).mean() < (before == TRUTH).mean()
    lead = lead_over(before, after, COST)
    saved = 0.05 * 250 * (24 - 6) / 60 - 0.95 * 1.5 * (36 - 15) / 300
    assert lead.gain.endpoint.interval.mean == pytest.approx(saved) == pytest.approx(3.65, abs=0.01)
    assert 2.2 < lead.gain.endpoint.interval.lo < 2.4 and 5.0 < lead.gain.endpoint.interval.hi < 5.2
    assert lead.gain.accuracy.interval.mean < 0 and lead.gain.recall[0].hi < 0  # what used to forbid it
    verdict = decide(lead, accepted=40, class_names=list(SIZES))
    assert verdict.decision == "merge" and "a part costs 3.65 less at the stated costs" in verdict.reason
    without = decide(lead_over(before, after), accepted=40, class_names=list(SIZES))
    assert without.decision == "do_not_merge" and "percentage points fewer of class 'good'" in without.reason


def test_the_price_decides_even_where_more_defects_are_missed() -> None:
    """Nine in a hundred more defects missed, but hardly a good part thrown away any more; a miss is cheap here."""
    cheap = expected_cost(2, good=0, prevalence=0.05, costs=Costs(miss=3, false_reject=1.5))
    before, after = counted(TRUTH, 60, 6), counted(TRUTH, 6, 12)
    assert decide(lead_over(before, after, cheap), accepted=4, class_names=list(SIZES)).decision == "merge"
    dear = decide(lead_over(before, after, COST), accepted=4, class_names=list(SIZES))
    assert dear.decision == "do_not_merge" and "a part costs 0.994 more at the stated costs" in dear.reason


def test_a_kind_of_defect_that_slips_through_is_not_outweighed_by_another() -> None:
    """The mixture of defects on the line is not known: priced as if all were pits, the parts have become dearer."""
    truth = np.repeat([0, 1, 2], [300, 100, 40])
    before, after = counted(truth, 10, 60), counted(truth, 10, 10)
    after[:, np.flatnonzero(truth == 2)[:15]] = 0
    cost = expected_cost(3, good=0, prevalence=0.05, costs=Costs(miss=250, false_reject=1.5))
    lead = lead_over(before, after, cost, truth)
    assert lead.gain.strict.lo > 0
    verdict = decide(lead, accepted=40, class_names=["good", "dent", "pit"])
    assert verdict.decision == "do_not_merge"
    assert "it would cost 4.69 a part more if all defects were 'pit', which is more than chance" in verdict.reason


def test_harm_that_is_spread_over_the_classes_is_seen_in_the_misses() -> None:
    # 300 good parts, 270 more of them recognised; of each of six defects 3 of 40 more are called good
    truth = np.repeat(np.arange(7), [300, *[40] * 6])
    before, after = truth.copy(), truth.copy()
    before[:280], after[:10] = 1, 1
    for label in range(1, 7):
        first = int(np.flatnonzero(truth == label)[0])
        before[first], after[first : first + 4] = 0, 0
    arms = truth, np.tile(before, (5, 1)), np.tile(after, (5, 1)), np.arange(len(truth))
    change, names = gain(*arms, classes=7, seed=0), ["good", *"abcdef"]
    assert decide(Lead(change), accepted=9, class_names=names).decision == "merge"
    found = inspection_metrics(*arms, classes=7, good=0, seed=0)
    verdict = decide(Lead(change, found), accepted=9, class_names=names)
    assert (
        verdict.decision == "do_not_merge" and "7.5 percentage points more of the defects are missed" in verdict.reason
    )


@pytest.mark.parametrize(
    ("over", "decision"),
    [
        (changed(0.02, 0.001, 0.04, p=0.03), "merge"),
        (changed(0.02, 0.001, 0.04, p=0.06), "inconclusive"),
        (changed(0.001, -0.02, 0.02, p=0.9), "inconclusive"),
        (changed(-0.02, -0.04, -0.001, p=0.03), "inconclusive"),
    ],
)
def test_every_arm_of_real_images_must_be_beaten(over: dict[str, Any], decision: str) -> None:
    rivals = {
        "real": Lead(replace(GOOD, **changed(0.1, 0.05, 0.15))),
        "balanced": Lead(replace(GOOD, **over)),
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
            (120, 4),
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
        found = inspection_metrics(truth, before, after, groups, classes=2, good=0, seed=0)
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
    found = inspection_metrics(truth, before, after, groups, classes=3, good=0, seed=0)
    lead = Lead(gain(truth, before, after, groups, classes=3, seed=0), found)
    verdict = decide(lead, accepted=9, class_names=["good", "dent", "pit"])
    assert verdict.decision == "inconclusive" and "none of these is a good part" in verdict.reason


@pytest.mark.parametrize(("better", "decision"), [(6, "inconclusive"), (7, "merge")])
def test_a_handful_of_images_that_changed_is_no_proof(better: int, decision: str) -> None:
    # all for the better: by heads or tails alone 2 in 64 and 2 in 128, and the level is 0.0304
    truth = np.arange(600) % 3
    before, after = np.where(np.arange(600) < 30, (truth + 1) % 3, truth), truth.copy()
    after[better:30] = before[better:30]
    change = gain(truth, np.tile(before, (5, 1)), np.tile(after, (5, 1)), np.arange(600), classes=3, seed=0)
    assert change.endpoint.interval.lo > 0
    assert decide(Lead(change), accepted=9, class_names=NAMES).decision == decision


def test_few_defective_images_that_are_missed_more_often_leave_a_doubt() -> None:
    # 200 good parts, 140 more of them recognised; 12 defective ones, one more of them called good
    truth = np.repeat([0, 1], [200, 12])
    before, after = truth.copy(), truth.copy()
    before[:150], after[:10] = 1, 1
    before[200:202], after[200:203] = 0, 0
    arms = truth, np.tile(before, (5, 1)), np.tile(after, (5, 1)), np.arange(len(truth))
    found = inspection_metrics(*arms, classes=2, good=0, seed=0)
    verdict = decide(Lead(gain(*arms, classes=2, seed=0), found), accepted=9, class_names=["good", "dent"])
    assert verdict.decision == "inconclusive"
    assert "8.3 percentage points more of the defects are missed (too few test images" in verdict.reason


def test_few_resamples_do_not_hide_harm() -> None:
    truth = np.repeat(np.arange(6), 60)
    before, after = np.where(np.arange(360) % 10 < 3, (truth + 1) % 6, truth), truth.copy()
    before[:60], after[:20] = 0, 1  # class 0: 60 of 60, then 40
    arms = truth, np.tile(before, (5, 1)), np.tile(after, (5, 1)), np.arange(360)
    change = gain(*arms, classes=6, resamples=100, seed=0)
    assert change.endpoint.interval.lo > 0
    verdict = decide(Lead(change), accepted=9, class_names=list("abcdef"))
    assert verdict.decision == "do_not_merge" and "of class 'a'" in verdict.reason


def test_names_must_match_the_classes() -> None:
    with pytest.raises(ValueError, match="2 class names for 3 classes"):
        decide(Lead(GOOD), accepted=1, class_names=NAMES[:2])


def simulated(
    rng: np.random.Generator, shift: float, run_to_run: float, runs: int, sizes: Sequence[int] = (80, 80, 80)
) -> tuple[np.ndarray, ...]:
    """A test set with images of so many a class, some easier than others, and two arms of `runs`, some runs luckier.

    A run's luck has a part for all classes and one for each.
    """
    truth = np.repeat(np.arange(len(sizes)), sizes)
    ease = rng.normal(2.0, 1.5, len(truth))
    arms = []
    for bonus in (0.0, shift):
        luck = rng.normal(0, run_to_run, (runs, 1)) + rng.normal(0, run_to_run, (runs, len(sizes)))[:, truth]
        right = rng.random(luck.shape) < 1 / (1 + np.exp(-(ease + bonus + luck)))
        wrong = (truth + rng.integers(1, len(sizes), right.shape)) % len(sizes)
        arms.append(np.where(right, truth, wrong))
    return truth, *arms, np.arange(len(truth))


def is_merged(data: tuple[np.ndarray, ...], endpoint: Endpoint | None, seed: int, comparison_number: int = 1) -> bool:
    """Whether the rule says merge; a rise of less than 1.5 standard errors is not looked at further."""
    truth, before, after, groups = data
    classes = int(truth.max()) + 1
    decides = endpoint or balanced_accuracy(truth, classes)
    tallies = [Tally(decides.acceptable, truth, predictions, groups) for predictions in (before, after)]
    change = (tallies[1].found - tallies[0].found).mean(axis=1) @ tallies[0].image_weights(decides)[0]
    if change.sum() <= 1.5 * np.sqrt((change**2).sum()):
        return False
    won = gain(*data, classes=classes, endpoint=endpoint, comparison_number=comparison_number, resamples=400, seed=seed)
    found = inspection_metrics(*data, classes=classes, good=0, resamples=100) if endpoint else None
    return decide(Lead(won, found), accepted=1, class_names=NAMES[:classes]).decision == "merge"


def share_of_merges(
    shift: float,
    run_to_run: float,
    *,
    simulations: int,
    runs: int = 5,
    sizes: Sequence[int] = (80, 80, 80),
    endpoint: Endpoint | None = None,
) -> float:
    merged = [
        is_merged(simulated(np.random.default_rng(i), shift, run_to_run, runs, sizes), endpoint, i)
        for i in range(simulations)
    ]
    return float(np.mean(merged))


# Runs whose scores vary not at all, usually and wildly. The standard error of 600 tries about 2.5 % is 0.6 %.
@pytest.mark.parametrize(("run_to_run", "runs"), [(0.0, 5), (0.15, 5), (0.4, 5), (0.4, 3), (0.4, 1)])
def test_useless_images_are_rarely_merged(run_to_run: float, runs: int) -> None:
    assert share_of_merges(0.0, run_to_run, runs=runs, simulations=600) <= 0.025 + 2 * 0.006


@pytest.mark.parametrize("priced", [False, True])
@pytest.mark.parametrize(("sizes", "run_to_run"), [((200, 12, 40), 0.0), ((200, 12, 40), 0.3), ((300, 60), 0.15)])
def test_useless_images_are_rarely_merged_where_classes_are_unequal(
    sizes: tuple[int, ...], run_to_run: float, priced: bool
) -> None:
    costs = Costs(miss=250, false_reject=1.5)
    cost = expected_cost(len(sizes), good=0, prevalence=0.05, costs=costs) if priced else None
    assert share_of_merges(0.0, run_to_run, sizes=sizes, endpoint=cost, simulations=600) <= 0.025 + 2 * 0.006


def test_useful_images_are_mostly_merged() -> None:
    assert share_of_merges(0.8, 0.1, simulations=60) > 0.8


def test_levels_of_all_comparisons_together_are_five_per_cent() -> None:
    levels = [spent_alpha(comparison_number) for comparison_number in range(1, 100_001)]
    assert levels[0] == pytest.approx(0.0304, abs=1e-4) and levels[1] == pytest.approx(levels[0] / 4)
    assert sum(levels) == pytest.approx(0.05, abs=1e-5) and sum(levels) < 0.05


@pytest.mark.parametrize("spends", [True, False])
def test_a_line_compared_again_and_again_is_rarely_merged_by_chance(spends: bool) -> None:
    """Thirty nights; the test set grows from 60 to 350 images, and every night's classifiers are no better."""
    merged = []
    for line in range(120):
        rng = np.random.default_rng(line)
        truth, ease = rng.integers(3, size=350), rng.normal(2.0, 1.5, 350)
        truth[:3] = np.arange(3)
        found = False
        for comparison_number in range(1, 31):
            n = 50 + 10 * comparison_number
            right = rng.random((2, 5, n)) < 1 / (1 + np.exp(-ease[:n] - rng.normal(0, 0.15, (2, 5, 1))))
            before, after = np.where(right, truth[:n], (truth[:n] + 1) % 3)
            found = is_merged(
                (truth[:n], before, after, np.arange(n)), None, comparison_number, comparison_number if spends else 1
            )
            if found:
                break
        merged.append(found)
    share, error = np.mean(merged), 0.02  # standard error about 5 %
    assert share <= 0.05 + 2 * error if spends else share > 0.05 + 2 * error


def test_a_gain_in_a_handful_of_images_is_found_about_as_often_as_promised() -> None:
    truth, groups, rng = np.arange(600) % 3, np.arange(600), np.random.default_rng(0)

    def improved(share: float) -> Gain:
        before = np.where(rng.random(600) < share, (truth + 1) % 3, truth)
        arms = np.tile(before, (5, 1)), np.tile(truth, (5, 1))
        return gain(truth, *arms, groups, classes=3, resamples=500)

    promised = improved(1 / 600).endpoint.detectable  # runs that agree, and hardly anything to gain
    found = [decide(Lead(improved(promised)), accepted=1, class_names=NAMES).decision for _ in range(200)]
    assert found.count("merge") / 200 == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize(("shift", "sizes"), [(0.3, (80, 80, 80)), (0.5, (80, 80, 80)), (0.5, (160, 60, 40))])
def test_gains_are_detected_about_as_often_as_the_detectable_one_lets_expect(
    shift: float, sizes: tuple[int, ...]
) -> None:
    """From the gain found in four of five tries to any other: z(power) is linear in the gain."""
    changes = [
        gain(*simulated(np.random.default_rng(i), shift, 0.07, 5, sizes), classes=3, resamples=400, seed=i)
        for i in range(200)
    ]
    true = np.mean([change.endpoint.interval.mean for change in changes])
    standard = norm.ppf(1 - spent_alpha(1) / 2)
    promised = np.mean([change.endpoint.detectable for change in changes])
    expected = norm.cdf((standard + norm.ppf(0.8)) * true / promised - standard)
    assert np.mean([change.strict.lo > 0 for change in changes]) == pytest.approx(expected, abs=0.1)
