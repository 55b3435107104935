"""Choosing between recipes (augmentation policies above all) by cross-validation on the training images alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from classifiers.crossfit import repeated_folds
from classifiers.training import Recipe, fit, predict


@dataclass(frozen=True)
class Score:
    """Cross-validated balanced accuracy (mean recall over classes) and mean log loss in nats, over all repeats."""

    balanced_accuracy: float
    log_loss: float


@dataclass(frozen=True)
class Choice:
    """The name of the best recipe and every recipe's score."""

    name: str
    scores: dict[str, Score]


def choose(
    images: Tensor,
    labels: Tensor,
    groups: Tensor,
    recipes: Mapping[str, Recipe],
    *,
    classes: int,
    splits: int,
    repeats: int,
    seed: int,
    device: str | torch.device = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Choice:
    """Choose the recipe with the highest balanced accuracy by repeated stratified group k-fold; ties by log loss.

    Images uint8 [N, C, S, S], labels and groups int64 [N]. All recipes meet the same folds and seeds. A class in a
    single group cannot be validated and is left out of the mean. `progress` gets (trainings done, trainings).

    Raises:
        ValueError: no recipe is given, or as `crossfit.folds` and `training.fit`.
    """
    if not recipes:
        raise ValueError("no recipe to choose from; give at least one")
    rounds = repeated_folds(labels.numpy(), groups.numpy(), splits=splits, repeats=repeats, seed=seed)
    seeds = iter(np.random.SeedSequence(seed).spawn(1)[0].generate_state(sum(map(len, rounds))))
    jobs = [(held_out, int(next(seeds))) for made in rounds for held_out in made]
    scores = {}
    for n, (name, recipe) in enumerate(recipes.items()):
        truths, outputs = [], []
        for i, ((train, held), fit_seed) in enumerate(jobs):
            known = torch.from_numpy(train)
            model = fit(images[known], labels[known], recipe, classes=classes, seed=fit_seed, device=device)
            judged = torch.from_numpy(held[np.isin(labels.numpy()[held], labels.numpy()[train])])
            if len(judged):
                truths.append(labels[judged])
                outputs.append(predict(model, images[judged], device=device))
            if progress is not None:
                progress(n * len(jobs) + i + 1, len(recipes) * len(jobs))
        if not truths:
            raise ValueError("no class has two independent images, so nothing can be validated; add images")
        scores[name] = _score(torch.cat(truths), torch.cat(outputs))
    best = max(scores, key=lambda name: (scores[name].balanced_accuracy, -scores[name].log_loss))
    return Choice(best, scores)


def _score(truth: Tensor, probabilities: Tensor) -> Score:
    right = (probabilities.argmax(dim=1) == truth).double()
    recalls = [right[truth == label].mean() for label in set(truth.tolist())]
    likelihood = probabilities[torch.arange(len(truth)), truth].double().clamp_min(1e-12)
    return Score(float(torch.stack(recalls).mean()), float(-likelihood.log().mean()))
