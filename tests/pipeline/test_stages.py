"""Single stages: training that survives everything, the three strategies, sampling and merging."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from ganaug.families import get_family
from ganaug.options import Options
from ganaug.training_loop import Hooks, Trainer
from pipeline.errors import InputError, JobError
from pipeline.job import run_job
from pipeline.log import read_log
from pipeline.manifest import read_manifest
from pipeline.stages import train as training
from pipeline.stages.generate import generate
from pipeline.stages.jobs import TrainJob, first_jobs
from pipeline.stages.prepare import prepare
from pipeline.stages.publish import publish
from pipeline.stages.records import Prepared, load_pack
from pipeline.stages.train import train
from pipeline.store import RunFolder, load_tensors, read_json, save_tensors
from pipeline.workers import in_own_process, resolve_precision, torch_threads
from tests import tiny
from tests.conftest import Finished


def prepared_in(folder: Path, source: Path, *overrides: str) -> tuple[RunFolder, Prepared, list[TrainJob]]:
    run, config = RunFolder(folder), tiny.settings(*overrides)
    prepared = prepare(run, config, source)
    return run, prepared, first_jobs(run, config, prepared)


def model_of(job: TrainJob) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights and record of what `train` saved; the record without what the clock decides."""
    tensors, card = load_tensors(RunFolder(Path(job.out)).stored("generator", job.digest))
    return tensors, {key: value for key, value in card.items() if key != "seconds"}


def assert_same_model(a: TrainJob, b: TrainJob) -> None:
    (first, first_card), (second, second_card) = model_of(a), model_of(b)
    assert first.keys() == second.keys() and first_card == second_card
    assert [name for name in first if not first[name].equal(second[name])] == []


def events(job: TrainJob, name: str) -> list[dict[str, Any]]:
    return [event for event in read_log(RunFolder(Path(job.out)).log) if event["event"] == name]


def killed_at_forty(job: TrainJob) -> None:
    """Train with a checkpoint every ten steps, in a process that is killed when it tells of step 40."""

    def kill(trainer: Trainer, _: Any) -> None:
        if trainer.step == 40:
            os.kill(os.getpid(), signal.SIGKILL)

    training.Hooks = lambda **hooks: Hooks(**{**hooks, "progress": kill, "checkpoint_every": 10})  # type: ignore[misc]
    train(job)


def test_training_that_was_killed_goes_on_to_the_same_bits(tmp_path: Path, textures_folder: Path) -> None:
    """SIGKILL after the checkpoint at step 30; the same training resumes there, in another process."""
    small = ("gan.steps=60", "gan.width=4", "gan.batch=4", "gan.diffaugment=cutout", "gan.ema=0.99")
    _, _, (whole,) = prepared_in(tmp_path / "whole", textures_folder, *small)
    train(whole)
    _, _, (job,) = prepared_in(tmp_path / "killed", textures_folder, *small)
    with pytest.raises(JobError, match="The process of killed_at_forty died"):
        in_own_process(killed_at_forty, job)
    in_own_process(train, job)
    (resumed,) = events(job, "resumed")
    assert resumed["step"] == 30
    assert_same_model(whole, job)
    assert not list((tmp_path / "killed" / "store").glob("checkpoint-*"))


class Stopped(BaseException):
    """Stands for the interruption of a training."""


