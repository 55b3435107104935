"""Where costs are stated, the answer is the one that costs least."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from classifiers.decision_rule import LIKELIEST, DecisionRule, decision_rule
from classifiers.endpoint import Costs, balanced_accuracy, expected_cost

GOOD = 1


def drawn(
    images: int, seed: int, *, apart: float = 2.0, good: float = 0.5
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities [N, 3] whose log-odds of class 1 are normal, around `apart` for good parts and -`apart` else."""
    rng = np.random.default_rng(seed)
    truth = np.where(rng.random(images) < good, GOOD, 2 * rng.integers(2, size=images))
    truth[:2] = 0, GOOD
    p = expit(rng.normal(np.where(truth == GOOD, apart, -apart), 2.0))
    other = rng.random(images) * (1 - p)
    return np.stack([other, p, 1 - p - other], axis=1), truth


def test_a_part_passes_above_the_threshold_and_is_the_likeliest_defect_else() -> None:
    rule = DecisionRule(good=1, threshold=0.9)
    said = [[0.05, 0.91, 0.04], [0.03, 0.89, 0.08], [0.6, 0.3, 0.1], [0.05, 0.9, 0.05]]
    assert rule.answers(said).tolist() == [1, 2, 0, 0]
    assert rule.answers([said, said]).tolist() == [[1, 2, 0, 0]] * 2
    assert LIKELIEST.answers(said).tolist() == [1, 1, 0, 1]


def test_without_costs_the_likeliest_class_is_the_answer() -> None:
    probabilities, truth = drawn(40, 0)
    assert decision_rule(balanced_accuracy(truth, 3), probabilities, truth) == LIKELIEST


@given(st.floats(0.001, 0.5), st.floats(1, 500), st.floats(0.2, 0.8), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_the_threshold_is_that_of_least_expected_cost(prevalence: float, miss: float, share: float, seed: int) -> None:
    """Of two normal distributions of one deviation the best threshold is known, however many images are good:

    log-odds s with P(s | good) / P(s | defect) = exp(2 apart s / deviation^2), of which
    prevalence miss / ((1 - prevalence) false_reject) is where both mistakes cost the same.
    """
    endpoint = expected_cost(3, good=GOOD, prevalence=prevalence, costs=Costs(miss, 1.5))
    probabilities, truth = drawn(20_000, seed, good=share)
    rule = decision_rule(endpoint, probabilities, truth)
    best = np.log(prevalence * miss / ((1 - prevalence) * 1.5)) * 2.0**2 / (2 * 2.0)
    assert rule.good == GOOD and rule.threshold is not None
    other, of_other = drawn(20_000, seed + 1)
    at_best = DecisionRule(GOOD, float(expit(best)))
    cost, least = (endpoint.figure(endpoint.score(of_other, r.answers(other))) for r in (rule, at_best))
    assert cost <= least + 0.02 * endpoint.most
    if abs(best) < 4:
        assert logit(rule.threshold) == pytest.approx(best, abs=0.5)


def test_dear_misses_make_a_few_images_reject_more() -> None:
    """As it is used: forty images of a classifier that is rather sure of itself."""
    probabilities, truth = drawn(40, 3)
    dear, cheap = (
        decision_rule(expected_cost(3, good=GOOD, prevalence=0.05, costs=Costs(miss, 1.5)), probabilities, truth)
        for miss in (250, 2.5)
    )
    rejected = [int((rule.answers(probabilities) != GOOD).sum()) for rule in (dear, LIKELIEST, cheap)]
    assert rejected[0] > rejected[1] > rejected[2]


@pytest.mark.parametrize(("costs", "answer"), [(Costs(0, 2), True), (Costs(2, 0), False)])
def test_a_mistake_that_costs_nothing_is_always_made(costs: Costs, answer: bool) -> None:
    probabilities, truth = drawn(40, 1)
    rule = decision_rule(expected_cost(3, good=GOOD, prevalence=0.1, costs=costs), probabilities, truth)
    assert ((rule.answers(probabilities) == GOOD) == answer).all()


@pytest.mark.parametrize("miss", [100.0, 1.0])
def test_probabilities_that_tell_nothing_leave_the_cheaper_of_the_two(miss: float) -> None:
    """Those of good parts are even the lower ones."""
    probabilities, truth = drawn(60, 2, apart=-2.0)
    rule = decision_rule(expected_cost(3, good=GOOD, prevalence=0.1, costs=Costs(miss, 2)), probabilities, truth)
    assert ((rule.answers(probabilities) == GOOD) == (miss == 1.0)).all()
