"""One generator trained by two processes (gloo, on the CPU): one model, and the same again after an interruption."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ganaug.distributed import Distributed, SingleProcess
from ganaug.families import get_family
from ganaug.training_loop import Trainer
from pipeline.errors import InputError
from pipeline.job import check_names, run_job
from pipeline.log import read_log
from pipeline.store import RunFolder, load_tensors
from pipeline.workers import launch
from tests import tiny


def make(context: SingleProcess, family: str = "dcgan") -> Trainer:
    images = torch.randint(0, 256, (12, 1, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    chosen = get_family(family)
    options = replace(chosen.defaults, batch=8, width=4, latent=8, steps=6)
    return Trainer(chosen, images, torch.arange(12) % 3, n_conditions=3, options=options, seed=3, context=context)


def weights(trainer: Trainer) -> Tensor:
    tensors = [*trainer.generator.state_dict().values(), *trainer.discriminator.state_dict().values()]
    return torch.cat([tensor.flatten().double() for tensor in tensors if tensor.is_floating_point()])


def in_each_process(context: Distributed, job: tuple[str, Path]) -> None:
    """Train as a whole, and stopped half way; write down what the first process saw of both."""
    family, file = job
    whole, stopped, resumed, fresh = (make(context, family) for _ in range(4))
    drawn = [context.gather(draw).tolist() for draw in (fresh.batches.draw()[0], fresh.inputs.noise(4))]
    fresh.train_step()
    whole.run()
    for _ in range(3):
        stopped.train_step()
    resumed.load(stopped.state())
    resumed.run()
    value = torch.tensor([context.rank + 1.0, 5.0 * context.rank])
    context.average([value])
    seen = {
        "weights": context.gather(weights(whole)).tolist(),
        "resumed": context.gather(weights(resumed)).tolist(),
        "drawn": drawn,
        "stepped": context.gather(weights(fresh)).tolist(),
        "average": value.tolist(),
        "first": context.first(f"of {context.rank}"),
        "images": len(whole.batches.draw()[0]),
        "row": whole.history[-1],
    }
    if context.rank == 0:
        file.write_text(json.dumps(seen))


@pytest.mark.parametrize("family", ["dcgan", pytest.param("wgan_gp", marks=pytest.mark.slow)])
def test_two_processes_stay_one_and_go_on_from_a_state_as_if_never_stopped(
    tmp_path: Path, family: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lightning_fabric")
    launch(in_each_process, (family, tmp_path / "seen.json"), processes=2, device="cpu")
    assert capfd.readouterr() == ("", "")
    seen = json.loads((tmp_path / "seen.json").read_text())
    first, second = seen["weights"]
    assert first == second and seen["resumed"] == [first, second]
    assert all(mine != others for mine, others in seen["drawn"])  # images, and noise
    assert seen["stepped"][0] == seen["stepped"][1]
    assert seen["average"] == [1.5, 2.5] and seen["first"] == "of 0" and seen["images"] == 4
    alone = make(SingleProcess(), family)
    alone.run()
    assert seen["row"].keys() == alone.history[-1].keys() and weights(alone).tolist() != first


def test_a_run_trains_on_several_devices_and_not_again(tmp_path: Path, textures_folder: Path) -> None:
    pytest.importorskip("lightning_fabric")
    run, config = RunFolder(tmp_path), tiny.settings("gan.devices=2", "gan.steps=6")
    for _ in range(2):
        run_job(run, config, textures_folder, until="generate")
    assert len([e for e in read_log(run.log) if e["event"] == "done" and "generator" in e]) == 1
    (model,) = run.store.glob("generator-*")
    tensors, card = load_tensors(model)
    assert card["step"] == 6 and all(t.isfinite().all() for t in tensors.values())
    assert len(list(run.store.glob("candidates-*"))) == 3 and not list(run.store.glob("checkpoint-*"))


def test_a_batch_has_to_be_shared_evenly() -> None:
    with pytest.raises(InputError, match=r"gan\.batch = 8 cannot be shared by gan\.devices = 3"):
        check_names(tiny.settings("gan.devices=3"))


def test_without_fabric_its_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lightning_fabric", None)
    with pytest.raises(InputError, match=r"pip install 'ganaug\[parallel\]'"):
        launch(in_each_process, ("dcgan", tmp_path), processes=2, device="cpu")
