"""The whole job on tiny data: what it leaves behind, what it repeats, what it never lets happen."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
import torch

from ganaug.families import get_family
from ganaug.sampling import generate
from ganaug.spec import Spec
from pipeline.config import Config, load_config
from pipeline.errors import InputError
from pipeline.job import run_job
from pipeline.log import read_log
from pipeline.manifest import read_manifest
from pipeline.stages import fits
from pipeline.stages.images_worth import PARTS
from pipeline.stages.records import load_pack
from pipeline.store import RunFolder, load_tensors, read_json
from tests import tiny
from tests.conftest import Finished

DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
ARMS = ("real", "balanced", "classical", "gan", "gan_unfiltered", "classical_gan")
NUMBER, COUNT = {"type": "number"}, {"type": "integer", "minimum": 0}
SHARE = NUMBER | {"minimum": 0, "maximum": 1}
NOTHING = {"type": "null"}
SCORES = ("accuracy", "balanced_accuracy", "macro_f1")
ENDS = {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}
SHARE_OR_NULL = SHARE | {"type": ["number", "null"]}


def record(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def each(value: dict[str, Any], names: Sequence[str] = ()) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": value, "required": list(names)}


def interval(name: str, value: dict[str, Any] = NUMBER) -> dict[str, Any]:
    return record(**{name: value, "ci95": ENDS})


def schema(classes: Sequence[str], arms: Sequence[str]) -> dict[str, Any]:
    distance = {"type": ["number", "null"]}
    of_class = record(
        generated=COUNT,
        accepted=COUNT,
        used=COUNT,
        rejected=each({"type": "integer", "minimum": 1}),
        fid=distance,
        kid=distance,
        fid_real_vs_real=distance,
        kid_real_vs_real=distance,
        features={"type": "string"},
    ) | {"additionalProperties": distance}
    rates = record(
        miss_rate=interval("mean", SHARE),
        missed=each(interval("mean", SHARE)),
        false_reject_rate=NOTHING,
        miss_ppm=NOTHING,
        false_reject_ppm=NOTHING,
    )
    return record(
        schema={"const": 1},
        task={"const": "classify"},
        endpoint=record(
            name={"const": "balanced_accuracy"},
            better={"const": "higher"},
            baseline={"enum": list(arms)},
            augmented={"enum": list(arms)},
            delta=NUMBER,
            ci95=ENDS,
            ci_alpha=ENDS,
            p=SHARE,
            detectable=SHARE,
            control={"type": ["object", "null"]},
        ),
        comparison_digest={"type": "string", "pattern": "^[0-9a-f]{32}$"},
        comparison_number={"type": "integer", "minimum": 1},
        alpha={"type": "number", "exclusiveMinimum": 0, "maximum": 0.05},
        verdict={"enum": ["merge", "do_not_merge", "inconclusive"]},
        reason={"type": "string", "minLength": 20},
        dataset=record(
            classes={"const": list(classes)},
            image_size={"enum": [32, 64, 128]},
            channels={"enum": [1, 3]},
            counts=record(train=each(COUNT, classes), val=each(COUNT, classes), test=each(COUNT, classes)),
            digest=DIGEST,
        ),
        classes=record(**dict.fromkeys(classes, of_class)),
        arms=record(
            **dict.fromkeys(
                arms,
                record(
                    **dict.fromkeys(SCORES, interval("mean", SHARE)),
                    recall=record(**dict.fromkeys(classes, SHARE_OR_NULL)),
                    pass_threshold=NOTHING,
                    seeds={"type": "array", "items": record(repeat=COUNT, seed=COUNT, **dict.fromkeys(SCORES, SHARE))},
                ),
            )
        ),
        gain=record(
            baseline={"enum": list(arms)},
            augmented={"enum": list(arms)},
            accuracy=interval("delta"),
            macro_f1=interval("delta"),
            mcnemar_p=SHARE,
            randomisation_p=SHARE,
            detectable=SHARE,
            control={"type": ["object", "null"]},
            ratio=COUNT,
            repeats={"type": "integer", "minimum": 1},
            recipe=record(policy={"type": "string"}, balanced={"type": "boolean"}, steps=COUNT, batch=COUNT),
        ),
        inspection=record(
            good={"type": "null"},
            prevalence=SHARE,
            baseline=rates,
            augmented=rates,
            kappa=NUMBER,
            change=record(
                miss_rate=NOTHING,  # too few test images for an interval
                false_reject_rate=NOTHING,
                miss_ppm=NOTHING,
                false_reject_ppm=NOTHING,
                saved_per_part=NOTHING,
            ),
        ),
        worth=record(
            share={"type": ["object", "null"]},
            images_per_class={"type": ["number", "null"]},
            most=NUMBER,
            curve={
                "type": "array",
                "minItems": 3,
                "items": record(images=COUNT, accuracy=SHARE, balanced_accuracy=SHARE),
            },
        )
        | {"type": ["object", "null"]},
        source=record(kind={"enum": ["gan", "foreign"]}) | {"additionalProperties": {"type": "string"}},
        seconds=each({"type": "number", "minimum": 0}, ["train", "generate", "filter", "merge", "evaluate"]),
    )


def pixels(path: Path) -> np.ndarray[Any, Any]:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def without_seconds(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if key != "seconds"}


def test_the_folder_is_complete(finished: Finished) -> None:
    out, classes = finished.run.out, list(tiny.TEXTURES)
    files = set(tiny.contents(out))
    assert {"report.html", "metrics.json", "config.yaml", "log.jsonl", "dataset/manifest.csv"} <= files
    for name in classes:
        assert {f"generators/{name}/model.safetensors", f"generators/{name}/card.json"} <= files
        card = read_json(out / "generators" / name / "card.json")
        assert card["class"] == name and card["seed"] == 0 and card["family"] == "dcgan"
        assert card["data_digest"] == finished.metrics["dataset"]["digest"]
        assert card["options"]["steps"] == card["steps"] == 40
        assert card["code_version"] and {"loss_d", "loss_g", "fid", "kid"} <= card["metrics"].keys()
    assert load_config(out / "config.yaml") == finished.config
    events = {(event["stage"], event["event"]) for event in read_log(out / "log.jsonl")}
    for stage in ("prepare", "train", "generate", "filter", "choose", "merge", "evaluate", "report"):
        assert {(stage, "start"), (stage, "done")} <= events
    assert not [name for name in files if ".tmp-" in name]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in classes) and finished.metrics["reason"][:20] in page


def test_metrics_follow_the_schema(finished: Finished) -> None:
    stored = json.loads(finished.run.metrics.read_text(encoding="utf-8"))
    jsonschema.validate(stored, schema(list(tiny.TEXTURES), ARMS))
    returned = json.loads(json.dumps(finished.metrics))
    assert stored | {"seconds": {}} == returned | {"seconds": {}}  # another test may have run it again, from the store
    for row in stored["classes"].values():
        assert row["generated"] == 12 == row["accepted"] + sum(row["rejected"].values())
        assert row["features"] == "scattering-64" and row["accepted"] > 0
    for row in stored["arms"].values():
        assert [one["seed"] for one in row["seeds"]] == [0, 1]
        low, high = row["accuracy"]["ci95"]
        assert 0 <= low <= row["accuracy"]["mean"] <= high <= 1
    assert stored["gain"]["baseline"] in ARMS[:3] and stored["gain"]["augmented"] in ("gan", "classical_gan")


def test_the_data_set_is_whole_and_real_pixels_are_the_sources(finished: Finished) -> None:
    frame = read_manifest(finished.run.manifest)
    on_disk = set(tiny.contents(finished.run.dataset))
    assert set(frame["path"]) | {"manifest.csv"} == on_disk
    digests = tiny.contents(finished.run.dataset)
    assert all(digests[path] == sha for path, sha in zip(frame["path"], frame["sha256"], strict=True))
    real, synthetic = frame[frame["source"] == "real"], frame[frame["source"] == "synthetic"]
    assert len(real) == 36 and len(synthetic) > 0 and set(synthetic["split"]) == {"train"}
    for path, label in zip(real["path"], real["label"], strict=True):
        source = pixels(finished.source / label / Path(path).name)
        assert np.array_equal(pixels(finished.run.dataset / path), source)
    counts = finished.metrics["dataset"]["counts"]
    for split in ("train", "val", "test"):
        assert Counter(real["label"][real["split"] == split]) == Counter(counts[split])
    for label, rows in synthetic.groupby("label"):
        of_class = finished.metrics["classes"][label]
        assert len(rows) == of_class["used"] <= min(counts["train"][label], of_class["accepted"])


def test_a_merged_image_can_be_drawn_again_from_its_lineage(finished: Finished) -> None:
    frame = read_manifest(finished.run.manifest)
    for row in frame[frame["source"] == "synthetic"].itertuples():
        card = read_json(finished.run.card(row.label))
        assert card["generator"].startswith(row.generator)
        family, spec = get_family(card["family"]), Spec(**card["spec"])
        generator = family.generator(spec)
        generator.load_state_dict(load_tensors(finished.run.model(row.label))[0])
        (image,) = generate(family, generator, spec, torch.tensor([row.seed]), torch.tensor(card["conditions"]))
        assert np.array_equal(image[0].numpy(), pixels(finished.run.dataset / row.path))


def test_running_again_computes_nothing(finished: Finished) -> None:
    before, dataset = tiny.times(finished.run.store), tiny.contents(finished.run.dataset)
    again = run_job(finished.run, finished.config, finished.source)
    after = tiny.times(finished.run.store)
    rewritten = {name for name in after if after[name] != before.get(name)}
    assert rewritten <= {"comparison.json"} and after.keys() == before.keys()
    assert without_seconds(again) == without_seconds(finished.metrics)
    assert tiny.contents(finished.run.dataset) == dataset


def test_the_same_seed_elsewhere_gives_the_same_manifest(finished: Finished, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "elsewhere" / "run")
    metrics = run_job(run, finished.config, finished.source, until="evaluate")
    assert run.manifest.read_bytes() == finished.run.manifest.read_bytes()
    assert without_seconds(metrics) == without_seconds(finished.metrics)


def test_a_folder_that_was_moved_goes_on_where_it_is(finished: Finished, tmp_path: Path) -> None:
    moved = RunFolder(tmp_path / "moved")
    finished.run.out.rename(moved.out)
    try:
        before = tiny.times(moved.store)
        metrics = run_job(moved, finished.config, finished.source)
        after = tiny.times(moved.store)
    finally:
        moved.out.rename(finished.run.out)
    assert {name for name in after if after[name] != before.get(name)} <= {"comparison.json"}
    assert without_seconds(metrics) == without_seconds(finished.metrics)


def test_more_seeds_retrain_no_generator_and_no_scorer(finished: Finished, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(finished.run.out, run.out)
    before = tiny.times(run.store)
    metrics = run_job(run, tiny.settings("evaluate.seeds=3"), finished.source, until="evaluate")
    after = tiny.times(run.store)
    new = {name for name in after if after[name] != before.get(name)} - {"comparison.json"}
    assert len(new) == len(ARMS) + len(PARTS) and all(name.startswith("fits/") for name in new)
    for arm, row in metrics["arms"].items():
        assert row["seeds"][:2] == finished.metrics["arms"][arm]["seeds"] and len(row["seeds"]) == 3
    changes = [event for event in read_log(run.log) if event["event"] == "configuration changed"]
    assert changes and changes[-1]["now"] == ["seeds: 3"]


def test_all_arms_get_the_same_budget_and_only_training_images(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[fits.FitJob]] = {}
    run_fits = fits.run_fits

    def spy(run: RunFolder, config: Config, stage: str, jobs: Sequence[fits.FitJob], **named: Any) -> Any:
        seen.setdefault(stage, []).extend(jobs)
        return run_fits(run, config, stage, jobs, **named)

    monkeypatch.setattr("pipeline.stages.evaluate.run_fits", spy)
    monkeypatch.setattr("pipeline.stages.choose.run_fits", spy)
    run_job(finished.run, finished.config, finished.source, until="evaluate")
    seen.pop("control", None)
    final, choosing = seen.pop("evaluate"), [job for jobs in seen.values() for job in jobs]
    pack = load_pack(final[0].pack)
    train, test = set(pack.of("train").tolist()), set(pack.of("test").tolist())
    assert len(final) == len(ARMS) * 2 and len(choosing) >= 10
    budgets = {(job.recipe.steps, job.recipe.batch, job.recipe.lr, job.recipe.model) for job in (*final, *choosing)}
    assert len(budgets) == 1
    assert all(set(job.train) == train and set(job.held_out) == test for job in final)
    assert len({tuple(sorted(asdict(job)["synthetic"], key=str)) != () for job in final}) == 2
    for job in choosing:
        assert not (set(job.train) | set(job.held_out)) & test and not set(job.train) & set(job.held_out)
        for part in job.synthetic:  # a synthetic image takes part only where its nearest real image does
            (one,) = [
                s
                for s in finished.run.store.glob("selection-*.safetensors")
                if len(t := load_tensors(s)[0]["nearest_real"]) and set(pack.labels[t].tolist()) == {part.label}
            ]
            nearest = load_tensors(one)[0]["nearest_real"]
            assert set(nearest[list(part.indices)].tolist()) <= set(job.train)


def given_split(root: Path, *, test_seed: int) -> Path:
    tiny.write_dataset(root / "train", dict.fromkeys(tiny.TEXTURES, 8))
    tiny.write_dataset(root / "test", dict.fromkeys(tiny.TEXTURES, 4), first_seed=test_seed)
    return root


def test_nothing_before_the_comparison_depends_on_the_test_images(tmp_path: Path) -> None:
    """The lineage of every synthetic image, down to the bits, is the same with quite other test images."""
    found = []
    for seed in (100, 200):
        run = RunFolder(tmp_path / f"run-{seed}")
        source = given_split(tmp_path / f"data-{seed}", test_seed=seed)
        metrics = run_job(run, tiny.settings(), source, until="evaluate")
        frame = read_manifest(run.manifest)
        assert metrics["dataset"]["counts"]["test"] == dict.fromkeys(tiny.TEXTURES, 4)
        assert {Path(p).name for p in frame["path"][frame["split"] == "test"]} == {
            path.name for path in (tmp_path / f"data-{seed}" / "test").rglob("*.png")
        }
        (scorer,) = run.store.glob("scorer-*")
        found.append(
            {
                "weights": load_tensors(run.model("grain"))[0],
                "scorer": load_tensors(scorer)[0],
                "synthetic": frame[frame["source"] == "synthetic"]
                .drop(columns=["path", "generator", "group"])
                .reset_index(drop=True)
                .to_dict(),
                "classes": metrics["classes"],
            }
        )
        choices = [metrics["gain"][key] for key in ("baseline", "augmented")]
        found[-1]["choices"] = choices
    first, second = found
    for part in ("weights", "scorer"):
        assert first[part].keys() == second[part].keys()
        assert all(first[part][key].equal(second[part][key]) for key in first[part])
    assert json.dumps(first["synthetic"]) == json.dumps(second["synthetic"]) and first["synthetic"]["label"]
    assert (first["classes"], first["choices"]) == (second["classes"], second["choices"])


def test_a_filter_that_accepts_nothing_leaves_the_original_set(finished: Finished, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    metrics = run_job(run, tiny.settings("filter.min_confidence=1.0", "evaluate.seeds=1"), finished.source)
    assert metrics["verdict"] == "do_not_merge" and "accepted no synthetic image" in metrics["reason"]
    jsonschema.validate(json.loads(run.metrics.read_text()), schema(list(tiny.TEXTURES), ARMS))
    frame = read_manifest(run.manifest)
    assert len(frame) == 36 and set(frame["source"]) == {"real"}
    assert sum(row["accepted"] + row["used"] for row in metrics["classes"].values()) == 0
    assert run.report.exists()


def test_a_class_too_small_for_a_generator_is_said_so(
    tmp_path: Path, textures_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "data"
    shutil.copytree(textures_folder, source)
    for left_out in sorted((source / "blobs").iterdir())[1:]:
        left_out.unlink()
    for left_out in sorted((source / "lines").iterdir())[4:]:
        left_out.unlink()
    run = RunFolder(tmp_path / "run")
    metrics = run_job(run, tiny.settings("evaluate.seeds=1"), source)
    jsonschema.validate(json.loads(run.metrics.read_text()), schema(list(tiny.TEXTURES), ARMS))
    assert json.loads(run.metrics.read_text()) == json.loads(json.dumps(metrics))
    assert metrics["arms"]["real"]["recall"]["blobs"] is None  # no test image either
    assert metrics["dataset"]["counts"]["train"] == {"blobs": 1, "grain": 8, "lines": 3}
    assert {name: row["generated"] for name, row in metrics["classes"].items()} == {"blobs": 0, "grain": 12, "lines": 0}
    assert {path.name for path in (run.out / "generators").iterdir()} == {"grain"}
    skipped = [event["reason"] for event in read_log(run.log) if event["event"] == "skipped"]
    assert len(skipped) == 2 and skipped[0].startswith("Class blobs has 1 training image(s) and dcgan needs 4")
    for text in (run.report.read_text(encoding="utf-8"), capfd.readouterr().err):
        assert skipped[0] in text and "Class lines has 3 training image(s)" in text
    frame = read_manifest(run.manifest)
    assert set(frame["label"][frame["source"] == "synthetic"]) <= {"grain"}


def test_colour_images_stay_in_colour(tmp_path: Path) -> None:
    source = tiny.write_dataset(tmp_path / "data", {"blobs": 8, "grain": 8}, channels=3)
    run = RunFolder(tmp_path / "run")
    config = tiny.settings(*tiny.TWO_ARMS, "gan.family=wgan_gp", "gan.steps=10")
    run_job(run, config, source, until="generate")
    tiny.draw_well(run)
    metrics = run_job(run, config, source, until="evaluate")
    assert metrics["dataset"]["channels"] == 3
    frame = read_manifest(run.manifest)
    assert len(frame[frame["source"] == "synthetic"]) > 0
    for path, kind in zip(frame["path"], frame["source"], strict=True):
        image = pixels(run.dataset / path)
        assert image.shape == (32, 32, 3)
        if kind == "real":
            assert np.array_equal(image, pixels(source / path.split("/")[1] / Path(path).name))


def test_a_second_run_in_the_same_folder_is_refused(finished: Finished) -> None:
    busy = rf"process {os.getpid()}.*wait for it, or choose another"
    with finished.run.lock(), pytest.raises(InputError, match=busy):
        run_job(finished.run, finished.config, finished.source)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("gan.family=dcgna", ["gan.family", "dcgna", "dcgan"]),
        ("evaluate.model=resnet81", ["evaluate.model", "resnet81", "did you mean 'resnet18'"]),
        ("evaluate.weights=weights.safetensors", ["evaluate.weights", "no such weights file"]),
        ("evaluate.policies=[flops]", ["evaluate.policies", "flops", "flips"]),
        ("gan.diffaugment=cutuot", ["gan.diffaugment", "cutuot", "cutout"]),
        ("gan.label_smoothing=0.5", ["gan.label_smoothing", "below 0.5"]),
    ],
)
def test_a_wrong_name_is_refused_before_anything_is_written(
    tmp_path: Path, textures_folder: Path, wrong: str, words: list[str]
) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(InputError) as error:
        run_job(run, tiny.settings(wrong), textures_folder)
    assert all(word in str(error.value) for word in words) and not run.out.exists()


def test_wasserstein_families_refuse_what_has_no_meaning_for_them(tmp_path: Path, textures_folder: Path) -> None:
    with pytest.raises(InputError, match=r"gan\.r1_weight.*wgan_gp"):
        run_job(RunFolder(tmp_path), tiny.settings("gan.family=wgan_gp", "gan.r1_weight=0.1"), textures_folder)


def test_a_failure_is_in_the_log_with_its_traceback(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    source = tiny.write_dataset(tmp_path / "data", {"blobs": 4, "grain": 0})
    with pytest.raises(InputError, match="'grain' holds no readable image"):
        run_job(run, tiny.settings(), source)
    (failed,) = [event for event in read_log(run.log) if event["event"] == "failed"]
    assert failed["stage"] == "prepare" and "grain" in failed["error"] and "Traceback" in failed["traceback"]


def test_secrets_do_not_reach_the_log_or_the_report(finished: Finished, tmp_path: Path) -> None:
    source = tmp_path / "token=hunter2"
    shutil.copytree(finished.source, source)
    run = RunFolder(tmp_path / "run")
    run_job(run, tiny.settings(*tiny.TWO_ARMS, "gan.steps=2"), source)
    for file in (run.log, run.report, run.metrics, run.manifest, run.card("grain")):
        assert "hunter2" not in file.read_text(encoding="utf-8"), file
