"""`ganaug latent` on finished runs: pictures and figures of walks, and errors that say what to do."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from ganaug import latent_space
from pipeline.config import Config
from pipeline.errors import JobError
from pipeline.job import recall_job, run_job
from pipeline.latent_model import load_model
from pipeline.origins import Generators
from pipeline.stages import conditioning_inputs
from pipeline.stages.records import load_pack
from pipeline.store import RunFolder, load_tensors, read_json, write_json
from tests import tiny
from tests.conftest import Finished
from tests.pipeline.conftest import Ganaug

ARITHMETIC = ("--with", "1,2,3", "--without", "4,5", "--target", "6")


@pytest.fixture
def latent(ganaug: Ganaug) -> Ganaug:
    """Run `ganaug latent`."""
    return partial(ganaug, "latent")


@pytest.fixture(scope="module")
def plain(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A copy of the finished run: other tests compare its files."""
    run = RunFolder(tmp_path_factory.mktemp("latent") / "run")
    shutil.copytree(finished.run.out, run.out)
    return run


def trained(folder: Path, source: Path, *overrides: str) -> tuple[RunFolder, Config]:
    run, config = RunFolder(folder / "run"), tiny.settings(*overrides)
    run_job(run, config, source, until="train")
    return run, config


@pytest.fixture(scope="module")
def with_codes(tmp_path_factory: pytest.TempPathFactory, textures_folder: Path) -> RunFolder:
    return trained(tmp_path_factory.mktemp("codes"), textures_folder, "gan.family=infogan", "gan.steps=5")[0]


def result(run: RunFolder, name: str, walk: str) -> dict[str, Any]:
    facts: dict[str, Any] = read_json(run.out / "latent" / name / f"{walk}.json")
    return facts


def sheet(run: RunFolder, name: str, walk: str) -> tuple[int, int]:
    """Height and width of the picture, which is more than paper."""
    pixels = cv2.imread(str(run.out / "latent" / name / f"{walk}.png"))
    assert pixels is not None and pixels.std() > 10
    return pixels.shape[0], pixels.shape[1]


def test_seeds_stand_for_the_candidates_that_were_generated(plain: RunFolder, finished: Finished) -> None:
    model = load_model(plain, "grain")
    (file,) = [f for f in plain.store.glob("candidates-*") if load_tensors(f)[1]["class"] == "grain"]
    stored = load_tensors(file)[0]
    assert model.pictures(model.latents(stored["seeds"].tolist())).equal(stored["images"])


def test_interpolation_saves_pictures_and_says_how_smooth_they_are(latent: Ganaug, plain: RunFolder) -> None:
    status, out, err = latent(
        "interpolate", "--out", str(plain.out), "--class", "lines", "--seeds", "3,5,8", "--steps", "4"
    )
    facts = result(plain, "lines", "interpolate")
    assert (status, err) == (0, "") and str(plain.out / "latent" / "lines" / "interpolate.png") in out
    assert "Perceptual path length" in out and facts["smoothness"]["verdict"] in out.lower()
    assert [(walk["from"], walk["to"]) for walk in facts["walks"]] == [(3, 5), (5, 8)]
    assert all(len(walk["distance"]) == 4 and min(walk["distance"]) > 0 for walk in facts["walks"])
    train = {row["path"] for row in load_pack(str(next(plain.store.glob("pack-*")))).rows}
    assert all(path in train and "lines" in path for walk in facts["walks"] for path in walk["nearest_real"])
    height, width = sheet(plain, "lines", "interpolate")
    assert height > 2 * 96 and width > 4 * 96


def test_a_walk_begins_and_ends_on_its_seeds(plain: RunFolder) -> None:
    model = load_model(plain, "blobs")
    a, b = model.latents([3, 5])
    ends = latent_space.interpolate(a.expand(2, -1), b.expand(2, -1), torch.tensor([0.0, 1.0]), model.layout)
    assert model.pictures(ends).equal(model.pictures(torch.stack([a, b])))


def test_traversal_follows_directions_where_there_are_no_codes(latent: Ganaug, plain: RunFolder) -> None:
    words = ("--class", "blobs", "--seeds", "7", "--directions", "3", "--steps", "5")
    status, _, err = latent("traverse", "--out", str(plain.out), *words)
    found = result(plain, "blobs", "traverse")["directions"]
    assert (status, err) == (0, "") and len(found["vectors"]) == 3
    assert found["shares"] == sorted(found["shares"], reverse=True) and 0 < sum(found["shares"]) <= 1
    height, width = sheet(plain, "blobs", "traverse")
    assert height > 3 * 96 and width > 5 * 96


def test_traversal_shows_every_code_of_infogan(latent: Ganaug, with_codes: RunFolder) -> None:
    status, _, err = latent("traverse", "--out", str(with_codes.out), "--class", "grain", "--seeds", "1,2")
    facts = result(with_codes, "grain", "traverse")
    assert (status, err) == (0, "") and facts["codes"] == {"categorical": 4, "continuous": 2}
    assert facts["family"] == "infogan" and sheet(with_codes, "grain", "traverse")[0] > 2 * 3 * 96


def test_arithmetic_shows_the_result_as_every_class_of_the_generator(latent: Ganaug, plain: RunFolder) -> None:
    status, _, err = latent("arithmetic", "--out", str(plain.out), "--class", "grain", *ARITHMETIC)
    facts = result(plain, "grain", "arithmetic")
    assert (status, err) == (0, "") and facts["groups"] == {"with": [1, 2, 3], "without": [4, 5], "target": [6]}
    model = load_model(plain, "grain")
    with_, without, target = (model.latents(seeds).mean(0) for seeds in facts["groups"].values())
    torch.testing.assert_close(torch.tensor(facts["latent"]), with_ - without + target)
    assert sheet(plain, "grain", "arithmetic")[0] > 5 * 96


