"""Policy and ratio are chosen by score; where the arms compared differ in their augmentation there is a control."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import Config
from pipeline.job import run_job
from pipeline.manifest import read_manifest
from pipeline.stages import choose as choosing
from pipeline.stages import evaluate, fits
from pipeline.stages.fits import FitJob
from pipeline.stages.records import load_pack
from pipeline.store import RunFolder
from tests import tiny
from tests.conftest import Finished

POLICIES = "evaluate.policies=[flips,flips_rotate,flips_shift,flips_light]"


def certain(labels: np.ndarray, classes: int = 3) -> np.ndarray:
    """Probabilities of a classifier that is all but sure of these labels."""
    return np.where(np.eye(classes)[labels] > 0, 0.98, 0.01)


def scored(_: RunFolder, __: Config, ___: str, jobs: Sequence[FitJob]) -> list[np.ndarray]:
    """Stands for training: right on more held-out images the better the policy, best in its second half for `flips`."""
    order, predicted = ("none", "flips_light", "flips", "flips_shift", "flips_rotate"), []
    for i, job in enumerate(jobs):
        truth = load_pack(job.pack).labels[list(job.held_out)].numpy().copy()
        late = job.recipe.policy == "flips" and i % 4 >= 2
        right = len(truth) if late else order.index(job.recipe.policy)
        truth[right:] = (truth[right:] + 1) % job.classes
        predicted.append(certain(truth))
    return predicted


def test_the_first_folds_leave_three_policies_and_all_folds_decide_between_those(
    finished: Finished, copied: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, seen, choose = defaultdict[str, list[list[FitJob]]](list), list[Any](), choosing.choose

    def spy(run: RunFolder, config: Config, stage: str, jobs: Sequence[FitJob]) -> list[np.ndarray]:
        fitted[stage].append(list(jobs))
        return scored(run, config, stage, jobs)

    def look(*arguments: Any) -> Any:
        seen.append(choose(*arguments))
        raise InterruptedError

    monkeypatch.setattr(choosing, "run_fits", spy)
    monkeypatch.setattr("pipeline.job.choose", look)
    with pytest.raises(InterruptedError):
        run_job(copied, tiny.settings(POLICIES, "evaluate.repeats=2", "evaluate.ratios=[1,2]"), finished.source)
    (choices,) = seen
    screened, finals = fitted["choose policy"]
    assert {job.recipe.policy for job in screened} == {"flips", "flips_rotate", "flips_shift", "flips_light"}
    assert {job.recipe.policy for job in finals} == {"flips", "flips_rotate", "flips_shift"}
    (ratios,) = fitted["choose ratio"]
    assert {job.recipe.policy for job in ratios} == {choices.policy} == {"flips"}  # the third of the first folds
    assert (choices.baseline, choices.augmented) == ("classical", "classical_gan")
    first = {(job.train, job.seed) for job in screened}
    assert {(job.train, job.seed) for job in ratios} == first and len(first) == 2
    assert "left out after the first 2 training runs, in which they were no better than those shown: 1 of 4" in (
        choices.method
    )
    assert "ratios were judged by the first 2 training runs alone" in choices.method
    shown = choices.scores["policy"]
    assert set(shown) == {"flips", "flips_rotate", "flips_shift"} and shown["flips"] == max(shown.values())
    assert set(choices.scores["arm"]) == {"real", "balanced", "classical", "gan", "classical_gan"}


COSTS = (
    "inspection.good=grain",
    "inspection.cost_miss=1000",
    "inspection.cost_false_reject=2",
    "inspection.prevalence=0.5",
)


def test_where_costs_are_stated_they_choose(
    finished: Finished, copied: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`flips` confuses the defects and tells them from good parts; the others are right but for a defect of each fold.

    That one looks as good as good parts do, so that all have to be rejected.
    """

    def fits_of(_: RunFolder, __: Config, ___: str, jobs: Sequence[FitJob]) -> list[np.ndarray]:
        predicted = []
        for job in jobs:
            said = load_pack(job.pack).labels[list(job.held_out)].numpy().copy()
            if job.recipe.policy == "flips":
                said[said != 1] = 2 - said[said != 1]
            else:
                said[np.flatnonzero(said == 0)[:1]] = 1
            predicted.append(certain(said))
        return predicted

    seen, choose = list[Any](), choosing.choose
    monkeypatch.setattr(choosing, "run_fits", fits_of)
    monkeypatch.setattr("pipeline.job.choose", lambda *arguments: seen.append(choose(*arguments)) or seen[-1])
    for stated in ((), COSTS):
        run_job(copied, tiny.settings(POLICIES, *stated), finished.source, until="merge")
    accurate, cheap = seen
    assert accurate.policy == "flips_rotate" and accurate.scores["policy"]["flips"] == pytest.approx(1 / 3)
    assert cheap.policy == "flips" and cheap.scores["policy"]["flips"] == 0
    others = [cost for policy, cost in cheap.scores["policy"].items() if policy != "flips"]
    assert set(others) == {0.5 * 2}  # of all good parts, while a miss in 16 would cost 0.5 * 1000 / 16


