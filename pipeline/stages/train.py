"""Train one generator, from a job (`jobs.py`) to a saved model."""

import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from classifiers.perception import perceive
from classifiers.scattering import Scattering
from ganaug.distributed import SINGLE_PROCESS, Distributed, SingleProcess
from ganaug.families import get_family
from ganaug.metrics import authenticity, authenticity_among, training_scores
from ganaug.metrics.diversity import find_modes
from ganaug.monitor import Finding, explain
from ganaug.rollback import DivergedError
from ganaug.seeding import random_stream
from ganaug.training_loop import Hooks, Trainer
from pipeline.errors import InputError, JobError
from pipeline.log import RunLog, progress
from pipeline.report.training_pictures import save_curves, save_grid
from pipeline.stages.class_conditions import conditions_of
from pipeline.stages.conditioning_inputs import CONDITIONING_INPUTS, shrunk
from pipeline.stages.jobs import TrainJob, held_out_of, images_of
from pipeline.stages.records import Trained, load_pack
from pipeline.stages.seen import seen_by
from pipeline.store import RunFolder, StoreError, load_tensors, save_tensors, write_json
from pipeline.workers import in_own_process, launch, stop_if_ending, torch_threads

MOST_SCORED = 256  # samples

Score = Callable[[Trainer], dict[str, float]]


def train(job: TrainJob) -> Trained:
    """Train, or load what an earlier run trained, or resume what one left unfinished.

    Raises:
        DivergedError: losses turned NaN or infinite again and again.
    """
    run = RunFolder(Path(job.out))
    log, model = RunLog(run.log), job.result
    if model.exists():
        try:
            return _trained(job, model, load_tensors(model)[1])
        except StoreError as damaged:
            log.write("train", "damaged", generator=job.name, error=str(damaged))
    if job.devices > 1:
        launch(_train_distributed, job, processes=job.devices, device=job.device)
    else:
        with torch_threads(job.threads):
            _train(job, SINGLE_PROCESS, job.device)
    return _trained(job, model, load_tensors(model)[1])


def _trained(job: TrainJob, model: Path, record: Mapping[str, Any]) -> Trained:
    made = str(model), job.digest, record["asked"], record["seconds"]
    return Trained(job.name, *made, scale=job.scale, repeat=job.repeat)


def train_apart(job: TrainJob) -> Trained:
    """`train` in a process of its own, whose death by want of memory, for one, is that of this generator alone."""
    return in_own_process(train, job)


def failed(job: TrainJob, error: Exception) -> Trained:
    """The record of a generator that could not be trained, with the reason; the run goes on without it.

    Raises:
        InputError: `error` itself, if it is one; what the user has to mend is not this generator's alone.
    """
    if isinstance(error, InputError):
        raise error
    why = str(error) if isinstance(error, DivergedError | JobError) else f"{type(error).__name__}: {error}"
    log = RunLog(RunFolder(Path(job.out)).log)
    log.write("train", "failed", generator=job.name, error=why, traceback="".join(traceback.format_exception(error)))
    return Trained(job.name, "", job.digest, {}, 0.0, failure=why, scale=job.scale, repeat=job.repeat)


