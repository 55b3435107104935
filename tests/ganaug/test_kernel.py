import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganaug.metrics import kernel_distance


@settings(deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(2, 8), others=st.integers(2, 8), columns=st.integers(1, 5))
def test_equals_the_estimator_written_out_pair_by_pair(seed: int, rows: int, others: int, columns: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    a = torch.randn(rows, columns, generator=draw, dtype=torch.float64)
    b = torch.randn(others, columns, generator=draw, dtype=torch.float64) + 0.5

    def mean_kernel(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
        return sum((torch.dot(x, y).item() / columns + 1) ** 3 for x, y in pairs) / len(pairs)

    within_a = mean_kernel([(a[i], a[j]) for i in range(rows) for j in range(rows) if i != j])
    within_b = mean_kernel([(b[i], b[j]) for i in range(others) for j in range(others) if i != j])
    across = mean_kernel([(x, y) for x in a for y in b])
    assert kernel_distance(a, b) == pytest.approx(within_a + within_b - 2 * across, rel=1e-9, abs=1e-9)


def test_is_unbiased_around_zero_for_one_distribution() -> None:
    draw = torch.Generator().manual_seed(0)
    found = torch.tensor(
        [kernel_distance(torch.randn(6, 3, generator=draw), torch.randn(9, 3, generator=draw)) for _ in range(4000)]
    )
    assert abs(found.mean()) < 4 * found.std() / len(found) ** 0.5
    assert found.min() < 0 < found.max()


def test_grows_with_the_distance_between_distributions() -> None:
    draw = torch.Generator().manual_seed(0)
    a = torch.randn(100, 4, generator=draw)
    near, far = (kernel_distance(a, torch.randn(100, 4, generator=draw) + shift) for shift in (0.5, 2.0))
    assert 0 < near < far
