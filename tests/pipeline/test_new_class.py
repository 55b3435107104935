"""A class that joins a data set: only what depends on it is made anew."""

import shutil
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.job import run_job
from pipeline.log import read_log
from pipeline.origins import Generators
from pipeline.stages.generate import first_seed
from pipeline.stages.records import load_pack
from pipeline.store import RunFolder, load_tensors, read_json, save_tensors
from tests import tiny

PLAN = ("gan.scope=specialise", "gan.steps=4", "gan.finetune_steps=2")


def with_class(source: Path, folder: Path, name: str, like: str, first_seed: int) -> Path:
    """A copy of a data set with one more class, of pictures like those of another."""
    shutil.copytree(source, folder)
    (folder / name).mkdir()
    for i in range(first_seed, first_seed + 12):
        path = tiny.write_dataset(folder.parent / f"one-{name}-{i}", {like: 1}, first_seed=i) / like
        next(path.iterdir()).rename(folder / name / f"{name}-{i}.png")
    return folder


def trained(run: RunFolder) -> list[str]:
    return [e["generator"] for e in read_log(run.log) if e["stage"] == "train" and "generator" in e and "step" in e]


def files(run: RunFolder, kind: str) -> set[str]:
    return {path.name for path in run.store.glob(f"{kind}-*.safetensors")}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, textures_folder: Path) -> RunFolder:
    """A finished run whose generators were fine-tuned from a shared one."""
    run = RunFolder(tmp_path_factory.mktemp("base") / "run")
    run_job(run, tiny.settings(*PLAN), textures_folder, until="generate")
    return run


def shared_model(run: RunFolder) -> Path:
    (found,) = [file for file in run.store.glob("generator-*") if load_tensors(file)[1]["name"] == "all classes"]
    return found


@pytest.mark.parametrize("scope", ["per_class", "specialise"])
def test_a_new_class_trains_one_generator(tmp_path: Path, textures_folder: Path, base: RunFolder, scope: str) -> None:
    settings = (
        ("gan.scope=per_class", "gan.steps=4")
        if scope == "per_class"
        else (*PLAN, f"gan.init_from={shared_model(base)}")
    )
    run = RunFolder(tmp_path / "run")
    run_job(run, tiny.settings(*settings), textures_folder, until="generate")
    generators, candidates, before = files(run, "generator"), files(run, "candidates"), len(trained(run))
    more = with_class(textures_folder, tmp_path / "more", "a new one", "grain", 50)  # first of all labels
    run_job(run, tiny.settings(*settings), more, until="generate")
    assert set(trained(run)[before:]) == {"a new one"}
    assert files(run, "generator") > generators and len(files(run, "generator") - generators) == 1
    assert files(run, "candidates") > candidates and len(files(run, "candidates") - candidates) == 1
    assert {path.name for path in (run.out / "generators").iterdir()} == {"a new one", *tiny.TEXTURES}


def test_more_images_of_a_class_train_its_generator_alone(tmp_path: Path, textures_folder: Path) -> None:
    run = RunFolder(tmp_path / "run")
    settings = tiny.settings("gan.scope=per_class", "gan.steps=4", "data.test_fraction=0.05")
    run_job(run, settings, textures_folder, until="train")
    before = len(trained(run))
    more = tmp_path / "more"
    shutil.copytree(textures_folder, more)
    (extra,) = (tiny.write_dataset(tmp_path / "extra", {"lines": 1}, first_seed=70) / "lines").iterdir()
    extra.rename(more / "lines" / "lines-99.png")
    run_job(run, settings, more, until="train")
    assert set(trained(run)[before:]) == {"lines"}


def test_a_class_that_the_base_has_never_seen_starts_from_the_most_similar_one(tmp_path: Path) -> None:
    """Of a base that draws dark, grey and bright pictures, dark ones under another name take over `dark`."""
    source, levels = tmp_path / "source", {"bright": 220, "dark": 30, "grey": 120}
    for name, level in levels.items():
        _write_flat(source / name, level)
    first = RunFolder(tmp_path / "first")
    run_job(first, tiny.settings("gan.steps=2"), source, until="train")
    drawn = _draws_levels(shared_model(first), tmp_path / "base.safetensors", list(levels.values()))
    _write_flat(source / "shadow", 35)
    run = RunFolder(tmp_path / "run")
    run_job(run, tiny.settings(*PLAN, f"gan.init_from={drawn}"), source, until="train")
    conditions = {name: read_json(run.card(name))["conditions"] for name in (*levels, "shadow")}
    assert conditions == {"bright": [0], "dark": [1], "grey": [2], "shadow": [1]}