def _train_distributed(context: Distributed, job: TrainJob) -> None:
    with torch_threads(max(1, job.threads // context.size)):
        _train(job, context, context.device)


def _train(job: TrainJob, context: SingleProcess, device: str) -> None:
    """Train to the end and save."""
    run, model = RunFolder(Path(job.out)), job.result
    log = RunLog(run.log if context.rank == 0 else Path(os.devnull))
    pack = load_pack(job.pack)
    index = images_of(job, pack)
    conditions, asked, n_conditions = conditions_of(job, pack)
    side = pack.images.shape[-1] // job.shrink
    base, of_base = load_tensors(Path(job.init_from)) if job.init_from else (None, None)
    trainer = Trainer(
        get_family(job.family),
        shrunk(pack.images[index], side),
        conditions,
        n_conditions=n_conditions,
        options=job.options,
        seed=job.seed,
        device=device,
        init_from=base,
        perceive=perceive,
        conditioning_inputs=None
        if job.conditioning_input == "none"
        else CONDITIONING_INPUTS[job.conditioning_input](pack, index, side // job.scale),
        context=context,
    )
    checkpoint = run.stored("checkpoint", job.digest)
    _resume(trainer, checkpoint, log, job)
    if context.rank > 0:  # the first process does all there is to do beside the updates
        trainer.run(Hooks(checkpoint=lambda trainer: trainer.state(), score=lambda trainer: {}), minutes=job.minutes)
        trainer.state()
        return
    log.write("train", "start", generator=job.name, images=len(index), step=trainer.step, options=asdict(job.options))
    held_out = held_out_of(job, pack)
    _run(trainer, job, run, checkpoint, scorer(trainer, conditions, shrunk(pack.images[held_out], side), job))
    tensors, record = trainer.state()
    keep = {
        key: tensor for key, tensor in tensors.items() if key.split(".")[0] in ("generator", "discriminator", "ema")
    }
    record |= {
        "name": job.name,
        "conditioning_input": job.conditioning_input,
        "asked": asked,
        "monitor": monitored(trainer),
    }
    record |= {"init_from": Path(job.init_from).name, "seen": seen_by(pack, torch.cat([index, held_out]), of_base)}
    save_tensors(model, keep, record)
    for left in (checkpoint, _previous(checkpoint)):
        left.unlink(missing_ok=True)
    log.write("train", "done", generator=job.name, step=trainer.step, seconds=round(trainer.seconds, 1))


def _run(trainer: Trainer, job: TrainJob, run: RunFolder, checkpoint: Path, score: Score) -> None:
    folder, log = run.out / "training" / job.name, RunLog(run.log)
    preview_conditions = trainer.batches.found.repeat_interleave(8)
    total = job.options.steps if job.minutes is None else max(1, round(60 * job.minutes))  # steps, or seconds
    with progress(f"train {job.name}", total) as bar:
        at = [0]

        def advance(trainer: Trainer, row: Mapping[str, float]) -> None:
            stop_if_ending()
            left, rate = _time_left(trainer, job.minutes), trainer.step / max(trainer.seconds, 1e-9)
            done = round(total * trainer.progress)
            bar.advance(done - at[0], f"{rate:.1f} steps/s, {left} left, loss {row['loss_d']:.2f}")
            at[0] = done

        def save(trainer: Trainer) -> None:
            if checkpoint.exists():
                checkpoint.replace(_previous(checkpoint))
            save_tensors(checkpoint, *trainer.state())
            save_grid(folder / f"samples_{trainer.step:06d}.png", trainer.sample(preview_conditions, seed=0), columns=8)
            save_curves(folder, trainer.history)
            write_json(folder / "monitor.json", monitored(trainer))

        def tell(trainer: Trainer, finding: Finding) -> None:
            text = explain(finding, trainer.best_checkpoint.outcome(trainer.step))
            log.write("train", "finding", generator=job.name, **asdict(finding), text=text)

        try:
            trainer.run(Hooks(progress=advance, checkpoint=save, score=score, finding=tell), minutes=job.minutes)
        finally:  # also after a failure: the findings explain it
            write_json(folder / "monitor.json", monitored(trainer))
        save_grid(folder / f"samples_{trainer.step:06d}.png", trainer.sample(preview_conditions, seed=0), columns=8)
        save_curves(folder, trainer.history)


def monitored(trainer: Trainer) -> dict[str, Any]:
    """The outcome of a training and the monitor's findings, as figures and sentences."""
    outcome = trainer.best_checkpoint.outcome(trainer.step)
    findings = [asdict(finding) | {"text": explain(finding, outcome)} for finding in trainer.findings()]
    return asdict(outcome) | {"findings": findings}


def _time_left(trainer: Trainer, minutes: float | None) -> str:
    seconds = (trainer.options.steps - trainer.step) * trainer.seconds / max(trainer.step, 1)
    if minutes is not None:
        seconds = min(seconds, minutes * 60 - trainer.seconds)
    return f"{int(max(seconds, 0)) // 60}:{int(max(seconds, 0)) % 60:02d}"


def scorer(trainer: Trainer, conditions: Tensor, held_out: Tensor, job: TrainJob) -> Score:
    """Scores of as many samples as there are training images, of the same conditions, at most `MOST_SCORED` of them.

    FID and KID are measured against the images `held_out` from training `uint8 [M, C, S, S]` if there are any: against
    training images, to learn these by heart would be best. Even so copies of real images score as real ones do, and
    authenticity, measured against all training images, detects them; not for a super-resolver, whose inputs these are.
    """
    real = trainer.batches.images.cpu()
    some = torch.randperm(len(real), generator=random_stream(job.seed))[:MOST_SCORED]
    asked = conditions[some]
    extractor = Scattering.fit(real[some])
    features = extractor(real)
    known = extractor(held_out) if len(held_out) else None
    modes = find_modes(features[some], asked, seed=job.seed)
    among = authenticity_among(features) if job.scale == 1 and len(real) > 2 else None

    def score(trainer: Trainer) -> dict[str, float]:
        drawn = extractor(trainer.sample(asked, seed=job.seed))
        row = training_scores(drawn, features[some], asked, modes, held_out=known)
        if among is not None:
            row |= {"authenticity": authenticity(drawn, features), "authenticity_real": among}
        return row

    return score


def _previous(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".previous.safetensors")


def _resume(trainer: Trainer, checkpoint: Path, log: RunLog, job: TrainJob) -> None:
    for file in (checkpoint, _previous(checkpoint)):
        if not file.exists():
            continue
        try:
            trainer.load(load_tensors(file))
        except StoreError as damaged:
            log.write("train", "damaged", generator=job.name, error=str(damaged))
            file.unlink(missing_ok=True)  # lest the next save lets it take the place of the previous one
            continue
        log.write("train", "resumed", generator=job.name, step=trainer.step, checkpoint=file.name)
        return
