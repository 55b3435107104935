"""One classifier fit as a job: what it trains on, what it predicts. Every arm, fold and seed is one of these."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from classifiers.bootstrap import Ints
from classifiers.fitting import Recipe, fit, predict, steps_for
from pipeline.config import Config
from pipeline.log import progress
from pipeline.stages.records import load_images, load_pack
from pipeline.store import RunFolder, cached_json, digest, file_digest
from pipeline.workers import resolve_device, resolve_precision, run_jobs, workers


@dataclass(frozen=True)
class SyntheticPart:
    """Images `indices` of the candidates in `file`, labelled `label`."""

    file: str
    indices: tuple[int, ...]
    label: int


@dataclass(frozen=True)
class FitJob:
    """Train on the pack's images `train` (and the synthetic parts), predict its images `held_out`."""

    pack: str
    train: tuple[int, ...]
    held_out: tuple[int, ...]
    synthetic: tuple[SyntheticPart, ...]
    recipe: Recipe
    classes: int
    seed: int
    device: str


def recipe_for(config: Config, n_train: int, *, policy: str = "none", balanced: bool = False) -> Recipe:
    """The configured classifier under an augmentation policy; where `evaluate.steps` is empty, `n_train` decides."""
    e, precision = config.evaluate, resolve_precision(config)
    steps = steps_for(n_train) if e.steps is None else e.steps
    return Recipe(e.model, e.weights, steps, e.batch, policy=policy, balanced=balanced, precision=precision)


def identity_of(recipe: Recipe) -> dict[str, object]:
    """What a recipe means to a digest: a file of weights counts by its content, not by its name."""
    path = Path(recipe.weights)
    weights = file_digest(path) if path.is_file() else recipe.weights
    return asdict(recipe) | {"weights": weights}


def run_fits(run: RunFolder, config: Config, stage: str, jobs: Sequence[FitJob]) -> list[Ints]:
    """Predicted labels of every job's held-out images; fits that are in the store are not repeated."""
    files = [run.store / "fits" / f"{digest(*_identity(job))[:32]}.json" for job in jobs]
    missing = {file: job for file, job in zip(files, jobs, strict=True) if not file.exists()}
    with progress(f"{stage}: training classifiers", len(missing)) as bar:
        run_jobs(
            _fit_into, list(missing.items()), processes=workers(config), done=lambda: bar.advance(1, "classifiers")
        )
    stored = (cached_json(file, partial(fit_job, job)) for file, job in zip(files, jobs, strict=True))
    return [np.asarray(predicted, np.int64) for predicted in stored]


def fit_job(job: FitJob) -> list[int]:
    """Train and predict; int labels in the order of `held_out`."""
    pack = load_pack(job.pack)
    train, held_out = torch.tensor(job.train), torch.tensor(job.held_out)
    model = fit(
        pack.images[train],
        pack.labels[train],
        job.recipe,
        classes=job.classes,
        seed=job.seed,
        synthetic=_synthetic(job.synthetic),
        device=job.device,
    )
    predicted: list[int] = predict(model, pack.images[held_out], device=job.device).argmax(1).tolist()
    return predicted


def device_of(config: Config) -> str:
    """Where classifiers train."""
    return resolve_device(config.device)


def _synthetic(parts: Sequence[SyntheticPart]) -> tuple[Tensor, Tensor] | None:
    parts = [part for part in parts if part.indices]
    if not parts:
        return None
    images = torch.cat([load_images(part.file)[list(part.indices)] for part in parts])
    labels = torch.cat([torch.full((len(part.indices),), part.label) for part in parts])
    return images, labels


def _identity(job: FitJob) -> tuple[object, ...]:
    """What the result depends on: store files are named by their content's digest, so names stand for contents."""
    synthetic = [(Path(part.file).name, part.indices, part.label) for part in job.synthetic if part.indices]
    return (
        Path(job.pack).name,
        job.train,
        job.held_out,
        synthetic,
        identity_of(job.recipe),
        job.classes,
        job.seed,
        job.device,
    )


def _fit_into(item: tuple[Path, FitJob]) -> None:
    file, job = item
    cached_json(file, partial(fit_job, job))
