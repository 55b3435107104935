"""Misses, false rejects and agreement, against what counting by hand says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from classifiers.inspection_metrics import inspection_metrics, per_million

GOOD, TIMES = 1, 10
TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2] * TIMES)
# misses 2 of 4 and 1 of 2; rejects 2 of 5
BEFORE = np.array([[0, 1, 2, 1, 1, 1, 0, 1, 2, 1, 2] * TIMES] * 2)
# misses 1 of 4 and none, in one of two seeds; rejects 1
AFTER = np.array([[0, 1, 2, 0, 1, 1, 1, 1, 2, 0, 2] * TIMES, TRUTH])


def compare(before: Any = BEFORE, after: Any = AFTER, **more: Any) -> Any:
    options: dict[str, Any] = {"classes": 3, "good": GOOD, "resamples": 200, **more}
    groups = options.pop("groups", np.arange(len(TRUTH)))
    return inspection_metrics(TRUTH, before, after, groups, **options)


def test_missed_is_a_defect_called_good_and_rejected_is_a_good_part_called_defective() -> None:
    found = compare()
    assert found.before.miss.mean == pytest.approx(3 / 6) and found.after.miss.mean == pytest.approx(0.5 / 6)
    assert found.before.false_reject.mean == pytest.approx(2 / 5)
    assert found.after.false_reject.mean == pytest.approx(0.5 / 5)
    assert {k: rate.mean for k, rate in found.before.missed.items()} == {0: 0.5, 2: 0.5}
    assert found.miss.mean == pytest.approx(0.5 / 6 - 3 / 6) and found.miss.lo < found.miss.mean < found.miss.hi
    assert found.false_reject.mean == pytest.approx(-0.3)


def test_without_a_good_class_a_defect_is_missed_when_its_class_is() -> None:
    found = compare(good=None)
    assert found.before.miss.mean == pytest.approx((BEFORE != TRUTH).mean())
    assert found.false_reject is None and found.before.false_reject is None


def test_parts_per_million_are_a_share_of_all_parts() -> None:
    before = compare().before
    assert per_million(before.miss, 0.02).mean == pytest.approx(1e6 * 0.02 * 0.5)
    assert per_million(before.false_reject, 0.98).hi == pytest.approx(1e6 * 0.98 * before.false_reject.hi)


def test_runs_that_differ_widen_a_rate_beyond_what_images_alone_would() -> None:
    truth, groups = np.repeat([0, 1], 300), np.arange(600)
    runs = np.stack([np.where(groups < missed, 1, truth) for missed in (15, 45, 60, 75, 105)])  # 20 % on average
    differing, alike = (
        inspection_metrics(truth, p, p, groups, classes=2, good=1, resamples=500).before.miss
        for p in (runs, np.tile(runs[2], (5, 1)))
    )
    low, high = binomtest(60, 300).proportion_ci(method="wilson")
    assert differing.mean == alike.mean == pytest.approx(0.2)
    assert differing.lo < low - 0.02 and differing.hi > high + 0.02
    assert [alike.lo, alike.hi] == pytest.approx([low, high], abs=0.01)


def test_few_independent_images_give_no_change_and_wide_rates() -> None:
    """Each image photographed ten times says no more than once."""
    once = compare(groups=np.arange(len(TRUTH)) % (len(TRUTH) // TIMES))
    assert once.miss is None and once.false_reject is None
    assert once.before.miss.mean == compare().before.miss.mean
    wide, narrow = (x.before.miss.hi - x.before.miss.lo for x in (once, compare()))
    assert wide > 2 * narrow


def test_kappa_is_one_of_equal_arms_and_about_zero_of_chance() -> None:
    assert compare(after=BEFORE).kappa == 1
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=3000)
    arms = rng.integers(3, size=(2, 1, 3000))
    found = inspection_metrics(truth, *arms, np.arange(3000), classes=3, good=0, resamples=100)
    assert abs(found.kappa) < 0.05


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from([None, 0, 2]))
def test_arms_swapped_change_the_sign(seed: int, good: int | None) -> None:
    rng = np.random.default_rng(seed)
    truth = np.concatenate([rng.integers(3, size=100), [1]])
    arms = rng.integers(3, size=(2, 3, 101))
    options: dict[str, Any] = {"classes": 3, "good": good, "resamples": 100}
    there, back = (inspection_metrics(truth, *order, np.arange(101), **options) for order in (arms, arms[::-1]))
    for a, b in ((there.miss, back.miss), (there.false_reject, back.false_reject)):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert [a.mean, a.lo, a.hi] == pytest.approx([-b.mean, -b.hi, -b.lo], abs=1e-9)
    assert there.kappa == pytest.approx(back.kappa)


def test_the_interval_covers_the_true_change() -> None:
    """30 % of images are missed before and 20 % after, independently: 95 % of intervals should hold -10 points."""
    rng, covered, tries, images = np.random.default_rng(1), 0, 100, 150
    truth = np.zeros(images, np.int64)
    for _ in range(tries):
        arms = [(rng.random(images) < share).astype(np.int64)[None] for share in (0.3, 0.2)]
        found = inspection_metrics(truth, *arms, np.arange(images), classes=2, good=1, resamples=200)
        assert found.miss is not None
        covered += found.miss.lo <= -0.1 <= found.miss.hi
    assert covered >= binom.ppf(0.001, tries, 0.95)


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="no test image has a defect"):
        inspection_metrics([1, 1], [[1, 1]], [[1, 1]], [0, 1], classes=2, good=1)
    with pytest.raises(ValueError, match="share their seeds"):
        compare(after=AFTER[:1])
