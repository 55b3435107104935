"""What a folder remembers of its runs."""

from pathlib import Path

from pipeline.history import history, looks, remember
from pipeline.store import RunFolder
from tests.report_example import metrics


def test_every_new_outcome_is_one_more_look_at_the_test_images(tmp_path: Path) -> None:
    run, first = RunFolder(tmp_path), metrics(["dent", "stain"])
    other = {**first, "verdict": "inconclusive"}
    remember(run, first)
    remember(run, first)  # nothing has changed since: no line, no look
    assert looks(run, first) == 1
    remember(run, other)
    assert looks(run, first) == looks(run, other) == 2
    elsewhere = {**other, "dataset": {**other["dataset"], "test": "of other images"}}
    remember(run, elsewhere)
    assert looks(run, elsewhere) == 1 and looks(run, other) == 2
    assert [row["verdict"] for row in history(run)] == ["inconclusive", "inconclusive", first["verdict"]]
    assert [row["verdict"] for row in history(run, last=1)] == ["inconclusive"]
