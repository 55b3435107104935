"""The table of gains: what several splits come to."""

import pytest

from benchmarks.gain.__main__ import pooled_gain

NARROW = (-0.001, 0.001)


def test_one_split_speaks_for_itself() -> None:
    assert pooled_gain([0.02], [(-0.01, 0.05)]) == pytest.approx((0.02, 0.03))


def test_splits_that_agree_have_what_their_intervals_come_to() -> None:
    assert pooled_gain([0.02] * 4, [(0.0, 0.04)] * 4) == pytest.approx((0.02, 0.01))


def test_splits_that_differ_widen_the_interval() -> None:
    mean, half = pooled_gain([0.0, 0.02, 0.04], [NARROW] * 3)
    assert mean == pytest.approx(0.02)
    assert half == pytest.approx(4.303 * 0.02 / 3**0.5, rel=1e-3)  # Student's t of two degrees of freedom
