"""What a folder remembers of its runs."""

from pathlib import Path

from pipeline.history import history, looks, remember
from pipeline.store import RunFolder
from tests.report_example import metrics


def test_every_new_outcome_is_one_more_look_at_the_test_images(tmp_path: Path) -> None:
    run, first = RunFolder(tmp_path), metrics(["dent", "stain"])
    other = {**first, "verdict": "inconclusive"}
    assert looks(run, first) == 1
    remember(run, first)
    remember(run, first)  # nothing has changed since: no line, no look
    assert looks(run, first) == 1 and looks(run, other) == 2
    remember(run, other)
    assert looks(run, other) == 2 and looks(run, first) == 3
    assert [row["verdict"] for row in history(run)] == ["inconclusive", first["verdict"]]
    assert [row["verdict"] for row in history(run, last=1)] == ["inconclusive"]
