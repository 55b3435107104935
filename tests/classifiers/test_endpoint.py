"""The figure that decides, against what counting by hand says."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from classifiers.bootstrap import Interval
from classifiers.comparison import gain, summarise
from classifiers.endpoint import Costs, balanced_accuracy, expected_cost

# good parts are class 1; of 20 in each of ten blocks
TIMES = 10
TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2] * TIMES)
GROUPS = np.arange(len(TRUTH))
BEFORE = np.array([[0, 1, 2, 1, 1, 1, 0, 1, 2, 1, 2] * TIMES] * 2)  # missed 3 of 6, rejected 2 of 5
AFTER = np.array([[0, 1, 2, 0, 1, 1, 1, 1, 2, 0, 2] * TIMES, TRUTH])  # missed 1 of 6 and none, rejected 1 and none
COST = expected_cost(3, good=1, prevalence=0.02, costs=Costs(miss=100, false_reject=2))


def test_a_part_costs_what_is_missed_and_what_is_rejected_each_by_its_share_on_the_line() -> None:
    before, after = (summarise(TRUTH, p, GROUPS, classes=3, endpoint=COST).endpoint for p in (BEFORE, AFTER))
    assert before.mean == pytest.approx(0.02 * 100 * 3 / 6 + 0.98 * 2 * 2 / 5)
    assert after.mean == pytest.approx(0.02 * 100 * 0.5 / 6 + 0.98 * 2 * 0.5 / 5)
    assert 0 <= after.lo < after.mean < after.hi and before.lo < before.mean < before.hi <= 0.02 * 100 + 0.98 * 2
    change = gain(TRUTH, BEFORE, AFTER, GROUPS, classes=3, endpoint=COST)
    assert change.name == "expected_cost"
    assert change.endpoint.interval.mean == pytest.approx(before.mean - after.mean)  # saved: more is better
    assert change.endpoint.p < 0.01


def test_each_kind_of_defect_is_priced_as_if_all_were_of_it() -> None:
    change = gain(TRUTH, BEFORE, AFTER, GROUPS, classes=3, endpoint=COST)
    rejected = 0.98 * 2 * (2 / 5 - 0.5 / 5)
    assert change.by_class.keys() == {0, 2}
    assert change.by_class[0].interval.mean == pytest.approx(rejected + 2 * (2 / 4 - 0.5 / 4))
    assert change.by_class[2].interval.mean == pytest.approx(rejected + 2 * (1 / 2 - 0))


@given(st.integers(0, 2**32 - 1))
def test_balanced_accuracy_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, predictions = rng.integers(3, size=30) % rng.integers(1, 4), rng.integers(3, size=30)
    expected = np.mean([(predictions[truth == k] == k).mean() for k in np.unique(truth)])
    if set(predictions) <= set(truth):
        assert expected == pytest.approx(balanced_accuracy_score(truth, predictions))
    assert balanced_accuracy(truth, 3).score(truth, predictions) == pytest.approx(expected)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_the_score_is_a_sum_over_groups_whose_signs_may_be_flipped(seed: int, priced: bool) -> None:
    """All groups but one alike: the change is that group's part, and its p says that one group proves nothing."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(3), rng.integers(3, size=40)])
    before = rng.integers(3, size=(2, 43))
    after = before.copy()
    after[:, 7] = (after[:, 7] + 1) % 3
    endpoint = COST if priced else balanced_accuracy(truth, 3)
    change = gain(truth, before, after, np.arange(43), classes=3, endpoint=endpoint, resamples=100)
    scores = [endpoint.score(truth, predictions) for predictions in (before, after)]
    assert change.endpoint.interval.mean == pytest.approx(scores[1] - scores[0], abs=1e-12)
    assert change.endpoint.p == 1.0


@pytest.mark.parametrize("lacking", [0, 1])
def test_what_the_test_set_lacks_has_no_price(lacking: int) -> None:
    truth = np.full(30, 1 - lacking)
    cost = expected_cost(2, good=1, prevalence=0.02, costs=Costs(100, 2))
    assert np.isnan(cost.score(truth, truth))
    change = gain(truth, truth[None], truth[None], np.arange(30), classes=2, endpoint=cost, resamples=100)
    assert np.isnan(change.endpoint.interval.mean) and np.isnan(change.strict.lo)


def test_one_fault_in_a_rare_class_weighs_as_its_share_says() -> None:
    truth = np.repeat([0, 1], [90, 10])
    wrong = truth.copy()
    wrong[-1] = 0
    assert balanced_accuracy(truth, 2).score(truth, wrong) == pytest.approx((1 + 0.9) / 2)


@cache
def intervals(confusion: tuple[int, ...]) -> tuple[Interval, Interval, Interval]:
    """Accuracy, endpoint and macro-F1 of one run with these counts, [K, K] flattened, of independent images."""
    classes = round(len(confusion) ** 0.5)
    truth, said = np.repeat(np.indices((classes, classes)).reshape(2, -1), confusion, axis=1)
    found = summarise(truth, said[None], np.arange(len(truth)), classes=classes, resamples=200, seed=0)
    return found.accuracy, found.endpoint, found.macro_f1


@pytest.mark.parametrize("n", [20, 40, 100, 400])
@pytest.mark.parametrize("p", [0.5, 0.7, 0.9, 0.97, 0.99])
def test_the_intervals_of_an_arm_hold_the_truth(p: float, n: int) -> None:
    """Two classes of n / 2 images, each right with probability p on its own: all three figures are truly p."""
    rng = np.random.default_rng(n)
    right = np.column_stack([rng.binomial(n // 2, p, size=300) for _ in range(2)])
    hits = np.array(
        [[found.lo <= p <= found.hi for found in intervals((a, n // 2 - a, n // 2 - b, b))] for a, b in right.tolist()]
    )
    assert hits.mean(axis=0).min() >= 0.93 - 1.5 * (0.93 * 0.07 / 300) ** 0.5  # 0.908; 71 % at p = 0.97, n = 40 before


def test_the_intervals_of_an_arm_hold_the_truth_where_classes_are_unequal() -> None:
    """Recalls of 0.99 and 0.9, on 300 and 30 images."""
    rng, truth = np.random.default_rng(0), (0.99, 0.9)
    counts = [(300 * truth[0], 300 * (1 - truth[0])), (30 * (1 - truth[1]), 30 * truth[1])]
    f1 = np.mean([2 * counts[k][k] / (sum(counts[k]) + counts[0][k] + counts[1][k]) for k in (0, 1)])
    true = sum(counts[k][k] for k in (0, 1)) / 330, np.mean(truth), f1
    hits = []
    for a, b in zip(rng.binomial(300, truth[0], 300).tolist(), rng.binomial(30, truth[1], 300).tolist(), strict=True):
        found = intervals((a, 300 - a, 30 - b, b))
        hits.append([one.lo <= what <= one.hi for one, what in zip(found, true, strict=True)])
    assert np.mean(hits, axis=0).min() >= 0.93 - 1.5 * (0.93 * 0.07 / 300) ** 0.5
