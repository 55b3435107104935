"""What a gain is worth in images, where errors follow a known power law."""

import numpy as np
import pytest

from classifiers.endpoint import Costs, balanced_accuracy, expected_cost
from classifiers.learning_curve import MOST, worth

IMAGES = 20_000
TRUTH = np.zeros(IMAGES, np.int64)
GROUPS = np.arange(IMAGES)
ENDPOINT = balanced_accuracy(TRUTH, 2)


def predictions(error: float, seeds: int = 2) -> np.ndarray:
    """Wrong for exactly that share of images, other ones for every seed."""
    rng = np.random.default_rng(round(error * 1e6))
    return np.stack([rng.permutation(IMAGES) < error * IMAGES for _ in range(seeds)]).astype(np.int64)


def curve(slope: float = 0.5) -> dict[int, np.ndarray]:
    return {n: predictions(0.4 * (n / 5) ** -slope) for n in (5, 10, 20)}


@pytest.mark.parametrize("slope", [0.3, 0.6, 1.0])
def test_the_error_of_twice_the_images_is_worth_as_many_again(slope: float) -> None:
    found = worth(TRUTH, curve(slope), predictions(0.4 * (40 / 5) ** -slope), GROUPS, ENDPOINT, resamples=200)
    assert found is not None and found.mean == pytest.approx(1, rel=0.03)
    assert found.lo < 1 < found.hi < found.lo + 1


def mean(curve: dict[int, np.ndarray], augmented: np.ndarray) -> float:
    found = worth(TRUTH, curve, augmented, GROUPS, ENDPOINT, resamples=100)
    assert found is not None and found.lo <= found.mean <= found.hi
    return found.mean


def test_no_gain_is_worth_nothing_and_a_loss_costs_images() -> None:
    c = curve()
    assert mean(c, c[20]) == 0
    assert mean(c, c[10]) == pytest.approx(-0.5, rel=0.05)


def test_beyond_what_a_curve_can_tell_it_stops() -> None:
    assert mean(curve(), predictions(0.0)) == MOST


def test_where_images_do_not_help_nothing_can_be_said() -> None:
    flat = {n: predictions(0.3) for n in (5, 10, 20)}
    assert worth(TRUTH, flat, predictions(0.2), GROUPS, ENDPOINT, resamples=100) is None
    assert worth(TRUTH, flat, predictions(0.4), GROUPS, ENDPOINT, resamples=100) is None


def test_one_size_is_no_curve() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        worth(TRUTH, {20: predictions(0.3)}, predictions(0.2), GROUPS, ENDPOINT)


def test_what_counts_is_the_endpoint() -> None:
    """Misses fall as with more images; false rejects, which cost next to nothing, rise."""
    truth = np.repeat([0, 1], IMAGES // 2)  # good, defective

    def arm(misses: float, rejects: float) -> np.ndarray:
        wrong = np.concatenate([predictions(rejects)[:, : IMAGES // 2], predictions(misses)[:, IMAGES // 2 :]], axis=1)
        return np.where(wrong == 1, 1 - truth, truth)

    sizes = {n: arm(0.4 * (n / 5) ** -0.5, 0.1) for n in (5, 10, 20)}
    better = arm(0.4 * (40 / 5) ** -0.5, 0.3)
    cost = expected_cost(2, good=0, prevalence=0.5, costs=Costs(miss=1000, false_reject=1e-3))
    found = worth(truth, sizes, better, GROUPS, cost, resamples=100)
    assert found is not None and found.mean == pytest.approx(1, rel=0.2)
    balanced = worth(truth, sizes, better, GROUPS, balanced_accuracy(truth, 2), resamples=100)
    assert balanced is not None and balanced.mean < 0
