"""What a folder remembers of its runs."""

import json
from pathlib import Path
from typing import Any

from pipeline.history import history, number_of_comparison, remember
from pipeline.store import RunFolder
from pipeline.workspace.folder import Workspace, counted_together
from tests.report_example import metrics


def compared(run: RunFolder, what: str, **changes: Any) -> None:
    """Remember a comparison, as a run does."""
    made = {"comparison_digest": what, "comparison_number": number_of_comparison(counted_together(run), what)}
    remember(run, {**metrics(["dent", "stain"]), **made, **changes})


def test_every_other_comparison_is_one_more_look_at_the_test_images(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert number_of_comparison([run], "a") == 1
    compared(run, "a")
    compared(run, "a")  # nothing has changed since: no line
    assert len(history(run)) == 1
    assert number_of_comparison([run], "a") == 1 and number_of_comparison([run], "b") == 2
    compared(run, "b", verdict="inconclusive")
    assert [row["verdict"] for row in history(run)] == ["inconclusive", "merge"]
    assert [row["verdict"] for row in history(run, last=1)] == ["inconclusive"]
    assert number_of_comparison([run], "c") == 3


def test_a_comparison_that_is_made_once_more_keeps_its_number(tmp_path: Path) -> None:
    """So that the same images and answers have the same verdict, now and later."""
    run = RunFolder(tmp_path)
    for what in ("a", "b", "a"):
        compared(run, what)
    assert [row["comparison_digest"] for row in history(run)] == ["a", "b", "a"]
    assert [number_of_comparison([run], what) for what in ("a", "b", "c")] == [1, 2, 3]
    compared(run, "b", reason="said in other words", verdict="do_not_merge")
    assert number_of_comparison([run], "b") == 2 and number_of_comparison([run], "c") == 3


def test_what_earlier_versions_remembered_counts_line_by_line(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    line = json.dumps({"verdict": "merge", "gain": 0.02, "ci95": [0.0, 0.04], "fid": None, "time": "2026-01-02"})
    run.history.write_text(f"{line}\n{line}\n", encoding="utf-8")
    assert number_of_comparison([run], "a") == 3
    compared(run, "a")
    assert number_of_comparison([run], "a") == 3 and number_of_comparison([run], "b") == 4


def test_what_a_workspace_runs_and_judges_is_one_series(tmp_path: Path) -> None:
    """They share one test set: to judge variants until one passes must not start at the first level each time."""
    place, alone = Workspace(tmp_path / "line3"), RunFolder(tmp_path / "alone")
    place.manifest.parent.mkdir(parents=True)
    place.manifest.touch()
    first, second = (RunFolder(place.judged / name) for name in ("vendor-1", "vendor-2"))
    for run, what in ((first, "a"), (place.run, "b"), (second, "c"), (first, "a"), (alone, "a")):
        run.out.mkdir(parents=True, exist_ok=True)
        compared(run, what)
    made = [
        (row["comparison_digest"], row["comparison_number"])
        for run in (first, place.run, second, alone)
        for row in history(run)
    ]
    assert made == [("a", 1), ("b", 2), ("c", 3), ("a", 1)]  # nothing is known of what other folders have compared
    assert number_of_comparison(counted_together(first), "d") == 4
    assert number_of_comparison(counted_together(RunFolder(place.judged / "vendor-3")), "d") == 4