def stop_at_checkpoint(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Checkpoints every ten steps; the training ends with the given one."""
    seen = []

    def save_curves(folder: Path, history: Any) -> None:
        seen.append(folder)
        if len(seen) == count:
            raise Stopped

    monkeypatch.setattr(training, "Hooks", partial(Hooks, checkpoint_every=10))
    monkeypatch.setattr(training, "save_curves", save_curves)


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


@pytest.mark.parametrize(("damage", "both"), [(flip_a_bit, False), (truncate, False), (truncate, True)])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path,
    textures_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], None],
    both: bool,
) -> None:
    _, _, (whole,) = prepared_in(tmp_path / "whole", textures_folder)
    train(whole)
    run, _, (job,) = prepared_in(tmp_path / "damaged", textures_folder)
    with monkeypatch.context() as patch:
        stop_at_checkpoint(patch, 3)
        with pytest.raises(Stopped):
            train(job)
    checkpoint = run.stored("checkpoint", job.digest)
    previous = checkpoint.with_suffix(".previous.safetensors")
    assert (load_tensors(checkpoint)[1]["step"], load_tensors(previous)[1]["step"]) == (30, 20)
    for file in (checkpoint, previous) if both else (checkpoint,):
        damage(file)
    train(job)
    assert len(events(job, "damaged")) == (2 if both else 1)
    assert [event["step"] for event in events(job, "resumed")] == ([] if both else [20])
    assert_same_model(whole, job)


def test_a_state_survives_the_disk_bit_for_bit(tmp_path: Path) -> None:
    def make() -> Trainer:
        images = torch.randint(0, 256, (8, 1, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
        family = get_family("dcgan")
        options = replace(family.defaults, batch=4, width=4, latent=8)
        return Trainer(family, images, torch.arange(8) % 2, n_conditions=2, options=options, seed=3)

    whole, stopped, resumed = make(), make(), make()
    for _ in range(4):
        stopped.train_step()
    save_tensors(tmp_path / "state.safetensors", *stopped.state())
    resumed.load(load_tensors(tmp_path / "state.safetensors"))
    for _ in range(4):
        resumed.train_step()
    for _ in range(8):
        whole.train_step()
    ours, theirs = whole.state()[0], resumed.state()[0]
    assert all(ours[name].equal(theirs[name]) for name in ours)


def test_what_is_left_out_later_is_said_though_nothing_is_computed_again(tmp_path: Path) -> None:
    source, run = tiny.write_dataset(tmp_path / "data"), RunFolder(tmp_path / "run")
    before = prepare(run, tiny.settings(), source)
    (source / "grain" / "broken.png").write_bytes(b"no picture")
    (source / "grain" / "notes.docx").write_bytes(b"text")
    after = prepare(run, tiny.settings(), source)
    assert after.digest == before.digest
    said = " ".join(set(after.notes) - set(before.notes))
    assert "grain/broken.png" in said and "1 hidden file(s) or file(s) of other formats were ignored" in said


def test_a_damaged_model_is_trained_again(tmp_path: Path, textures_folder: Path) -> None:
    _, _, (job,) = prepared_in(tmp_path, textures_folder)
    first = train(job)
    kept, _ = load_tensors(Path(first.model))
    changed = Path(first.model).stat().st_mtime_ns
    assert train(job) == first and Path(first.model).stat().st_mtime_ns == changed
    flip_a_bit(Path(first.model))
    train(job)
    mended, _ = load_tensors(Path(first.model))
    assert mended.keys() == kept.keys() and all(mended[name].equal(kept[name]) for name in kept)
    assert len(events(job, "damaged")) == 1 and len(events(job, "done")) == 2


def test_a_time_budget_is_used_up_and_ends_training(
    tmp_path: Path, textures_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, (job,) = prepared_in(tmp_path, textures_folder, "gan.steps=null", "gan.minutes=0.02")
    record = train(job)
    card = load_tensors(Path(record.model))[1]
    assert record.seconds >= 1.2 and card["history"][-1]["step"] == card["step"] > 1
    assert "train all classes: 1/1 " in capsys.readouterr().err
    assert {"fid", "kid"} <= card["history"][-1].keys()


def test_steps_that_are_asked_for_are_not_exceeded_in_the_time_there_is(tmp_path: Path, textures_folder: Path) -> None:
    _, _, (job,) = prepared_in(tmp_path, textures_folder, "gan.steps=3", "gan.minutes=60")
    assert load_tensors(Path(train(job).model))[1]["step"] == 3


def sick_trainer(which: int, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
    """The trainer made as number `which` starts with weights that are not numbers, or raises `error`."""
    made: list[Trainer] = []

    def make(*arguments: Any, **named: Any) -> Trainer:
        trainer = Trainer(*arguments, **named)
        made.append(trainer)
        if len(made) - 1 == which:
            if error is not None:
                raise error
            next(trainer.generator.parameters()).data.fill_(torch.nan)
        return trainer

    monkeypatch.setattr(training, "Trainer", make)


@pytest.mark.parametrize("error", [None, MemoryError("no memory"), RuntimeError("no memory")])
def test_a_class_that_fails_to_train_fails_alone(
    tmp_path: Path, textures_folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    sick_trainer(1, monkeypatch, error)
    run, until = RunFolder(tmp_path), "filter" if error else "report"
    metrics = run_job(run, tiny.settings("gan.scope=per_class", *tiny.TWO_ARMS), textures_folder, until=until)
    (failed,) = [event for event in read_log(run.log) if event["event"] == "failed"]
    assert failed["generator"] == "grain" and ("no memory" if error else "diverged") in failed["error"]
    assert failed["traceback"].startswith("Traceback")
    assert {path.name for path in (tmp_path / "generators").iterdir()} == {"blobs", "lines"}
    if not error:
        assert {name: row["generated"] for name, row in metrics["classes"].items()} == {
            "blobs": 12,
            "grain": 0,
            "lines": 12,
        }
        assert "No generator for grain: Training diverged" in run.report.read_text(encoding="utf-8")


def test_a_run_without_any_generator_fails(
    tmp_path: Path, textures_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick_trainer(0, monkeypatch)
    with pytest.raises(JobError, match=r"Every generator failed to train: Training diverged at step 1 .*gan\.lr_g"):
        run_job(RunFolder(tmp_path), tiny.settings(), textures_folder)


def test_what_the_user_has_to_mend_is_not_taken_for_a_failed_class(
    tmp_path: Path, textures_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick_trainer(1, monkeypatch, InputError("no such thing"))
    with pytest.raises(InputError, match="no such thing"):
        run_job(RunFolder(tmp_path), tiny.settings("gan.scope=per_class"), textures_folder)


def test_one_generator_a_class_is_conditioned_on_modes(tmp_path: Path, textures_folder: Path) -> None:
    config = tiny.settings("gan.scope=per_class", "gan.modes=2", "gan.steps=4")
    run = RunFolder(tmp_path)
    run_job(run, config, textures_folder, until="generate")
    assert len(list(run.store.glob("generator-*"))) == 3
    prepared = prepare(run, config, textures_folder)
    jobs = first_jobs(run, config, prepared)
    assert [job.name for job in jobs] == list(tiny.TEXTURES)
    trained = [train(job) for job in jobs]
    for record, candidates in zip(trained, generate(run, config, prepared, trained), strict=True):
        card = read_json(run.card(record.name))
        assert card["spec"]["conditions"] == 2 and card["conditions"] == [0, 1]
        ((name, asked),) = record.conditions.items()
        assert name == record.name == candidates.class_name and len(asked) == prepared.counts["train"][name] == 8
        drawn = Counter(load_tensors(Path(candidates.file))[0]["conditions"].tolist())
        share = Counter(asked)
        assert set(drawn) == {0, 1}
        assert all(abs(drawn[mode] / 12 - share[mode] / 8) < 0.15 for mode in (0, 1))


def test_few_candidates_show_every_mode_too(tmp_path: Path, textures_folder: Path) -> None:
    config = tiny.settings("gan.scope=per_class", "gan.modes=2", "generate.per_class=5", "gan.steps=2")
    run = RunFolder(tmp_path)
    run_job(run, config, textures_folder, until="generate")
    drawn = [load_tensors(file)[0]["conditions"] for file in run.store.glob("candidates-*")]
    assert len(drawn) == 3 and sum(len(set(d.tolist())) == 2 for d in drawn) >= 2


def test_specialise_fine_tunes_a_shared_base(tmp_path: Path, textures_folder: Path) -> None:
    run, config = RunFolder(tmp_path), tiny.settings("gan.scope=specialise", "gan.finetune_steps=5")
    run_job(run, config, textures_folder, until="generate")
    starts = [event for event in read_log(run.log) if event["event"] == "start" and "generator" in event]
    assert [(event["generator"], event["options"]["steps"]) for event in starts] == [
        ("all classes", 40),
        ("blobs", 5),
        ("grain", 5),
        ("lines", 5),
    ]
    digests = {read_json(run.card(name))["generator"] for name in tiny.TEXTURES}
    assert len(digests) == 3 and len(list(run.store.glob("generator-*"))) == 4
    assert [read_json(run.card(name))["conditions"] for name in tiny.TEXTURES] == [[0], [1], [2]]


def test_shared_is_one_generator_asked_by_class(finished: Finished) -> None:
    cards = [read_json(finished.run.card(name)) for name in tiny.TEXTURES]
    assert len({card["generator"] for card in cards}) == 1
    assert [card["conditions"] for card in cards] == [[0], [1], [2]]


def test_generators_of_an_earlier_configuration_do_not_stay(tmp_path: Path, textures_folder: Path) -> None:
    config = tiny.settings("gan.steps=2")
    run, prepared, jobs = prepared_in(tmp_path, textures_folder, "gan.steps=2")
    trained = [train(job) for job in jobs]
    publish(run, config, prepared, trained)
    assert run.model("lines").exists()
    fewer = [replace(record, conditions={"blobs": [0]}) for record in trained]
    publish(run, config, prepared, fewer)
    assert {path.name for path in (tmp_path / "generators").iterdir()} == {"blobs"}


def test_candidates_share_no_seed_and_more_of_them_begin_alike(finished: Finished, tmp_path: Path) -> None:
    run, prepared, jobs = prepared_in(tmp_path, finished.source)
    trained = [train(job) for job in jobs]
    few = generate(run, finished.config, prepared, trained)
    more = generate(run, tiny.settings("generate.per_class=70"), prepared, trained)
    seeds: list[int] = []
    for a, b in zip(few, more, strict=True):
        ours, theirs = load_tensors(Path(a.file))[0], load_tensors(Path(b.file))[0]
        assert (a.count, b.count) == (12, 70)
        assert all(ours[key].equal(theirs[key][:12]) for key in ("images", "seeds", "conditions"))
        seeds += theirs["seeds"].tolist()
    assert len(set(seeds)) == 210


def test_a_merge_that_was_killed_leaves_nothing_in_the_way(finished: Finished) -> None:
    left = finished.run.store / "merging" / "train" / "old"
    left.mkdir(parents=True)
    (left / "half.png").write_bytes(b"half")
    run_job(finished.run, finished.config, finished.source, until="merge")
    assert not left.exists() and not list(finished.run.dataset.rglob("half.png"))
    assert {path.name for path in finished.run.store.iterdir() if path.is_dir()} == {"fits"}


def test_files_that_share_a_stem_stay_apart(tmp_path: Path) -> None:
    source = tmp_path / "data"
    tiny.write_dataset(source, {"blobs": 8, "grain": 8})
    for i, suffix in enumerate((".bmp", ".tif", ".PNG")):
        pixels = tiny.texture("blobs", 50 + i)
        (source / "blobs" / f"Blobs-0{i}{suffix}").write_bytes(cv2.imencode(suffix.lower(), pixels)[1].tobytes())
    before = tiny.contents(source)
    run = RunFolder(tmp_path / "run")
    run_job(run, tiny.settings("gan.steps=2", "evaluate.steps=1"), source, until="merge")
    frame = read_manifest(run.manifest)
    real = frame[frame["source"] == "real"]
    assert len(real) == 19 and real["path"].str.casefold().is_unique
    pack = load_pack(str(next(run.store.glob("pack-*"))))
    for row, path in zip(pack.rows, real["path"], strict=True):
        written = cv2.imread(str(run.dataset / path), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(written, cv2.imread(str(source / row["path"]), cv2.IMREAD_UNCHANGED))
    assert tiny.contents(source) == before  # the user's files are as they were


def test_options_come_from_the_family_unless_they_are_given(textures_folder: Path, tmp_path: Path) -> None:
    _, _, (job,) = prepared_in(tmp_path, textures_folder, "gan.r1_weight=0.5", "gan.diffaugment=none")
    family = get_family("dcgan")
    expected = replace(
        family.defaults,
        steps=40,
        width=8,
        batch=8,
        latent=16,
        lr_g=0.02,
        lr_d=0.005,
        ema=0.0,
        diffaugment="",
        r1_weight=0.5,
        precision=resolve_precision(tiny.settings()),
    )
    assert job.options == expected and isinstance(job.options, Options)
    other = prepared_in(tmp_path, textures_folder, "gan.r1_weight=0.6")[2][0]
    assert other.digest != job.digest == replace(job, threads=job.threads + 1, out="elsewhere").digest
    assert os.environ["OMP_NUM_THREADS"] and job.threads == torch.get_num_threads()


def test_a_generator_that_trains_alone_takes_no_more_threads_than_there_are_workers(
    textures_folder: Path, tmp_path: Path
) -> None:
    with torch_threads(2):
        alone, capped = (prepared_in(tmp_path, textures_folder, *given)[2][0] for given in ((), ("workers=1",)))
    assert (alone.threads, capped.threads) == (2, 1)
