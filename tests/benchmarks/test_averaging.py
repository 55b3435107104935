"""Several averages of one training, and windows of larger images."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import averaging
from benchmarks.averaging import Windows, averaged
from ganaug.families import get_family
from ganaug.sampling import to_float
from ganaug.training_loop import Trainer


def trainer() -> Trainer:
    images = torch.randint(0, 256, (6, 1, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    family = get_family("dcgan")
    options = replace(family.defaults, width=4, batch=4, diffaugment="")
    return Trainer(family, images, torch.arange(6) % 2, n_conditions=2, options=options, seed=0)


def test_every_average_goes_along_with_the_training_by_its_own_decay() -> None:
    training, seen = trainer(), []
    for step, decay, average in averaged(training, [0.0, 0.9], [2, 4]):
        last, mean = next(training.generator.parameters()), next(average.parameters())
        assert torch.equal(last, mean) == (decay == 0)
        assert not any(norm.training for norm in average.modules())
        seen.append((step, decay))
    assert seen == [(2, 0.0), (2, 0.9), (4, 0.0), (4, 0.9)]


def test_windows_are_parts_of_the_images() -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.arange(400).reshape(1, 1, 20, 20).remainder(256).to(torch.uint8)
    windows = Windows(
        image, torch.zeros(1, dtype=torch.long), None, size=30, flips=False, rng=rng, device=torch.device("cpu")
    )
    windows.side = 16
    found, _ = windows.draw()
    parts = [to_float(image[:, :, y : y + 16, x : x + 16])[0] for y in range(5) for x in range(5)]
    places = [next(i for i, part in enumerate(parts) if torch.equal(part, window)) for window in found]
    assert len(set(places)) > 10


def test_the_table_has_a_row_for_every_look(
    textures_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [word for one in ("evaluate.steps=2", "data.image_size=32", "gan.width=4") for word in ("--set", one)]
    options = ["--ema", "0.5", "--steps", "1", "2", "--truncation", "1", "0.5", "--seeds", "2", "--crop", "0.8"]
    for name in ("SAMPLES", "JOIN"):
        monkeypatch.setattr(averaging, name, 8)
    command = ["averaging", str(textures_folder), "--cases", "4:0", "--at-once", "1", *options, *settings]
    monkeypatch.setattr(sys, "argv", command)
    averaging.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [row.split(" | ")[:3] for row in rows[2:]] == [
        [f"| {steps}", "0.5", truncation] for steps in (1, 2) for truncation in ("1.0", "0.5")
    ]
