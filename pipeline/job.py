"""The whole job in order. The caller chooses how a step runs: as a function call or as a Prefect task."""

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from classifiers.architectures import build_model
from ganaug.families import get_family
from pipeline.config import CLUSTERS, Config, dump_config, load_config
from pipeline.errors import InputError
from pipeline.history import remember
from pipeline.log import RunLog
from pipeline.stages import train as training
from pipeline.stages.choose import choose, policies
from pipeline.stages.conditioning_inputs import asked_kind
from pipeline.stages.evaluate import evaluate
from pipeline.stages.filter import filter_candidates, fit_scorer
from pipeline.stages.generate import generate, generate_class, generate_jobs, planned_bytes
from pipeline.stages.inspection_comparison import require_good_class
from pipeline.stages.jobs import (
    fine_tune_jobs,
    first_jobs,
    given_base,
    options_for,
    super_resolution_jobs,
    without_generator,
)
from pipeline.stages.merge import merge
from pipeline.stages.prepare import prepare
from pipeline.stages.publish import publish, published
from pipeline.stages.records import Trained
from pipeline.stages.report import report
from pipeline.stages.super_resolution import scale_of
from pipeline.stages.training_memory import require_memory
from pipeline.store import RunFolder, jsonable, read_json, write_atomically, write_json

STAGES = ("prepare", "train", "generate", "filter", "merge", "evaluate", "report")

Step = Callable[..., Any]  # (name, function, *arguments) -> what the function returns
Rescue = Callable[[Any, Exception], Any]  # (job, why it failed) -> what stands for its result
FanOut = Callable[..., list[Any]]  # (name, function of a job, jobs, rescue) -> what it returns for each


