import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ganaug.metrics import frechet_distance, kernel_distance, matched_distance, real_against_real
from ganaug.metrics.yardstick import Distance


def features(rows: int, columns: int, *, seed: int, spread: float = 1.0, shift: float = 0.0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    mix = torch.randn(columns, columns, generator=draw, dtype=torch.float64) / columns**0.5
    return torch.randn(rows, columns, generator=draw, dtype=torch.float64) @ mix * spread + shift


def by_matrix_root(a: Tensor, b: Tensor) -> float:
    """The definition, with SciPy's matrix square root of the product of the covariances."""
    s, t = np.cov(a.numpy(), rowvar=False), np.cov(b.numpy(), rowvar=False)
    gap = (a.mean(0) - b.mean(0)).square().sum().item()
    return float(gap + np.trace(s) + np.trace(t) - 2 * np.trace(scipy.linalg.sqrtm(s @ t)).real)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), columns=st.integers(2, 12), spread=st.floats(0.3, 3), shift=st.floats(-2, 2))
def test_equals_the_definition_where_covariances_have_full_rank(
    seed: int, columns: int, spread: float, shift: float
) -> None:
    a, b = features(60, columns, seed=seed), features(80, columns, seed=seed + 1, spread=spread, shift=shift)
    assert frechet_distance(a, b) == pytest.approx(by_matrix_root(a, b), abs=1e-8, rel=1e-8)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(2, 40), others=st.integers(2, 40))
def test_few_and_many_rows_give_the_same_distance(seed: int, rows: int, others: int) -> None:
    """Either side of N = D: the triangle of the QR decomposition or the features themselves."""
    columns = 16
    a, b = features(rows, columns, seed=seed), features(others, columns, seed=seed + 1, shift=0.5)
    padded = [torch.nn.functional.pad(x, (0, 64)) for x in (a, b)]  # 64 empty dimensions: N < D, same distance
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(padded[0], padded[1]), abs=1e-8, rel=1e-8)


def test_few_rows_in_many_dimensions_equal_the_definition() -> None:
    a, b = features(12, 30, seed=3), features(9, 30, seed=4, shift=1.0)
    s, t = (torch.from_numpy(np.cov(x.numpy(), rowvar=False)) for x in (a, b))
    roots = torch.linalg.eigvals(s @ t).real.clamp_min(0).sqrt().sum()
    expected = (a.mean(0) - b.mean(0)).square().sum() + s.trace() + t.trace() - 2 * roots
    assert frechet_distance(a, b) == pytest.approx(expected.item(), abs=1e-5)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(2, 30))
def test_is_symmetric_zero_on_itself_and_blind_to_order_and_origin(seed: int, rows: int) -> None:
    a, b = features(rows, 8, seed=seed), features(20, 8, seed=seed + 1, shift=1.0)
    distance = frechet_distance(a, b)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(b, a) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(a.flip(0) + 7, b + 7) == pytest.approx(distance, rel=1e-9)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.zeros(1, 4), torch.zeros(5, 4), "first feature set has 1 rows; this metric needs at least 2"),
        (torch.zeros(5, 4), torch.full((5, 4), torch.nan), "second feature set holds NaN"),
        (torch.zeros(5, 4), torch.zeros(5, 3), "4 and 3 dimensions: use one extractor"),
        (torch.zeros(5), torch.zeros(5, 4), r"first feature set has shape \(5,\)"),
    ],
)
def test_features_that_cannot_be_measured_are_named(distance: Distance, a: Tensor, b: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        distance(a, b)


def test_real_against_real_is_what_a_perfect_generator_scores_at_the_same_size() -> None:
    real, perfect = features(400, 8, seed=5), features(400, 8, seed=5)
    perfect = perfect[torch.randperm(400, generator=torch.Generator().manual_seed(0))]
    among = real_against_real(real[:200], distance=frechet_distance, splits=40, seed=0)
    ours = matched_distance(real[200:], real[:200], distance=frechet_distance, splits=40, seed=0)
    assert ours == pytest.approx(among, rel=0.35)
    assert ours > 1.5 * frechet_distance(real[200:], real[:200])  # fewer images, more bias: hence the equal sizes


def test_halves_are_disjoint_and_follow_the_seed() -> None:
    real = torch.arange(9.0).view(9, 1)

    def overlap(a: Tensor, b: Tensor) -> float:
        return float(len(set(a.flatten().tolist()) & set(b.flatten().tolist())))

    assert real_against_real(real, distance=overlap, seed=0) == 0
    first, again, other = (real_against_real(real, distance=frechet_distance, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(("rows", "size"), [(3, None), (0, None), (10, 6), (10, 1)])
def test_too_few_images_to_halve_is_an_error(rows: int, size: int | None) -> None:
    with pytest.raises(ValueError, match=f"{rows} images cannot be split"):
        real_against_real(torch.zeros(rows, 2), distance=frechet_distance, seed=0, size=size)


def test_sets_larger_than_there_are_images_are_an_error() -> None:
    with pytest.raises(ValueError, match="Sets of 5 cannot be drawn from 3 generated and 20 real"):
        matched_distance(torch.zeros(3, 2), torch.zeros(20, 2), distance=frechet_distance, seed=0, size=5)
