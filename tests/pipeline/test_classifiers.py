"""The classifiers that a run keeps: what lies in its folder, and what `predict` and `export-classifier` make of it."""

import builtins
import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from classifiers.architectures import MODELS, build_model
from classifiers.fitting import predict
from pipeline.errors import InputError, JobError
from pipeline.export_classifier import export_onnx
from pipeline.job import run_job
from pipeline.kept_classifier import KeptClassifier, load_classifier
from pipeline.manifest import read_manifest
from pipeline.predict import classify, find_images
from pipeline.reading.layers import Picture
from pipeline.reading.problems import BadFile
from pipeline.stages import fits, keep
from pipeline.stages.records import load_pack
from pipeline.store import RunFolder, read_json, replace_folder, save_tensors, write_csv, write_json
from tests import tiny
from tests.conftest import Finished
from tests.pipeline.conftest import Ganaug


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def compared(finished: Finished) -> tuple[str, str]:
    return finished.metrics["gain"]["baseline"], finished.metrics["gain"]["augmented"]


def test_the_two_arms_compared_are_kept_with_their_cards(finished: Finished) -> None:
    names = {path.name for path in finished.run.classifiers.iterdir()}
    assert names == {*compared(finished), "predictions.csv", "changes.csv"}
    cards = {arm: read_json(finished.run.classifier_card(arm)) for arm in compared(finished)}
    for arm, card in cards.items():
        assert card["arm"] == arm and card["classes"] == list(tiny.TEXTURES)
        assert card["data_digest"] == finished.metrics["dataset"]["digest"] and card["code_version"]
        assert card["test"]["accuracy"]["mean"] == finished.metrics["arms"][arm]["accuracy"]["mean"]
        assert (
            card["recipe"]["steps"] == finished.config.evaluate.steps and card["seeds"] == 2 and "first" in card["kept"]
        )
        made = {"image_size": 32, "channels": 1, "framing": "whole", "white_of_16_bit": None}
        assert card["preprocessing"].items() >= made.items()
    merged = finished.metrics["verdict"] == "merge"
    assert [card["recommended"] for card in cards.values()] == [not merged, merged]
    assert cards[compared(finished)[0]]["seed"] == cards[compared(finished)[1]]["seed"]


@pytest.mark.parametrize("verdict", ["merge", "do_not_merge", "inconclusive"])
def test_the_augmented_classifier_is_recommended_to_those_who_merge(
    finished: Finished, copied: RunFolder, monkeypatch: pytest.MonkeyPatch, verdict: str
) -> None:
    from classifiers.verdict import Verdict

    said = Verdict(verdict, "because")  # type: ignore[arg-type]
    monkeypatch.setattr("pipeline.stages.evaluate.decide", lambda *_, **__: said)
    run_job(copied, finished.config, finished.source, until="evaluate")
    baseline, augmented = compared(finished)
    assert load_classifier(copied).card["arm"] == (augmented if verdict == "merge" else baseline)


def test_predictions_are_those_of_the_first_training_run(finished: Finished) -> None:
    manifest = read_manifest(finished.run.manifest)
    test = manifest[manifest["split"] == "test"]
    found = rows(finished.run.predictions)
    for arm in compared(finished):
        of_arm = [row for row in found if row["arm"] == arm]
        assert {(Path(row["path"]).name, row["label"]) for row in of_arm} == {
            (Path(path).name, label) for path, label in zip(test["path"], test["label"], strict=True)
        }
        right = [row["predicted"] == row["label"] for row in of_arm]
        assert np.mean(right) == pytest.approx(finished.metrics["arms"][arm]["seeds"][0]["accuracy"])
    for row in found:
        shares = {name: float(row[f"p_{name}"]) for name in tiny.TEXTURES}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5) and row["split"] == "test"
        assert shares[row["predicted"]] == max(shares.values())


def test_changes_are_the_images_that_only_one_of_the_two_gets_right(finished: Finished) -> None:
    baseline, augmented = compared(finished)
    by_path: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows(finished.run.predictions):
        by_path.setdefault(row["path"], {})[row["arm"]] = row
    wanted = []
    for path, arms in by_path.items():
        before, after = arms[baseline], arms[augmented]
        right = [row["predicted"] == row["label"] for row in (before, after)]
        if right[0] != right[1]:
            change = "wrong_to_right" if right[1] else "right_to_wrong"
            wanted.append(
                {
                    "path": path,
                    "label": before["label"],
                    "change": change,
                    "baseline_predicted": before["predicted"],
                    "augmented_predicted": after["predicted"],
                }
            )
    assert rows(finished.run.changes) == wanted


