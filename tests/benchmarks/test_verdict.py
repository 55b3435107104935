"""The summary of decisions where the truth is known."""

from typing import Any

from benchmarks.verdict import summary


def row(kind: str, verdict: str, gain: float | None, confirmed: float | None = None) -> dict[str, Any]:
    told = {"kind": kind, "case": "equal" if kind == "helps" else "costs", "verdict": verdict, "accepted": 10}
    return told | {"gain": gain, "confirmed": confirmed}


def test_right_is_to_merge_what_helps_and_nothing_that_does_not() -> None:
    said = summary(
        [
            row("helps", "merge", 0.1, 0.08),
            row("helps", "inconclusive", 0.01),
            row("noise", "merge", 0.02, -0.02),
            row("noise", "inconclusive", 0.0),
            row("copies", "do_not_merge", -0.1),
            row("copies", "merge", 0.03, 0.03),
        ]
    )
    assert "| helps | 2 | 1 | 1 | 0 | +5.5 |" in said
    assert "right by case: equal 1 of 2, costs 3 of 4" in said
    assert "right: 4 of 6, 66.7 %" in said and "merged though not meant to help: 2 of 4, 50.0 %" in said
    assert "or were not tried there: 1 of 3, 33.3 %" in said
    assert "better on unseen images: 2 of 3, 66.7 %" in said and "+5.0 points were said, +3.0 found" in said


def test_without_a_merge_there_is_nothing_to_confirm() -> None:
    assert "better on unseen" not in summary([row("noise", "do_not_merge", 0.0)])
    assert "| noise | 1 | 0 | 0 | 1 |  | 10 of 300 |" in summary([row("noise", "do_not_merge", None)])
