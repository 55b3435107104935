"""The whole command on the real data sets, with a tiny budget: it ends, and everything is there."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.job import run_job
from pipeline.manifest import read_manifest
from pipeline.store import RunFolder
from tests import tiny

DATASETS = Path(__file__).resolve().parents[2].parent / "shared" / "datasets"
QUICK = ("evaluate.seeds=1", "gan.steps=20", "evaluate.arms=[real,classical,gan]")

pytestmark = pytest.mark.skipif(not DATASETS.is_dir(), reason="the real data sets are not here")


def run(name: str, out: Path, *overrides: str) -> RunFolder:
    folder = RunFolder(out)
    metrics = run_job(folder, tiny.settings(*QUICK, *overrides), DATASETS / name)
    assert json.loads(folder.metrics.read_text(encoding="utf-8")) == json.loads(json.dumps(metrics))
    assert folder.report.stat().st_size > 10_000
    return folder


def counts_of(run: RunFolder) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = json.loads(run.metrics.read_text(encoding="utf-8"))["dataset"]["counts"]
    return counts


def test_steel_with_twenty_images_a_class(tmp_path: Path) -> None:
    done = run("neu-steel", tmp_path, "data.train_per_class=20")
    counts = counts_of(done)
    assert set(counts["train"].values()) == {20} and len(counts["train"]) == 6
    assert min(counts["test"].values()) >= 55
    frame = read_manifest(done.manifest)
    assert sum(frame["source"] == "real") == sum(sum(of.values()) for of in counts.values())
    assert {path.name for path in (tmp_path / "generators").iterdir()} == set(counts["train"])


@pytest.mark.slow
def test_tiles_cut_out_at_their_masks(tmp_path: Path) -> None:
    done = run("magnetic-tile", tmp_path)
    counts = counts_of(done)
    assert counts["test"]["crack"] == 0  # all its pictures are of one tile
    frame = read_manifest(done.manifest)
    assert frame.groupby("group")["split"].nunique().max() == 1
    assert "cut out" in done.report.read_text(encoding="utf-8")


@pytest.mark.slow
def test_tiles_drawn_from_their_masks(tmp_path: Path) -> None:
    done = run("magnetic-tile", tmp_path, "gan.family=pix2pix", "gan.lr_g=2e-4", "gan.lr_d=2e-4", "gan.steps=50")
    frame = read_manifest(done.manifest)
    synthetic = frame[frame["source"] == "synthetic"]
    assert len(synthetic) and not (synthetic["label"].eq("free") & synthetic["mask"].ne("")).any()
    for row in synthetic[synthetic["mask"] != ""].itertuples():
        mask = cv2.imread(str(done.dataset / row.mask), cv2.IMREAD_UNCHANGED)
        assert set(np.unique(mask)) == {0, 255} and mask.shape == (row.height, row.width)