def test_where_costs_are_stated_answers_go_by_the_threshold_of_the_card(
    finished: Finished, copied: RunFolder, ganaug: Ganaug, tmp_path: Path
) -> None:
    costs = ("good=grain", "cost_miss=1000", "cost_false_reject=2", "prevalence=0.1", "learning_curve=false")
    config = tiny.settings(*(f"inspection.{cost}" for cost in costs))
    metrics = run_job(copied, config, finished.source)
    found, arms = rows(copied.predictions), [metrics["gain"][role] for role in ("baseline", "augmented")]
    assert {row["arm"] for row in found} == set(arms)
    for arm in arms:
        decision = read_json(copied.classifier_card(arm))["decision"]
        assert decision == {"good": "grain", "threshold": metrics["arms"][arm]["pass_threshold"]}
        assert 0.5 < decision["threshold"] <= 1  # a miss is dear
        for row in (row for row in found if row["arm"] == arm):
            likeliest = max(("blobs", "lines"), key=lambda name: float(row[f"p_{name}"]))
            passes = float(row["p_grain"]) > decision["threshold"]
            assert row["predicted"] == ("grain" if passes else likeliest)
        right = [row["predicted"] == row["label"] for row in found if row["arm"] == arm]
        assert np.mean(right) == pytest.approx(metrics["arms"][arm]["seeds"][0]["accuracy"])
    assert "a part passes only where its probability to be good is above" in " ".join(
        copied.report.read_text(encoding="utf-8").split()
    )
    said = {Path(row["path"]).name: row["predicted"] for row in found if row["arm"] == arms[0]}
    test = [file for file in finished.source.rglob("*.png") if file.name in said]
    ganaug("predict", str(copied.out), *map(str, test), "--arm", arms[0], "--csv", str(tmp_path / "p.csv"))
    assert {Path(row["path"]).name: row["predicted"] for row in rows(tmp_path / "p.csv")} == said


def test_nothing_is_trained_for_them_and_they_come_out_the_same_again(finished: Finished, copied: RunFolder) -> None:
    before, trained = tiny.contents(copied.classifiers), tiny.times(copied.store / "fits")
    names = {file.name for file in (copied.store / "fits").iterdir()}
    kept = {name for name in names if name.endswith(fits.KEPT)}
    assert len(kept) == 2 and not {name.replace(fits.KEPT, ".safetensors") for name in kept} & names  # no fit twice
    shutil.rmtree(copied.classifiers)
    run_job(copied, finished.config, finished.source, until="evaluate")
    assert tiny.contents(copied.classifiers) == before
    assert tiny.times(copied.store / "fits") == trained
    assert not (copied.store / "keeping").exists()