def _draws_levels(model: Path, changed: Path, levels: list[int]) -> Path:
    """A copy of a DCGAN of width 8 whose condition alone sets the grey level, with a little noise.

    The last layer, of stride 2, gives an inner pixel 2 x 2 weights a channel: tanh(bias + 4 x 8 x weight x input).
    """
    tensors, record = load_tensors(model)
    pixels = torch.atanh(torch.tensor(levels) / 127.5 - 1)
    for network in ("generator", "ema"):
        tensors[f"{network}.norms.2.gain.weight"].fill_(0.05)
        tensors[f"{network}.norms.2.bias.weight"].copy_((pixels + 3)[:, None].expand(-1, 8))
        tensors[f"{network}.last.weight"].fill_(1 / 32)
        tensors[f"{network}.last.bias"].fill_(-3)
    save_tensors(changed, tensors, record)
    return changed


def _write_flat(folder: Path, level: int) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(level)
    for i in range(12):
        pixels = np.clip(level + rng.normal(0, 12, (32, 32)), 0, 255).astype(np.uint8)
        (folder / f"{i}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def test_classes_of_the_base_keep_their_condition(base: RunFolder) -> None:
    for label, name in enumerate(tiny.TEXTURES):
        assert read_json(base.card(name))["conditions"] == [label]


def test_a_base_that_does_not_fit_is_refused(tmp_path: Path, textures_folder: Path, base: RunFolder) -> None:
    model = shared_model(base)
    run = RunFolder(tmp_path / "run")

    def refused(*settings: str) -> str:
        with pytest.raises(InputError) as error:
            run_job(run, tiny.settings(*PLAN, *settings), textures_folder, until="train")
        return str(error.value)

    assert "is a dcgan for 32 pixels" in refused(f"gan.init_from={model}", "gan.family=cgan")
    assert "this run needs a dcgan for 64 pixels" in refused(f"gan.init_from={model}", "data.image_size=64")
    assert "is no trained generator" in refused(f"gan.init_from={tmp_path / 'none.safetensors'}")
    save_tensors(tmp_path / "other.safetensors", {"x": torch.zeros(1)}, {})
    assert "is no trained generator" in refused(f"gan.init_from={tmp_path / 'other.safetensors'}")
    with pytest.raises(InputError, match="init_from needs scope = specialise"):
        tiny.settings(f"gan.init_from={model}")


@pytest.mark.parametrize("drawn_by", ["upscale", "sentence"])
def test_without_training_generators_are_asked_as_they_were_taught(
    tmp_path: Path, textures_folder: Path, drawn_by: str
) -> None:
    """A class that comes first moves the labels of the others, and its descriptions the meaning of words."""
    run = RunFolder(tmp_path / "run")
    config = tiny.settings("gan.steps=2", "gan.family=stackgan", "gan.lr_g=5e-4", "gan.lr_d=5e-4")
    if drawn_by == "upscale":
        config = tiny.settings("gan.steps=2", "generate.upscale=2")
    else:
        run_job(run, config, textures_folder, until="prepare")
        (pack,) = (load_pack(str(file)) for file in run.store.glob("pack-*"))
        said = f"generate.description='{pack.rows[0]['description']}'"
        config = tiny.settings("gan.steps=2", "gan.family=stackgan", "gan.lr_g=5e-4", "gan.lr_d=5e-4", said)
    run_job(run, config, textures_folder, until="generate")
    before = drawn(run)
    for file in run.store.glob("candidates-*"):
        file.unlink()
    more = with_class(textures_folder, tmp_path / "more", "a new one", "grain", 50)
    run_job(run, config, more, until="generate", origin=Generators(train=False))
    after = drawn(run)
    assert set(after) == set(before) == set(tiny.TEXTURES)
    assert all(after[name].equal(before[name]) for name in after)


def drawn(run: RunFolder) -> dict[str, torch.Tensor]:
    """The candidates of each class."""
    loaded = [load_tensors(file) for file in run.store.glob("candidates-*")]
    return {record["class"]: tensors["images"] for tensors, record in loaded}


def test_seeds_of_a_class_are_its_own() -> None:
    starts = sorted(first_seed(seed, name) for seed in range(50) for name in ("a", "b", "ab", "größe"))
    assert len(set(starts)) == 200 and starts[0] >= 0 and starts[-1] < 2**48
    assert min(b - a for a, b in pairwise(starts)) > 10_000


def test_a_base_of_the_runs_own_that_is_damaged_is_trained_again(tmp_path: Path, textures_folder: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run_job(run, tiny.settings(*PLAN), textures_folder, until="train")
    model = shared_model(run)
    model.write_bytes(model.read_bytes()[:-10])
    run_job(run, tiny.settings(*PLAN, f"gan.init_from={model}"), textures_folder, until="train")
    (event,) = [event for event in read_log(run.log) if event["event"] == "base"]
    assert "is no trained generator" in event["dropped"] and trained(run).count("all classes") > 1
