"""`ganaug score`: two folders in, every score with its yardstick out, or one line that says what to mend."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models import inception_v3

from pipeline.score_command import LEAST
from tests import tiny
from tests.conftest import Finished
from tests.pipeline.conftest import Ganaug
from tests.pipeline.samples import save

ALWAYS = {"fid", "kid", "precision", "recall", "density", "coverage", "authenticity", "swd"}


@pytest.fixture
def score(ganaug: Ganaug) -> Ganaug:
    """Run `ganaug score`."""
    return partial(ganaug, "score")


def flat(root: Path, count: int, *, size: int = 32, channels: int = 1, first_seed: int = 0) -> Path:
    for seed in range(first_seed, first_seed + count):
        save(root / f"{seed}.png", tiny.texture("blobs", seed, size=size, channels=channels))
    return root


def scored(score: Ganaug, *words: str | Path) -> dict[str, Any]:
    status, out, err = score(*words, "--json")
    assert status == 0, err
    return dict(json.loads(out))


def test_a_folder_against_itself(score: Ganaug, textures_folder: Path) -> None:
    before = tiny.contents(textures_folder)
    found = scored(score, textures_folder, textures_folder)
    every = {name: row["all"] for name, row in found["scores"].items()}
    assert every.keys() == ALWAYS | {"inception_score"}
    assert every["fid"] == pytest.approx(0, abs=1e-6) and every["swd"] == 0 and every["authenticity"] == 0
    assert (every["precision"], every["recall"], every["coverage"]) == (1, 1, 1) and every["density"] >= 1
    assert every["kid"] <= 0  # unbiased: at no distance it falls short of 0
    assert 2.5 < every["inception_score"] <= 3  # three textures, easily told apart
    assert tiny.contents(textures_folder) == before


def test_every_figure_has_a_yardstick_and_says_what_it_rests_on(
    score: Ganaug, textures_folder: Path, tmp_path: Path
) -> None:
    other = tiny.write_dataset(tmp_path / "other", {"blobs": 2, "grain": 2, "lines": 2}, first_seed=100)
    found = scored(score, textures_folder, other)
    assert (found["image_size"], found["channels"], found["features"]) == (32, 1, "scattering-9")
    for name, row in found["scores"].items():
        assert row["images"] == {"real": 36, "generated": 6} and row["set_size"] == 6, name
        assert row["sets"].keys() == row["real_vs_real"].keys() == {"mean", "std"} and row["features"] and row["better"]
    fid = found["scores"]["fid"]
    assert fid["sets"]["mean"] == pytest.approx(fid["real_vs_real"]["mean"], rel=0.5)  # drawn as the real ones were
    assert found["scores"]["inception_score"]["features"] == "logistic regression on scattering-9"
    status, out, _ = score(textures_folder, other)
    assert status == 0
    for name, row in found["scores"].items():
        line = next(line for line in out.splitlines() if line.startswith(name.replace("_", " ")))
        assert "6 / 36" in line and row["features"] in line and f"{row['all']:.4g}" in line


def test_what_is_wrong_with_the_images_shows_in_the_score_that_is_for_it(
    score: Ganaug, textures_folder: Path, tmp_path: Path
) -> None:
    tiny.write_dataset(tmp_path / "fine", dict.fromkeys(tiny.TEXTURES, 8), first_seed=100)
    tiny.write_dataset(tmp_path / "collapsed", {"lines": 24}, first_seed=100)
    for i in range(24):
        save(tmp_path / "noise" / f"{i}.png", np.random.default_rng(i).integers(0, 256, (32, 32), np.uint8))
    figures = {
        name: {key: row["all"] for key, row in scored(score, textures_folder, tmp_path / name)["scores"].items()}
        for name in ("fine", "collapsed", "noise")
    }
    assert figures["collapsed"]["recall"] < 0.5 * figures["fine"]["recall"]
    assert figures["collapsed"]["coverage"] < 0.5 < figures["fine"]["coverage"]
    assert figures["collapsed"]["inception_score"] < 1.5 < 2.5 < figures["fine"]["inception_score"]
    assert figures["noise"]["precision"] == figures["noise"]["density"] == 0 < 0.5 < figures["fine"]["precision"]
    assert 0 < figures["fine"]["authenticity"] < figures["noise"]["authenticity"] == 1  # noise is new, and no use
    for distance in ("fid", "kid", "swd"):
        assert figures["fine"][distance] < min(figures["collapsed"][distance], figures["noise"][distance])


def test_flat_folders_have_no_classes_and_no_inception_score(score: Ganaug, tmp_path: Path) -> None:
    real, generated = flat(tmp_path / "real", 8), flat(tmp_path / "generated", LEAST, first_seed=50)
    found = scored(score, real, generated)
    assert found["scores"].keys() == ALWAYS
    assert any("No Inception Score" in note for note in found["notes"])
    assert any("8 real images are few" in note for note in found["notes"])
    assert (found["real"]["images"], found["generated"]["images"]) == (8, 4)


def test_inception_features_come_from_a_weights_file(score: Ganaug, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = inception_v3(weights=None, num_classes=5, aux_logits=False, init_weights=False)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    real = flat(tmp_path / "real", 5)
    found = scored(score, real, real, "--features", "inception", "--weights", tmp_path / "w.pth")
    assert found["features"].startswith("inception_v3 torchvision ")
    assert found["scores"].keys() == ALWAYS | {"inception_score"}
    assert found["scores"]["inception_score"]["features"] == found["features"]
    assert found["scores"]["fid"]["all"] == pytest.approx(0, abs=1e-6)


def test_images_of_other_sizes_are_resized_only_on_request(score: Ganaug, tmp_path: Path) -> None:
    real, generated = flat(tmp_path / "real", 5, size=80), flat(tmp_path / "generated", 5, size=40)
    status, _, err = score(real, generated)
    assert status == 2 and "holds 80 x 80" in err and "holds 40 x 40" in err and "give --size 32" in err
    assert scored(score, real, generated, "--size", "64")["image_size"] == 64
    assert scored(score, real, real)["image_size"] == 64  # the largest power of two that shrinks them


def test_colour_against_grey_is_refused(score: Ganaug, tmp_path: Path) -> None:
    real, generated = flat(tmp_path / "real", 5), flat(tmp_path / "generated", 5, channels=3)
    status, _, err = score(real, generated)
    assert status == 2 and "real holds grey images" in err and "generated colour ones; convert one" in err
    found = scored(score, generated, generated)
    assert found["channels"] == 3 and scored(score, generated, generated) == found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["REAL", "absent"], "absent does not exist"),
        (["absent", "REAL"], "absent does not exist"),
        (["REAL", "EMPTY"], "empty holds no files"),
        (["REAL", "FEW"], f"few holds 3 readable image(s); {LEAST} are the least"),
        (["FEW", "REAL"], f"few holds 3 readable image(s); {LEAST} are the least"),
        (["REAL", "REAL", "--features", "pixels"], "--features pixels is unknown; use scattering or inception"),
        (["REAL", "REAL", "--features", "inception"], "needs --weights"),
        (["REAL", "REAL", "--weights", "w.pth"], "belongs to --features inception"),
        (["REAL", "REAL", "--features", "inception", "--weights", "w.pth"], "w.pth: no such weights file"),
        (["REAL", "REAL", "--size", "50"], "--size 50 is not possible; use 32, 64, 128, 256"),
    ],
)
def test_what_cannot_be_scored_is_one_line_and_status_2(
    score: Ganaug, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    known = {"REAL": flat(tmp_path / "real", 4), "FEW": flat(tmp_path / "few", 3), "EMPTY": tmp_path / "empty"}
    status, out, err = score(*(known.get(word, word) for word in words))
    assert (status, out) == (2, "") and said in err and len(err.splitlines()) == 1, err


def test_a_damaged_image_is_left_out_and_named(score: Ganaug, tmp_path: Path) -> None:
    real = flat(tmp_path / "real", 5)
    (real / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = scored(score, real, real)
    assert found["real"]["images"] == 5 and any("broken.png" in note for note in found["notes"])


def test_a_run_notes_how_faithful_diverse_and_new_the_accepted_images_are(finished: Finished) -> None:
    shares = ("precision", "recall", "coverage", "authenticity")
    rows = finished.metrics["classes"].values()
    assert any(row["accepted"] >= 2 for row in rows)
    for row in rows:
        if row["accepted"] < 2:
            assert all(row[name] is None for name in (*shares, "density"))
        else:
            assert all(0 <= row[name] <= 1 for name in shares)
            assert (row["precision"] > 0) == (row["density"] > 0) == (row["coverage"] > 0)
