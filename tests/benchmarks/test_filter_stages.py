"""Judging candidates on images that a run has used for nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import features, filter_stages
from benchmarks.features import EXTRACTORS, standardised
from benchmarks.filter_stages import draw, images_of, score
from benchmarks.runs import stored
from classifiers.fitting import Recipe
from pipeline.job import run_job
from pipeline.store import RunFolder, load_tensors
from tests import tiny


def test_candidates_are_judged_on_images_neither_trained_nor_tested_on(
    tmp_path: Path, textures_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    run_job(run, tiny.settings("data.train_per_class=4", "gan.steps=5"), textures_folder, until="filter")
    train, held_out, names = images_of(run)
    assert names == list(tiny.TEXTURES) and torch.bincount(train[1]).tolist() == [4] * 3
    (pack,) = (load_tensors(file)[0] for file in stored(run, "pack"))
    assert len(held_out[0]) == 36 - len(pack["images"]) > 0
    assert not {image.numpy().tobytes() for image in held_out[0]} & {
        image.numpy().tobytes() for image in pack["images"]
    }
    monkeypatch.setattr(filter_stages, "CANDIDATES", 24)
    drawn = draw(run, names, train)
    assert [one.images.shape for one in drawn] == [(24, 1, 32, 32)] * 3 and len(drawn[0].half(1).images) == 12
    for option in ("none", "first 10"):
        assert 0 <= score(option, 0, Recipe(steps=2), train, held_out, drawn) <= 100
    other = standardised("untrained", *train)
    again = draw(run, names, train, other)
    for one, same in zip(again, drawn, strict=True):
        assert torch.equal(one.images, same.images) and torch.equal(one.confidence, same.confidence)
        assert torch.equal(one.features, other(one.images)) and one.real.shape == (4, 64)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_every_extractor_gives_features_of_one_scale(extractor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "STEPS", 2)
    monkeypatch.setattr(features, "recipe_for", lambda *_, **__: Recipe(steps=2))
    images = torch.from_numpy(np.stack([tiny.texture(name, i) for name in tiny.TEXTURES for i in range(4)]))[:, None]
    labels = torch.arange(len(tiny.TEXTURES)).repeat_interleave(4)
    found = standardised(extractor, images, labels)(images)
    assert found.dtype == torch.float64 and len(found) == len(images)
    spread = found.std(0)
    assert torch.all(torch.isclose(spread, torch.ones_like(spread)) | (spread < 1e-3))  # constant ones stay so
