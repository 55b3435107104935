"""Every family trains 200 steps at 32 pixels: no NaN, and samples that are pictures rather than one grey level."""

import math

import pytest
import torch

from ganaug.families import FAMILIES
from ganaug.training import Hooks, Row
from tests.ganaug.families.examples import make


@pytest.mark.parametrize("name", FAMILIES)
def test_two_hundred_steps_at_32_pixels(name: str) -> None:
    trainer = make(FAMILIES[name], steps=200)
    rows: list[Row] = []
    trainer.run(Hooks(progress=lambda _, row: rows.append(row)))
    assert trainer.step == 200 and trainer.rollbacks == 0
    assert len(rows) == 10 and all(math.isfinite(value) for row in rows for value in row.values())
    assert all(tensor.isfinite().all() for tensor in trainer.state()[0].values())
    conditions = torch.tensor([0, 1, 0, 1, 0, 1])
    samples = trainer.sample(conditions, seed=0)
    assert samples.shape == (6, 1, 32, 32) and samples.dtype == torch.uint8
    assert (samples.float().flatten(1).std(1) > 1).all()  # no image is of one grey level
    different = len(samples.flatten(1).unique(dim=0))
    # none is another's copy, but where the same guide was drawn twice
    assert different == 6 if trainer.batches.guides is None else different > 1
    assert samples.equal(trainer.sample(conditions, seed=0))