def test_old_classifiers_that_could_not_be_deleted_do_not_end_the_run(
    finished: Finished, copied: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that another program holds open, say; deleting it is tried once more, and the next time."""

    def leaving(fresh: Path, place: Path) -> None:
        replace_folder(fresh, place)
        (fresh.parent / "classifiers-before").mkdir()

    monkeypatch.setattr(keep, "replace_folder", leaving)
    before = tiny.contents(copied.classifiers)
    run_job(copied, finished.config, finished.source, until="evaluate")
    assert tiny.contents(copied.classifiers) == before


def test_a_kept_classifier_that_was_lost_is_trained_to_the_same_bits(finished: Finished, copied: RunFolder) -> None:
    before = tiny.contents(copied.classifiers)
    for file in (copied.store / "fits").glob("*.safetensors"):
        file.unlink()
    run_job(copied, finished.config, finished.source, until="evaluate")
    assert tiny.contents(copied.classifiers) == before


def test_predict_says_of_test_images_what_the_run_said(ganaug: Ganaug, finished: Finished, tmp_path: Path) -> None:
    arm = compared(finished)[1]
    said = {row["path"]: row for row in rows(finished.run.predictions) if row["arm"] == arm}
    table = tmp_path / "new.csv"
    status, out, err = ganaug("predict", finished.run.out, finished.source, "--arm", arm, "--csv", table)
    assert (status, err) == (0, "") and len(out.splitlines()) == 36
    found = {Path(row["path"]).relative_to(finished.source).as_posix(): row for row in rows(table)}
    assert len(found) == 36 and said.keys() <= found.keys()
    for path, row in said.items():
        for name in tiny.TEXTURES:
            assert float(found[path][f"p_{name}"]) == pytest.approx(float(row[f"p_{name}"]), abs=1e-5)
    lines = dict(line.split("\t")[:2] for line in out.splitlines())
    assert lines == {row["path"]: row["predicted"] for row in rows(table)}


def test_the_table_is_written_although_nobody_reads_on(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `ganaug predict ... --csv FILE | head -1`."""
    from pipeline import classifier_commands

    def gone(_line: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(classifier_commands.typer, "echo", gone)
    with pytest.raises(BrokenPipeError):
        classifier_commands.predict_command(finished.run.out, [finished.source], tmp_path / "t.csv")
    assert len(rows(tmp_path / "t.csv")) == 36


def test_files_that_are_no_images_are_named_and_the_rest_is_classified(
    ganaug: Ganaug, finished: Finished, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / 'odd, "name".png').write_bytes(tiny.encoded(tiny.texture("grain", 99)))
    (folder / "a" / "b" / 'odd, "name"_mask.png').write_bytes(tiny.encoded(np.eye(32) * 255))
    (folder / "cut.png").write_bytes(tiny.encoded(tiny.texture("grain", 98))[:200])
    (folder / "notes.txt").write_text("not an image")
    table = tmp_path / "new.csv"
    status, out, err = ganaug("predict", finished.run.out, folder, "--csv", table)
    assert status == 0 and len(out.splitlines()) == 1
    assert f"left out: {folder / 'cut.png'} (" in err and "ignored: 1 hidden file(s) or file(s) of other" in err
    assert 'odd, "name"_mask.png (taken for the mask' in err
    by_name = {Path(row["path"]).name: row for row in rows(table)}
    assert by_name.keys() == {'odd, "name".png', 'odd, "name"_mask.png', "cut.png"}
    assert by_name["cut.png"]["problem"] and not by_name["cut.png"]["predicted"]
    status, _, err = ganaug("predict", finished.run.out, folder / "cut.png")
    assert status == 2 and "No image could be read" in err
    before = table.read_bytes()
    assert ganaug("predict", finished.run.out, folder, "--csv", table)[0] == 2 and table.read_bytes() == before


def test_an_image_is_turned_upright_and_brought_to_the_runs_size(finished: Finished, tmp_path: Path) -> None:
    """EXIF says how a phone held the part; the pixels are those of the upright image."""
    from PIL import Image

    upright = cv2.resize(tiny.texture("lines", 7), (64, 64), interpolation=cv2.INTER_NEAREST)
    Image.fromarray(upright).save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter to see it upright
    Image.fromarray(np.rot90(upright)).save(tmp_path / "b.png", exif=exif)
    said = classify(load_classifier(finished.run), find_images([tmp_path]).images)
    first, second = (one.answer.probabilities for one in said if one and one.answer)
    assert torch.allclose(first, second, atol=1e-5)


def with_preprocessing(run: RunFolder, **changed: Any) -> KeptClassifier:
    """The recommended classifier, its card changed on the disk."""
    card = dict(load_classifier(run).card)
    card["preprocessing"] = {**card["preprocessing"], **changed}
    write_json(run.classifier_card(card["arm"]), card)
    return load_classifier(run)


def test_sixteen_bits_are_scaled_as_in_training(copied: RunFolder) -> None:
    deep = (tiny.texture("grain", 5).astype(np.uint16) * 16 + 8).clip(0, 4095)
    with pytest.raises(BadFile, match="16 bits"):
        load_classifier(copied).prepared(Picture(deep, "I;16"))
    classifier = with_preprocessing(copied, white_of_16_bit=4095)
    assert classifier.prepared(Picture(deep, "I;16"))[0].numpy() == pytest.approx(deep * (255 / 4095), abs=0.51)
    assert classifier.beyond(Picture(deep, "I;16")) == ""
    negative = classifier.prepared(Picture(deep, "I;16", negative=True))[0].numpy()
    assert negative == pytest.approx(255 - deep * (255 / 4095), abs=0.51)
    bright = Picture(np.full((32, 32), 60_000, np.uint16), "I;16")
    assert int(classifier.prepared(bright).min()) == 255  # brighter than white: white
    shallow = tiny.texture("grain", 5)
    assert np.array_equal(classifier.prepared(Picture(shallow, "L"))[0].numpy(), shallow)


def test_floating_point_is_scaled_as_in_training(copied: RunFolder) -> None:
    heights = Picture(np.linspace(-1, 3, 32 * 32, dtype=np.float32).reshape(32, 32), "F")
    with pytest.raises(BadFile, match="floating-point"):
        load_classifier(copied).prepared(heights)
    classifier = with_preprocessing(copied, range_of_float=[-1, 1])
    expected = np.clip((heights.pixels + 1) * (255 / 2), 0, 255)
    assert classifier.prepared(heights)[0].numpy() == pytest.approx(expected, abs=0.51)
    assert classifier.beyond(heights).startswith("50 % of its pixel values are outside -1 to 1")


def deep_png(file: Path, pixels: np.ndarray) -> None:
    file.write_bytes(cv2.imencode(".png", pixels.astype(np.uint16))[1].tobytes())


@pytest.mark.parametrize(("factor", "white"), [(15, 4095), (1, 255)])
def test_the_white_of_sixteen_bits_reaches_the_record(tmp_path: Path, factor: int, white: int) -> None:
    """Also where none is brighter than 8 bits can say."""
    from pipeline.stages.prepare import prepare

    source = tiny.write_dataset(tmp_path / "data", {"grain": 4, "lines": 4})
    assert prepare(RunFolder(tmp_path / "run"), tiny.settings(), source).white is None
    for i in range(4, 10):
        deep_png(source / "grain" / f"deep{i}.png", tiny.texture("grain", i).astype(np.uint16) * factor)
    assert prepare(RunFolder(tmp_path / "run"), tiny.settings(), source).white == white


def test_what_is_brighter_than_the_runs_white_is_classified_and_said(
    ganaug: Ganaug, copied: RunFolder, tmp_path: Path
) -> None:
    with_preprocessing(copied, white_of_16_bit=255)
    new, table = tmp_path / "new", tmp_path / "new.csv"
    new.mkdir()
    bright = tiny.texture("grain", 5).astype(np.uint16)
    deep_png(new / "plain.png", bright)
    bright[:8, :4] = 900  # 32 of 1024 pixels
    deep_png(new / "bright.png", bright)
    status, out, err = ganaug("predict", copied.out, new, "--csv", table)
    assert status == 0 and len(out.splitlines()) == 2
    assert f"please note: {new / 'bright.png'} (3.1 % of its pixel values are above 255, the white" in err
    assert "left out" not in err and "plain.png" not in err
    by_name = {Path(row["path"]).name: row for row in rows(table)}
    assert by_name["bright.png"]["predicted"] and by_name["bright.png"]["problem"].startswith("3.1 %")
    assert by_name["plain.png"]["predicted"] and not by_name["plain.png"]["problem"]


def test_whole_photographs_are_refused_where_the_run_learned_from_cut_outs(
    ganaug: Ganaug, finished: Finished, copied: RunFolder
) -> None:
    with_preprocessing(copied, framing="mask")
    status, out, err = ganaug("predict", copied.out, finished.source)
    assert (status, out) == (2, "") and "--cut-outs" in err and "data.framing" in err
    assert ganaug("predict", copied.out, finished.source, "--cut-outs")[0] == 0


def test_what_cannot_be_used_is_refused_with_the_mend(ganaug: Ganaug, finished: Finished, tmp_path: Path) -> None:
    status, _, err = ganaug("predict", tmp_path, finished.source)
    assert status == 2 and f"`ganaug evaluate --out {tmp_path}`" in err
    status, _, err = ganaug("predict", finished.run.out, finished.source, "--arm", "gan_unfiltered")
    assert status == 2 and all(arm in err for arm in compared(finished))
    status, _, err = ganaug("predict", finished.run.out, tmp_path / "nowhere")
    assert status == 2 and "nowhere does not exist" in err
    status, _, err = ganaug("export-classifier", tmp_path, "--onnx", tmp_path / "c.onnx")
    assert status == 2 and "holds no classifiers" in err


def test_weights_of_other_networks_are_named(copied: RunFolder) -> None:
    arm = load_classifier(copied).card["arm"]
    save_tensors(copied.classifier(arm), {"x": torch.zeros(1)})
    with pytest.raises(JobError, match=r"model\.safetensors is of another version"):
        load_classifier(copied)


def test_the_onnx_file_says_what_torch_says(ganaug: Ganaug, finished: Finished, tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    file, arm = tmp_path / "classifier.onnx", compared(finished)[1]
    status, out, err = ganaug("export-classifier", finished.run.out, "--onnx", file, "--arm", arm)
    assert (status, err) == (0, "") and str(file) in out and arm in out
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["batch", 1, 32, 32])
    classifier = load_classifier(finished.run, arm)
    for count in (1, 5):
        images = torch.stack([classifier.prepared(Picture(tiny.texture("lines", seed), "L")) for seed in range(count)])
        (found,) = session.run(["probabilities"], {"images": images.numpy()})
        assert found == pytest.approx(classifier.probabilities(images).numpy(), abs=1e-4)
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == list(tiny.TEXTURES)
    assert json.loads(facts["card"])["preprocessing"]["image_size"] == 32
    assert [entry.version for entry in onnx.load(file).opset_import] == [18]
    status, _, err = ganaug("export-classifier", finished.run.out, "--onnx", file)
    assert status == 2 and "is there already" in err


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["small_resnet", "mobilenet_v3_small"])
def test_every_kind_of_classifier_can_be_exported(tmp_path: Path, name: str, channels: int) -> None:
    model = build_model(name, classes=3, channels=channels).eval()
    card = {"classes": ["a", "b", "c"], "preprocessing": {"image_size": 64, "channels": channels}}
    assert name in MODELS and export_onnx(KeptClassifier(model, card), tmp_path / "c.onnx") <= 1e-4


def test_an_onnx_file_that_says_something_else_is_not_written(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced from another network, as an exporter with a fault would."""
    from pipeline import export_classifier

    traced, other = export_classifier._traced, build_model("small_resnet", classes=3, channels=1)
    wrong = export_classifier.Served(other).eval()
    monkeypatch.setattr(export_classifier, "_traced", lambda _served, example: traced(wrong, example))
    with pytest.raises(JobError, match=r"differ from .* by 0\.\d+; 0\.0001 is allowed"):
        export_onnx(load_classifier(finished.run), tmp_path / "c.onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_extra_its_name_is_said(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without_onnx(name: str, *rest: Any, **named: Any) -> Any:
        if name in ("onnx", "onnxruntime"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(InputError, match=r"pip install 'ganaug\[onnx\]'"):
        export_onnx(load_classifier(finished.run), tmp_path / "c.onnx")


def test_odd_names_survive_the_tables(tmp_path: Path) -> None:
    odd = {"path": 'a,"b"\nc\rd\r\n.png', "label": "größe; 1\r\n"}
    write_csv(tmp_path / "t.csv", ("path", "label"), [odd])
    assert rows(tmp_path / "t.csv") == [odd]


def test_a_job_whose_classifier_is_kept_predicts_what_it_predicts_without(finished: Finished, tmp_path: Path) -> None:
    """The same training, whether its weights are stored or not; and stored weights serve those who want no weights."""
    (pack,) = finished.run.store.glob("pack-*.safetensors")
    recipe = fits.recipe_for(finished.config, 24)
    job = fits.FitJob(str(pack), tuple(range(12)), tuple(range(12, 20)), (), recipe, 3, 5, "cpu")
    plain, kept = RunFolder(tmp_path / "plain"), RunFolder(tmp_path / "kept")
    (alone,) = fits.run_fits(plain, finished.config, "t", [job])
    (with_weights,) = fits.run_fits(kept, finished.config, "t", [job], keep=[job])
    assert alone.shape == (8, 3) and np.array_equal(alone, with_weights)
    assert [file.name for file in (plain.store / "fits").iterdir()] == [fits.fit_file(plain, job).name]
    files = tiny.times(kept.store)
    assert [Path(name).name.endswith(fits.KEPT) for name in files] == [True]
    (third,) = fits.run_fits(kept, finished.config, "t", [job])
    assert np.array_equal(alone, third) and tiny.times(kept.store) == files
    model = build_model("small_resnet", classes=3, channels=1)
    model.load_state_dict(fits.kept_weights(kept, job))
    again = predict(model, load_pack(str(pack)).images[12:20])
    assert torch.allclose(again.double(), torch.from_numpy(alone), atol=1e-5)
