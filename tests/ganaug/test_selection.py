import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ganaug.metrics import frechet_distance
from ganaug.selection import frechet_subset


def drawn(rows: int, columns: int, *, seed: int, spread: float = 1.0, shift: float = 0.0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=draw, dtype=torch.float64) * spread + shift


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(2, 60),
    share=st.floats(0.05, 1),
    real=st.integers(2, 30),
    columns=st.integers(1, 12),
)
def test_the_subset_is_unique_repeatable_and_no_worse_than_random_ones(
    seed: int, count: int, share: float, real: int, columns: int
) -> None:
    size = max(2, min(count, round(count * share)))
    candidates, target = drawn(count, columns, seed=seed, spread=1.5, shift=0.3), drawn(real, columns, seed=seed + 1)
    before = candidates.clone()
    chosen = frechet_subset(candidates, target, size, seed=seed)
    assert chosen.dtype == torch.int64
    assert len(set(chosen.tolist())) == len(chosen) == size
    assert 0 <= chosen.min() <= chosen.max() < count
    assert torch.equal(chosen, frechet_subset(candidates, target, size, seed=seed))
    assert torch.equal(candidates, before)

    draw = torch.Generator().manual_seed(seed + 2)
    random = [frechet_distance(candidates[torch.randperm(count, generator=draw)[:size]], target) for _ in range(10)]
    assert frechet_distance(candidates[chosen], target) <= sum(random) / len(random) + 1e-6


def test_no_single_swap_out_of_all_improves_much_on_the_result() -> None:
    candidates, real = drawn(40, 4, seed=0, spread=2), drawn(30, 4, seed=1)
    chosen = frechet_subset(candidates, real, 12, seed=0)
    found = frechet_distance(candidates[chosen], real)
    rest = [i for i in range(40) if i not in set(chosen.tolist())]
    swapped = [
        frechet_distance(candidates[torch.tensor([*(j for j in chosen.tolist() if j != leaving), entering])], real)
        for leaving in chosen.tolist()
        for entering in rest
    ]
    random = frechet_distance(candidates[:12], real)
    assert random - min(swapped) < 1.05 * (random - found)


def test_finds_the_candidates_that_are_like_the_real_ones() -> None:
    good, bad = drawn(30, 8, seed=0), drawn(300, 8, seed=1, spread=3, shift=4)
    chosen = frechet_subset(torch.cat([bad, good]), drawn(200, 8, seed=2), 30, seed=0)
    assert (chosen >= 300).sum() >= 25


def test_keeps_the_spread_of_the_real_images_rather_than_the_middle_of_them() -> None:
    candidates, real = drawn(400, 2, seed=0, spread=2), drawn(300, 2, seed=1)
    chosen = candidates[frechet_subset(candidates, real, 60, seed=0)]
    assert torch.allclose(chosen.std(0), real.std(0), rtol=0.1)


def test_two_thousand_candidates_in_sixty_four_dimensions_halve_the_distance() -> None:
    candidates, real = drawn(2000, 64, seed=0, spread=1.2, shift=0.1), drawn(200, 64, seed=1)
    chosen = frechet_subset(candidates, real, 400, seed=0)
    assert frechet_distance(candidates[chosen], real) < 0.5 * frechet_distance(candidates[:400], real)


@pytest.mark.parametrize("size", [0, 5])
def test_nothing_and_everything_are_possible_sizes(size: int) -> None:
    chosen = frechet_subset(drawn(5, 3, seed=0), drawn(4, 3, seed=1), size, seed=0)
    assert torch.equal(chosen, torch.arange(size))


def test_one_image_is_the_one_nearest_the_mean() -> None:
    candidates, real = drawn(50, 3, seed=0), drawn(20, 3, seed=1)
    chosen = frechet_subset(candidates, real, 1, seed=0)
    assert chosen.item() == (candidates - real.mean(0)).norm(dim=1).argmin()


@pytest.mark.parametrize("size", [-1, 6])
def test_a_size_that_cannot_be_chosen_is_an_error(size: int) -> None:
    with pytest.raises(ValueError, match=f"subset of {size} cannot be chosen from 5"):
        frechet_subset(drawn(5, 3, seed=0), drawn(4, 3, seed=1), size, seed=0)


def test_a_single_real_image_is_an_error() -> None:
    with pytest.raises(ValueError, match="has 1 rows"):
        frechet_subset(drawn(5, 3, seed=0), drawn(1, 3, seed=1), 2, seed=0)
