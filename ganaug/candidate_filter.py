"""The filter of one class: candidates pass a list of checks; rejected ones are counted by reason."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganaug.copies import SLACK, CopyRule, Likeness
from ganaug.metrics import frechet_distance, kernel_distance, matched_distance, nearest, real_against_real, realism
from ganaug.metrics.neighbours import distances
from ganaug.metrics.yardstick import Distance, half_size
from ganaug.refusal import refusal
from ganaug.selection import frechet_subset
from ganaug.symmetries import correlation

ACCEPTED = "accepted"
REASONS = ("broken", "flat", "copy", "duplicate", "low_confidence", "class_refused", "not_selected")
FEW_REAL = 10  # below this many real images, real-against-real varies too much to be a yardstick


@dataclass(frozen=True)
class Remedies:
    """What helps against each way of failing; the defaults are for the images of a generator.

    ``few`` where fewer candidates are there than wanted, ``reasons`` by the reason that takes most of them, ``others``
    for any reason else; ``far`` and ``nearer`` for a class that ``ganaug/refusal.py`` refuses as a whole.
    """

    few: str = "were drawn: raise generate.per_class"
    reasons: Mapping[str, str] = field(
        default_factory=lambda: {
            "copy": "the generator memorised; give more real images, or lower gan.steps",
            "duplicate": "the generator repeats itself; give more real images, or raise generate.per_class",
            "low_confidence": "the class scorer does not recognise them; raise gan.steps, or give more real images",
        }
    )
    others: str = "raise gan.steps, or give more real images"
    far: str = "train longer or add images"
    nearer: str = "check the labels or train longer"


@dataclass(frozen=True)
class FilterOptions:
    """``wanted`` images at most; a candidate needs ``min_confidence`` from the cross-fitted classifier.

    ``flat`` is the share of the lowest real contrast below which an image is flat, ``saturated`` the share of pixels at
    black or white beyond which it is broken (twice the highest real share, where that is more), ``refuse_ratio`` how
    many times real-against-real the class may be away, ``splits`` how many random halves a distance is averaged over.
    """

    wanted: int
    min_confidence: float = 0.2
    copy: CopyRule = field(default_factory=CopyRule)
    flat: float = 0.25
    saturated: float = 0.5
    refuse_ratio: float = 5.0
    splits: int = 20
    remedies: Remedies = field(default_factory=Remedies)


@dataclass(frozen=True)
class ClassCandidates:
    """``images uint8 [M, C, S, S]``, ``features [M, D]``, ``confidence [M]`` in the intended class."""

    images: Tensor
    features: Tensor
    confidence: Tensor


@dataclass(frozen=True)
class RealClass:
    """``images uint8 [N, C, S, S]`` and ``features [N, D]`` of a class's real training images, N at least 1."""

    images: Tensor
    features: Tensor


@dataclass(frozen=True)
class Closeness:
    """Fréchet and kernel distance to the real images, over sets of one size; NaN where there are too few images."""

    fid: float
    kid: float


@dataclass(frozen=True)
class ClassSelection:
    """The reason for each candidate, and the distances of the accepted ones to the real images.

    ``accepted`` int64, sorted; ``reasons`` a word for each candidate; ``counts`` in the order of the filter, accepted
    last, adding up to M. ``nearest_real`` int64 [M] indexes the class's real images (-1: features not finite), with
    ``nearest_distance`` and ``realism`` float64 [M] (NaN: not measurable). The distances ``closeness`` (accepted),
    ``unfiltered`` and ``real_vs_real`` are averages over random sets of ``size`` images on each side, so that they can
    be held against each other; those of accepted images are flattered by having been chosen for it.
    """

    accepted: Tensor
    reasons: tuple[str, ...]
    counts: dict[str, int]
    nearest_real: Tensor
    nearest_distance: Tensor
    realism: Tensor
    closeness: Closeness
    unfiltered: Closeness
    real_vs_real: Closeness
    size: int
    refused: str | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Case:
    """Everything a check may look at."""

    candidates: ClassCandidates
    real: RealClass
    others: Sequence[RealClass]
    options: FilterOptions
    likeness: tuple[Likeness, ...]  # of the class, then of the others: each class has thresholds of its own