def directly(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the function in this process."""
    return function(*arguments)


def give_up(job: Any, error: Exception) -> Any:
    """The default rescue: raise the error."""
    raise error


def one_by_one(name: str, function: Callable[[Any], Any], jobs: Sequence[Any], rescue: Rescue = give_up) -> list[Any]:
    """The jobs one after another in this process."""
    return [attempt(partial(function, job), job, rescue) for job in jobs]


def attempt(work: Callable[[], Any], job: Any, rescue: Rescue) -> Any:
    """The result of the work or, if it raises, that of the rescue."""
    try:
        return work()
    except Exception as error:
        return rescue(job, error)


def run_job(
    run: RunFolder,
    config: Config,
    source: Path,
    *,
    until: str = "report",
    train: bool = True,
    step: Step = directly,
    fan_out: FanOut = one_by_one,
) -> dict[str, Any]:
    """Run the stages up to `until`; what the folder already holds for the same input is not computed again.

    Without `train`, the generators that the folder holds are used as they are, also where images have changed since.

    Returns the content of `metrics.json`, or an empty dict where `until` comes before `evaluate`.

    Raises:
        InputError: the data set or the configuration is wrong.
        JobError: a stage failed; what was done before it stays in the folder.
    """
    check_names(config)
    run = RunFolder(run.out.resolve())  # a worker elsewhere has another working directory
    _require_apart(run.out, source.resolve())
    clock = _Clock(RunLog(run.log))
    with run.lock():
        _remember(run, config, source)
        with clock("prepare"):
            prepared = step("prepare", prepare, run, config, source)
            require_good_class(config, prepared.classes)  # better said now than after the training
        if until == "prepare":
            return {}
        run.prepare(planned_bytes(prepared, config))
        require_memory(config, prepared)
        with clock("train"):
            for reason in without_generator(prepared, config).values():
                clock.log.write("train", "skipped", reason=reason)
                print(f"train: {reason}", file=sys.stderr)
            if train:
                trained = _train(run, config, prepared, fan_out)
                step("publish generators", publish, run, config, prepared, trained)
            else:
                trained = published(run, prepared)
        if until == "train":
            return {}
        with clock("generate"):
            if config.runner in CLUSTERS:
                candidates = fan_out("generate", generate_class, generate_jobs(run, config, prepared, trained))
            else:
                candidates = step("generate", generate, run, config, prepared, trained)
        if until == "generate":
            return {}
        with clock("filter"):
            fitted_scorer = step("fit scorer", fit_scorer, run, config, prepared)
            selected = step("filter", filter_candidates, run, config, prepared, fitted_scorer, candidates)
        if until == "filter":
            return {}
        with clock("choose"):
            choices = step("choose", choose, run, config, prepared, selected)
        with clock("merge"):
            step("merge", merge, run, config, source, prepared, selected, choices)
        if until == "merge":
            return {}
        with clock("evaluate"):
            compared = step("evaluate", evaluate, run, config, prepared, fitted_scorer, selected, choices)
        metrics: dict[str, Any] = jsonable(compared | {"seconds": clock.seconds})
        write_json(run.metrics, metrics)
        remember(run, metrics)
        clock.log.write("evaluate", "verdict", verdict=metrics["verdict"], reason=metrics["reason"])
        if until == "evaluate":
            return metrics
        with clock("report"):
            step("report", report, run, config, source, prepared, trained, selected, choices)
        return metrics


def _train(run: RunFolder, config: Config, prepared: Any, fan_out: FanOut) -> list[Trained]:
    work = training.train_apart if config.runner == "process" else training.train
    base = given_base(run, config, prepared)
    trained = [base] if base else fan_out("train", work, first_jobs(run, config, prepared), training.failed)
    if config.gan.scope == "specialise" and trained and trained[0].model:
        trained = fan_out("fine-tune", work, fine_tune_jobs(run, config, prepared, trained[0]), training.failed)
    return trained + fan_out("train", work, super_resolution_jobs(run, config, prepared), training.failed)


def check_names(config: Config) -> None:
    """Raise InputError for names that only the registries know: family, its options, classifier, weights, policies."""
    options_for(config)
    scale_of(config)
    asked_kind(config, get_family(config.gan.family))
    policies(config)
    model, weights = config.evaluate.model, config.evaluate.weights
    try:
        if weights not in ("none", "download") and not Path(weights).is_file():
            raise ValueError(f"{weights}: no such weights file; give none, download or the path of a .safetensors file")
        with torch.random.fork_rng(devices=[]):  # a file of weights fits one number of channels, known only later
            build_model(model, classes=2, channels=3, weights="download" if weights == "download" else "none")
    except (ValueError, OSError) as error:
        raise InputError(f"evaluate.model and evaluate.weights: {error}.") from None


class _Clock:
    """Times each stage and logs its start and end."""

    def __init__(self, log: RunLog) -> None:
        self.log, self.seconds = log, dict[str, float]()

    def __call__(self, stage: str) -> "_Clock":
        self._stage = stage
        return self

    def __enter__(self) -> None:
        self._started = time.monotonic()
        self.log.write(self._stage, "start")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.seconds[self._stage] = round(time.monotonic() - self._started, 2)
        if error is None:
            self.log.write(self._stage, "done", seconds=self.seconds[self._stage])
        else:
            trace = traceback.format_exception(error)
            self.log.write(self._stage, "failed", error=f"{kind.__name__}: {error}", traceback="".join(trace))


def _require_apart(out: Path, source: Path) -> None:
    if out == source or out in source.parents or source in out.parents:
        raise InputError(f"--out {out} and the data set {source} lie in one another; choose --out elsewhere.")


def _remember(run: RunFolder, config: Config, source: Path) -> None:
    """Write what is run, and log how it differs from what this folder ran before."""
    RunLog(run.log).write("run", "start", source=str(source))
    text = dump_config(config)
    if run.config.exists() and run.config.read_text(encoding="utf-8") != text:
        changed = [
            f"{line.strip()}"
            for line in text.splitlines()
            if line not in run.config.read_text(encoding="utf-8").splitlines()
        ]
        RunLog(run.log).write("run", "configuration changed", now=changed)
    write_atomically(run.config, text.encode())
    write_json(run.out / "run.json", {"source": str(source.resolve())})


def recall_job(run: RunFolder) -> tuple[Config, Path]:
    """Configuration and data set of the run in a folder; InputError if there is none."""
    if not run.config.exists() or not (run.out / "run.json").exists():
        raise InputError(f"{run.out} holds no run; start one with `ganaug run DATASET --out {run.out}`.")
    return load_config(run.config), Path(read_json(run.out / "run.json")["source"])
