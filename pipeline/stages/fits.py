"""One classifier fit as a job: what it trains on, what it predicts. Every arm, fold and seed is one of these."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from classifiers.bootstrap import Floats
from classifiers.fitting import Recipe, fit, predict, steps_for
from pipeline.config import Config
from pipeline.log import progress
from pipeline.stages.records import load_images, load_pack
from pipeline.store import RunFolder, cached_tensors, digest, file_digest
from pipeline.workers import resolve_device, resolve_precision, run_jobs, workers

KEPT, MODEL = "-kept.safetensors", "model/"  # ending of a file that holds the classifier too; prefix of its weights


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
    """A job, the file of its probabilities, and whether its classifier is kept.

    A classifier that was kept serves those too who need its probabilities alone.
    """

    file: Path
    job: FitJob
    keep: bool

    @property
    def kept(self) -> Path:
        return self.file.with_name(self.file.stem + KEPT)

    @property
    def is_done(self) -> bool:
        return self.kept.exists() or (self.file.exists() and not self.keep)


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
) -> list[Floats]:
    """Probabilities [held out, K] of every job, in the order of `held_out`; fits in the store are not repeated.

    Of the jobs in `keep` the trained classifier is stored too, for `kept_weights`.
    """
    tasks = [Task(fit_file(run, job), job, job in keep) for job in jobs]
    missing = list({task.file: task for task in tasks if not task.is_done}.values())
    with progress(f"{stage}: training classifiers", len(missing)) as bar:
        run_jobs(_fit, missing, processes=workers(config), done=lambda: bar.advance(1, "classifiers"))
    return [_fit(task).double().numpy() for task in tasks]


def fit_file(run: RunFolder, job: FitJob) -> Path:
    """Where the probabilities of a job are stored; with the classifier, if that is kept, the name ends in KEPT."""
    return run.store / "fits" / f"{digest(*_identity(job), code=__name__)[:32]}.safetensors"


def kept_weights(run: RunFolder, job: FitJob) -> dict[str, Tensor]:
    """Weights of a job's classifier; trained where they are not stored."""
    task = Task(fit_file(run, job), job, keep=True)
    tensors, _ = cached_tensors(task.kept, partial(_trained, task))
    return {key.removeprefix(MODEL): tensor for key, tensor in tensors.items() if key.startswith(MODEL)}


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


def _fit(task: Task) -> Tensor:
    """Probabilities of a job, from the store, or trained for and stored."""
    file = task.kept if task.keep or task.kept.exists() else task.file
    tensors, _ = cached_tensors(file, partial(_trained, task))
    return tensors["probabilities"]


def _trained(task: Task) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train and predict: float32 [held out, K] probabilities, and the classifier's weights if it is kept."""
    job = task.job
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
    weights = {MODEL + key: value for key, value in model.state_dict().items()} if task.keep else {}
    return {"probabilities": predict(model, pack.images[held_out], device=job.device)} | weights, {}
