import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.batch_plan import REAL_LAST, draw_batches


@given(
    counts=st.lists(st.integers(1, 12), min_size=2, max_size=5),
    synthetic_counts=st.lists(st.integers(0, 30), min_size=5, max_size=5),
    balanced=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_at_least_half_of_every_classs_draws_are_real_at_any_time(
    counts: list[int], synthetic_counts: list[int], balanced: bool, seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    synthetic = np.repeat(np.arange(len(counts)), synthetic_counts[: len(counts)])
    pool = np.concatenate([labels, synthetic])

    def draws(of: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return draw_batches(labels, of, steps=10, batch=8, balanced=balanced, rng=rng).ravel()

    plain, mixed = draws(synthetic[:0]), draws(synthetic)
    assert (plain < len(labels)).all()
    assert (pool[mixed] == labels[plain]).all(), "synthetic images must not change the mix of classes"
    last = round(len(mixed) * (1 - REAL_LAST))
    assert (mixed[last:] == plain[last:]).all(), "the last steps see real images only"
    mixed = mixed[:last]
    for label in range(len(counts)):
        is_synthetic = mixed[pool[mixed] == label] >= len(labels)
        assert (np.cumsum(is_synthetic) <= np.arange(1, len(is_synthetic) + 1) / 2).all()
        made, real = np.count_nonzero(synthetic == label), np.count_nonzero(labels == label)
        assert is_synthetic.sum() == pytest.approx(len(is_synthetic) * min(0.5, made / (made + real)), abs=1)


@given(seed=st.integers(0, 2**32 - 1))
def test_images_or_classes_are_drawn_uniformly(seed: int) -> None:
    labels = np.repeat([0, 1, 2], [2, 4, 10])
    plan = {
        balanced: draw_batches(
            labels, labels[:0], steps=12, batch=16, balanced=balanced, rng=np.random.default_rng(seed)
        ).ravel()
        for balanced in (False, True)
    }
    assert (np.bincount(plan[False]) == 12).all()
    assert (np.bincount(labels[plan[True]]) == 64).all()
    assert np.ptp(np.bincount(plan[True])[labels == 2]) <= 1
