import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganaug.metrics import manifold, nearest, realism


def cloud(rows: int, *, seed: int, columns: int = 3, shift: float = 0.0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=draw, dtype=torch.float64) + shift


@settings(deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(0, 20), others=st.integers(1, 20))
def test_nearest_is_nearer_than_every_other_row(seed: int, rows: int, others: int) -> None:
    a, b = cloud(rows, seed=seed), cloud(others, seed=seed + 1)
    distance, index = nearest(a, b)
    assert distance.shape == index.shape == (rows,)
    every = (a[:, None] - b[None]).norm(dim=2)
    assert torch.allclose(distance, every.min(dim=1).values)
    assert torch.allclose(every[torch.arange(rows), index], distance)


def test_a_copy_is_at_distance_zero_even_far_from_the_origin() -> None:
    real = cloud(500, seed=0, shift=1e4)
    distance, index = nearest(real, real)
    assert not distance.any()
    assert torch.equal(index, torch.arange(500))


def test_nothing_to_be_near_to_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to be near to"):
        nearest(cloud(2, seed=0), cloud(0, seed=0))


def test_realism_is_high_inside_low_outside_and_finite_on_a_copy() -> None:
    real = cloud(50, seed=0)
    inside, outside = realism(torch.zeros(1, 3), real), realism(torch.full((1, 3), 30.0), real)
    assert inside.item() > 1 > 0.2 > outside.item() > 0
    assert torch.isfinite(realism(real, real)).all()


def test_an_outlier_does_not_make_everything_realistic() -> None:
    real = torch.cat([cloud(20, seed=0), torch.full((1, 3), 1000.0, dtype=torch.float64)])
    assert realism(torch.full((1, 3), 500.0), real).item() < 0.1


def test_one_real_image_has_no_manifold() -> None:
    with pytest.raises(ValueError, match="1 feature rows have no neighbours"):
        realism(cloud(3, seed=0), cloud(1, seed=0))


@settings(deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(2, 30))
def test_a_set_against_itself_is_complete(seed: int, rows: int) -> None:
    same = manifold(cloud(rows, seed=seed), cloud(rows, seed=seed))
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)


def test_collapse_costs_recall_and_noise_costs_precision() -> None:
    real = cloud(100, seed=0)
    collapsed = manifold(cloud(100, seed=1) * 0.05, real)
    assert collapsed.precision > 0.9
    assert collapsed.recall < 0.2
    noise = manifold(cloud(100, seed=1, shift=20), real)
    assert (noise.precision, noise.recall, noise.density, noise.coverage) == (0, 0, 0, 0)
