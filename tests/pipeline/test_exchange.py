"""Work on machines that do not see the run's folder: all that passes between them goes by a URL."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.core import url_to_fs

from ganaug.training_loop import Hooks, Trainer
from pipeline.errors import InputError, JobError
from pipeline.exchange import Delivery, Exchange, work_away
from pipeline.job import run_job
from pipeline.log import read_log
from pipeline.stages import train as training
from pipeline.stages.generate import generate_class, generate_jobs
from pipeline.stages.jobs import TrainJob, first_jobs
from pipeline.stages.prepare import prepare
from pipeline.stages.publish import publish
from pipeline.stages.records import Trained
from pipeline.stages.train import train
from pipeline.store import RunFolder, load_tensors, save_tensors
from tests import tiny

SETTINGS = ("gan.scope=per_class", "gan.steps=4")
OF_A_DIGEST = f"store/pack-{'0' * 24}.safetensors"


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store on the disk, and one that is no file system at all."""
    yield f"file://{tmp_path}/exchange" if request.param == "file" else "memory://exchange"
    fsspec.filesystem("memory").rm("/", recursive=True)


no_file_system = pytest.mark.parametrize("url", ["memory"], indirect=True)  # what holds there holds on a disk


@pytest.fixture(autouse=True)
def other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where work away from the run's folder is done."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def hiding(out: Path) -> Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]:
    """Does the jobs while the run's folder cannot be seen."""

    def share(work: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
        hidden = out.with_name("hidden")
        out.rename(hidden)
        try:
            return [work(job) for job in jobs]
        finally:
            hidden.rename(out)

    return share


def unused(_work: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
    assert not jobs
    return []


def test_what_is_made_elsewhere_is_what_would_be_made_here(tmp_path: Path, textures_folder: Path, url: str) -> None:
    config = tiny.settings(*SETTINGS)
    here, run = RunFolder(tmp_path / "here"), RunFolder(tmp_path / "run")
    run_job(here, config, textures_folder, until="generate")
    prepared = prepare(run, config, textures_folder)
    trained = work_away(url, run, train, first_jobs(run, config, prepared), hiding(run.out), days=1)
    assert [Path(one.model).parent for one in trained] == [run.store] * 3
    publish(run, config, prepared, trained)
    jobs = generate_jobs(run, config, prepared, trained)
    candidates = work_away(url, run, generate_class, jobs, hiding(run.out), days=1)
    for one in candidates:
        ours, theirs = load_tensors(Path(one.file))[0], load_tensors(here.store / Path(one.file).name)[0]
        assert ours.keys() == theirs.keys() and all(ours[key].equal(theirs[key]) for key in ours)
    for name in tiny.TEXTURES:
        assert (run.out / "training" / name / "history.csv").exists()
    done = [event["generator"] for event in read_log(run.log) if event["event"] == "done" and "generator" in event]
    assert sorted(done) == sorted(tiny.TEXTURES)


@no_file_system
def test_what_is_here_already_is_not_sent_away(tmp_path: Path, textures_folder: Path, url: str) -> None:
    run, config = RunFolder(tmp_path / "run"), tiny.settings(*SETTINGS)
    jobs = first_jobs(run, config, prepare(run, config, textures_folder))
    trained = work_away(url, run, train, jobs, hiding(run.out), days=1)
    assert work_away(url, run, train, jobs, unused, days=1) == trained


def last_step(run: RunFolder, name: str) -> int:
    """The last step that the curves of a training show."""
    last = (run.out / "training" / name / "history.csv").read_text().splitlines()[-1]
    return int(last.partition(",")[0])


@no_file_system
def test_the_curves_are_those_of_the_last_training(tmp_path: Path, textures_folder: Path, url: str) -> None:
    run = RunFolder(tmp_path / "run")
    for steps in (2, 3):
        config = tiny.settings("gan.scope=per_class", f"gan.steps={steps}")
        jobs = first_jobs(run, config, prepare(run, config, textures_folder))
        work_away(url, run, train, jobs, hiding(run.out), days=1)
        assert {last_step(run, name) for name in tiny.TEXTURES} == {steps}


@no_file_system
def test_two_runs_at_one_url_do_not_meet(tmp_path: Path, textures_folder: Path, url: str) -> None:
    one, other = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "other")
    short, long = (
        first_jobs(run, config, prepare(run, config, textures_folder))
        for run, config in ((one, tiny.settings(*SETTINGS, "gan.steps=2")), (other, tiny.settings(*SETTINGS)))
    )

    def share(work: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
        answers = hiding(one.out)(work, jobs)
        work_away(url, other, train, long, hiding(other.out), days=1)
        return answers

    work_away(url, one, train, short, share, days=1)
    assert [last_step(run, "blobs") for run in (one, other)] == [2, 4]


@no_file_system
def test_a_sentence_means_elsewhere_what_it_means_here(tmp_path: Path, textures_folder: Path, url: str) -> None:
    settings = ("gan.family=stackgan", "gan.steps=2", "gan.lr_g=5e-4", "gan.lr_d=5e-4")
    run, config = RunFolder(tmp_path / "run"), tiny.settings(*settings)
    run_job(run, config, textures_folder, until="train")
    prepared = prepare(run, config, textures_folder)
    trained = [train(job) for job in first_jobs(run, config, prepared)]
    for count in (12, 13):
        config = tiny.settings(*settings, f"generate.per_class={count}")
        jobs = generate_jobs(run, config, prepared, trained)
        away = work_away(url, run, generate_class, jobs, hiding(run.out), days=1)
        drawn = [load_tensors(Path(one.file))[0]["images"] for one in away]
        for one in away:
            Path(one.file).unlink()
        again = [load_tensors(Path(generate_class(job).file))[0]["images"] for job in jobs]
        assert all(ours.equal(theirs) for ours, theirs in zip(again, drawn, strict=True))
        for job in jobs:  # from here on the same words mean something else
            tensors, record = load_tensors(Path(job.sentences))
            save_tensors(Path(job.sentences), tensors | {"mean": tensors["mean"] + 5}, record)


@no_file_system
def test_a_job_that_failed_elsewhere_is_answered_for_by_the_caller(
    tmp_path: Path, textures_folder: Path, url: str
) -> None:
    run, config = RunFolder(tmp_path / "run"), tiny.settings(*SETTINGS)
    jobs = first_jobs(run, config, prepare(run, config, textures_folder))
    lost = Trained("blobs", "", "", {}, 0.0, failure="lost")

    def share(work: Callable[[TrainJob], Delivery], todo: Sequence[TrainJob]) -> list[Any]:
        return [lost if job.name == "blobs" else work(job) for job in todo]

    first, *others = work_away(url, run, train, jobs, share, days=1)
    assert first == lost and all(Path(one.model).exists() for one in others)


class Stopped(BaseException):
    """Stands for the interruption of a training."""


@no_file_system
def test_an_interrupted_job_goes_on_where_it_was(
    tmp_path: Path, textures_folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = RunFolder(tmp_path / "run"), tiny.settings("gan.steps=30")
    jobs = first_jobs(run, config, prepare(run, config, textures_folder))

    def stop(trainer: Trainer, row: object) -> None:
        if trainer.step == 20:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(training, "Hooks", lambda **hooks: Hooks(**{**hooks, "progress": stop, "checkpoint_every": 10}))
        with pytest.raises(Stopped):
            work_away(url, run, train, jobs, hiding(run.out), days=1)
    (trained,) = work_away(url, run, train, jobs, hiding(run.out), days=1)
    (resumed,) = [event for event in read_log(run.log) if event["event"] == "resumed"]
    assert resumed["step"] == 10 and Path(trained.model).exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(JobError, match=r"store/pack-1\.safetensors could not be had from the exchange"):
        Exchange(url, tmp_path / "here").get(["store/pack-1.safetensors"])


def test_files_are_whole_and_replaced(tmp_path: Path, url: str) -> None:
    here = Exchange(url, tmp_path / "a")
    there = Exchange(url, tmp_path / "b", here.session)
    file = tmp_path / "a" / "sub" / "größe 1.txt"
    file.parent.mkdir(parents=True)
    for content in ("one", "two"):
        file.write_text(content)
        assert here.put([file]) == ["sub/größe 1.txt"]
        there.get(["sub/größe 1.txt"])
        assert (tmp_path / "b" / "sub" / "größe 1.txt").read_text() == content
    file.write_text("three")
    here.offer([file])
    there.get(["sub/größe 1.txt"])
    assert (tmp_path / "b" / "sub" / "größe 1.txt").read_text() == "three"


def test_only_what_a_digest_names_is_shared_and_taken_as_it_is(tmp_path: Path, url: str) -> None:
    here, there = Exchange(url, tmp_path / "a"), Exchange(url, tmp_path / "b")
    for name in (OF_A_DIGEST, "generators/pit/sentences.safetensors"):
        file = tmp_path / "a" / name
        file.parent.mkdir(parents=True)
        file.write_text("one")
        here.offer([file])
    there.get([OF_A_DIGEST])
    with pytest.raises(JobError, match=r"sentences\.safetensors could not be had"):
        there.get(["generators/pit/sentences.safetensors"])
    (tmp_path / "a" / OF_A_DIGEST).write_text("never sent")
    here.offer([tmp_path / "a" / OF_A_DIGEST])
    (tmp_path / "b" / OF_A_DIGEST).write_text("never fetched")
    there.get([OF_A_DIGEST])
    assert (tmp_path / "b" / OF_A_DIGEST).read_text() == "never fetched"
    Exchange(url, tmp_path / "c").get([OF_A_DIGEST])
    assert (tmp_path / "c" / OF_A_DIGEST).read_text() == "one"


def test_results_that_are_not_used_any_more_go_and_nothing_else_does(
    tmp_path: Path, textures_folder: Path, url: str, other_machine: Path
) -> None:
    run, config = RunFolder(tmp_path / "run"), tiny.settings(*SETTINGS)
    jobs = first_jobs(run, config, prepare(run, config, textures_folder))
    exchange = Exchange(url, run.out)
    system, base = url_to_fs(url)
    foreign = [f"{base}/store/recipe-2026.pdf", f"{base}/sessions/monday/minutes.txt"]
    for file in foreign:
        system.makedirs(file.rpartition("/")[0], exist_ok=True)
        system.pipe_file(file, b"no result of ours")
    work_away(url, run, train, jobs, hiding(run.out), days=1)
    assert exchange.prune(days=1) == 0
    stored = [*run.store.glob("pack-*"), *run.store.glob("generator-*")]
    told = [file for file in (run.out / "training").rglob("*") if file.is_file()]
    assert exchange.prune(days=0) == len(stored) + len(told) > len(stored) == 4
    assert system.find(base) == sorted(foreign)
    (cache,) = other_machine.glob("ganaug-*")
    kept = next(cache.rglob("pack-*"))
    for file in stored:
        file.unlink(missing_ok=True)
    os.utime(kept, (0, 0))
    jobs = first_jobs(run, config, prepare(run, config, textures_folder))
    assert all(Path(one.model).exists() for one in work_away(url, run, train, jobs, hiding(run.out), days=1))
    assert kept.stat().st_mtime > 0  # was deleted, and fetched again


@pytest.mark.parametrize("failing", ["find", "modified", "rm_file"])
@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError, NotImplementedError])
def test_what_the_store_does_not_let_go_stays(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, failing: str, error: type[Exception]
) -> None:
    exchange, kept = Exchange(url, tmp_path), OF_A_DIGEST.replace("pack", "scorer")
    for name in (OF_A_DIGEST, kept):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    exchange.put([tmp_path / OF_A_DIGEST, tmp_path / kept])
    system, base = url_to_fs(url)
    asked = getattr(system, failing)

    def fail(name: str) -> Any:
        if failing == "find" or name.endswith(kept):
            raise error(name)
        return asked(name)

    with monkeypatch.context() as patch:
        patch.setattr(system, failing, fail)
        assert exchange.prune(days=0) == (0 if failing == "find" else 1)
    assert system.exists(f"{base}/{kept}")


def test_an_exchange_is_for_a_cluster() -> None:
    with pytest.raises(InputError, match="exchange = file:///x is for runner = dask or ray"):
        tiny.settings("exchange=file:///x")
    assert tiny.settings("exchange=file:///x", "runner=ray").exchange == "file:///x"
