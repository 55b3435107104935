"""The summary of decisions where the truth is known."""

from typing import Any

from benchmarks.verdict import summary


def row(kind: str, verdict: str, gain: float, confirmed: float | None = None) -> dict[str, Any]:
    return {"kind": kind, "verdict": verdict, "accepted": 10, "gain": {"delta": gain}, "confirmed": confirmed}


def test_right_is_to_merge_what_helps_and_nothing_else() -> None:
    said = summary([
        row("helps", "merge", 0.1, 0.08), row("helps", "inconclusive", 0.01),
        row("noise", "merge", 0.02, -0.02), row("noise", "inconclusive", 0.0), row("copies", "do_not_merge", -0.1),
    ])  # fmt: skip
    assert "| helps | 2 | 1 | 1 | 0 | +5.5 |" in said
    assert "right: 3 of 5, 60.0 %" in said and "merged though of no use: 1 of 3, 33.3 %" in said
    assert "better on unseen images: 1 of 2, 50.0 %" in said and "+6.0 points were said, +3.0 found" in said


def test_without_a_merge_there_is_nothing_to_confirm() -> None:
    assert "unseen" not in summary([row("noise", "do_not_merge", 0.0)])
