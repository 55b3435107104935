"""A run's gain on images that it has used for nothing."""

from pathlib import Path

import pytest
import torch

from benchmarks.confirm import accepted, confirmed
from benchmarks.filter_stages import images_of
from pipeline.job import run_job
from pipeline.manifest import read_manifest
from pipeline.store import RunFolder
from tests import tiny


def test_the_arms_are_trained_anew_with_the_images_that_were_merged(tmp_path: Path, textures_folder: Path) -> None:
    run, config = RunFolder(tmp_path / "run"), tiny.settings("data.train_per_class=4", "gan.steps=2")
    run_job(run, config, textures_folder, until="generate")
    tiny.draw_well(run)
    run_job(run, config, textures_folder, until="merge")
    train, _, names = images_of(run)
    made = accepted(run, names, train[0])
    frame = read_manifest(run.manifest)
    merged = frame[frame["source"] == "synthetic"]["label"].value_counts().to_dict()
    assert made is not None and made[0].shape[1:] == train[0].shape[1:] and len(made[0]) == len(made[1])
    assert {names[k]: n for k, n in enumerate(torch.bincount(made[1]).tolist())} == merged == dict.fromkeys(names, 4)
    gain = {"ratio": 1, "recipe": {"policy": "flips", "balanced": False}}
    for baseline, augmented in (("real", "gan"), ("classical", "classical_gan")):
        metrics = {"gain": gain | {"baseline": baseline, "augmented": augmented}}
        found = confirmed(run, metrics, seeds=2, at_once=1)
        assert -1 <= found.lo <= found.mean <= found.hi <= 1
    with pytest.raises(SystemExit, match="do not say how `classical` augmented"):
        confirmed(run, {"gain": gain | {"baseline": "classical", "augmented": "gan"}}, seeds=2, at_once=1)