_Check = Callable[[_Case, Tensor], Tensor]  # candidates still in, int64 [k] -> which of them fall, bool [k]


def _unmeasurable(case: _Case, rows: Tensor) -> Tensor:
    return ~(case.candidates.features[rows].isfinite().all(1) & case.candidates.confidence[rows].isfinite())


def _flat(case: _Case, rows: Tensor) -> Tensor:
    found = _contrast(case.candidates.images[rows])
    return (found < case.options.flat * _contrast(case.real.images).min()) | (found == 0)


def _saturated(case: _Case, rows: Tensor) -> Tensor:
    limit = max(case.options.saturated, 2 * _extreme_share(case.real.images).max().item())
    return _extreme_share(case.candidates.images[rows]) > limit


def _copy(case: _Case, rows: Tensor) -> Tensor:
    fallen = torch.zeros(len(rows), dtype=torch.bool)
    for known, likeness in zip((case.real, *case.others), case.likeness, strict=True):
        correlations = correlation(case.candidates.images[rows], known.images, slack=SLACK)
        feature_distances = distances(case.candidates.features[rows], known.features)
        fallen |= case.options.copy.copies(correlations, feature_distances, likeness).any(1)
    return fallen


def _duplicate(case: _Case, rows: Tensor) -> Tensor:
    """Of candidates that repeat each other keep the most confident; shifted ones are left to the features."""
    images, features = case.candidates.images[rows], case.candidates.features[rows]
    same = case.options.copy.repeats(correlation(images, images), distances(features, features), case.likeness[0])
    fallen = torch.zeros(len(rows), dtype=torch.bool)
    same.fill_diagonal_(False)
    for row in case.candidates.confidence[rows].argsort(descending=True, stable=True):
        if not fallen[row]:
            fallen |= same[row]
    return fallen


def _low_confidence(case: _Case, rows: Tensor) -> Tensor:
    return case.candidates.confidence[rows] < case.options.min_confidence


CHECKS: tuple[tuple[str, _Check], ...] = (
    ("broken", _unmeasurable),
    ("flat", _flat),
    ("broken", _saturated),
    ("copy", _copy),
    ("duplicate", _duplicate),
    ("low_confidence", _low_confidence),
)
"""The checks of single images, in order; then the class is refused as a whole, or its best subset is chosen."""


def filter_class(
    candidates: ClassCandidates,
    real: RealClass,
    options: FilterOptions,
    *,
    others: Sequence[RealClass] = (),
    seed: int,
) -> ClassSelection:
    """Filter the candidates of one class; ``others`` are the real training images of the other classes.

    Copies are searched in every class; distances to the other classes set the scale (``ganaug/refusal.py``). Nothing is
    changed in place, so the unfiltered candidates stay available. Raises ``ValueError`` where the sizes do not fit.
    """
    _check_sizes(candidates, real, options.wanted)
    likeness = tuple(options.copy.likeness(known.images, known.features) for known in (real, *others))
    case = _Case(candidates, real, others, options, likeness)
    reasons = [ACCEPTED] * len(candidates.images)
    rows = torch.arange(len(candidates.images))
    for reason, check in CHECKS:
        rows = _drop(rows, check(case, rows), reason, reasons)

    why = refusal(
        candidates.features[rows],
        real.features,
        [other.features for other in others],
        ratio=options.refuse_ratio,
        splits=options.splits,
        seed=seed,
        far=options.remedies.far,
        nearer=options.remedies.nearer,
    )
    if why is not None:
        rows = _drop(rows, torch.ones(len(rows), dtype=torch.bool), "class_refused", reasons)
    chosen = _choose(candidates.features[rows], real.features, options.wanted, seed=seed)
    rows = _drop(rows, ~chosen, "not_selected", reasons)
    return _describe(case, rows, reasons, why, seed=seed)


def _drop(rows: Tensor, fallen: Tensor, reason: str, reasons: list[str]) -> Tensor:
    for row in rows[fallen].tolist():
        reasons[row] = reason
    return rows[~fallen]


def _choose(features: Tensor, real: Tensor, wanted: int, *, seed: int) -> Tensor:
    """Mark the wanted subset, bool [k]; with a single real image there is no covariance to match, so any will do."""
    chosen = torch.zeros(len(features), dtype=torch.bool)
    size = min(wanted, len(features))
    if len(real) >= 2:
        chosen[frechet_subset(features, real, size, seed=seed)] = True
    else:
        chosen[torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))[:size]] = True
    return chosen


