"""Choose policy, ratio and the two arms to compare, on training and validation images alone.

With few images a class the choice is by repeated stratified k-fold on the training images; best is by the endpoint, as
in the verdict. The generator has seen all of those images, so a synthetic image takes part in a fold only if its
nearest real image is among the fold's training images: otherwise the folds would favour whatever copies most. They
still flatter synthetic images a little, so the policy is the one that is best without: arms that are compared differ in
their images alone. Ratios hardly differ (`benchmarks/neu-steel.md`: ten candidates a class give most of what
there is), so the first folds decide between them.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from classifiers.decision_rule import decision_rule
from classifiers.policies import POLICIES
from pipeline.config import MERGEABLE, REAL_ARMS, Config
from pipeline.errors import InputError
from pipeline.stages.arms import Option, arms
from pipeline.stages.fits import run_fits
from pipeline.stages.held_out import FEWEST, Split, cross_validated, held_out_fits, held_out_splits, truth_of
from pipeline.stages.inspection_comparison import endpoint_of
from pipeline.stages.records import Choices, Pack, Prepared, Selected, load_pack
from pipeline.store import RunFolder

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
    splits = held_out_splits(config, prepared, pack)
    first = splits[: len(splits) // config.evaluate.repeats]
    endpoint = endpoint_of(config, prepared.classes, truth_of(pack, splits))
    scores: dict[str, dict[str, float]] = {"policy": {}, "sampling": {}, "ratio": {}, "arm": {}}

    def best(
        kind: str, options: Mapping[Name, Option], splits: Sequence[Split] = splits, *, most: int = 1
    ) -> list[Name]:
        """The `most` best by the endpoint over the held-out images of all splits, of equals the first."""
        if len(options) <= most:
            return list(options)
        jobs = [job for one in options.values() for job in held_out_fits(config, prepared, selected, one, splits)]
        fitted, per = run_fits(run, config, f"choose {kind}", jobs), len(splits)
        truth = truth_of(pack, splits)
        found = dict[Name, float]()
        for i, name in enumerate(options):
            probabilities = np.concatenate(fitted[i * per : (i + 1) * per])
            rule = decision_rule(endpoint, probabilities, truth)
            found[name] = endpoint.score(truth, rule.answers(probabilities))
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
    method = _method(config, prepared, pack, balanced=balanced)
    return Choices(policy, balanced, int(ratio), baseline, augmented, scores, method)


def _method(config: Config, prepared: Prepared, pack: Pack, *, balanced: bool) -> str:
    e = config.evaluate
    how = f"the validation images, {e.folds * e.repeats} training runs each"
    if cross_validated(config, prepared, pack):
        how = f"{e.repeats} x {e.folds}-fold cross-validation on the training images"
        if not prepared.cross_validated:
            how += (
                f", as the validation images hold fewer than {FEWEST} good parts or defects, too few to tell what "
                "mistakes cost"
            )
    if (tried := len(policies(config))) > FINALISTS and e.repeats > 1:
        how += (
            f"; augmentations left out after the first {e.folds} training runs, in which they were no better than "
            f"those shown: {tried - FINALISTS} of {tried}"
        )
    if len(set(e.ratios)) > 1 and e.repeats > 1:
        how += f"; ratios were judged by the first {e.folds} training runs alone"
    if balanced:
        how += (
            "; with augmentation, classes are drawn equally often, which was better than as often as they have images"
        )
    return how
