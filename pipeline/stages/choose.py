"""Choose policy, ratio and the two arms to compare, on training and validation images alone.

With few images a class the choice is by repeated stratified k-fold on the training images. The generator has seen all
of those, so a synthetic image takes part in a fold only if its nearest real image is among the fold's training images:
otherwise the folds would favour whatever copies most. They still flatter synthetic images a little, so the policy is
the one that is best without: arms that are compared differ in their images alone. Ratios hardly differ
(`benchmarks/neu-steel.md`: ten candidates a class give most of what there is), so the first folds decide between them.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch

from classifiers.crossfit import repeated_folds
from classifiers.policies import POLICIES
from pipeline.config import MERGEABLE, REAL_ARMS, Config
from pipeline.errors import InputError
from pipeline.stages.arms import Option, arms, fit_of
from pipeline.stages.fits import FitJob, run_fits
from pipeline.stages.records import Choices, Pack, Prepared, Selected, load_pack
from pipeline.store import RunFolder

Split = tuple[tuple[int, ...], tuple[int, ...], int]  # train, held out, seed
Name = TypeVar("Name", bound=str)
FINALISTS = 3  # policies, the best by the first folds, that all folds decide between


def policies(config: Config) -> tuple[str, ...]:
    """The policies to choose from; `none` is always among them, as it is the arm `real`."""
    chosen = config.evaluate.policies or tuple(POLICIES)
    unknown = [name for name in chosen if name not in POLICIES]
    if unknown:
        raise InputError(f"evaluate.policies names {unknown[0]!r}; choose among {', '.join(POLICIES)}.")
    return ("none", *(name for name in chosen if name != "none"))


def choose(run: RunFolder, config: Config, prepared: Prepared, selected: Sequence[Selected]) -> Choices:
    """Score the options and choose; see the module for how."""
    pack = load_pack(prepared.pack)
    splits = _splits(config, prepared, pack)

    def score(stage: str, options: dict[str, Option], splits: Sequence[Split] = splits) -> dict[str, float]:
        """Name -> mean score."""
        jobs = [fit_of(config, prepared, selected, option, *split) for option in options.values() for split in splits]
        predicted = run_fits(run, config, stage, jobs)
        per = len(splits)
        return {
            name: _mean_score(pack, jobs[i * per : (i + 1) * per], predicted[i * per : (i + 1) * per])
            for i, name in enumerate(options)
        }

    first = splits[: len(splits) // config.evaluate.repeats]
    plain = {name: Option(name) for name in policies(config)}
    screened = score("screen policies", plain, first)
    finalists = sorted((name for name in plain if name != "none"), key=screened.__getitem__, reverse=True)[:FINALISTS]
    policy_scores = score("choose policy", {name: plain[name] for name in ("none", *finalists)})
    policy = _best(policy_scores, finalists or ["none"])
    balanced = False
    if len(set(prepared.counts["train"].values())) > 1:
        even = score("choose sampling", {"even": Option(policy, balanced=True)})["even"]
        balanced = even > policy_scores[policy]
    ratios = {str(ratio): Option(policy, ratio, balanced) for ratio in sorted(set(config.evaluate.ratios))}
    ratio_scores = score("choose ratio", ratios, first)
    ratio = int(_best(ratio_scores, list(ratios)))
    options = arms(policy, ratio, balanced=balanced)
    real = [arm for arm in config.evaluate.arms if arm in REAL_ARMS]
    augmented = [arm for arm in config.evaluate.arms if arm in MERGEABLE]
    arm_scores = score("choose arms", {arm: options[arm] for arm in (*real, *augmented)})
    return Choices(
        policy=policy,
        balanced=balanced,
        ratio=ratio,
        baseline=_best(arm_scores, real),
        augmented=_best(arm_scores, augmented),
        scores={"policy": screened | policy_scores, "ratio": ratio_scores, "arm": arm_scores},
        method=_method(config, prepared, balanced=balanced),
    )


def _best(scores: dict[str, float], among: Sequence[Name]) -> Name:
    return max(among, key=scores.__getitem__)


def _method(config: Config, prepared: Prepared, *, balanced: bool) -> str:
    e = config.evaluate
    how = f"the validation images, {e.folds * e.repeats} training runs each"
    if prepared.cross_validated:
        how = f"{e.repeats} x {e.folds}-fold cross-validation on the training images"
    if e.repeats > 1:
        left = f", and policies not among the best {FINALISTS}," if len(policies(config)) > FINALISTS + 1 else ""
        how += f"; ratios{left} were judged by the first {e.folds} training runs alone"
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


def _mean_score(pack: Pack, jobs: Sequence[FitJob], predicted: Sequence[np.ndarray]) -> float:
    """Mean over held-out images of all splits; accuracy, as in the verdict."""
    right = [torch.from_numpy(p) == pack.labels[list(job.held_out)] for job, p in zip(jobs, predicted, strict=True)]
    return float(torch.cat(right).double().mean())
