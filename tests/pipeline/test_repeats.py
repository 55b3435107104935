"""Generators that are trained more than once (`gan.repeats`): what each is made from, and what is said of them."""

import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from pipeline.config import REAL_ARMS
from pipeline.job import run_job
from pipeline.log import read_log
from pipeline.origins import Generators
from pipeline.stages.foreign import read_foreign
from pipeline.stages.generate import planned_bytes
from pipeline.stages.jobs import TrainJob, first_jobs
from pipeline.stages.prepare import prepare
from pipeline.stages.publish import published
from pipeline.stages.training_memory import planned_memory
from pipeline.store import RunFolder, load_tensors, read_json
from tests import tiny
from tests.conftest import Finished
from tests.pipeline.test_job import ARMS, without_seconds
from tests.pipeline.test_stages import sick_trainer

TWICE = "gan.repeats=2"


@pytest.fixture(scope="module")
def repeated(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The finished run, gone on with a second training of its generator."""
    run = RunFolder(tmp_path_factory.mktemp("repeated") / "run")
    shutil.copytree(finished.run.out, run.out)
    config = tiny.settings(TWICE)
    return Finished(run, config, finished.source, run_job(run, config, finished.source))


def jobs_of(folder: Path, source: Path, *overrides: str) -> list[TrainJob]:
    run, config = RunFolder(folder), tiny.settings(*overrides)
    return first_jobs(run, config, prepare(run, config, source))


@pytest.mark.parametrize("scope", ["shared", "per_class"])
def test_the_first_repeat_is_what_it_is_without_others(tmp_path: Path, textures_folder: Path, scope: str) -> None:
    once, twice, thrice = (
        jobs_of(tmp_path, textures_folder, f"gan.scope={scope}", f"gan.repeats={repeats}") for repeats in (1, 2, 3)
    )
    count = len(once)
    assert [job.digest for job in twice[:count]] == [job.digest for job in once] and len(thrice) == 3 * count
    assert {(job.seed, job.repeat) for job in once} == {(tiny.settings().seed, 0)}
    assert [job.digest for job in thrice[: 2 * count]] == [job.digest for job in twice], "more repeats add to those"
    assert len({job.digest for job in thrice}) == len({job.name for job in thrice}) == 3 * count
    seeds = [{job.seed for job in thrice if job.repeat == repeat} for repeat in range(3)]
    assert [len(of_repeat) for of_repeat in seeds] == [1, 1, 1] and len(set.union(*seeds)) == 3
    assert replace(thrice[-1], repeat=0).digest == thrice[-1].digest, "seed and name tell repeats apart"


def test_a_second_generator_is_trained_and_filtered_beside_the_first(finished: Finished, repeated: Finished) -> None:
    before, after = tiny.times(finished.run.store), tiny.times(repeated.run.store)
    new = [name for name in after if name not in before]
    assert sum(name.startswith("generator-") for name in new) == 1
    assert sum(name.startswith("candidates-") for name in new) == sum(
        name.startswith("selection-") and name.endswith(".json") for name in new
    )
    models = [load_tensors(file) for file in repeated.run.store.glob("generator-*.safetensors")]
    assert {record["name"] for _, record in models} == {"all classes", "all classes (repeat 1)"}
    (first, _), (second, _) = models
    assert any(not first[name].equal(second[name]) for name in first if name.startswith("generator."))
    assert (repeated.run.out / "training" / "all classes (repeat 1)" / "history.csv").exists()


def test_the_first_one_is_merged_shown_and_kept(finished: Finished, repeated: Finished) -> None:
    assert tiny.contents(repeated.run.dataset) == tiny.contents(finished.run.dataset)
    assert repeated.metrics["classes"] == finished.metrics["classes"]
    for name in tiny.TEXTURES:
        cards = [read_json(one.run.card(name)) for one in (finished, repeated)]
        assert cards[0]["generator"] == cards[1]["generator"] and cards[0]["repeats"] == []
        (other,) = cards[1]["repeats"]
        assert (other["repeat"], other["scale"]) == (1, 1) and repeated.run.stored(
            "generator", other["generator"]
        ).exists()
    kept = [
        {name: of for name, of in tiny.contents(one.run.classifiers).items() if name.endswith(".safetensors")}
        for one in (finished, repeated)
    ]
    assert kept[0] == kept[1]


def test_arms_with_synthetic_images_are_trained_with_those_of_each(finished: Finished, repeated: Finished) -> None:
    assert (finished.metrics["gain"]["repeats"], repeated.metrics["gain"]["repeats"]) == (1, 2)
    for arm in ARMS:
        once, twice = finished.metrics["arms"][arm]["seeds"], repeated.metrics["arms"][arm]["seeds"]
        repeats = 1 if arm in REAL_ARMS else 2
        assert [(row["repeat"], row["seed"]) for row in twice] == [(r, s) for r in range(repeats) for s in range(2)]
        assert twice[:2] == once
        assert repeated.metrics["arms"][arm]["accuracy"]["mean"] == pytest.approx(fmean(r["accuracy"] for r in twice))
    gain, arms = repeated.metrics["gain"], repeated.metrics["arms"]
    before, after = (fmean(row["accuracy"] for row in arms[gain[side]]["seeds"]) for side in ("baseline", "augmented"))
    assert gain["accuracy"]["delta"] == pytest.approx(after - before)
    lo, hi = gain["accuracy"]["ci95"]
    assert lo <= gain["accuracy"]["delta"] <= hi
    assert "2 trainings of the generators" in repeated.metrics["reason"] or "accepted no" in repeated.metrics["reason"]


def test_to_go_on_makes_nothing_anew(repeated: Finished) -> None:
    before = tiny.times(repeated.run.store)
    again = run_job(repeated.run, repeated.config, repeated.source)
    reported = run_job(repeated.run, repeated.config, repeated.source, origin=Generators(train=False))
    after = tiny.times(repeated.run.store)
    assert {name for name in after if after[name] != before.get(name)} <= {"comparison.json"}
    assert without_seconds(again) == without_seconds(reported) == without_seconds(repeated.metrics)


def test_each_repeat_has_a_base_and_a_super_resolver_of_its_own(tmp_path: Path, textures_folder: Path) -> None:
    settings = ("gan.scope=specialise", "gan.steps=2", "gan.finetune_steps=2", "generate.upscale=2")
    run, config = RunFolder(tmp_path), tiny.settings(TWICE, *settings)
    run_job(run, config, textures_folder, until="generate")
    trained = published(run, prepare(run, config, textures_folder))
    assert sorted((t.repeat, t.scale) for t in trained) == [(r, s) for r in range(2) for s in (1, 1, 1, 2)]
    bases = [
        {load_tensors(Path(t.model))[1]["init_from"] for t in trained if (t.repeat, t.scale) == (r, 1)} for r in (0, 1)
    ]
    assert [len(of_repeat) for of_repeat in bases] == [1, 1] and bases[0] != bases[1]
    drawn = [load_tensors(file) for file in run.store.glob("candidates-*")]
    by_class: dict[str, list[Any]] = {name: [] for name in tiny.TEXTURES}
    for tensors, record in drawn:
        by_class[record["class"]].append(tensors["images"])
    assert all(len(images) == 2 and not images[0].equal(images[1]) for images in by_class.values())


def test_a_repeat_that_fails_brings_no_images_and_is_said(
    tmp_path: Path, textures_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick_trainer(1, monkeypatch)
    run = RunFolder(tmp_path)
    metrics = run_job(run, tiny.settings(TWICE, *tiny.TWO_ARMS), textures_folder)
    (failed,) = [event for event in read_log(run.log) if event["event"] == "failed"]
    assert failed["generator"] == "all classes (repeat 1)" and metrics["gain"]["repeats"] == 2
    real, (_, without) = metrics["arms"]["real"]["seeds"], metrics["arms"]["gan"]["seeds"]
    assert without | {"repeat": 0} == real[0], "as it is without synthetic images"
    assert "No generator for all classes (repeat 1): Training diverged" in run.report.read_text(encoding="utf-8")


def test_given_images_are_one_set(tmp_path: Path, textures_folder: Path) -> None:
    made = tiny.write_dataset(tmp_path / "made", dict.fromkeys(tiny.TEXTURES, 3), first_seed=900)
    run, config = RunFolder(tmp_path / "run"), tiny.settings("gan.repeats=3")
    supply = read_foreign(run, config, textures_folder, prepare(run, config, textures_folder), made)
    assert len(supply.repeats) == 1 and len(supply.repeats[0]) == 3
    assert [remark for remark in supply.remarks if remark.startswith("gan.repeats is left out")]


def test_plans_count_every_repeat(tmp_path: Path, textures_folder: Path) -> None:
    prepared = prepare(RunFolder(tmp_path), tiny.settings(), textures_folder)

    def planned(*overrides: str) -> tuple[int, int]:
        config = tiny.settings("workers=2", "runner=process", *overrides)
        return planned_memory(config, prepared), planned_bytes(prepared, config)

    (memory, disk), (of_two, disk_of_two), (of_three, _) = planned(), planned(TWICE), planned("gan.repeats=3")
    assert (of_two, of_three) == (2 * memory, 2 * memory), "no more at a time than there are workers"
    assert 1.5 * disk < disk_of_two < 2 * disk
