"""Real tiles, class by class: what is recorded stays usable whatever class comes next."""

from pathlib import Path

import pytest

from pipeline.config import Config
from pipeline.stages.prepare import prepare
from pipeline.workspace import Workspace, add_images

TILES = Path(__file__).resolve().parents[3] / "shared" / "datasets" / "magnetic-tile"
pytestmark = pytest.mark.skipif(not TILES.is_dir(), reason="the real data sets are not here")


def test_splits_that_were_recorded_hold_whatever_class_joins(tmp_path: Path) -> None:
    """How alike two tiles must be to show one spot depends on all of them; what was recorded does not."""
    workspace = Workspace(tmp_path / "tiles")
    for name in ("crack", "blowhole", "fray"):
        add_images(workspace, name, [TILES / name], Config())
        splits = {row.sha256: (row.split, row.group) for row in workspace.rows()}
    by_spot: dict[str, set[str]] = {}
    for split, spot in splits.values():
        by_spot.setdefault(spot, set()).add(split)
    workspace.run.prepare()
    prepared = prepare(workspace.run, Config(), workspace.images)
    assert prepared.classes == ["blowhole", "crack", "fray"]
    assert all(prepared.counts["test"][name] > 0 for name in ("blowhole", "fray"))
    assert sum(len(of) == 1 for of in by_spot.values()) == len(by_spot)
