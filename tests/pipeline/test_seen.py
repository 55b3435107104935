"""No generator that is used has learned from a test image of the run, wherever it comes from."""

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.job import run_job
from pipeline.log import read_log
from pipeline.origins import Generators
from pipeline.stages.records import load_pack
from pipeline.store import RunFolder, load_tensors, save_tensors
from tests import tiny

PLAN = ("gan.scope=specialise", "gan.steps=2", "gan.finetune_steps=2")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, textures_folder: Path) -> RunFolder:
    """A run with seed 0 that has trained a base; not to be changed."""
    run = RunFolder(tmp_path_factory.mktemp("first") / "run")
    run_job(run, tiny.settings(*PLAN), textures_folder, until="train")
    return run


def models(run: RunFolder) -> dict[str, Path]:
    """Name -> file of each trained generator."""
    return {load_tensors(file)[1]["name"]: file for file in run.store.glob("generator-*")}


def images(run: RunFolder, split: str) -> dict[str, str]:
    """SHA-256 -> path of a split's images in a run that read one data set."""
    (pack,) = [load_pack(str(file)) for file in run.store.glob("pack-*")]
    return {pack.rows[i]["sha256"]: pack.rows[i]["path"] for i in pack.of(split).tolist()}


def without_list(model: Path, target: Path) -> Path:
    """The generator as it was saved before records had a list of images."""
    tensors, record = load_tensors(model)
    del record["seen"]
    save_tensors(target, tensors, record)
    return target


def unchecked(run: RunFolder) -> list[str]:
    return [event["generator"] for event in read_log(run.log) if event["event"] == "unchecked"]


def refused(run: RunFolder, source: Path, *overrides: str, origin: Generators) -> str:
    with pytest.raises(InputError) as error:
        run_job(run, tiny.settings(*overrides), source, until="generate", origin=origin)
    assert not list(run.store.glob("candidates-*"))
    return str(error.value)


def test_a_base_that_has_learned_from_test_images_is_refused(
    tmp_path: Path, textures_folder: Path, first: RunFolder
) -> None:
    base, run = models(first)["all classes"], RunFolder(tmp_path / "run")
    said = refused(run, textures_folder, *PLAN, "seed=1", f"gan.init_from={base}", origin=Generators())
    test, learned = images(run, "test"), images(first, "train")
    seen = [path for sha256, path in test.items() if sha256 in learned]
    assert said.startswith(f"gan.init_from = {base} has learned from {len(seen)} test image(s) of this run, such as ")
    assert len(seen) > 2 and seen[0] in said and seen[1] in said and seen[2] not in said
    assert "leave gan.init_from out, or give a data set with a split of its own" in said
    assert not models(run)  # said before any training


def test_a_base_that_has_seen_other_images_alone_is_taken(tmp_path: Path, first: RunFolder) -> None:
    source = tiny.write_dataset(tmp_path / "others", first_seed=100)
    run = RunFolder(tmp_path / "run")
    run_job(
        run, tiny.settings(*PLAN, "seed=1", f"gan.init_from={models(first)['all classes']}"), source, until="generate"
    )
    assert models(run).keys() == tiny.TEXTURES.keys() and not unchecked(run)


