import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from classifiers.bootstrap import Interval
from classifiers.comparison import Gain, gain, mcnemar_exact, summarise

K = 3


@st.composite
def arms(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Truth, two arms' predictions and groups of a random test set; some are tiny, some lack a class."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images, seeds = draw(st.integers(1, 40)), draw(st.integers(1, 5))
    truth = rng.integers(draw(st.integers(1, K)), size=images)
    right = rng.random((2, seeds, images)) < draw(st.floats(0, 1))
    before, after = np.where(right, truth, rng.integers(K, size=right.shape))
    return truth, before, after, rng.integers(draw(st.integers(1, images)), size=images)


def contains(interval: Interval, low: float, high: float) -> bool:
    if math.isnan(interval.mean):
        return math.isnan(interval.lo) and math.isnan(interval.hi)
    return interval.lo <= interval.mean <= interval.hi and low <= interval.mean <= high


@settings(deadline=None)
@given(arms())
def test_points_are_plain_means_and_lie_within_their_intervals(data: Any) -> None:
    truth, before, after, groups = data
    summary = summarise(truth, before, groups, classes=K, resamples=50, seed=0)
    assert summary.accuracy.mean == pytest.approx((before == truth).mean())
    assert [s.accuracy for s in summary.runs[0]] == pytest.approx((before == truth).mean(axis=1))
    assert summary.confusion.sum() == before.size
    assert contains(summary.accuracy, 0, 1)
    assert contains(summary.macro_f1, 0, 1)
    assert all(contains(recall, 0, 1) for recall in summary.recall)
    change = gain(truth, before, after, groups, classes=K, resamples=50, seed=0)
    assert change.accuracy.interval.mean == pytest.approx((after == truth).mean() - (before == truth).mean())
    assert all(contains(interval, -1, 1) for interval in (change.accuracy.interval, change.macro_f1, *change.recall))


@settings(deadline=None)
@given(arms())
def test_gain_is_antisymmetric(data: Any) -> None:
    truth, before, after, groups = data
    there = gain(truth, before, after, groups, classes=K, resamples=50, seed=1)
    back = gain(truth, after, before, groups, classes=K, resamples=50, seed=1)
    assert there.mcnemar_p == back.mcnemar_p
    assert there.endpoint.p == back.endpoint.p and there.accuracy.p == back.accuracy.p
    assert [of.p for of in there.by_class.values()] == [of.p for of in back.by_class.values()]

    def intervals(of: Gain) -> list[Interval]:
        changes = (of.accuracy, of.endpoint, *of.by_class.values())
        return [change.interval for change in changes] + [of.strict, of.macro_f1, *of.recall]

    for a, b in zip(intervals(there), intervals(back), strict=True):
        assert [a.mean, a.lo, a.hi] == pytest.approx([-b.mean, -b.hi, -b.lo], abs=1e-12, nan_ok=True)


@settings(deadline=None)
@given(arms())
def test_identical_arms_gain_nothing(data: Any) -> None:
    truth, before, _, groups = data
    change = gain(truth, before, before, groups, classes=K, resamples=50, seed=0)
    assert change.accuracy.interval == change.macro_f1 == change.endpoint.interval == Interval(0.0, 0.0, 0.0)
    assert change.mcnemar_p == change.accuracy.p == change.endpoint.p == 1.0
    assert [of.p for of in change.by_class.values()] == [1.0] * K


def test_macro_f1_of_a_worked_example() -> None:
    truth, predictions = np.array([0, 0, 0, 1, 1, 2]), np.array([[0, 0, 1, 1, 2, 2]])
    summary = summarise(truth, predictions, np.arange(6), classes=3, resamples=10, seed=0)
    assert summary.macro_f1.mean == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    assert summary.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert summary.recall[0].mean == pytest.approx(2 / 3)


def test_where_all_are_right_the_interval_is_wilsons() -> None:
    truth = np.zeros(40, np.int64)
    found = summarise(truth, truth[None], np.arange(40), classes=2, resamples=100, seed=0)
    expected = binomtest(40, 40).proportion_ci(method="wilson")
    for interval in (found.accuracy, found.macro_f1, found.endpoint, found.recall[0]):
        assert [interval.mean, interval.lo, interval.hi] == pytest.approx([1.0, expected.low, 1.0])
    assert expected.low == pytest.approx(0.912, abs=0.001)
    assert math.isnan(found.recall[1].mean), "a class without test images has no recall"


def test_mcnemar_counts_the_votes_that_changed() -> None:
    truth = np.zeros(20, np.int64)
    before, after = np.zeros((3, 20), np.int64), np.zeros((3, 20), np.int64)
    before[:, :9] = 1
    after[:, 9:11] = 1
    after[0, 12:] = 1  # outvoted
    assert mcnemar_exact(truth, before, after, np.arange(20), classes=2) == pytest.approx(binomtest(2, 11).pvalue)
    groups = np.repeat([0, 1, 2, 3], [9, 2, 1, 8])  # near-duplicates are one trial
    assert mcnemar_exact(truth, before, after, groups, classes=2) == 1.0


def test_intervals_are_as_wide_as_chance_says() -> None:
    # One seed, independent images: the standard error of a share is known.
    truth = np.zeros(400, np.int64)
    predictions = (np.random.default_rng(0).random((1, 400)) < 0.2).astype(np.int64)
    interval = summarise(truth, predictions, np.arange(400), classes=2, resamples=2000, seed=0).accuracy
    error = math.sqrt(interval.mean * (1 - interval.mean) / 400)
    assert interval.hi - interval.lo == pytest.approx(2 * 1.96 * error, rel=0.08)


def test_near_duplicates_count_once() -> None:
    truth = np.zeros(100, np.int64)
    predictions = np.repeat(np.arange(10) % 2, 10)[None]
    width = {}
    for name, groups in (("apart", np.arange(100)), ("together", np.repeat(np.arange(10), 10))):
        interval = summarise(truth, predictions, groups, classes=2, resamples=1000, seed=0).accuracy
        width[name] = interval.hi - interval.lo
    assert width["together"] == pytest.approx(math.sqrt(10) * width["apart"], rel=0.15)


def test_seeds_that_disagree_widen_the_interval() -> None:
    truth = np.zeros(1000, np.int64)
    rng = np.random.default_rng(0)
    width = {}
    for name, shares in (("agree", [0.8] * 5), ("disagree", [0.7, 0.75, 0.8, 0.85, 0.9])):
        predictions = (rng.random((5, 1000)) > np.array(shares)[:, None]).astype(np.int64)
        interval = summarise(truth, predictions, np.arange(1000), classes=2, resamples=1000, seed=0).accuracy
        width[name] = interval.hi - interval.lo
    assert width["disagree"] > 3 * width["agree"]


def test_shapes_and_labels_are_checked() -> None:
    truth, groups = np.zeros(4, np.int64), np.arange(4)
    with pytest.raises(ValueError, match=r"predictions \[seeds, N\]"):
        summarise(truth, np.zeros(4, np.int64), groups, classes=2)
    with pytest.raises(ValueError, match=r"labels in 0\.\.1"):
        summarise(truth, np.full((1, 4), 2), groups, classes=2)
    with pytest.raises(ValueError, match="must share their seeds"):
        gain(truth, np.zeros((1, 4)), np.zeros((2, 4)), groups, classes=2)