def test_a_mode_of_a_class_can_be_asked_for(latent: Ganaug, tmp_path: Path, textures_folder: Path) -> None:
    run, _ = trained(tmp_path, textures_folder, "gan.scope=per_class", "gan.modes=2", "gan.steps=5")
    assert read_json(run.card("grain"))["conditions"] == [0, 1]
    words = ("arithmetic", "--out", str(run.out), "--class", "grain", *ARITHMETIC)
    assert latent(*words, "--condition", "1")[0] == 0 and result(run, "grain", "arithmetic")["condition"] == 1
    status, _, err = latent(*words, "--condition", "2")
    assert status == 2 and "--condition 2: class grain is drawn by 0, 1" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("traverse", "--class", "grian"), "has no such class; it draws blobs, grain, lines. Did you mean 'grain'?"),
        (("traverse", "--class", "../generators/grain"), "has no such class"),
        (("traverse", "--class", "grain", "--seeds", "1,x"), "--seeds 1,x: give whole numbers"),
        (("interpolate", "--class", "grain", "--seeds", "1"), "--seeds: name at least two"),
        (("arithmetic", "--class", "grain", "--with", "", "--without", "1", "--target", "2"), "--with : give whole"),
        (("interpolate", "--class", "grain", "--steps", "1"), "--steps"),
    ],
)
def test_a_wrong_word_is_exit_status_2(latent: Ganaug, plain: RunFolder, words: tuple[str, ...], said: str) -> None:
    status, out, err = latent(*words, "--out", str(plain.out))
    assert (status, out) == (2, "") and said in err


def test_a_folder_without_a_run_or_a_generator_says_how_to_get_one(
    latent: Ganaug, plain: RunFolder, tmp_path: Path
) -> None:
    status, _, err = latent("traverse", "--class", "grain", "--out", str(tmp_path / "nothing"))
    assert status == 2 and "holds no run" in err and not (tmp_path / "nothing").exists()
    shutil.copytree(plain.out, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "generators" / "grain")
    status, _, err = latent("traverse", "--class", "grain", "--out", str(tmp_path / "run"))
    assert status == 2 and "Class grain has no generator" in err and "blobs, lines" in err
    shutil.rmtree(tmp_path / "run" / "generators")
    status, _, err = latent("traverse", "--class", "grain", "--out", str(tmp_path / "run"))
    assert status == 2 and "has no generator yet; `ganaug train" in err


def test_without_the_real_images_pictures_are_still_to_be_had(latent: Ganaug, plain: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(plain.out, run.out)
    shutil.rmtree(run.store)
    assert latent("arithmetic", "--class", "grain", "--out", str(run.out), *ARITHMETIC)[0] == 0
    status, _, err = latent("interpolate", "--class", "grain", "--out", str(run.out))
    assert status == 2 and "`ganaug train --out" in err


@pytest.mark.parametrize("settings", [("gan.family=pix2pix",), ("gan.family=stackgan",), ("generate.upscale=2",)])
def test_conditioning_inputs_stay_the_same_along_a_walk_and_an_super_resolver_is_left_out(
    latent: Ganaug, tmp_path: Path, textures_folder: Path, settings: tuple[str, ...]
) -> None:
    run, _ = trained(tmp_path, textures_folder, "gan.steps=2", *settings)
    status, _, err = latent("interpolate", "--seeds", "5,6", "--class", "grain", "--out", str(run.out))
    assert status == 0, err
    model = load_model(run, "grain", conditioning_seed=5)
    if model.conditioning_input is None:
        assert settings == ("generate.upscale=2",) and model.draw(model.latents([5])).shape[-1] == 16
    else:
        kind, label = read_json(run.card("grain"))["conditioning_input"]["kind"], list(tiny.TEXTURES).index("grain")
        seed = torch.tensor([5])
        if kind == "text":
            drawn = conditioning_inputs.draw_sentences(
                model.pack, label, seed, conditioning_inputs.embedding_of(model.pack)
            )
        else:
            drawn = conditioning_inputs.draw(kind, model.pack, label, seed, 32)
        assert model.conditioning_input.equal(drawn.conditioning_inputs)


def test_a_card_of_an_earlier_version_says_so(latent: Ganaug, plain: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(plain.out, run.out)
    current = read_json(run.card("grain"))
    former = {key: value for key, value in current.items() if key not in ("init_from", "conditioning_input")}
    shape = {key: value for key, value in current["spec"].items() if key != "conditioning_channels"}
    for old in (former | {"base": "", "guide": None}, current | {"spec": shape | {"guide": 0}}):
        write_json(run.card("grain"), old)
        status, _, err = latent("traverse", "--class", "grain", "--out", str(run.out))
        assert status == 1 and "grain/card.json is of an earlier version; train anew with" in err
        with pytest.raises(JobError, match=r"grain/card\.json is of an earlier version; .* `ganaug class update`"):
            run_job(run, *recall_job(run), origin=Generators(train=False))


def test_weights_of_another_version_are_not_read_as_something_else(
    latent: Ganaug, plain: RunFolder, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(plain.out, run.out)
    card = read_json(run.card("grain"))
    card["spec"]["width"] *= 2
    run.card("grain").write_text(json.dumps(card))
    status, _, err = latent("traverse", "--class", "grain", "--out", str(run.out))
    assert status == 1 and "is of another version" in err and "ganaug train" in err