def test_a_generator_has_seen_what_its_base_has_seen(tmp_path: Path, textures_folder: Path, first: RunFolder) -> None:
    source, run = tmp_path / "data", RunFolder(tmp_path / "run")
    tiny.write_dataset(source / "train", first_seed=100)
    tiny.write_dataset(source / "test", dict.fromkeys(tiny.TEXTURES, 4), first_seed=200)
    plan = (*PLAN, f"gan.init_from={models(first)['all classes']}")
    run_job(run, tiny.settings(*plan), source, until="train")
    run_job(run, tiny.settings(*plan), source, until="train", origin=Generators(train=False))
    learned = next(path for path in images(first, "train").values() if path.startswith("grain/"))
    shutil.copy(textures_folder / learned, source / "test" / "grain" / "again.png")
    said = refused(run, source, *plan, origin=Generators(train=False))
    assert "has learned from 1 test image(s) of this run, such as test/grain/again.png, whose" in said


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".png", [cv2.IMWRITE_PNG_COMPRESSION, 9]), (".bmp", []), (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 75])],
)
def test_a_learned_image_that_was_encoded_anew_is_known_again(
    tmp_path: Path, textures_folder: Path, first: RunFolder, suffix: str, options: list[int]
) -> None:
    source, run = tmp_path / "data", RunFolder(tmp_path / "run")
    tiny.write_dataset(source / "train", first_seed=100)
    tiny.write_dataset(source / "test", dict.fromkeys(tiny.TEXTURES, 4), first_seed=200)
    learned = next(path for path in images(first, "train").values() if path.startswith("blobs/"))
    pixels = cv2.imread(str(textures_folder / learned), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    again = cv2.imencode(suffix, pixels, options)[1].tobytes()
    assert again != (textures_folder / learned).read_bytes()
    (source / "test" / "blobs" / f"again{suffix}").write_bytes(again)
    said = refused(run, source, *PLAN, f"gan.init_from={models(first)['all classes']}", origin=Generators())
    assert f"has learned from 1 test image(s) of this run, such as test/blobs/again{suffix}, whose" in said


def test_parts_under_a_fixed_camera_are_not_taken_for_one_another(tmp_path: Path) -> None:
    part = cv2.resize(tiny.texture("blobs", 0, size=16), (64, 64)).astype(float)

    def write(root: Path, seed: int) -> Path:
        noise = np.random.default_rng(seed)
        for name in ("good", "dark"):
            (root / name).mkdir(parents=True)
            for i in range(8):
                shot = part + noise.normal(0, 3, part.shape) - (60 if name == "dark" else 0)
                (root / name / f"{i}.png").write_bytes(tiny.encoded(shot))
        return root

    plan = (*PLAN, "data.near_duplicate_correlation=1")
    before, run = RunFolder(tmp_path / "before"), RunFolder(tmp_path / "run")
    run_job(before, tiny.settings(*plan), write(tmp_path / "monday", 1), until="train")
    base = f"gan.init_from={models(before)['all classes']}"
    run_job(run, tiny.settings(*plan, base), write(tmp_path / "tuesday", 2), until="train")
    assert models(run).keys() == {"good", "dark"}


def test_a_base_of_the_runs_own_that_has_seen_test_images_is_trained_again(
    tmp_path: Path, textures_folder: Path, first: RunFolder
) -> None:
    shutil.copytree(first.out, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    base = models(run)["all classes"]
    run_job(run, tiny.settings(*PLAN, f"gan.init_from={base}"), textures_folder, until="train")
    assert not [event for event in read_log(run.log) if event["event"] == "base"]
    run_job(run, tiny.settings(*PLAN, "seed=1", f"gan.init_from={base}"), textures_folder, until="train")
    (event,) = [event for event in read_log(run.log) if event["event"] == "base"]
    assert "has learned from" in event["dropped"]
    used = {load_tensors(file)[1]["init_from"] for file in run.store.glob("generator-*")} - {""}
    assert len(used) == 2 and base.name in used


def test_a_base_of_the_runs_own_that_nobody_can_check_is_trained_again(
    tmp_path: Path, textures_folder: Path, first: RunFolder
) -> None:
    shutil.copytree(first.out, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    base = without_list(models(run)["all classes"], models(run)["all classes"])
    run_job(run, tiny.settings(*PLAN, "seed=1", f"gan.init_from={base}"), textures_folder, until="train")
    (event,) = [event for event in read_log(run.log) if event["event"] == "base"]
    assert "does not say which images it has learned from" in event["dropped"] and not unchecked(run)


@pytest.mark.parametrize("which", ["all classes", "super_resolver"])
def test_published_generators_are_refused_once_their_images_are_test_images(tmp_path: Path, which: str) -> None:
    source, run = tiny.write_dataset(tmp_path / "data"), RunFolder(tmp_path / "run")
    plan = ("gan.steps=2", "generate.upscale=2")
    run_job(run, tiny.settings(*plan), source, until="train")
    (other,) = {"all classes", "super_resolver"} - {which}
    without_list(models(run)[other], models(run)[other])
    for path in images(run, "test").values():  # some of the others now take their place
        (source / path).unlink()
    said = refused(run, source, *plan, origin=Generators(train=False))
    assert re.match(rf"The generator '{which}' of \S+ has learned from \d+ test image", said)
    examples = re.findall(r"\S+\.png", said)
    assert len(examples) == 2 and all((source / path).exists() for path in examples)
    assert "train anew with `ganaug run`" in said
    run_job(run, tiny.settings(*plan), source, until="generate")
    run_job(run, tiny.settings(*plan), source, until="generate", origin=Generators(train=False))


def test_generators_without_a_list_are_used_and_named_in_the_log_and_the_report(
    tmp_path: Path, textures_folder: Path, first: RunFolder
) -> None:
    base = without_list(models(first)["all classes"], tmp_path / "old.safetensors")
    run, plan = RunFolder(tmp_path / "run"), (*PLAN, "seed=1", f"gan.init_from={base}")
    run_job(run, tiny.settings(*plan), textures_folder, until="train")
    assert unchecked(run) == [f"gan.init_from = {base}"]
    run_job(run, tiny.settings(*plan), textures_folder, until="generate", origin=Generators(train=False))
    assert len(list(run.store.glob("candidates-*"))) == 3
    # what they have seen of their own classes is not all that they have seen
    assert {name.split("'")[1] for name in unchecked(run)[1:]} == set(tiny.TEXTURES)
    run_job(run, tiny.settings(*plan, *tiny.TWO_ARMS), textures_folder)
    page = " ".join(run.report.read_text().split())
    assert all(f"Generator of {name}: it is not recorded" in page for name in tiny.TEXTURES)
    assert "real test images that no filter or choice has seen" in page
