"""The whole job in order. The caller chooses how a step runs: as a function call or as a Prefect task."""

import os
from pathlib import Path
from typing import Any

import torch

from classifiers.architectures import build_model
from ganaug.families import get_family
from pipeline.config import Config, dump_config, load_config
from pipeline.errors import InputError
from pipeline.history import remember
from pipeline.log import RunLog
from pipeline.origins import Foreign, Generators, Origin
from pipeline.stages.choose import choose, policies
from pipeline.stages.conditioning_inputs import asked_kind
from pipeline.stages.evaluate import evaluate
from pipeline.stages.filter import filter_candidates, fit_scorer
from pipeline.stages.inspection_comparison import require_good_class
from pipeline.stages.jobs import options_for
from pipeline.stages.merge import merge
from pipeline.stages.prepare import prepare, read
from pipeline.stages.records import Prepared, load_pack
from pipeline.stages.report import report
from pipeline.stages.seen import SHORT, short_digest
from pipeline.stages.super_resolution import scale_of
from pipeline.steps import Clock, FanOut, Step, Work, directly, one_by_one
from pipeline.store import RunFolder, jsonable, read_json, write_atomically, write_json
from pipeline.workers import require_device, require_main_guard

STAGES = ("prepare", "train", "generate", "filter", "merge", "evaluate", "report")


def run_job(
    run: RunFolder,
    config: Config,
    source: Path,
    *,
    origin: Origin = Generators(),
    until: str = "report",
    step: Step = directly,
    fan_out: FanOut = one_by_one,
) -> dict[str, Any]:
    """Run the stages up to `until`; what the folder already holds for the same input is not computed again.

    `source` are the real images, `origin` says where the synthetic ones come from.

    Returns the content of `metrics.json`, or an empty dict where `until` comes before `evaluate`.

    Raises:
        InputError: the data set or the configuration is wrong.
        JobError: a stage failed; what was done before it stays in the folder.
    """
    check_names(config)
    run = RunFolder(run.out.resolve())  # a worker elsewhere has another working directory
    for place in (source, *origin.inputs):
        require_apart(run.out, place.resolve())
    clock = Clock(RunLog(run.log))
    require_main_guard(config)
    with run.lock():
        _require_same_images(run, config, source)
        _remember(run, config, source, origin)
        with clock("prepare"):
            prepared = step("prepare", prepare, run, config, source)
            require_good_class(config, prepared.classes)  # better said now than after the training
            _remember_images(run, prepared)
        if until == "prepare":
            return {}
        work = Work(run, config, source, until, clock, step, fan_out)
        supply = origin.supply(work, prepared)
        if until in ("train", "generate"):
            return {}
        with clock("filter"):
            fitted_scorer = step("fit scorer", fit_scorer, run, config, prepared)
            given = run, config, prepared, fitted_scorer
            repeats = [step("filter", filter_candidates, *given, candidates) for candidates in supply.repeats]
            selected = repeats[0]  # what is chosen, merged and shown
        if until == "filter":
            return {}
        with clock("choose"):
            choices = step("choose", choose, run, config, prepared, selected)
        with clock("merge"):
            step("merge", merge, run, config, source, prepared, selected, choices)
        if until == "merge":
            return {}
        with clock("evaluate"):
            compared = step("evaluate", evaluate, run, config, prepared, fitted_scorer, repeats, choices)
        metrics: dict[str, Any] = jsonable(compared | {"source": origin.describe(work), "seconds": clock.seconds})
        write_json(run.metrics, metrics)
        remember(run, metrics)
        clock.log.write("evaluate", "verdict", verdict=metrics["verdict"], reason=metrics["reason"])
        if until == "evaluate":
            return metrics
        with clock("report"):
            step("report", report, run, config, source, prepared, supply, selected, choices)
        return metrics


def check_names(config: Config) -> None:
    """Raise InputError for what only this machine and the registries know: device, family, its options, classifier,
    weights, policies."""
    require_device(config.device)
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


