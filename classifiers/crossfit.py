"""Cross-fitting: every image is scored by a model that was trained on neither it nor its near-duplicates."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor, nn

from classifiers.architectures import build_model
from classifiers.fitting import Recipe, fit, predict

Indices = NDArray[np.int64]
Fold = tuple[Indices, Indices]  # (indices trained on, indices held out)


def folds(labels: ArrayLike, groups: ArrayLike, *, splits: int, seed: int) -> list[Fold]:
    """Stratified folds that keep each group whole: every image is held out exactly once.

    There are at most as many folds as groups, and as images in the largest class. A class with fewer groups than folds
    is held out in some folds only; one with a single group is unknown to the model that scores it, so its held-out
    probabilities are near 0 and are no evidence about its labels.

    Raises:
        ValueError: fewer than two splits or groups, or labels and groups that differ in length.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    if labels.ndim != 1 or labels.shape != groups.shape:
        raise ValueError(f"labels and groups must be [N] alike, got {list(labels.shape)} and {list(groups.shape)}")
    count = min(splits, len(np.unique(groups)))
    if count < 2:
        raise ValueError(
            f"cross-fitting needs at least two folds, got {splits} splits of {len(np.unique(groups))} groups; "
            "add images that are not near-duplicates of one another"
        )
    largest = int(np.unique(labels, return_counts=True)[1].max())
    if largest < 2:
        labels = np.zeros_like(labels)  # one image a class: nothing to stratify by
    else:
        count = min(count, largest)  # scikit-learn's bound
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of small classes: handled as documented above
        return [(train, held) for train, held in splitter.split(labels, labels, groups) if len(held)]


def repeated_folds(labels: ArrayLike, groups: ArrayLike, *, splits: int, repeats: int, seed: int) -> list[list[Fold]]:
    """`repeats` independent sets of folds, for choosing on few images, where one validation split is mostly noise."""
    seeds = np.random.SeedSequence(seed).generate_state(repeats)
    return [folds(labels, groups, splits=splits, seed=int(s)) for s in seeds]


@dataclass(frozen=True)
class CrossFit:
    """One model a fold, the out-of-fold probabilities float32 [N, K], and which fold held each image out, int64 [N]."""

    models: list[nn.Module]
    probabilities: Tensor
    fold: Tensor
    recipe: Recipe
    channels: int

    def score(self, images: Tensor, *, device: str | torch.device = "cpu") -> Tensor:
        """Mean probabilities over the fold models for images none of them saw: uint8 [M, C, S, S] -> float32 [M, K]."""
        return torch.stack([predict(model, images, device=device) for model in self.models]).mean(dim=0)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything needed to restore it: tensors by name, and a description that JSON can hold."""
        tensors = {"probabilities": self.probabilities, "fold": self.fold}
        for i, model in enumerate(self.models):
            tensors |= {f"models.{i}.{key}": value.contiguous() for key, value in model.state_dict().items()}
        description = {"recipe": asdict(self.recipe), "channels": self.channels, "models": len(self.models)}
        return tensors, description

    @classmethod
    def from_state(cls, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> Self:
        """Restore what `state` gave; raises ValueError when a tensor is missing or of another shape."""
        recipe, channels = Recipe(**description["recipe"]), int(description["channels"])
        missing = {"probabilities", "fold"} - tensors.keys()
        if missing:
            raise ValueError(f"stored cross-fit lacks {', '.join(sorted(missing))}; delete it and run again")
        models = []
        for i in range(int(description["models"])):
            with torch.random.fork_rng(devices=[]):
                model = build_model(recipe.model, classes=tensors["probabilities"].shape[1], channels=channels)
            prefix = f"models.{i}."
            weights = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            try:
                model.load_state_dict(weights)
            except RuntimeError as error:
                raise ValueError(f"stored cross-fit does not fit {recipe.model}; delete it and run again") from error
            models.append(model.to(memory_format=torch.channels_last).eval())
        return cls(models, tensors["probabilities"], tensors["fold"], recipe, channels)


def cross_fit(
    images: Tensor,
    labels: Tensor,
    groups: Tensor,
    recipe: Recipe,
    *,
    classes: int,
    splits: int,
    seed: int,
    device: str | torch.device = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> CrossFit:
    """Train one model a fold of `folds` and predict what it held out.

    Images uint8 [N, C, S, S], labels and groups int64 [N]. `progress` is called with (folds done, folds).

    Raises:
        ValueError: as `folds` and `fitting.fit`.
    """
    made = folds(labels.numpy(), groups.numpy(), splits=splits, seed=seed)
    models = []
    probabilities, fold = torch.zeros(len(images), classes), torch.zeros(len(images), dtype=torch.int64)
    seeds = np.random.SeedSequence(seed).generate_state(len(made))
    for i, (train, held) in enumerate((torch.from_numpy(a), torch.from_numpy(b)) for a, b in made):
        model = fit(images[train], labels[train], recipe, classes=classes, seed=int(seeds[i]), device=device)
        probabilities[held], fold[held] = predict(model, images[held], device=device), i
        models.append(model.cpu())
        if progress is not None:
            progress(i + 1, len(made))
    return CrossFit(models, probabilities, fold, recipe, images.shape[1])
