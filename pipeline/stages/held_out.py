"""Images that a classifier was not trained on, test images aside: what choices and decision rules rest on.

They are the validation images, or, for want of those, the training images in turn (repeated stratified k-fold). Costs
take good parts and defects: where the validation images have but a few, the training images serve instead.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from classifiers.bootstrap import Ints
from classifiers.crossfit import repeated_folds
from classifiers.decision_rule import LIKELIEST, DecisionRule, decision_rule
from classifiers.endpoint import Endpoint
from pipeline.config import Config
from pipeline.stages.arms import Option, fit_of
from pipeline.stages.fits import FitJob, run_fits
from pipeline.stages.inspection_comparison import endpoint_of
from pipeline.stages.records import Pack, Prepared, Selected
from pipeline.store import RunFolder

Key = TypeVar("Key")
FEWEST = 10  # good parts, and defects, among validation images that costs are told by


class Split(NamedTuple):
    """Images of the pack to train on, those held out, and the seed of the training."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]
    seed: int


def held_out_splits(config: Config, prepared: Prepared, pack: Pack) -> list[Split]:
    """`evaluate.repeats` times `evaluate.folds` splits; those of a repeat hold out every image once."""
    e, train = config.evaluate, pack.of("train").numpy()
    if not cross_validated(config, prepared, pack):
        held_out = tuple(pack.of("val").tolist())
        return [Split(tuple(train.tolist()), held_out, config.seed * 1000 + i) for i in range(e.folds * e.repeats)]
    made = repeated_folds(
        pack.labels[train].numpy(), pack.groups[train].numpy(), splits=e.folds, repeats=e.repeats, seed=config.seed
    )
    flat = [fold for repeat in made for fold in repeat]
    return [
        Split(tuple(train[a].tolist()), tuple(train[b].tolist()), config.seed * 1000 + i)
        for i, (a, b) in enumerate(flat)
    ]


def cross_validated(config: Config, prepared: Prepared, pack: Pack) -> bool:
    """Whether the training images are held out in turn, for want of validation images that suffice."""
    if prepared.cross_validated:
        return True
    truth = pack.labels[pack.of("val")].numpy()
    good = endpoint_of(config, prepared.classes, truth).good
    return good is not None and min((truth == good).sum(), (truth != good).sum()) < FEWEST


def truth_of(pack: Pack, splits: Sequence[Split]) -> Ints:
    """Labels of the images held out, split by split: int64 [N]."""
    labels: Ints = pack.labels[[i for split in splits for i in split.held_out]].numpy()
    return labels


def held_out_fits(
    config: Config, prepared: Prepared, selected: Sequence[Selected], option: Option, splits: Sequence[Split]
) -> list[FitJob]:
    """The classifier of an option on every split."""
    return [fit_of(config, prepared, selected, option, *split) for split in splits]


def decision_rules(
    run: RunFolder, config: Config, pack: Pack, fits: Mapping[Key, Sequence[FitJob]], endpoint: Endpoint
) -> dict[Key, DecisionRule]:
    """How classifiers answer, by name: `fits` are such classifiers on the same splits, `held_out_fits`.

    They are trained only where costs are stated; `choose` has trained most of them then.
    """
    if endpoint.good is None:
        return dict.fromkeys(fits, LIKELIEST)
    fitted = iter(run_fits(run, config, "weighing costs", [job for of in fits.values() for job in of]))
    rules = {}
    for name, jobs in fits.items():
        truth = pack.labels[[i for job in jobs for i in job.held_out]].numpy()
        rules[name] = decision_rule(endpoint, np.concatenate([next(fitted) for _ in jobs]), truth)
    return rules