def require_apart(out: Path, source: Path) -> None:
    """Raise InputError where one of two resolved paths lies in the other: a run would change what it reads."""
    if out == source or out in source.parents or source in out.parents:
        raise InputError(f"--out {out} and the data set {source} lie in one another; choose --out elsewhere.")


def _remember(run: RunFolder, config: Config, source: Path, origin: Origin) -> None:
    """Write what is run, and log how it differs from what this folder ran before."""
    inputs = [str(place.resolve()) for place in origin.inputs]
    _require_same_origin(run, inputs)
    RunLog(run.log).write("run", "start", source=str(source), **({"synthetic": inputs} if inputs else {}))
    text = dump_config(config)
    if run.config.exists() and run.config.read_text(encoding="utf-8") != text:
        changed = [
            f"{line.strip()}"
            for line in text.splitlines()
            if line not in run.config.read_text(encoding="utf-8").splitlines()
        ]
        RunLog(run.log).write("run", "configuration changed", now=changed)
    write_atomically(run.config, text.encode())
    known = {"source": str(source.resolve()), "source_from_out": _from_out(run, source), "synthetic": inputs}
    write_json(run.record, _recorded(run) | known)


def _require_same_origin(run: RunFolder, inputs: list[str]) -> None:
    """A report beside generators or a history of other images would mislead."""
    before = _recorded(run).get("synthetic", inputs)
    if before != inputs and (run.metrics.exists() or (run.out / "generators").exists()):
        held = f"a judgement of {', '.join(before)}" if before else "a run that trains generators of its own"
        raise InputError(f"{run.out} holds {held}; choose another folder with --out.")


def recall_origin(run: RunFolder, *, train: bool = True) -> Origin:
    """Where the candidates of the run in a folder came from; `train` is for generators alone."""
    inputs = _recorded(run).get("synthetic")
    return Foreign(Path(inputs[0])) if inputs else Generators(train)


def _remember_images(run: RunFolder, prepared: Prepared) -> None:
    """Write which images the folder's results come from, whatever path leads to them."""
    images = sorted({short_digest(row) for row in load_pack(prepared.pack).rows})
    write_json(run.record, _recorded(run) | {"images": images})


def _require_same_images(run: RunFolder, config: Config, source: Path) -> None:
    """Raise InputError where the folder holds results of another data set, which the run would replace.

    The same data set is one at the same path, as seen from the root or from the folder, or one that has all images of
    the last run: it was moved, and may have grown.
    """
    known = _recorded(run)
    if str(source.resolve()) == known.get("source") or _from_out(run, source) == known.get("source_from_out"):
        return
    if not run.dataset.exists() and not run.generator("any").parent.exists():
        return  # nothing to be replaced
    images = {str(sha256)[:SHORT] for sha256 in read(source, config).frame["sha256"]}
    if not known.get("images") or not images.issuperset(known["images"]):
        raise InputError(
            f"{run.out} holds the run of another data set, {known.get('source', 'an unknown one')}; that of {source} "
            "would replace it. Choose another folder with --out. If it is the same data set, moved and changed since, "
            f"delete {run.record} and run again."
        )


def _from_out(run: RunFolder, source: Path) -> str:
    """The data set's path as seen from the run's folder: both may be moved together."""
    return Path(os.path.relpath(source.resolve(), run.out.resolve())).as_posix()


def _recorded(run: RunFolder) -> dict[str, Any]:
    return dict(read_json(run.record)) if run.record.exists() else {}


def recall_job(run: RunFolder) -> tuple[Config, Path]:
    """Configuration and data set of the run in a folder; InputError if there is none."""
    if not run.config.exists() or not run.record.exists():
        raise InputError(f"{run.out} holds no run; start one with `ganaug run DATASET --out {run.out}`.")
    return load_config(run.config), Path(_recorded(run)["source"])
