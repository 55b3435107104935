"""What a folder remembers of its runs."""

import json
from pathlib import Path
from typing import Any

from pipeline.history import history, number_of_comparison, remember
from pipeline.store import RunFolder
from tests.report_example import metrics


def compared(what: str, **changes: Any) -> dict[str, Any]:
    return {**metrics(["dent", "stain"]), "comparison": what, **changes}


def test_every_other_comparison_is_one_more_look_at_the_test_images(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert number_of_comparison(run, "a") == 1
    remember(run, compared("a"))
    remember(run, compared("a"))  # nothing has changed since: no line
    assert len(history(run)) == 1
    assert number_of_comparison(run, "a") == 1 and number_of_comparison(run, "b") == 2
    remember(run, compared("b", verdict="inconclusive"))
    assert [row["verdict"] for row in history(run)] == ["inconclusive", "merge"]
    assert [row["verdict"] for row in history(run, last=1)] == ["inconclusive"]
    assert number_of_comparison(run, "c") == 3


def test_a_comparison_that_is_made_once_more_keeps_its_number(tmp_path: Path) -> None:
    """So that the same images and answers have the same verdict, now and later."""
    run = RunFolder(tmp_path)
    for what in ("a", "b", "a"):
        remember(run, compared(what))
    assert [row["comparison"] for row in history(run)] == ["a", "b", "a"]
    assert [number_of_comparison(run, what) for what in ("a", "b", "c")] == [1, 2, 3]
    remember(run, compared("b", reason="said in other words", verdict="do_not_merge"))
    assert number_of_comparison(run, "b") == 2 and number_of_comparison(run, "c") == 3


def test_what_earlier_versions_remembered_counts_line_by_line(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    line = json.dumps({"verdict": "merge", "gain": 0.02, "ci95": [0.0, 0.04], "fid": None, "time": "2026-01-02"})
    run.history.write_text(f"{line}\n{line}\n", encoding="utf-8")
    assert number_of_comparison(run, "a") == 3
    remember(run, compared("a"))
    assert number_of_comparison(run, "a") == 3 and number_of_comparison(run, "b") == 4
