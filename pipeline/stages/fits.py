"""One classifier fit as a job: what it trains on, what it predicts. Every arm, fold and seed is one of these."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classifiers.fitting import Recipe, fit, predict, steps_for
from pipeline.config import Config
from pipeline.log import progress
from pipeline.stages.records import load_images, load_pack
from pipeline.store import RunFolder, cached_json, cached_tensors, digest, file_digest
from pipeline.workers import resolve_device, resolve_precision, run_jobs, workers

Ints = NDArray[np.int64]
WEIGHTS, MODEL = ".safetensors", "model/"


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


class Task(NamedTuple):
    """A job, the file of its predicted labels, and whether its classifier is kept.

    A classifier that was kept serves those too who need its labels alone.
    """

    file: Path
    job: FitJob
    keep: bool

    @property
    def weights(self) -> Path:
        return self.file.with_suffix(WEIGHTS)

    @property
    def is_done(self) -> bool:
        return self.weights.exists() or (self.file.exists() and not self.keep)


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


def run_fits(
    run: RunFolder, config: Config, stage: str, jobs: Sequence[FitJob], *, keep: Collection[FitJob] = ()
) -> list[Ints]:
    """Predicted labels of every job's held-out images; fits that are in the store are not repeated.

    Of the jobs in `keep` the trained classifier and its probabilities are stored too, for `kept_fit`.
    """
    tasks = [Task(fit_file(run, job), job, job in keep) for job in jobs]
    missing = list({task.file: task for task in tasks if not task.is_done}.values())
    with progress(f"{stage}: training classifiers", len(missing)) as bar:
        run_jobs(_labels, missing, processes=workers(config), done=lambda: bar.advance(1, "classifiers"))
    return [np.asarray(_labels(task), np.int64) for task in tasks]


def fit_file(run: RunFolder, job: FitJob) -> Path:
    """Where the predicted labels of a job are stored; a classifier that is kept lies beside, as .safetensors."""
    return run.store / "fits" / f"{digest(*_identity(job), code=__name__)[:32]}.json"


def fit_job(job: FitJob) -> tuple[nn.Module, Tensor]:
    """Train and predict: the classifier, and float32 [held out, K] probabilities in the order of `held_out`."""
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
    return model, predict(model, pack.images[held_out], device=job.device)


def kept_fit(run: RunFolder, job: FitJob) -> tuple[dict[str, Tensor], Tensor]:
    """Weights of a job's classifier, and its probabilities float32 [held out, K]; trained where they are not stored."""
    tensors, _ = cached_tensors(fit_file(run, job).with_suffix(WEIGHTS), partial(_with_weights, job))
    weights = {key.removeprefix(MODEL): tensor for key, tensor in tensors.items() if key.startswith(MODEL)}
    return weights, tensors["probabilities"]


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


def _labels(task: Task) -> list[int]:
    """Predicted labels of a job, from the store, or trained for and stored."""
    if task.keep or task.weights.exists():
        tensors, _ = cached_tensors(task.weights, partial(_with_weights, task.job))
        return _likeliest(tensors["probabilities"])
    labels: list[int] = cached_json(task.file, lambda: _likeliest(fit_job(task.job)[1]))
    return labels


def _with_weights(job: FitJob) -> tuple[dict[str, Tensor], dict[str, Any]]:
    model, probabilities = fit_job(job)
    return {"probabilities": probabilities} | {MODEL + key: value for key, value in model.state_dict().items()}, {}


def _likeliest(probabilities: Tensor) -> list[int]:
    labels: list[int] = probabilities.argmax(1).tolist()
    return labels
