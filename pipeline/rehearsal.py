"""How long a run will take on this machine and what memory it needs, from a few training steps made here."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from classifiers.fitting import fit
from pipeline.config import REAL_ARMS, Config
from pipeline.stages.choose import FINALISTS, policies
from pipeline.stages.fits import recipe_for
from pipeline.stages.jobs import TrainJob, first_jobs
from pipeline.stages.prepare import prepare
from pipeline.stages.records import Prepared, load_pack
from pipeline.stages.train import train
from pipeline.stages.training_memory import GIB, planned_memory
from pipeline.store import RunFolder
from pipeline.workers import torch_threads, workers

# Training steps. The first training of a process is slower and not counted; what the others take beside their steps
# cancels out.
WARM_UP, SHORT, LONG = 1, 2, 12


@dataclass(frozen=True)
class Rehearsal:
    """Seconds by stage, if no generator stops early and no classifier is in the store, and bytes of memory."""

    seconds: dict[str, float]
    memory: int

    @property
    def said(self) -> str:
        """For people."""
        total = sum(self.seconds.values())
        parts = ", ".join(f"{name} {_duration(seconds)}" for name, seconds in self.seconds.items())
        return (
            f"A run takes about {_duration(total)} on this machine, if nothing else does ({parts}), less where a "
            f"generator stops early, and about {self.memory / GIB:.1f} GiB of memory."
        )


def rehearse(dataset: Path, config: Config) -> Rehearsal:
    """Prepare `dataset` in a temporary folder and make a few steps of the trainings that a run would make.

    Raises:
        InputError: as `prepare`, or where no class has enough images for a generator.
    """
    with TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        run.prepare()
        start = time.monotonic()
        prepared = prepare(run, config, dataset)
        prepared_in = time.monotonic() - start
        jobs = first_jobs(run, config, prepared)
        step = seconds_a_step(jobs[0]) if jobs else 0.0
        longest = max((_training_seconds(job, step) for job in jobs), default=0.0)
        tuned = len(jobs) * config.gan.finetune_steps * step if config.gan.scope == "specialise" else 0.0
        at_once = workers(config)
        of_classifier = _seconds_a_fit(config, prepared)
        fits = classifier_fits(config, prepared)
        seconds = {
            "reading": prepared_in,
            "generators": longest * ceil(len(jobs) / min(at_once, max(len(jobs), 1))) + tuned,
            "filter": of_classifier * config.evaluate.folds,
            **{stage: of_classifier * ceil(n / at_once) for stage, n in fits.items()},
        }
        own = psutil.Process().memory_info().rss
        memory = planned_memory(config, prepared) + own * (1 + (at_once if at_once > 1 else 0))
    return Rehearsal(seconds, memory)


def seconds_a_step(job: TrainJob) -> float:
    """Seconds of a generator's training step, by two short trainings in the job's own folder."""
    took = [
        train(replace(job, options=replace(job.options, steps=steps), minutes=None)).seconds
        for steps in (WARM_UP, SHORT, LONG)
    ]
    return _a_step(took)


def classifier_fits(config: Config, prepared: Prepared) -> dict[str, int]:
    """Classifiers that `choose` and `evaluate` train at most; each once, however often its predictions are used."""
    e = config.evaluate
    first, per, tried = e.folds, e.folds * e.repeats, len(policies(config))
    finalists = min(tried, FINALISTS)
    chosen = {
        "policies": tried * first + finalists * (per - first) if tried > 1 else 0,
        "sampling": per if len(set(prepared.counts["train"].values())) > 1 else 0,
        "ratios": len(set(e.ratios)) * first if len(set(e.ratios)) > 1 else 0,
        "arms": per * len([arm for arm in e.arms if arm != "gan_unfiltered"]),
    }
    made = sum(1 if arm in REAL_ARMS else config.gan.repeats for arm in e.arms)
    weighed = 0 if config.inspection.cost_miss is None else per * 4  # an arm, the control, two parts of the curve
    compared = e.seeds * (made + 1 + (2 if config.inspection.learning_curve else 0)) + weighed
    return {"choices": sum(chosen.values()), "comparison": compared}


def _training_seconds(job: TrainJob, step: float) -> float:
    seconds = job.options.steps * step
    return seconds if job.minutes is None else min(seconds, 60 * job.minutes)


def _seconds_a_fit(config: Config, prepared: Prepared) -> float:
    """Seconds of a classifier's training in a process of its own, which has one thread."""
    pack = load_pack(prepared.pack)
    train_on = pack.of("train")
    recipe = recipe_for(config, prepared.n_train, policy=policies(config)[-1])
    took = []
    with torch_threads(1):
        for steps in (WARM_UP, SHORT, LONG):
            start = time.monotonic()
            fit(
                pack.images[train_on],
                pack.labels[train_on],
                replace(recipe, steps=steps),
                classes=len(prepared.classes),
                seed=0,
            )
            took.append(time.monotonic() - start)
    return _a_step(took) * recipe.steps


def _a_step(took: Sequence[float]) -> float:
    """Seconds a step, from those of WARM_UP, SHORT and LONG steps; on a busy machine the shorter may take longer."""
    _, short, long = took
    return (long - short) / (LONG - SHORT) if long > short else long / LONG


def _duration(seconds: float) -> str:
    """Hours and minutes, or seconds where there are few."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d}"