def _describe(case: _Case, rows: Tensor, reasons: list[str], why: str | None, *, seed: int) -> ClassSelection:
    features, real = case.candidates.features, case.real.features
    finite = features.isfinite().all(1)
    index = torch.full((len(features),), -1, dtype=torch.int64)
    feature_distances = torch.full((len(features),), math.nan, dtype=torch.float64)
    real_like = feature_distances.clone()
    feature_distances[finite], index[finite] = nearest(features[finite], real)
    if len(real) >= 2:
        real_like[finite] = realism(features[finite], real)

    size = half_size(len(real), len(rows) or int(finite.sum()))

    def against_real(generated: Tensor) -> Closeness:
        def average(distance: Distance) -> float:
            if size < 2 or len(generated) < size:
                return math.nan
            return matched_distance(
                generated, real, distance=distance, splits=case.options.splits, seed=seed, size=size
            )

        return Closeness(average(frechet_distance), average(kernel_distance))

    def among_real(distance: Distance) -> float:
        if size < 2:
            return math.nan
        return real_against_real(real, distance=distance, splits=case.options.splits, seed=seed, size=size)

    counts = {reason: reasons.count(reason) for reason in (*REASONS, ACCEPTED)}
    return ClassSelection(
        accepted=rows,
        reasons=tuple(reasons),
        counts=counts,
        nearest_real=index,
        nearest_distance=feature_distances,
        realism=real_like,
        closeness=against_real(features[rows]),
        unfiltered=against_real(features[finite]),
        real_vs_real=Closeness(among_real(frechet_distance), among_real(kernel_distance)),
        size=size,
        refused=why,
        warnings=tuple(_warnings(len(real), counts, 0 if why else case.options.wanted, size, case.options.remedies)),
    )


def _warnings(real: int, counts: dict[str, int], wanted: int, size: int, remedies: Remedies) -> list[str]:
    accepted = counts[ACCEPTED]
    found = []
    if size < 2:
        found.append(
            f"FID and KID are not measured: {real} real and {accepted} accepted images; 4 and 2 are the least."
        )
    elif real < FEW_REAL:
        found.append(
            f"FID and KID rest on {real} real images, in sets of {size}: read them as rough. {FEW_REAL} are better."
        )
    if accepted < wanted:
        found.append(f"{accepted} of the {wanted} wanted images passed. {_shortfall(counts, wanted, remedies)}")
    return found


def _shortfall(counts: dict[str, int], wanted: int, remedies: Remedies) -> str:
    """Why fewer than wanted passed: too few were there, too many fell, or both."""
    there, said = sum(counts.values()), []
    if there < wanted:
        said.append(f"Only {there} {remedies.few}.")
    if fallen := there - counts[ACCEPTED]:
        worst = max(REASONS, key=counts.__getitem__)
        remedy = remedies.reasons.get(worst, remedies.others)
        said.append(f"{fallen} fell, most often as {worst.replace('_', ' ')}: {remedy}.")
    return " ".join(said)


def _contrast(images: Tensor) -> Tensor:
    """Standard deviation over the pixels, averaged over the channels, in grey levels: ``float32 [N]``."""
    pixels = images.float().flatten(2)
    return (pixels - pixels.mean(dim=2, keepdim=True)).square().mean(dim=2).sqrt().mean(dim=1)


def _extreme_share(images: Tensor) -> Tensor:
    return ((images == 0) | (images == 255)).flatten(1).float().mean(dim=1)


def _check_sizes(candidates: ClassCandidates, real: RealClass, wanted: int) -> None:
    if wanted < 0:
        raise ValueError(f"{wanted} images are wanted; ask for 0 or more.")
    counts = {len(candidates.images), len(candidates.features), len(candidates.confidence)}
    if len(counts) > 1:
        raise ValueError(f"Candidates come as images, features and confidences in unequal numbers: {sorted(counts)}.")
    if len(real.images) != len(real.features) or len(real.images) == 0:
        raise ValueError(
            f"{len(real.images)} real images with {len(real.features)} rows of features; give one row each, at least 1."
        )