@pytest.mark.parametrize("lacking", ["good", "defects"])
def test_where_validation_images_cannot_tell_costs_the_training_images_do_and_it_is_said(
    tmp_path: Path, textures_folder: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    source, fitted, run_fits = tmp_path / "data", list[FitJob](), fits.run_fits
    for name in tiny.TEXTURES:
        files = sorted((textures_folder / name).iterdir())
        given = 0 if (name == "grain") == (lacking == "good") else 3
        for i, file in enumerate(files):
            split = "val" if i < given else "test" if i < 6 else "train"
            (source / split / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, source / split / name)

    def spy(run: RunFolder, config: Config, stage: str, jobs: Sequence[FitJob], **named: Any) -> list[np.ndarray]:
        fitted.extend(jobs)
        return run_fits(run, config, stage, jobs, **named)

    seen, choose = list[Any](), choosing.choose
    monkeypatch.setattr(choosing, "run_fits", spy)
    monkeypatch.setattr("pipeline.job.choose", lambda *arguments: seen.append(choose(*arguments)) or seen[-1])
    settings = tiny.settings(POLICIES, *COSTS, "gan.steps=2", "evaluate.ratios=[1]")
    run_job(RunFolder(tmp_path / "run"), settings, source, until="merge")
    (choices,) = seen
    pack = load_pack(fitted[0].pack)
    train = set(pack.of("train").tolist())
    assert train == {i for job in fitted for i in job.held_out} and len(pack.of("val"))
    assert "on the training images, as the validation images hold fewer than 10 good parts or defects" in choices.method


@pytest.mark.parametrize(("unequal", "better"), [(True, True), (True, False), (False, True)])
def test_where_classes_differ_in_size_the_folds_say_how_they_are_drawn(
    tmp_path: Path, textures_folder: Path, monkeypatch: pytest.MonkeyPatch, unequal: bool, better: bool
) -> None:
    def fits_of(_: RunFolder, __: Config, ___: str, jobs: Sequence[FitJob]) -> list[np.ndarray]:
        truths = [load_pack(job.pack).labels[list(job.held_out)].numpy() for job in jobs]
        right = [job.recipe.policy == "flips" and (job.recipe.balanced == better) for job in jobs]
        return [certain(truth if found else (truth + 1) % 3) for truth, found in zip(truths, right, strict=True)]

    source, seen, choose = tmp_path / "data", list[Any](), choosing.choose
    shutil.copytree(textures_folder, source)
    if unequal:
        for left_out in sorted((source / "blobs").iterdir())[6:]:
            left_out.unlink()
    monkeypatch.setattr(choosing, "run_fits", fits_of)
    monkeypatch.setattr("pipeline.job.choose", lambda *arguments: seen.append(choose(*arguments)) or seen[0])
    settings = tiny.settings("gan.steps=2", "evaluate.repeats=2", "evaluate.ratios=[1]")
    run_job(RunFolder(tmp_path / "run"), settings, source, until="merge")
    (choices,) = seen
    assert "ratios" not in choices.method  # there was nothing to judge
    assert choices.balanced == (unequal and better) == ("drawn equally often" in choices.method)
    assert choices.scores["arm"]["classical"] == (1.0 if choices.balanced or not better else 0.0)


def test_used_images_are_those_of_the_chosen_ratio(
    finished: Finished, copied: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The filter accepts as many as the largest ratio asks for."""
    choose = choosing.choose
    monkeypatch.setattr("pipeline.job.choose", lambda *arguments: replace(choose(*arguments), ratio=1))
    settings = tiny.settings(
        "evaluate.ratios=[1,2]", "evaluate.seeds=1", "generate.per_class=16", "inspection.learning_curve=false"
    )
    run_job(copied, settings, finished.source, until="generate")
    tiny.draw_well(copied)
    classes = run_job(copied, settings, finished.source)["classes"]
    assert all(row["accepted"] > row["used"] == 8 for row in classes.values())
    frame = read_manifest(copied.manifest)
    written = Counter(frame["label"][frame["source"] == "synthetic"])
    assert written == {name: row["used"] for name, row in classes.items()}
    accepted = sum(row["accepted"] for row in classes.values())
    assert f"used of {accepted} accepted" in " ".join(copied.report.read_text(encoding="utf-8").split())


@pytest.mark.parametrize("baseline", ["classical", "real"])
def test_arms_of_different_augmentation_have_a_control(
    finished: Finished, copied: RunFolder, monkeypatch: pytest.MonkeyPatch, baseline: Any
) -> None:
    choose, fitted = choosing.choose, dict[str, list[FitJob]]()

    def other(*arguments: Any) -> Any:
        return replace(choose(*arguments), policy="flips", baseline=baseline, augmented="classical_gan")

    def spy(run: RunFolder, config: Config, stage: str, jobs: Sequence[FitJob], **named: Any) -> Any:
        fitted[stage] = list(jobs)
        return fits.run_fits(run, config, stage, jobs, **named)

    monkeypatch.setattr("pipeline.job.choose", other)
    monkeypatch.setattr(evaluate, "run_fits", spy)
    metrics = run_job(copied, finished.config, finished.source, until="evaluate")
    augmented = [job for job in fitted["evaluate"] if job.recipe.policy == "flips" and job.synthetic]
    if baseline == "classical":
        assert metrics["gain"]["control"] is None and "control" not in fitted
        return
    assert len(augmented) == 2 and fitted["control"] == [replace(job, synthetic=()) for job in augmented]
    low, high = metrics["gain"]["control"]["ci95"]
    assert low <= metrics["gain"]["control"]["delta"] <= high
