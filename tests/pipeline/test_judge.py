"""Judging images that somebody else made: one small set given three ways, and what is refused."""

import csv
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

from benchmarks.duplicates import aligned_parts
from pipeline.errors import InputError
from pipeline.job import recall_origin, run_job
from pipeline.log import read_log
from pipeline.manifest import read_manifest
from pipeline.origins import Foreign, Generators
from pipeline.stages.foreign import read_foreign
from pipeline.stages.prepare import prepare
from pipeline.stages.records import load_pack
from pipeline.store import RunFolder, load_tensors, read_json, save_tensors, write_json
from tests import tiny
from tests.conftest import Finished
from tests.pipeline.conftest import Ganaug
from tests.pipeline.test_job import ARMS, pixels, schema, without_seconds

SETTINGS = ("filter.copy_correlation=0.95",)
NEW = 500  # seed of textures that the real images do not hold


def save(path: Path, image: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def give(root: Path, classes: Iterable[str], count: int = 10, *, size: int = 32) -> Path:
    """New textures of some classes, `root/CLASS/0.png` and so on."""
    for name in classes:
        for i in range(count):
            save(root / name / f"{i}.png", tiny.texture(name, NEW + i, size=size))
    return root


@pytest.fixture(scope="module")
def splits(textures_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Split -> real images that the tiny settings put there."""
    run = RunFolder(tmp_path_factory.mktemp("splits"))
    pack = load_pack(prepare(run, tiny.settings(), textures_folder).pack)
    return {
        split: [textures_folder / pack.rows[i]["path"] for i in pack.of(split).tolist()] for split in ("train", "test")
    }


@pytest.fixture(scope="module")
def judged(textures_folder: Path, splits: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """New blobs and grain of another size, one copy of a training image among them, no lines; judged to the end."""
    source = give(tmp_path_factory.mktemp("given") / "renders", ("blobs", "grain"), size=48)
    (copied, *_) = (path for path in splits["train"] if path.parent.name == "grain")
    shutil.copy(copied, source / "grain" / "again.png")
    run, config = RunFolder(tmp_path_factory.mktemp("judged") / "run"), tiny.settings(*SETTINGS)
    metrics = run_job(run, config, textures_folder, origin=Foreign(source))
    return Finished(run, config, source, metrics)


def test_the_verdict_has_the_form_of_a_run(judged: Finished) -> None:
    whole = schema(list(tiny.TEXTURES), ARMS)
    whole["properties"]["seconds"]["required"] = ["read", "filter", "merge", "evaluate"]
    jsonschema.validate(judged.metrics, whole)
    assert judged.metrics["source"] == {"kind": "foreign", "path": str(judged.source.resolve())}
    assert {name: row["generated"] for name, row in judged.metrics["classes"].items()} == {
        "blobs": 10,
        "grain": 11,
        "lines": 0,
    }
    for row in judged.metrics["classes"].values():
        assert row["generated"] == row["accepted"] + sum(row["rejected"].values())
    assert judged.metrics["classes"]["grain"]["rejected"]["copy"] == 1
    assert not (judged.run.out / "generators").exists()


def test_the_manifest_says_where_each_image_came_from(judged: Finished) -> None:
    frame = read_manifest(judged.run.manifest)
    synthetic = frame[frame["source"] == "synthetic"]
    used = {name: row["used"] for name, row in judged.metrics["classes"].items() if row["used"]}
    assert Counter(synthetic["label"]) == used and used.keys() == {"blobs", "grain"}
    assert synthetic["seed"].isna().all() and set(synthetic["decision"]) == {"accepted"}
    for row in synthetic.itertuples():
        root, label, file = Path(row.generator).parts
        assert (root, label) == ("renders", row.label)
        assert Path(row.path).name == f"synthetic-{Path(file).stem}.png"
        given = pixels(judged.source / label / file)
        expected = cv2.resize(given, (32, 32), interpolation=cv2.INTER_AREA)
        assert np.array_equal(pixels(judged.run.dataset / row.path), expected)


def test_the_report_speaks_of_given_images(judged: Finished) -> None:
    page = " ".join(judged.run.report.read_text(encoding="utf-8").split())
    assert "Class lines has no synthetic image: classical augmentation only." in page
    assert "None is a copy of a test image" in page and "that no filter or choice has seen" in page
    assert "of 21 given" in page and "in the order of their files" in page
    for word in ("How the generators learned", "generate.per_class", "gan.steps", "train longer", "of 21 generated"):
        assert word not in page.partition("<h3>Configuration</h3>")[0]


def test_judging_again_computes_nothing_and_stages_go_on_from_the_folder(judged: Finished, ganaug: Ganaug) -> None:
    before = tiny.times(judged.run.store)
    origin = recall_origin(judged.run)
    assert origin == Foreign(judged.source.resolve()) != Generators()
    status, out, _ = ganaug("report", "--out", judged.run.out)
    assert status == 0 and "report: done" in out
    after = tiny.times(judged.run.store)
    assert {name for name in after if after[name] != before.get(name)} <= {"comparison.json"}
    status, _, err = ganaug("generate", "--out", judged.run.out)
    assert status == 2 and "nothing is trained or generated for it" in err


def test_a_csv_file_names_the_generators(judged: Finished, textures_folder: Path, tmp_path: Path) -> None:
    table = judged.source / "list.csv"
    files = sorted(path.relative_to(judged.source) for path in judged.source.rglob("*.png"))
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "generator"])
        rows.writerows([path, path.parent.name, "" if path.parent.name == "grain" else "sdxl-2"] for path in files)
    run = RunFolder(tmp_path / "run")
    metrics = run_job(run, judged.config, textures_folder, origin=Foreign(table), until="evaluate")
    table.unlink()
    assert metrics["classes"] == judged.metrics["classes"]  # the same images, however they are listed
    frame = read_manifest(run.manifest)
    origins = frame[frame["source"] == "synthetic"].groupby("label")["generator"].agg(set)
    assert origins["blobs"] == {"sdxl-2"} and all(name.startswith("renders/grain/") for name in origins["grain"])


def test_another_runs_synthetic_images_are_judged(finished: Finished, tmp_path: Path) -> None:
    drawn = read_manifest(finished.run.manifest).query("source == 'synthetic'")
    run = RunFolder(tmp_path / "run")
    run_job(run, finished.config, finished.source, origin=Foreign(finished.run.out), until="merge")
    files = [load_tensors(file) for file in run.store.glob("candidates-*")]
    assert sum(len(tensors["images"]) for tensors, _ in files) == len(drawn)
    assert {origin for _, facts in files for origin in facts["origins"]} == set(drawn["generator"])
    (said,) = [one for one in remarks(run) if one.startswith("The synthetic images were given")]
    assert said.endswith(f"and no generator of {finished.run.out}, which made them, was trained on one.")


def test_a_generator_that_is_gone_is_said_to_be_unchecked(finished: Finished, tmp_path: Path) -> None:
    maker, run = RunFolder(tmp_path / "maker"), RunFolder(tmp_path / "run")
    shutil.copytree(finished.run.out, maker.out)
    (first, *_) = maker.store.glob("generator-*")
    first.unlink()
    run_job(run, finished.config, finished.source, origin=Foreign(maker.out), until="filter")
    (said,) = [one for one in remarks(run) if one.startswith("The synthetic images were given")]
    assert f"could not be checked ({first.name} is gone" in said and said.endswith("is not known.")


def test_a_super_resolver_that_has_learned_from_the_test_images_is_refused(finished: Finished, tmp_path: Path) -> None:
    """The cards of the generators name one that is innocent; what enlarges their images is not."""
    maker = RunFolder(tmp_path / "maker")
    shutil.copytree(finished.run.out, maker.out)
    for card in maker.out.glob("generators/*/card.json"):
        record = read_json(card)
        tensors, facts = load_tensors(maker.stored("generator", record["generator"]))
        save_tensors(maker.stored("generator", "innocent"), tensors, facts | {"seen": []})
        write_json(card, record | {"generator": "innocent", "super_resolver": {"generator": record["generator"]}})
    assert "has learned from" in refused(tmp_path, finished.source, maker.out, "seed=1")


def test_a_run_that_has_learned_from_the_test_images_is_refused(finished: Finished, tmp_path: Path) -> None:
    for place in (finished.run.out, finished.run.dataset, finished.run.manifest):
        said = refused(tmp_path / place.name, finished.source, place, "seed=1")
        assert re.match(rf"The generator 'all classes' of {finished.run.out} has learned from \d+ test image", said)
        assert "with the same data set, seed and data.* settings" in said


def test_a_run_is_known_by_a_relative_path(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.run.dataset)
    assert "has learned from" in refused(tmp_path, finished.source, Path(), "seed=1")


def refused(tmp_path: Path, real: Path, synthetic: Path, *overrides: str) -> str:
    """What is said, before any classifier is trained."""
    run = RunFolder(tmp_path / "run")
    with pytest.raises(InputError) as error:
        run_job(run, tiny.settings(*overrides), real, origin=Foreign(synthetic))
    assert not list(run.store.glob("judge-*")) and not (run.store / "fits").exists()
    return str(error.value)


def brighter(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.clip(image.astype(int) + 5, 0, 255).astype(np.uint8)


def more_contrast(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.clip(image * 1.15, 0, 255).astype(np.uint8)


CHANGED = {
    "turned": np.rot90,
    "brightened": brighter,
    "more contrast": more_contrast,
    "darker": lambda image: (image * 0.7).astype(np.uint8),
    "mirrored and brightened": lambda image: more_contrast(image)[:, ::-1],
}


@pytest.mark.parametrize("how", ["file", "pixels", "encoded again", *CHANGED])
def test_copies_of_test_images_are_refused_by_name(
    textures_folder: Path, splits: dict[str, list[Path]], tmp_path: Path, how: str
) -> None:
    source = give(tmp_path / "given", ("blobs",), 2)
    (test, *_) = (path for path in splits["test"] if path.parent.name == "blobs")
    image, place = pixels(test), source / "blobs" / "found.png"
    if how == "file":
        shutil.copy(test, place)
    elif how == "pixels":
        cv2.imwrite(str(place), image, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    elif how in CHANGED:
        save(place, CHANGED[how](image))
    else:
        place = place.with_suffix(".jpg")
        cv2.imwrite(str(place), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    said = refused(tmp_path, textures_folder, source)
    assert "1 image(s) are copies of real images" in said
    assert f"'blobs/{place.name}' (of '{test.relative_to(textures_folder).as_posix()}', test)" in said


def parts(root: Path, seed: int, noise: float, count: int = 24) -> Path:
    """Parts in one pose under a fixed camera, two thirds of them good."""
    for k, image in enumerate(aligned_parts(count, noise, seed)):
        save(root / ("good" if k < 0.67 * count else "scratched") / f"{k}.png", image)
    return root


def remarks(run: RunFolder) -> list[str]:
    return [event["remark"] for event in read_log(run.log) if event["event"] == "remark"]


@pytest.mark.parametrize("noise", [0.5, 2])
@pytest.mark.parametrize("size", [96, 48])
def test_different_parts_in_one_pose_are_no_copies_whatever_company_they_come_in(
    tmp_path: Path, noise: float, size: int
) -> None:
    real, source = parts(tmp_path / "real", 1, noise), parts(tmp_path / "given", 2, noise)
    for i in range(40):
        save(source / "good" / f"texture-{i}.png", tiny.texture("blobs", NEW + i, size=96))
    for file in source.rglob("*.png"):
        save(file, cv2.resize(pixels(file), (size, size), interpolation=cv2.INTER_AREA))
    run, config = RunFolder(tmp_path / "run"), tiny.settings("generate.per_class=100")
    supply = read_foreign(run, config, real, prepare(run, config, real), source)
    assert sum(one.count for one in supply.repeats[0]) == 64
    if size == 96:
        assert not [remark for remark in supply.remarks if "look like real images" in remark]


@pytest.mark.parametrize("how", ["encoded again", "brightened"])
def test_a_copy_of_a_part_in_one_pose_is_refused_at_its_own_size(tmp_path: Path, how: str) -> None:
    real, source = parts(tmp_path / "real", 1, 2), parts(tmp_path / "given", 2, 2)
    run = RunFolder(tmp_path / "run")
    prepared = prepare(run, tiny.settings(), real)
    pack = load_pack(prepared.pack)
    test = pack.rows[pack.of("test").tolist()[0]]["path"]
    image = pixels(real / test)
    place = source / "good" / ("again.jpg" if how == "encoded again" else "again.png")
    save(place, image if how == "encoded again" else more_contrast(image))
    with pytest.raises(InputError, match=rf"1 image\(s\) are copies .*'good/again\.\w+' \(of '{test}', test\)"):
        read_foreign(run, tiny.settings(), real, prepared, source)


def test_images_that_look_like_test_images_are_named_in_the_report(
    textures_folder: Path, splits: dict[str, list[Path]], tmp_path: Path
) -> None:
    source = give(tmp_path / "given", ("blobs", "grain", "lines"), 4)
    (test, *_) = (path for path in splits["test"] if path.parent.name == "blobs")
    lit_from_the_side = pixels(test) * np.linspace(0.4, 1, 32)  # another shot of one spot
    save(source / "blobs" / "shot.png", lit_from_the_side.astype(np.uint8))
    run = RunFolder(tmp_path / "run")
    run_job(run, tiny.settings(), textures_folder, origin=Foreign(source), until="filter")
    (remark,) = [one for one in remarks(run) if "look like real images" in one]
    assert remark.startswith("1 synthetic image(s) look like") and "look at them" in remark
    assert f"'blobs/shot.png' (of '{test.relative_to(textures_folder).as_posix()}', test)" in remark


def test_unknown_classes_are_refused_with_the_nearest(textures_folder: Path, tmp_path: Path) -> None:
    source = give(tmp_path / "given", ("blobs", "grain"), 2)
    (source / "grain").rename(source / "grains")
    said = refused(tmp_path, textures_folder, source)
    assert "'grains' is no class of the real images (blobs, grain, lines)" in said and "did you mean 'grain'?" in said


def test_nothing_to_judge_is_refused(textures_folder: Path, tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path, textures_folder, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    assert "holds no files" in refused(tmp_path, textures_folder, tmp_path / "empty")
    broken = give(tmp_path / "broken", ("blobs",), 3)
    (broken / "blobs" / "0.png").write_bytes(b"no picture")
    assert "1 of 3 files are bad" in refused(tmp_path, textures_folder, broken)


def test_a_folder_keeps_to_one_origin(judged: Finished, finished: Finished, textures_folder: Path) -> None:
    with pytest.raises(InputError, match=r"holds a judgement of .*renders; choose another folder with --out"):
        run_job(judged.run, judged.config, textures_folder)
    with pytest.raises(InputError, match="holds a run that trains generators of its own"):
        run_job(finished.run, finished.config, finished.source, origin=Foreign(judged.source))
    with pytest.raises(InputError, match="lie in one another"):
        run_job(RunFolder(judged.source / "out"), judged.config, textures_folder, origin=Foreign(judged.source))


def test_a_wrong_class_is_refused_with_a_mend_that_its_maker_has(textures_folder: Path, tmp_path: Path) -> None:
    source = give(tmp_path / "given", ("lines",), 12)
    (source / "lines").rename(source / "grain")
    run, config = RunFolder(tmp_path / "run"), tiny.settings("filter.refuse_fid_ratio=5", "evaluate.seeds=1")
    metrics = run_job(run, config, textures_folder, origin=Foreign(source))
    assert metrics["verdict"] == "do_not_merge" and metrics["classes"]["grain"]["accepted"] == 0
    page = " ".join(run.report.read_text(encoding="utf-8").split())
    assert "Class grain was refused as a whole" in page
    assert "check their labels" in page or "check that they show the part" in page
    assert "train longer" not in page and "sha256" in run.manifest.read_text()


def test_more_images_than_are_looked_at_are_drawn_at_random_and_said(textures_folder: Path, tmp_path: Path) -> None:
    source = give(tmp_path / "given", ("blobs",), 9)
    run, config = RunFolder(tmp_path / "run"), tiny.settings("generate.per_class=4")
    run_job(run, config, textures_folder, origin=Foreign(source), until="filter")
    (file,) = run.store.glob("candidates-*")
    tensors, facts = load_tensors(file)
    assert len(tensors["images"]) == 4 and facts["names"] == sorted(facts["names"]) != [str(i) for i in range(4)]
    assert any("4 of 9 synthetic images were drawn at random" in note for note in remarks(run))


def test_of_two_classes_no_image_passes_as_both(tmp_path: Path) -> None:
    """A bound of 0.2 alone passes an image that is 79 % the other class; the scorer's two shares add up to 1."""
    real = tiny.write_dataset(tmp_path / "real", dict.fromkeys(("blobs", "grain"), 12))
    source = give(tmp_path / "given", ("blobs", "lines"), 12)
    for file in sorted(source.rglob("*.png")):
        for name in ("blobs", "grain"):
            save(source / name / f"{file.parent.name}-{file.name}", pixels(file))
        file.unlink()
    (source / "lines").rmdir()
    run, config = RunFolder(tmp_path / "run"), tiny.settings("filter.min_confidence=0.2")
    run_job(run, config, real, origin=Foreign(source), until="filter")
    passed, unsure = Counter[str](), 0
    for record in run.store.glob("selection-*.json"):
        (name,) = {read_json(record)["value"]["class_name"]}
        scores, _ = load_tensors(record.with_suffix(".safetensors"))
        (names,) = (
            facts["names"]
            for file in run.store.glob("candidates-*")
            for facts in [load_tensors(file)[1]]
            if facts["class"] == name
        )
        chosen = scores["ratio_1"].tolist()
        assert all(scores["confidence"][i] >= 0.5 for i in chosen)
        unsure += read_json(record)["value"]["rejected"].get("low_confidence", 0)
        passed.update(names[i] for i in chosen)
    assert unsure > 0 and passed and max(passed.values()) == 1


def marked(root: Path, name: str, seed: int, *, mask: bool = True) -> None:
    """A plain picture of 96 pixels with one small square of a texture, and its mask."""
    image = np.full((96, 96), 128, np.uint8) + (np.arange(96, dtype=np.uint8) // 8)
    image[40:56, 30:46] = tiny.texture(name, seed, size=16)
    stem = root / name / f"{seed}"
    save(stem.with_suffix(".png"), image)
    if mask:
        hole = np.zeros((96, 96), np.uint8)
        hole[40:56, 30:46] = 255
        save(stem.with_name(f"{seed}_mask.png"), hole)


def test_images_with_a_mask_are_cut_as_the_real_ones_and_others_are_taken_for_cut_outs(tmp_path: Path) -> None:
    real, source = tmp_path / "real", tmp_path / "given"
    for name in ("blobs", "grain"):
        for i in range(8):
            marked(real, name, i)
        for i in range(3):
            marked(source, name, NEW + i)
    save(source / "grain" / "whole.png", tiny.texture("grain", NEW + 50, size=32))
    run = RunFolder(tmp_path / "run")
    run_job(run, tiny.settings(), real, origin=Foreign(source), until="merge")
    frame = read_manifest(run.manifest)
    synthetic = frame[frame["source"] == "synthetic"].set_index("generator")
    cut = synthetic.loc[f"given/blobs/{NEW}.png"]
    expected = pixels(source / "blobs" / f"{NEW}.png")[32:64, 22:54]  # 32 pixels around the square
    assert np.array_equal(pixels(run.dataset / cut["path"]), expected)
    assert (pixels(run.dataset / cut["mask"]) > 0).sum() == 16 * 16
    whole = synthetic.loc["given/grain/whole.png"]
    assert np.array_equal(pixels(run.dataset / whole["path"]), pixels(source / "grain" / "whole.png"))
    assert whole["mask"] == ""
    assert any("1 synthetic image(s) have no mask and were taken for cut-outs" in note for note in remarks(run))


@pytest.mark.parametrize("size", ["native", "generator"])
def test_real_and_synthetic_images_have_one_size_where_it_is_asked_for(tmp_path: Path, size: str) -> None:
    real = tmp_path / "real"
    for name in ("blobs", "grain"):
        for i in range(8):
            save(real / name / f"{i}.png", tiny.texture(name, i, size=40, channels=3))
    source = give(tmp_path / "given", ("blobs", "grain"), 8)
    run = RunFolder(tmp_path / "run")
    run_job(run, tiny.settings(f"merge.size={size}"), real, origin=Foreign(source), until="merge")
    frame = read_manifest(run.manifest)
    shapes = {
        kind: {pixels(run.dataset / path).shape for path in of_kind["path"]}
        for kind, of_kind in frame.groupby("source")
    }
    assert shapes["synthetic"] == {(32, 32, 3)}
    assert shapes["real"] == ({(40, 40, 3)} if size == "native" else shapes["synthetic"])
    assert set(frame[frame["source"] == "real"]["width"]) == ({40} if size == "native" else {32})
    if size == "generator":
        (first, *_) = frame[frame["source"] == "real"].itertuples()
        source_file = real / first.label / Path(first.path).name
        expected = cv2.resize(pixels(source_file), (32, 32), interpolation=cv2.INTER_AREA)
        assert np.array_equal(pixels(run.dataset / first.path), expected)


def test_the_same_images_give_the_same_verdict_elsewhere(
    judged: Finished, textures_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(judged.source, tmp_path / "renders")
    run = RunFolder(tmp_path / "run")
    metrics = run_job(run, judged.config, textures_folder, origin=Foreign(tmp_path / "renders"))
    same = without_seconds(metrics) | {"source": judged.metrics["source"]}
    assert same == without_seconds(judged.metrics)
    assert run.manifest.read_bytes() == judged.run.manifest.read_bytes()
