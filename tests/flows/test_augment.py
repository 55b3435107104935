"""The flow on a real Prefect server: its runs, its tasks, its artifacts, and how it fails."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import Artifact, FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ParameterTypeError
from pytest import CaptureFixture, MonkeyPatch

from flows import cli
from flows.artifacts import key_of
from flows.augment import augment, report
from flows.runners import threads
from flows.tasks import as_tasks
from flows.workspace import collect, retrain, update
from ganaug.rollback import DivergedError
from ganaug.training_loop import Trainer
from pipeline.errors import InputError
from pipeline.history import history
from pipeline.job import run_job
from pipeline.log import read_log
from pipeline.report.formatting import improvement
from pipeline.stages import train as training
from pipeline.stages.class_conditions import Conditions, conditions_of
from pipeline.stages.jobs import TrainJob
from pipeline.stages.records import Pack, load_pack
from pipeline.store import RunFolder
from tests import tiny
from tests.conftest import Finished


def latest() -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)[0]


def tasks_of(run: UUID) -> dict[str, str]:
    """Task name (without the number that Prefect adds) -> state."""
    with get_client(sync_client=True) as client:
        found = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))
    names = {task.name.rpartition("-")[0]: str(task.state_name) for task in found}
    assert len(names) == len(found)
    return names


def artifacts_of(run: UUID) -> dict[str, Artifact]:
    """What is told -> artifact."""
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    with get_client(sync_client=True) as client:
        found = {str(artifact.key): artifact for artifact in client.read_artifacts(artifact_filter=only)}
    return {re.sub(r"^(ganaug-[a-z]+)-.*", r"\1", key): artifact for key, artifact in found.items()}


def call(monkeypatch: MonkeyPatch, *words: str) -> int:
    """Exit status of `ganaug` with these words."""
    monkeypatch.setattr("sys.argv", ["ganaug", *words])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize("runner", ["local", pytest.param("process", marks=pytest.mark.slow)])
def test_a_run_leaves_its_tasks_and_its_artifacts(tmp_path: Path, textures_folder: Path, runner: str) -> None:
    out = tmp_path / "run"
    config = tiny.settings("gan.scope=per_class", "gan.steps=4", f"runner={runner}", "workers=2", *tiny.TWO_ARMS)
    metrics = augment(str(textures_folder), str(out), config)
    assert json.loads((out / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    run = latest()
    assert run.state is not None and run.state.is_completed()
    assert run.parameters["config"]["gan"]["scope"] == "per_class"
    tasks = tasks_of(run.id)
    assert set(tasks.values()) == {"Completed"}
    assert [name for name in sorted(tasks) if name.startswith("train ")] == [f"train {name}" for name in tiny.TEXTURES]
    assert {"prepare", "generate", "fit scorer", "filter", "choose", "merge", "evaluate", "report"} <= tasks.keys()
    artifacts = artifacts_of(run.id)
    assert {key: artifact.type for key, artifact in artifacts.items()} == {
        "ganaug-verdict": "markdown",
        "ganaug-arms": "table",
        "ganaug-classes": "table",
        "ganaug-compare": "table",
        "ganaug-progress": "progress",
    }
    assert json.loads(str(artifacts["ganaug-progress"].data)) == 100
    (compared,) = json.loads(str(artifacts["ganaug-compare"].data))
    assert compared["accuracy, points"] == f"{100 * metrics['gain']['accuracy']['delta']:+.1f}"
    assert compared["endpoint"] == "balanced accuracy"
    assert compared["better by"] == improvement("balanced_accuracy", metrics["endpoint"]["delta"])
    verdict = str(artifacts["ganaug-verdict"].data)
    assert metrics["reason"] in verdict and metrics["gain"]["augmented"] in verdict and f"{out}/report.html" in verdict
    arms = json.loads(str(artifacts["ganaug-arms"].data))
    assert [row["arm"] for row in arms] == list(metrics["arms"])
    assert arms[0]["accuracy"] == f"{100 * metrics['arms']['real']['accuracy']['mean']:.1f} %"
    classes = {row["class"]: row for row in json.loads(str(artifacts["ganaug-classes"].data))}
    assert {name: (row["accepted"], row["used"]) for name, row in classes.items()} == {
        name: (row["accepted"], row["used"]) for name, row in metrics["classes"].items()
    }


def test_a_class_that_fails_to_train_is_a_failed_task_of_a_completed_run(
    tmp_path: Path, textures_folder: Path, monkeypatch: MonkeyPatch
) -> None:
    def diverge_on_grain(job: TrainJob, pack: Pack) -> Conditions:
        if job.name == "grain":
            raise DivergedError("Training diverged.")
        return conditions_of(job, pack)

    monkeypatch.setattr(training, "conditions_of", diverge_on_grain)
    config = tiny.settings("gan.scope=per_class", "gan.steps=4", *tiny.TWO_ARMS)
    metrics = augment(str(textures_folder), str(tmp_path / "run"), config)
    assert {name: row["generated"] for name, row in metrics["classes"].items()} == {
        "blobs": 12,
        "grain": 0,
        "lines": 12,
    }
    run = latest()
    assert run.state is not None and run.state.is_completed()
    assert [name for name, state in tasks_of(run.id).items() if state != "Completed"] == ["train grain"]


def test_the_flow_gives_what_the_plain_job_gives(finished: Finished, tmp_path: Path) -> None:
    """In other processes, too: the same bits."""
    out = tmp_path / "run"
    metrics = augment(str(finished.source), str(out), tiny.settings("runner=process", "workers=2"))
    assert {**metrics, "seconds": 0} == {**finished.metrics, "seconds": 0}
    assert RunFolder(out).manifest.read_bytes() == finished.run.manifest.read_bytes()


def test_the_report_can_be_made_anew(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished.run.out, out)
    (out / "report.html").unlink()
    before = tiny.times(out / "store")
    for _ in range(2):
        metrics = report(str(out))
        assert {**metrics, "seconds": 0} == {**finished.metrics, "seconds": 0} and (out / "report.html").exists()
        assert len(history(RunFolder(out), last=9)) == 1  # nothing has changed since
    after = tiny.times(out / "store")
    assert {name for name in after if after[name] != before.get(name)} <= {"comparison.json"}
    assert len(json.loads(str(artifacts_of(latest().id)["ganaug-compare"].data))) == 1


def test_the_report_is_refused_once_generators_have_seen_test_images(tmp_path: Path) -> None:
    source, run = tiny.write_dataset(tmp_path / "data"), RunFolder(tmp_path / "run")
    run_job(run, tiny.settings("gan.steps=2"), source, until="train")
    (pack,) = (load_pack(str(file)) for file in run.store.glob("pack-*"))
    for i in pack.of("test").tolist():  # some of the others now take their place
        (source / pack.rows[i]["path"]).unlink()
    with pytest.raises(InputError, match=r"'all classes' .*has learned from \d+ test image\(s\) .*`ganaug run`"):
        report(str(run.out))
    assert "generate" not in tasks_of(latest().id) and not run.metrics.exists()


def test_the_last_runs_of_a_folder_are_compared(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished.run.out, out)
    settings = ("inspection.good=blobs", "evaluate.seeds=2")
    report(str(out))
    metrics = augment(str(finished.source), str(out), tiny.settings(*settings))
    newest, oldest = json.loads(str(artifacts_of(latest().id)["ganaug-compare"].data))
    missed = metrics["inspection"]["augmented"]["miss_rate"]["mean"]
    assert newest["defects missed"] == f"{100 * missed:.1f} %" != oldest["defects missed"]
    assert newest["FID"] is not None and newest["finished"] > oldest["finished"]
    assert newest["accuracy, points"] == f"{100 * metrics['gain']['accuracy']['delta']:+.1f}"


def test_every_folder_has_a_history_of_its_own(tmp_path: Path) -> None:
    places = [tmp_path / "Line 3 (Ä)" / "run", tmp_path / "line-3" / "run", tmp_path / "line-3" / "run-2"]
    keys = {key_of(RunFolder(place), "compare") for place in places}
    assert len(keys) == 3 and all(re.fullmatch(r"ganaug-compare-line-3[a-z0-9-]*", key) for key in keys)
    assert key_of(RunFolder(places[0]), "compare") in keys


def test_a_folder_without_a_name_is_refused() -> None:
    for start in (report, retrain, update):
        with pytest.raises(ParameterTypeError):
            start("")
    with pytest.raises(ParameterTypeError):
        collect("workspace", "")


def test_a_failing_job_is_a_failed_run(tmp_path: Path) -> None:
    source = tiny.write_dataset(tmp_path / "data", {"blobs": 4, "grain": 0})
    state: State[Any] = augment(str(source), str(tmp_path / "run"), tiny.settings(), return_state=True)
    assert state.is_failed() and "'grain' holds no readable image" in str(state.message)
    run = latest()
    assert run.state is not None and run.state.is_failed() and tasks_of(run.id) == {"prepare": "Failed"}
    assert {key for key in artifacts_of(run.id) if key.startswith("ganaug")} == {"ganaug-progress"}


def test_parameters_from_elsewhere_are_validated_again(tmp_path: Path, textures_folder: Path) -> None:
    """The form of the Prefect page checks only what a JSON schema can say."""
    config = tiny.settings()
    wrong = config.model_copy(update={"evaluate": config.evaluate.model_copy(update={"arms": ("real",)})})
    state: State[Any] = augment(str(textures_folder), str(tmp_path / "run"), wrong, return_state=True)
    assert state.is_failed() and "evaluate" in str(state.message) and not (tmp_path / "run").exists()


def test_one_failing_job_does_not_cut_off_the_others(tmp_path: Path) -> None:
    class Job:
        def __init__(self, name: str) -> None:
            self.name = name

    def work(job: Job) -> str:
        if job.name == "bad":
            raise InputError("bad is wrong")
        (tmp_path / job.name).write_text("done")
        return job.name

    seen: list[bool] = []

    @flow
    def several(names: list[str]) -> list[str]:
        try:
            with threads(tiny.settings()) as runner:
                return as_tasks("do", work, [Job(name) for name in names], runner)
        finally:
            seen.append(all((tmp_path / name).exists() for name in names if name != "bad"))

    assert several(["a", "b"]) == ["a", "b"]
    with pytest.raises(InputError, match="bad is wrong"):
        several(["bad", "c", "d", "e"])
    assert seen == [True, True]


def test_run_says_the_verdict(finished: Finished, monkeypatch: MonkeyPatch, capfd: CaptureFixture[str]) -> None:
    arguments = ["run", str(finished.source), "--out", str(finished.run.out), *tiny.as_arguments()]
    before = tiny.times(finished.run.store / "fits")
    assert call(monkeypatch, *arguments) == 0
    said = capfd.readouterr()
    assert f"{finished.metrics['verdict'].replace('_', ' ').upper()}: {finished.metrics['reason']}" in said.out
    assert str(finished.run.report) in said.out and "Traceback" not in said.err
    assert tiny.times(finished.run.store / "fits") == before


def broken(kind: str, root: Path) -> Path:
    """A data set that no run can be made on."""
    if kind == "empty":
        root.mkdir()
    elif kind == "one class":
        tiny.write_dataset(root, {"blobs": 6})
    elif kind == "text":
        tiny.write_dataset(root, {"blobs": 6, "grain": 6})
        for i in range(4):
            (root / "grain" / f"note-{i}.png").write_text("this is no picture")
    elif kind == "empty class":
        tiny.write_dataset(root, {"blobs": 6, "grain": 0})
    elif kind == "conflict":
        tiny.write_dataset(root, {"blobs": 6, "grain": 6})
        shutil.copy(root / "blobs" / "blobs-00.png", root / "grain" / "grain-00.png")
    return root


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", ["does not exist"]),
        ("empty", ["holds no files"]),
        ("one class", ["one class", "at least two"]),
        ("text", ["4 of 16 files are bad", "note-0.png"]),
        ("empty class", ["'grain' holds no readable image"]),
        ("conflict", ["blobs/blobs-00.png", "grain/grain-00.png"]),
    ],
)
def test_a_wrong_data_set_ends_with_status_2_and_a_line(
    tmp_path: Path, monkeypatch: MonkeyPatch, capfd: CaptureFixture[str], kind: str, words: list[str]
) -> None:
    source, out = broken(kind, tmp_path / "data"), tmp_path / "run"
    assert call(monkeypatch, "run", str(source), "--out", str(out), *tiny.as_arguments()) == 2
    said = capfd.readouterr()
    assert said.out == "" and len(said.err.splitlines()) <= 2 and said.err.startswith("ganaug: ")
    assert all(word in said.err for word in words)
    assert not (out / "metrics.json").exists()


def test_debug_shows_where(tmp_path: Path, monkeypatch: MonkeyPatch, capfd: CaptureFixture[str]) -> None:
    source = broken("empty class", tmp_path / "data")
    arguments = ["run", str(source), "--out", str(tmp_path / "run"), "--debug", *tiny.as_arguments()]
    assert call(monkeypatch, *arguments) == 2
    said = capfd.readouterr().err
    assert "Traceback" in said and "faults.py" in said
    assert said.splitlines()[-1].startswith("ganaug: ") and "'grain' holds no readable image" in said.splitlines()[-1]


def test_a_busy_folder_is_refused_naming_the_run_in_it(
    finished: Finished, monkeypatch: MonkeyPatch, capfd: CaptureFixture[str]
) -> None:
    with finished.run.lock():
        arguments = ["run", str(finished.source), "--out", str(finished.run.out), *tiny.as_arguments()]
        assert call(monkeypatch, *arguments) == 2
    said = capfd.readouterr().err
    assert "Another run (process " in said and len(said.splitlines()) == 1


def test_a_failing_stage_ends_with_status_1(
    textures_folder: Path, tmp_path: Path, monkeypatch: MonkeyPatch, capfd: CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["run", str(textures_folder), "--out", str(out), *tiny.as_arguments()]

    def diverge(trainer: Trainer) -> None:
        raise DivergedError("Training diverged.")

    monkeypatch.setattr(Trainer, "train_step", diverge)
    assert call(monkeypatch, *arguments) == 1
    said = capfd.readouterr().err
    assert said.splitlines()[-1] == "ganaug: Every generator failed to train: Training diverged."
    assert "Traceback" not in said
    assert Counter(event["event"] for event in read_log(out / "log.jsonl"))["failed"] == 2
