"""Choose policy, ratio and the two arms to compare, on training and validation images alone.

With few images a class the choice is by repeated stratified k-fold on the training images; best is by the endpoint, as
in the verdict. The generator has seen all of those images, so a synthetic image takes part in a fold only if its
nearest real image is among the fold's training images: otherwise the folds would favour whatever copies most. They
still flatter synthetic images a little, so the policy is the one that is best without: arms that are compared differ in
their images alone. Where costs are stated and the held-out images lack good parts or defects, no cost can be told, and
balanced accuracy chooses. Ratios hardly differ (`benchmarks/neu-steel.md`: ten candidates a class give most of what
there is), so the first folds decide between them.
"""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TypeVar

import numpy as np

from classifiers.bootstrap import Ints
from classifiers.crossfit import repeated_folds
from classifiers.endpoint import Endpoint, balanced_accuracy
from classifiers.policies import POLICIES
from pipeline.config import MERGEABLE, REAL_ARMS, Config
from pipeline.errors import InputError
from pipeline.stages.arms import Option, arms, fit_of
from pipeline.stages.fits import FitJob, run_fits
from pipeline.stages.inspection_comparison import endpoint_of
from pipeline.stages.records import Choices, Pack, Prepared, Selected, load_pack
from pipeline.store import RunFolder

Split = tuple[tuple[int, ...], tuple[int, ...], int]  # train, held out, seed
Name = TypeVar("Name", bound=str)
FINALISTS = 3  # policies, the best by the first folds, that all folds decide between


def policies(config: Config) -> tuple[str, ...]:
    """The policies to choose from; `none` is the arm `real`, so it is among them only where there is no other."""
    chosen = config.evaluate.policies or tuple(POLICIES)
    unknown = [name for name in chosen if name not in POLICIES]
    if unknown:
        raise InputError(f"evaluate.policies names {unknown[0]!r}; choose among {', '.join(POLICIES)}.")
    return tuple(name for name in chosen if name != "none") or ("none",)


def choose(run: RunFolder, config: Config, prepared: Prepared, selected: Sequence[Selected]) -> Choices:
    """Score the options and choose; see the module for how. Where there is one option only, nothing is trained."""
    pack = load_pack(prepared.pack)
    splits = _splits(config, prepared, pack)
    first = splits[: len(splits) // config.evaluate.repeats]
    endpoint = _endpoint(config, prepared, pack, splits)
    scores: dict[str, dict[str, float]] = {"policy": {}, "sampling": {}, "ratio": {}, "arm": {}}

    def best(
        kind: str, options: Mapping[Name, Option], splits: Sequence[Split] = splits, *, most: int = 1
    ) -> list[Name]:
        """The `most` best by the endpoint over the held-out images of all splits, of equals the first."""
        if len(options) <= most:
            return list(options)
        jobs = [fit_of(config, prepared, selected, option, *split) for option in options.values() for split in splits]
        predicted, per = run_fits(run, config, f"choose {kind}", jobs), len(splits)
        truth = np.concatenate([_truth(pack, job) for job in jobs[:per]])
        found = dict[Name, float]()
        for i, name in enumerate(options):
            found[name] = endpoint.score(truth, np.concatenate(predicted[i * per : (i + 1) * per]))
            scores[kind][name] = endpoint.figure(found[name])
        return sorted(options, key=found.__getitem__, reverse=True)[:most]

    finalists = best("policy", {name: Option(name) for name in policies(config)}, first, most=FINALISTS)
    if first != splits:
        scores["policy"] = {}  # only scores over the same folds can be compared
    (policy,) = best("policy", {name: Option(name) for name in finalists})
    samplings = {"as they come": Option(policy)}
    if len(set(prepared.counts["train"].values())) > 1:
        samplings["equally often"] = Option(policy, balanced=True)
    (sampling,) = best("sampling", samplings)
    balanced = samplings[sampling].balanced
    ratios = {str(ratio): Option(policy, ratio, balanced) for ratio in sorted(set(config.evaluate.ratios))}
    (ratio,) = best("ratio", ratios, first)
    options = arms(policy, int(ratio), balanced=balanced)
    (baseline,) = best("arm", {arm: options[arm] for arm in config.evaluate.arms if arm in REAL_ARMS})
    (augmented,) = best("arm", {arm: options[arm] for arm in config.evaluate.arms if arm in MERGEABLE})
    method = _method(config, prepared, endpoint, balanced=balanced)
    return Choices(policy, balanced, int(ratio), baseline, augmented, scores, method, endpoint.name)


def _endpoint(config: Config, prepared: Prepared, pack: Pack, splits: Sequence[Split]) -> Endpoint:
    """The verdict's endpoint; balanced accuracy where it cannot be told of the held-out images of the splits."""
    truth = pack.labels[[i for _, held_out, _ in splits for i in held_out]].numpy()
    endpoint = endpoint_of(config, prepared.classes, truth)
    known = not isnan(endpoint.score(truth, truth))
    return endpoint if known else balanced_accuracy(truth, len(prepared.classes))


def _method(config: Config, prepared: Prepared, endpoint: Endpoint, *, balanced: bool) -> str:
    e = config.evaluate
    how = f"the validation images, {e.folds * e.repeats} training runs each"
    if prepared.cross_validated:
        how = f"{e.repeats} x {e.folds}-fold cross-validation on the training images"
    if (tried := len(policies(config))) > FINALISTS and e.repeats > 1:
        how += (
            f"; augmentations left out after the first {e.folds} training runs, in which they were no better than "
            f"those shown: {tried - FINALISTS} of {tried}"
        )
    if len(set(e.ratios)) > 1 and e.repeats > 1:
        how += f"; ratios were judged by the first {e.folds} training runs alone"
    if endpoint.name == "balanced_accuracy" and config.inspection.cost_miss is not None:
        how += "; by balanced accuracy, as these images lack good parts or defects, so that costs cannot be told"
    if balanced:
        how += (
            "; with augmentation, classes are drawn equally often, which was better than as often as they have images"
        )
    return how


def _splits(config: Config, prepared: Prepared, pack: Pack) -> list[Split]:
    e, train = config.evaluate, pack.of("train")
    if not prepared.cross_validated:
        held_out = tuple(pack.of("val").tolist())
        return [(tuple(train.tolist()), held_out, config.seed * 1000 + i) for i in range(e.folds * e.repeats)]
    made = repeated_folds(
        pack.labels[train].numpy(), pack.groups[train].numpy(), splits=e.folds, repeats=e.repeats, seed=config.seed
    )
    index = train.numpy()
    flat = [fold for repeat in made for fold in repeat]
    return [
        (tuple(index[a].tolist()), tuple(index[b].tolist()), config.seed * 1000 + i) for i, (a, b) in enumerate(flat)
    ]


def _truth(pack: Pack, job: FitJob) -> Ints:
    """Labels of the images that a job predicts."""
    labels: Ints = pack.labels[list(job.held_out)].numpy()
    return labels
