"""What a gain is worth in labelled images: the baseline's learning curve on parts of its training images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from classifiers.bootstrap import Ints
from classifiers.endpoint import Endpoint
from classifiers.learning_curve import MOST, worth
from pipeline.config import Config
from pipeline.stages.fits import FitJob, run_fits
from pipeline.stages.held_out import decision_rules
from pipeline.stages.inspection_comparison import estimate
from pipeline.stages.records import Pack
from pipeline.store import RunFolder

PARTS = (0.25, 0.5)  # of the training images, for the learning curve; the whole is the baseline itself
FEWEST = 8  # training images in the smallest class, so that its parts are 2 and 4


def images_worth(
    run: RunFolder,
    config: Config,
    pack: Pack,
    jobs: Sequence[FitJob],
    held_out: Sequence[FitJob],
    predictions: Ints,
    augmented: Ints,
    endpoint: Endpoint,
) -> dict[str, Any] | None:
    """What `metrics.json` says under `worth`; None: not asked, or too few images.

    `jobs` are those of the baseline, `predictions` their answers, `held_out` its classifiers on held-out images. Trains
    the baseline with parts of its images, every smaller part within the larger, and other ones for each seed, so that
    the interval covers which images a part happens to hold.
    """
    train = list(jobs[0].train)
    counts = Counter(pack.labels[train].tolist())
    if not config.inspection.learning_curve or min(counts.values()) < FEWEST:
        return None
    less = {share: _with_part(jobs, pack, share) for share in PARTS}
    rules = decision_rules(run, config, pack, {share: _with_part(held_out, pack, share) for share in PARTS}, endpoint)
    fitted = iter(run_fits(run, config, "learning curve", [job for of in less.values() for job in of]))
    curve = {len(of[0].train): rules[share].answers([next(fitted) for _ in of]) for share, of in less.items()}
    curve[len(train)] = predictions
    test = list(jobs[0].held_out)
    truth, groups = pack.labels[test].numpy(), pack.groups[test].numpy()
    found = worth(truth, curve, augmented, groups, endpoint, resamples=config.evaluate.resamples, seed=config.seed)
    equal = len(set(counts.values())) == 1
    return {
        "share": estimate(found, "mean"),
        "most": MOST,
        "images_per_class": counts[int(pack.labels[train[0]])] if equal else None,
        "curve": [
            {
                "images": size,
                "accuracy": float((p == truth).mean()),
                endpoint.name: endpoint.figure(endpoint.score(truth, p)),
            }
            for size, p in sorted(curve.items())
        ],
    }


def _with_part(jobs: Sequence[FitJob], pack: Pack, share: float) -> list[FitJob]:
    return [replace(job, train=part_of(job.train, pack, share, job.seed)) for job in jobs]


def part_of(train: Sequence[int], pack: Pack, share: float, seed: int) -> tuple[int, ...]:
    """That share of each class's images, at least two, whole groups first; smaller shares lie within larger ones."""
    rank = np.random.default_rng(seed).permutation(int(pack.groups.max()) + 1)
    chosen: list[int] = []
    for label in sorted(set(pack.labels[list(train)].tolist())):
        of_class = [i for i in train if int(pack.labels[i]) == label]
        of_class.sort(key=lambda i: (rank[int(pack.groups[i])], i))
        chosen += of_class[: max(2, round(share * len(of_class)))]
    return tuple(sorted(chosen))
