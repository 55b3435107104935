"""Choose policy, ratio and the two arms to compare, on training and validation images alone.

With few images a class the choice is by repeated stratified k-fold on the training images. The generator has seen all
of those, so a synthetic image takes part in a fold only if its nearest real image is among the fold's training images:
otherwise the folds would favour whatever copies most.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from classifiers.crossfit import repeated_folds
from classifiers.policies import POLICIES
from pipeline.config import SYNTHETIC_ARMS, Arm, Config
from pipeline.errors import InputError
from pipeline.stages.fits import FitJob, SyntheticPart, device_of, recipe_for, run_fits
from pipeline.stages.records import Choices, Pack, Prepared, Selected, load_pack
from pipeline.store import RunFolder, load_tensors

Split = tuple[tuple[int, ...], tuple[int, ...], int]  # train, held out, seed
SCREEN = ("none", "flips", "flips_rotate", "flips_shift", "flips_light", "flips_crop")

# Arms that are never merged are never the augmented arm of the verdict: gan_unfiltered is a control.
MERGEABLE = tuple(arm for arm in SYNTHETIC_ARMS if arm != "gan_unfiltered")


def policies(config: Config) -> tuple[str, ...]:
    """The policies to choose from; `none` is always among them, as it is the arm `real`."""
    chosen = config.evaluate.policies or SCREEN
    unknown = [name for name in chosen if name not in POLICIES]
    if unknown:
        raise InputError(f"evaluate.policies names {unknown[0]!r}; choose among {', '.join(POLICIES)}.")
    return ("none", *(name for name in chosen if name != "none"))


def synthetic_parts(
    selected: Sequence[Selected], ratio: int, *, filtered: bool, keep: Callable[[int], bool] = lambda real: True
) -> tuple[SyntheticPart, ...]:
    """The synthetic images of an arm: `ratio` accepted ones a real one, or as many candidates drawn blindly.

    `keep` sees the pack index of a candidate's nearest real image and says whether the candidate may take part.
    """
    parts = []
    for one in selected:
        tensors, _ = load_tensors(Path(one.file))
        chosen = tensors[f"ratio_{ratio}"]
        if not filtered:
            chosen = tensors["blind"][: int(tensors["wanted"][0]) * ratio]
        nearest = tensors["nearest_real"]
        kept = tuple(i for i in chosen.tolist() if keep(int(nearest[i])))
        parts.append(SyntheticPart(one.candidates, kept, one.label))
    return tuple(parts)


def choose(run: RunFolder, config: Config, prepared: Prepared, selected: Sequence[Selected]) -> Choices:
    """Score the options and choose; see the module for how."""
    pack, arms = load_pack(prepared.pack), set(config.evaluate.arms)
    splits = _splits(config, prepared, pack)
    policy_scores: dict[str, float] = {}

    def score(stage: str, options: dict[str, tuple[str, bool, int, bool]]) -> dict[str, float]:
        """Option -> (policy, balanced, ratio or 0, filtered) to option -> mean score."""
        jobs = [_job(config, prepared, split, selected, *option) for option in options.values() for split in splits]
        predicted = run_fits(run, config, stage, jobs)
        per = len(splits)
        return {
            name: _mean_score(pack, jobs[i * per : (i + 1) * per], predicted[i * per : (i + 1) * per])
            for i, name in enumerate(options)
        }

    policy_scores = score("choose policy", {name: (name, False, 0, True) for name in policies(config)})
    augmenting = {name: s for name, s in policy_scores.items() if name != "none"} or policy_scores
    policy = max(augmenting, key=augmenting.__getitem__)
    ratios = sorted(set(config.evaluate.ratios))
    ratio_scores = score("choose ratio", {str(r): (policy, False, r, True) for r in ratios})
    ratio = int(max(ratio_scores, key=ratio_scores.__getitem__))
    arm_scores = {"real": policy_scores["none"], "classical": policy_scores[policy]}
    arm_scores["classical_gan"] = ratio_scores[str(ratio)]
    rest = {
        "balanced": ("none", True, 0, True),
        "gan": ("none", False, ratio, True),
    }
    rest["gan_unfiltered"] = ("none", False, ratio, False)
    arm_scores |= score("choose arms", {arm: option for arm, option in rest.items() if arm in arms})
    arm_scores = {arm: s for arm, s in arm_scores.items() if arm in arms}
    return Choices(
        policy=policy,
        ratio=ratio,
        baseline=_best(arm_scores, [a for a in config.evaluate.arms if a not in SYNTHETIC_ARMS]),
        augmented=_best(arm_scores, [a for a in config.evaluate.arms if a in MERGEABLE] or ["gan_unfiltered"]),
        scores={"policy": policy_scores, "ratio": ratio_scores, "arm": arm_scores},
        method=_method(config, prepared),
    )


def _best(scores: dict[str, float], among: Sequence[Arm]) -> Arm:
    return max(among, key=scores.__getitem__)


def _method(config: Config, prepared: Prepared) -> str:
    e = config.evaluate
    if prepared.cross_validated:
        return f"{e.repeats} x {e.folds}-fold cross-validation on the training images"
    return f"the validation images, {e.folds * e.repeats} training runs each"


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


def _job(
    config: Config,
    prepared: Prepared,
    split: Split,
    selected: Sequence[Selected],
    policy: str,
    balanced: bool,
    ratio: int,
    filtered: bool,
) -> FitJob:
    train, held_out, seed = split
    known = frozenset(train)
    synthetic = synthetic_parts(selected, ratio, filtered=filtered, keep=known.__contains__) if ratio else ()
    recipe = recipe_for(config, policy=policy, balanced=balanced)
    return FitJob(prepared.pack, train, held_out, synthetic, recipe, len(prepared.classes), seed, device_of(config))


def _mean_score(pack: Pack, jobs: Sequence[FitJob], predicted: Sequence[np.ndarray]) -> float:
    """Mean over held-out images of all splits; accuracy, as in the verdict."""
    right = [torch.from_numpy(p) == pack.labels[list(job.held_out)] for job, p in zip(jobs, predicted, strict=True)]
    return float(torch.cat(right).double().mean())
