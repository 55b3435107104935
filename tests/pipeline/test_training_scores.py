"""Which generator of a training is the best: FID to images held out from it, and no copies of those it has."""

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from ganaug.best_checkpoint import BestCheckpoint
from ganaug.families import get_family
from ganaug.metrics import authenticity, authenticity_among
from ganaug.monitor import copies
from ganaug.training_loop import Trainer
from pipeline.stages.jobs import LEAST_HELD_OUT, first_jobs, held_out_of, images_of
from pipeline.stages.prepare import prepare
from pipeline.stages.records import load_pack
from pipeline.stages.train import scorer, train
from pipeline.store import RunFolder, load_tensors
from tests import tiny

DCGAN, KINDS = get_family("dcgan"), ("blobs", "lines")


def textures(first: int, n: int = 48) -> Tensor:
    """Blobs and lines in turn, `uint8 [n, 1, 32, 32]`."""
    return torch.from_numpy(np.stack([tiny.texture(KINDS[i % 2], first + i) for i in range(n)]))[:, None]


TRAINING, HELD_OUT, FRESH = textures(0), textures(1000), textures(2000)
CONDITIONS = torch.arange(len(TRAINING)) % 2


def by_heart(conditions: Tensor, seed: int) -> Tensor:
    """Images of the conditions, each one of the training images."""
    rng = torch.Generator().manual_seed(seed)
    return torch.stack([TRAINING[int(c) + 2 * int(torch.randint(24, (1,), generator=rng))] for c in conditions])


def off_the_mark(conditions: Tensor, seed: int) -> Tensor:
    """Images that show no training image, but are somewhat too flat."""
    fresh = torch.stack([FRESH[int(c) + 2 * i % len(FRESH)] for i, c in enumerate(conditions)])
    return (128 + 0.8 * (fresh.float() - 128)).round().to(torch.uint8)


@pytest.fixture(scope="module", params=[True, False], ids=["held out", "training"])
def rows(request: pytest.FixtureRequest) -> dict[str, dict[str, float]]:
    """What a generator of each kind is scored, by images held out or, for want of them, by those of the training."""
    options = replace(DCGAN.defaults, batch=4, width=4, latent=8)
    trainer = Trainer(DCGAN, TRAINING, CONDITIONS, n_conditions=2, options=options, seed=0)
    score = scorer(trainer, CONDITIONS, HELD_OUT if request.param else HELD_OUT[:0], SimpleNamespace(seed=0, scale=1))  # type: ignore[arg-type]

    def scored(sample: Callable[[Tensor, int], Tensor]) -> dict[str, float]:
        trainer.sample = sample  # type: ignore[method-assign]
        return score(trainer)

    found = {"by heart": scored(by_heart), "off the mark": scored(off_the_mark)}
    assert {row["held_out"] for row in found.values()} == {len(HELD_OUT) if request.param else 0}
    return found


def test_a_generator_that_copies_is_not_preferred_though_its_fid_is_lower(rows: dict[str, dict[str, float]]) -> None:
    assert rows["by heart"]["fid"] < rows["off the mark"]["fid"]
    assert copies(rows["by heart"]) and not copies(rows["off the mark"])
    network = torch.nn.Linear(1, 1)
    for order in permutations(rows):
        best_checkpoint = BestCheckpoint(replace(DCGAN.defaults, early_stop=False), wasserstein=False)
        for step, kind in enumerate(order, 1):
            best_checkpoint.update([rows[kind] | {"step": float(step)}], network, network, 1.0)
        assert best_checkpoint.best is not None and order[int(best_checkpoint.best["step"]) - 1] == "off the mark"


def test_the_yardstick_is_the_authenticity_of_each_real_image_among_the_others() -> None:
    features = torch.randn(30, 3, generator=torch.Generator().manual_seed(0)).double()
    features[7] = features[8]  # there twice
    rest = [torch.arange(30) != i for i in range(30)]
    one_by_one = [authenticity(features[[i]], features[others]) for i, others in enumerate(rest)]
    assert authenticity_among(features) == pytest.approx(sum(one_by_one) / 30)
    with pytest.raises(ValueError, match="2 real images"):
        authenticity_among(features[:2])


def test_validation_images_are_held_out_where_there_are_enough_and_test_images_are_not_looked_at(
    tmp_path: Path,
) -> None:
    source = tiny.write_dataset(tmp_path / "source", dict.fromkeys(tiny.TEXTURES, 48))
    run, config = RunFolder(tmp_path / "run"), tiny.settings("gan.steps=2", "data.min_for_validation=2")
    prepared = prepare(run, config, source)
    (job,), pack = first_jobs(run, config, prepared), load_pack(prepared.pack)
    held_out = held_out_of(job, pack)
    assert held_out.equal(pack.of("val")) and len(held_out) >= LEAST_HELD_OUT
    assert not set(held_out.tolist()) & {*pack.of("test").tolist(), *images_of(job, pack).tolist()}
    record = load_tensors(Path(train(job).model))[1]
    assert record["history"][-1]["held_out"] == len(held_out)
    assert len(record["seen"]) == len(held_out) + prepared.n_train  # the best is chosen by them
    alone = replace(job, labels=(0,))
    assert len(images_of(alone, pack, "val")) < LEAST_HELD_OUT and len(held_out_of(alone, pack)) == 0
