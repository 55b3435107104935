"""Intervals where images, generators and seeds are crossed random effects."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from classifiers.bootstrap import interval
from classifiers.comparison import gain, summarise
from classifiers.endpoint import balanced_accuracy
from classifiers.inspection_metrics import inspection_metrics
from classifiers.learning_curve import worth

IMAGES, SEEDS, EVERYWHERE = 100, 5, (-np.inf, np.inf)
SPREADS = {  # standard deviations of the effects of generator, seed, both; image; image with each of these
    "generators far apart": (0.20, 0.02, 0.02, 0.3, 0.2, 0.2, 0.5),
    "generators": (0.05, 0.02, 0.02, 0.3, 0.2, 0.2, 0.5),
    "generators and seeds": (0.10, 0.10, 0.05, 0.3, 0.3, 0.3, 0.5),
    "each run for itself": (0.03, 0.00, 0.10, 0.3, 0.3, 0.3, 0.5),
    "images": (0.00, 0.00, 0.00, 0.3, 0.3, 0.3, 0.5),
}


def scores(spread: tuple[float, ...], generators: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A score a run, [G, S], whose mean is truly 0, and those under redrawn images, [G, S, R]."""
    g, s, n = generators, SEEDS, IMAGES
    shapes = ((g, 1, 1), (1, s, 1), (g, s, 1), (1, 1, n), (g, 1, n), (1, s, n), (g, s, n))
    answers = sum(sigma * rng.normal(size=shape) for sigma, shape in zip(spread, shapes, strict=True))
    weights = rng.multinomial(n, np.full(n, 1 / n), size=200) / n
    return answers.mean(axis=-1), answers @ weights.T


def coverage(spread: tuple[float, ...], generators: int, repetitions: int = 1000) -> float:
    """How many of the 95 % intervals hold the true mean."""
    rng = np.random.default_rng(0)
    found = [interval(*scores(spread, generators, rng), within=EVERYWHERE) for _ in range(repetitions)]
    return float(np.mean([one.lo <= 0 <= one.hi for one in found]))


@pytest.mark.parametrize("spread", SPREADS.values(), ids=SPREADS)
def test_intervals_over_three_generators_hold_the_truth(spread: tuple[float, ...]) -> None:
    assert coverage(spread, 3) >= 0.93


def test_with_one_generator_the_interval_leaves_its_chance_out() -> None:
    assert coverage(SPREADS["generators far apart"], 1) < 0.5


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_of_one_generator_the_interval_is_that_of_images_and_seeds(seed: int, seeds: int) -> None:
    rng = np.random.default_rng(seed)
    point = rng.normal(size=seeds)
    draws = point[:, None] + 0.3 * rng.normal(size=(seeds, 400)) + 0.3 * rng.normal(size=400)
    images, between = draws.mean(axis=0).var(), point.var(ddof=1) / seeds if seeds > 1 else 0.0
    noise = (draws.var(axis=1).mean() - images) / (seeds - 1) if seeds > 1 else 0.0
    variance = images + max(0.0, between - noise)
    lo, hi = np.quantile(draws.mean(axis=0), [0.025, 0.975])
    if between:
        reach = t.ppf(0.975, max(1.0, (seeds - 1) * (variance / between) ** 2)) * variance**0.5
        lo, hi = min(lo, point.mean() - reach), max(hi, point.mean() + reach)
    found = interval(point, draws, within=EVERYWHERE)
    assert (found.lo, found.hi) == pytest.approx((min(lo, point.mean()), max(hi, point.mean())))
    assert found == interval(point[None], draws[None], within=EVERYWHERE)


def arms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth [N], predictions of real images alone [seeds, N], and with those of three generators, one of them bad."""
    rng, truth = np.random.default_rng(3), np.arange(120) % 2
    before = np.where(rng.random((SEEDS, 120)) < 0.85, truth, 1 - truth)
    right = np.array([0.95, 0.94, 0.75])[:, None, None]
    return truth, before, np.where(rng.random((3, SEEDS, 120)) < right, truth, 1 - truth)


def test_an_arm_of_real_images_is_compared_with_every_generator_seed_by_seed() -> None:
    truth, before, after = arms()
    groups = np.arange(len(truth))
    won = gain(truth, before, after, groups, classes=2, resamples=400)
    assert (won.generators, won.seeds) == (3, SEEDS)
    assert won.accuracy.interval.mean == pytest.approx((after == truth).mean() - (before == truth).mean())
    assert won == gain(truth, np.stack([before] * 3), after, groups, classes=2, resamples=400)
    alone = [gain(truth, before, one, groups, classes=2, resamples=400).endpoint.interval for one in after]
    assert won.endpoint.interval.mean == pytest.approx(np.mean([one.mean for one in alone]))
    assert won.endpoint.interval.lo < min(one.lo for one in alone), (
        "two good ones do not outweigh what a third one says"
    )
    assert alone[0].lo > 0 > won.endpoint.interval.lo
    with pytest.raises(ValueError, match="baseline has 4, augmented 5"):
        gain(truth, before[:4], after, groups, classes=2)


def test_a_summary_has_a_score_for_each_run() -> None:
    truth, _, after = arms()
    found = summarise(truth, after, np.arange(len(truth)), classes=2, resamples=100)
    assert [[score.accuracy for score in row] for row in found.runs] == (after == truth).mean(axis=-1).tolist()
    assert found.accuracy.mean == pytest.approx((after == truth).mean())
    assert found.confusion.sum() == after.size


def test_misses_and_worth_hold_chance_in_generators_too() -> None:
    truth, before, after = arms()
    groups, endpoint = np.arange(len(truth)), balanced_accuracy(truth, 2)
    changed = [inspection_metrics(truth, before, one, groups, classes=2, good=0).miss for one in (after, after[0])]
    assert changed[0] is not None
    assert changed[1] is not None
    assert changed[0].mean == pytest.approx((after[..., truth == 1] == 0).mean() - (before[:, truth == 1] == 0).mean())
    assert changed[0].hi - changed[0].lo > 2 * (changed[1].hi - changed[1].lo)
    fewer = np.where(np.random.default_rng(4).random(before.shape) < 0.7, truth, 1 - truth)
    all_alike = np.stack([after[0]] * 3)
    of_one, of_same, of_three = (
        worth(truth, {20: fewer, 40: before}, one, groups, endpoint) for one in (after[0], all_alike, after)
    )
    assert of_one is not None
    assert of_same is not None
    assert of_three is not None
    assert (of_same.mean, of_same.lo, of_same.hi) == pytest.approx((of_one.mean, of_one.lo, of_one.hi))
    assert of_three.lo < of_one.lo
