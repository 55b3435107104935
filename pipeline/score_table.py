"""Features of real and generated images, and every score beside that of real against real images."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from classifiers.inception import load_inception
from classifiers.linear import class_probabilities
from classifiers.scattering import Scattering
from ganaug.metrics import (
    Spread,
    disjoint_halves,
    feature_scores,
    feature_scores_over,
    inception_score,
    kernel_distance_subsets,
    matched_sets,
    sliced_wasserstein,
    spread,
)
from pipeline.errors import InputError

SETS, SUBSETS = 20, 100  # random sets that a figure is averaged over; KID is cheap and customarily takes 100
# With fewer images to an axis, PCA keeps what sets each of them apart and loses the same of unseen images, which then
# all seem near to the real ones. 36 of neu-steel: authenticity of images held back 0.32, where real halves have 0.46;
# with 9 axes 0.39 and 0.40.
DIMENSIONS, IMAGES_PER_DIMENSION = 64, 4
PICTURE_SETS, LARGEST_PICTURE_SET = 4, 100
SEED = 0


class Features(NamedTuple):
    """Features of both sides, the extractor's name, and class probabilities with their scorer's where there are any."""

    real: Tensor
    generated: Tensor
    name: str
    classes: tuple[Tensor, Tensor, str] | None  # of real and generated images


def _scattering(real: Tensor, generated: Tensor, labels: Tensor | None, _weights: str) -> Features:
    extractor = Scattering.fit(real, dimensions=min(DIMENSIONS, max(2, len(real) // IMAGES_PER_DIMENSION)))
    ours, theirs = extractor(generated), extractor(real)
    if labels is None:
        return Features(theirs, ours, extractor.name, None)
    held_out, scored = class_probabilities(theirs, labels, ours, seed=SEED)
    return Features(theirs, ours, extractor.name, (held_out, scored, f"logistic regression on {extractor.name}"))


def _inception(real: Tensor, generated: Tensor, _labels: Tensor | None, weights: str) -> Features:
    try:
        network = load_inception(weights)
    except ValueError as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"The weights could not be had ({error}); give --weights the path of a file.") from error
    theirs, ours = network.activations(real), network.activations(generated)
    shares = [one.logits.softmax(dim=1) for one in (theirs, ours)]
    return Features(theirs.pool, ours.pool, network.name, (shares[0], shares[1], network.name))


EXTRACTORS: dict[str, Callable[[Tensor, Tensor, Tensor | None, str], Features]] = {
    "scattering": _scattering,
    "inception": _inception,
}


def measure(found: Features, real: Tensor, generated: Tensor, *, size: int) -> dict[str, dict[str, Any]]:
    """Every score by name: of all images, over sets of `size` from each side, and between such sets of real images.

    `real` and `generated` are uint8 [N, C, S, S] and [M, C, S, S], `size` is from 2 to the smaller of N // 2 and M.
    """
    return {**_of_features(found, size), **_of_pictures(real, generated, size), **_of_classes(found, size)}


def _of_features(found: Features, size: int) -> dict[str, dict[str, Any]]:
    everything = feature_scores(found.generated, found.real)._asdict()
    matched = feature_scores_over(matched_sets(found.generated, found.real, size=size, splits=SETS, seed=SEED))
    matched["kid"] = kernel_distance_subsets(found.generated, found.real, subsets=SUBSETS, size=size, seed=SEED)
    among_real = feature_scores_over(disjoint_halves(found.real, size=size, splits=SETS, seed=SEED))
    return {name: _row(value, matched[name], among_real[name], size, found.name) for name, value in everything.items()}


def _of_pictures(real: Tensor, generated: Tensor, size: int) -> dict[str, dict[str, Any]]:
    """Sorting every patch along every direction takes its time: fewer and smaller sets."""
    size = min(size, LARGEST_PICTURE_SET)

    def over(pairs: Iterable[tuple[Tensor, Tensor]]) -> Spread:
        return spread(torch.tensor([_mean_level(a, b) for a, b in pairs], dtype=torch.float64))

    matched = over(matched_sets(generated, real, size=size, splits=PICTURE_SETS, seed=SEED))
    among_real = over(disjoint_halves(real, size=size, splits=PICTURE_SETS, seed=SEED))
    return {"swd": _row(_mean_level(generated, real), matched, among_real, size, "7 x 7 patches")}


def _mean_level(generated: Tensor, real: Tensor) -> float:
    levels = sliced_wasserstein(generated, real, seed=SEED).values()
    return sum(levels) / len(levels)


def _of_classes(found: Features, size: int) -> dict[str, dict[str, Any]]:
    """Each set's score in one part: with tens of images, the customary ten parts would hold a few each."""
    if found.classes is None:
        return {}
    real, generated, name = found.classes
    pairs = list(matched_sets(generated, real, size=size, splits=SETS, seed=SEED))
    ours, theirs = (
        spread(torch.tensor([inception_score(pair[side], splits=1).mean for pair in pairs], dtype=torch.float64))
        for side in (0, 1)
    )
    return {"inception_score": _row(inception_score(generated, splits=1).mean, ours, theirs, size, name)}


def _row(everything: float, matched: Spread, among_real: Spread, size: int, features: str) -> dict[str, Any]:
    return {
        "all": everything,
        "sets": matched._asdict(),
        "real_vs_real": among_real._asdict(),
        "set_size": size,
        "features": features,
    }
