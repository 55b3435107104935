"""Every family trains 100 steps at 32 pixels: no NaN, and samples that are pictures rather than one grey level."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ganaug.families import FAMILIES
from ganaug.training_loop import Figures, Hooks
from tests.ganaug.families.examples import make


@pytest.mark.parametrize("name", FAMILIES)
def test_a_hundred_steps_at_32_pixels(name: str) -> None:
    trainer = make(FAMILIES[name], steps=100)
    rows: list[Figures] = []
    trainer.run(Hooks(progress=lambda _, row: rows.append(row)))
    assert trainer.step == 100 and trainer.rollbacks == 0
    assert len(rows) == 5 and all(math.isfinite(value) for row in rows for value in row.values())
    assert all(tensor.isfinite().all() for tensor in trainer.state()[0].values())
    conditions = torch.tensor([0, 1, 0, 1, 0, 1])
    samples = trainer.sample(conditions, seed=0)
    assert samples.shape == (6, 1, 32, 32) and samples.dtype == torch.uint8
    # of a slow family a single one may still be of one grey level
    assert samples.float().flatten(1).std(1).median() > 1
    different = len(samples.flatten(1).unique(dim=0))
    # none is another's copy, but where the same conditioning input was drawn twice
    assert different == 6 if trainer.batches.conditioning_inputs is None else different > 1
    assert samples.equal(trainer.sample(conditions, seed=0))


@pytest.mark.parametrize(("name", "norm"), [(name, norm) for name in FAMILIES for norm in FAMILIES[name].critic_norms])
def test_bf16_rounds_the_first_losses_and_leaves_the_weights_as_exact(name: str, norm: str) -> None:
    options = {"critic_norm": norm} | ({"r1_weight": 0.0, "gp_weight": 0.0} if norm == "batch" else {})
    exact, rounded = (make(FAMILIES[name], **options, precision=precision) for precision in ("fp32", "bf16"))
    wanted, found = exact.train_step(), rounded.train_step()
    assert found != wanted
    assert found["loss_d"] == pytest.approx(wanted["loss_d"], rel=0.1, abs=0.05)
    rounded.step = rounded.options.steps // 2  # a family that grows fades a layer in
    rounded.train_step()
    for network, other in ((rounded.generator, exact.generator), (rounded.discriminator, exact.discriminator)):
        assert all(tensor.isfinite().all() for tensor in network.state_dict().values())
        assert [t.dtype for t in network.state_dict().values()] == [t.dtype for t in other.state_dict().values()]
    assert rounded.sample(torch.tensor([0, 1]), seed=0).shape == (2, 1, 32, 32)


@contextmanager
def rounding(device: str) -> Iterator[None]:
    """As `torch.autocast`, which does nothing for a GPU that is not there."""
    torch.set_autocast_dtype(device, torch.bfloat16)
    torch.set_autocast_enabled(device, True)
    try:
        yield
    finally:
        torch.set_autocast_enabled(device, False)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])  # of the training: a family that grows fades layers in
@pytest.mark.parametrize("name", FAMILIES)
def test_bf16_finds_fitting_types_on_a_gpu_too(name: str, share: float) -> None:
    """GPUs round other operations than processors do; tensors without values tell whether the types fit."""
    trainer = make(FAMILIES[name], precision="bf16", steps=100)
    trainer.step = round(100 * share)
    phase, (real, conditioning), z = trainer.phase, trainer.inputs.real_batch(trainer.now), trainer.inputs.noise(8)
    with FakeTensorMode(), torch.device("cuda"):
        networks = trainer.family.generator(trainer.spec), trainer.family.discriminator(trainer.spec)
        if trainer.family.phase:
            for network in networks:
                network.phase = phase
        z, *conditioning = (torch.empty(t.shape, dtype=t.dtype) for t in (z, *conditioning))
        with rounding("cuda"):
            images = networks[0](z, *conditioning)
            logits = networks[1](images, *conditioning)
    assert images.shape[0] == logits.shape[0] == len(real) and images.shape[2] == phase.size
