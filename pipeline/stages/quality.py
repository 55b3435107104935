"""The comparison in the numbers of a quality department: misses, false rejects, parts per million, costs, images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from classifiers.bootstrap import Interval, Ints
from classifiers.learning_curve import MOST, worth
from classifiers.quality import Costs, Rates, quality
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.stages.fits import FitJob, run_fits
from pipeline.stages.records import Pack, Prepared
from pipeline.store import RunFolder

GOOD = ("good", "ok", "free", "normal", "none", "pass", "no_defect", "defect_free", "defect-free", "non_defective")
PARTS = (0.25, 0.5)  # of the training images, for the learning curve; the whole is the baseline itself
FEWEST = 4  # training images in the smallest class below which its quarter is none


def good_class(config: Config, classes: Sequence[str]) -> str | None:
    """The class of good parts: `quality.good`, or the one class whose name says so.

    Raises:
        InputError: `quality.good` is no class of the data set.
    """
    asked = config.quality.good
    if asked is not None and asked not in classes:
        raise InputError(f"quality.good = {asked!r} is no class; choose among {', '.join(classes)}, or leave it out.")
    named = [name for name in classes if name.casefold() in GOOD]
    return asked or (named[0] if len(named) == 1 else None)


def quality_numbers(
    config: Config, prepared: Prepared, truth: Ints, groups: Ints, baseline: Ints, augmented: Ints
) -> dict[str, Any]:
    """What `metrics.json` says under `quality`: both arms' rates, what changes, and the agreement between them."""
    q, good = config.quality, good_class(config, prepared.classes)
    label = None if good is None else prepared.classes.index(good)
    stated: dict[str, Any] = {"good": good, "prevalence": q.prevalence}
    if (truth == label).all():
        return stated
    costs = None
    if q.cost_miss is not None and q.cost_false_reject is not None:
        costs = Costs(q.cost_miss, q.cost_false_reject)
        stated["costs"] = {"miss": costs.miss, "false_reject": costs.false_reject}
    found = quality(
        truth, baseline, augmented, groups, classes=len(prepared.classes), good=label, prevalence=q.prevalence,
        costs=costs, resamples=config.evaluate.resamples, seed=config.seed,
    )  # fmt: skip
    return stated | {
        "baseline": _rates(found.before, q.prevalence, prepared.classes),
        "augmented": _rates(found.after, q.prevalence, prepared.classes),
        "change": {
            "miss_rate": estimate(found.miss, "delta"),
            "false_reject_rate": estimate(found.false_reject, "delta"),
            "saved_per_part": estimate(found.saved, "delta"),
        },
        "kappa": found.kappa,
    }


def images_worth(
    run: RunFolder, config: Config, pack: Pack, jobs: Sequence[FitJob], predictions: Ints, augmented: Ints
) -> dict[str, Any] | None:
    """What `metrics.json` says under `worth`; `jobs` are those of the baseline, `predictions` theirs. None: not asked.

    Trains the baseline with parts of its images, every smaller part within the larger.
    """
    train = list(jobs[0].train)
    counts = Counter(pack.labels[train].tolist())
    if not config.quality.learning_curve or min(counts.values()) < FEWEST:
        return None
    parts = [tuple(_part(train, pack, share, config.seed)) for share in PARTS]
    flat = run_fits(run, config, "learning curve", [replace(job, train=part) for part in parts for job in jobs])
    n = len(jobs)
    curve = {len(part) / len(counts): np.stack(flat[i * n : (i + 1) * n]) for i, part in enumerate(parts)}
    curve[len(train) / len(counts)] = predictions
    held_out = list(jobs[0].held_out)
    truth, groups = pack.labels[held_out].numpy(), pack.groups[held_out].numpy()
    found = worth(truth, curve, augmented, groups, resamples=config.evaluate.resamples, seed=config.seed)
    return {
        "images_per_class": estimate(found, "mean"),
        "most": MOST,
        "curve": [
            {"images_per_class": size, "accuracy": float((p == truth).mean())} for size, p in sorted(curve.items())
        ],
    }


def estimate(interval: Interval | None, name: str) -> dict[str, Any] | None:
    """An interval as `metrics.json` has it: its centre under `name`, its ends under `ci95`."""
    return None if interval is None else {name: interval.mean, "ci95": [interval.lo, interval.hi]}


def _rates(rates: Rates, prevalence: float, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "miss_rate": estimate(rates.miss, "mean"),
        "false_reject_rate": estimate(rates.false_reject, "mean"),
        "missed_ppm": estimate(rates.escapes(prevalence), "mean"),
        "false_reject_ppm": estimate(rates.scrap(prevalence), "mean"),
        "missed": _by_name(rates.missed, classes),
    }


def _by_name(missed: Mapping[int, Interval], classes: Sequence[str]) -> dict[str, Any]:
    return {classes[label]: estimate(interval, "mean") for label, interval in missed.items()}


def _part(train: Sequence[int], pack: Pack, share: float, seed: int) -> list[int]:
    """That share of each class's images, at least two; the order in which they are taken is the same for all shares."""
    shuffled = np.random.default_rng(seed).permutation(np.asarray(train)).tolist()
    chosen: list[int] = []
    for label in sorted(set(pack.labels[list(train)].tolist())):
        of_class = [i for i in shuffled if int(pack.labels[i]) == label]
        chosen += of_class[: max(2, round(share * len(of_class)))]
    return sorted(chosen)
