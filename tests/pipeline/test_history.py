"""What a folder remembers of its runs."""

import json
from pathlib import Path

from pipeline.history import comparisons, history, remember
from pipeline.store import RunFolder
from tests.report_example import metrics


def test_every_new_outcome_is_one_more_look_at_the_test_images(tmp_path: Path) -> None:
    run, first = RunFolder(tmp_path), metrics(["dent", "stain"])
    remember(run, first)
    remember(run, first)  # nothing has changed since: no line, no look
    assert comparisons(run) == 1
    remember(run, {**first, "verdict": "inconclusive"})
    assert comparisons(run) == 2
    assert [row["verdict"] for row in history(run)] == ["inconclusive", first["verdict"]]
    assert [row["verdict"] for row in history(run, last=1)] == ["inconclusive"]


def test_a_class_that_joins_does_not_start_the_count_anew(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for classes in (["dent", "stain"], ["dent", "scratch", "stain"]):
        remember(run, metrics(classes))
    assert comparisons(run) == 2


def test_what_earlier_versions_remembered_still_counts(tmp_path: Path) -> None:
    run, found = RunFolder(tmp_path), metrics(["dent", "stain"])
    remember(run, found)
    (row,) = history(run)
    run.history.write_text(json.dumps({**row, "test": "7e57" * 16}) + "\n", encoding="utf-8")
    remember(run, found)
    assert comparisons(run) == 1  # the same outcome, though the line says less by now
    remember(run, {**found, "verdict": "inconclusive"})
    assert comparisons(run) == 2
