"""The final comparison, the only stage that uses the test images: every arm, several seeds, one verdict."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from classifiers.bootstrap import Ints
from classifiers.comparison import ArmSummary, Gain, gain, summarise
from classifiers.endpoint import Endpoint
from classifiers.fitting import Recipe
from classifiers.verdict import Lead, decide
from pipeline.config import REAL_ARMS, Config
from pipeline.history import number_of_comparison
from pipeline.stages.arms import arms, fit_of, synthetic_parts
from pipeline.stages.fits import run_fits
from pipeline.stages.held_out import decision_rules, held_out_fits, held_out_splits
from pipeline.stages.images_worth import images_worth
from pipeline.stages.inspection_comparison import compare_inspection, endpoint_of, estimate, inspection_record
from pipeline.stages.keep import Kept, keep_classifiers
from pipeline.stages.records import Choices, FittedScorer, Prepared, Selected, load_pack
from pipeline.store import RunFolder, content_digest, write_json
from pipeline.workspace.folder import counted_together

NO_GENERATOR: dict[str, Any] = {
    "generated": 0,
    "accepted": 0,
    "used": 0,
    "rejected": {},
    **dict.fromkeys(("fid", "kid", "fid_real_vs_real", "kid_real_vs_real")),
}


def evaluate(
    run: RunFolder,
    config: Config,
    prepared: Prepared,
    fitted_scorer: FittedScorer,
    repeats: Sequence[Sequence[Selected]],
    choices: Choices,
) -> dict[str, Any]:
    """Train every arm and decide; returns `metrics.json` but for the seconds, and saves the report's details.

    `repeats` has what the filter accepted of each training of the generators: an arm with synthetic images is trained
    with those of every one, from the same seeds. A class, or a whole repeat, whose training failed has none. The first
    one's are in the merged set, and so are figures of single classes and the classifiers that are kept.
    """
    selected = repeats[0]
    pack = load_pack(prepared.pack)
    test = pack.of("test")
    train, held_out = tuple(pack.of("train").tolist()), tuple(test.tolist())
    options = arms(choices.policy, choices.ratio, balanced=choices.balanced)
    first_seed = 1_000_000 + config.seed * 1000
    jobs = {
        arm: [
            fit_of(config, prepared, of_repeat, options[arm], train, held_out, first_seed + seed)
            for of_repeat in (repeats if options[arm].ratio else repeats[:1])
            for seed in range(config.evaluate.seeds)
        ]
        for arm in config.evaluate.arms
    }
    kept = {arm: jobs[arm][0] for arm in (choices.baseline, choices.augmented)}
    every = [job for of_arm in jobs.values() for job in of_arm]
    truth, groups = pack.labels[test].numpy(), pack.groups[test].numpy()
    endpoint = endpoint_of(config, prepared.classes, truth)
    splits = [] if endpoint.good is None else held_out_splits(config, prepared, pack)  # rules are fitted to costs alone
    held_out_jobs = {arm: held_out_fits(config, prepared, selected, options[arm], splits) for arm in jobs}
    rules = decision_rules(run, config, pack, held_out_jobs, endpoint)
    flat = iter(run_fits(run, config, "evaluate", every, keep=kept.values()))
    probabilities = {arm: np.stack([next(flat) for _ in of_arm]) for arm, of_arm in jobs.items()}
    runs = {arm: rules[arm].answers(of_arm) for arm, of_arm in probabilities.items()}
    predictions = {arm: of_arm.reshape(-1, config.evaluate.seeds, len(test)) for arm, of_arm in runs.items()}
    common: dict[str, Any] = {
        "classes": len(prepared.classes),
        "endpoint": endpoint,
        "resamples": config.evaluate.resamples,
        "seed": config.seed,
    }
    summaries = {arm: summarise(truth, p, groups, **common) for arm, p in predictions.items()}
    before, after = predictions[choices.baseline], predictions[choices.augmented]
    of_seeds = jobs[choices.augmented][: config.evaluate.seeds]
    control_jobs = [replace(job, synthetic=()) for job in of_seeds]  # often the baseline itself
    accepted = sum(one.accepted for one in selected)

    answers = {"truth": truth, "groups": groups} | {str(arm): of_arm for arm, of_arm in runs.items()}
    comparison_digest = _digest(endpoint, config, choices, answers)
    comparison_number = number_of_comparison(counted_together(run), comparison_digest)

    def lead(over: Ints) -> Lead:
        won = gain(truth, over, after, groups, comparison_number=comparison_number, **common)
        return Lead(won, compare_inspection(config, prepared, truth, groups, over, after))

    chosen = lead(before)
    control = None
    if accepted and control_jobs != jobs[choices.baseline]:
        alike = {"control": [replace(job, synthetic=()) for job in held_out_jobs[choices.augmented]]}
        rule = decision_rules(run, config, pack, alike, endpoint)["control"]
        control = lead(rule.answers(run_fits(run, config, "control", control_jobs)))
    real_only = [arm for arm in predictions if arm in REAL_ARMS and arm != choices.baseline]
    rivals: dict[str, Lead] = {arm: lead(predictions[arm]) for arm in real_only}
    verdict = decide(chosen, accepted=accepted, class_names=prepared.classes, control=control, rivals=rivals)
    worth = None
    if accepted:
        of_baseline = jobs[choices.baseline], held_out_jobs[choices.baseline]
        worth = images_worth(run, config, pack, *of_baseline, before[0], after, endpoint)
    metrics = {
        "schema": 1,
        "task": "classify",
        "verdict": verdict.decision,
        "reason": verdict.reason,
        "endpoint": _endpoint_metrics(chosen.gain, control, choices),
        "comparison_digest": comparison_digest,
        "comparison_number": comparison_number,
        "alpha": chosen.gain.alpha,
        "dataset": {
            "classes": prepared.classes,
            "image_size": prepared.image_size,
            "channels": prepared.channels,
            "counts": prepared.counts,
            "digest": prepared.digest,
        },
        "classes": {name: NO_GENERATOR | {"features": fitted_scorer.features} for name in prepared.classes}
        | {one.class_name: _class_metrics(one, fitted_scorer, choices.ratio) for one in selected},
        "arms": {
            arm: _arm_metrics(summary, prepared.classes, endpoint) | {"pass_threshold": rules[arm].threshold}
            for arm, summary in summaries.items()
        },
        "gain": _gain_metrics(chosen.gain, control, choices, control_jobs[0].recipe),
        "inspection": inspection_record(config, prepared, chosen.inspection, chosen.gain.endpoint),
        "worth": worth,
    }
    details = {
        "confusion": {arm: summary.confusion.tolist() for arm, summary in summaries.items()},
        "recall": {
            arm: {name: asdict(s) for name, s in zip(prepared.classes, summary.recall, strict=True)}
            for arm, summary in summaries.items()
        },
        "gain_recall": {name: asdict(s) for name, s in zip(prepared.classes, chosen.gain.recall, strict=True)},
    }
    write_json(run.store / "comparison.json", details)
    of_kept = [Kept(arm, job, probabilities[arm][0], rules[arm]) for arm, job in kept.items()]
    keep_classifiers(run, config, prepared, of_kept, metrics)
    return metrics


def _class_metrics(one: Selected, fitted_scorer: FittedScorer, ratio: int) -> dict[str, Any]:
    return {
        "generated": one.generated,
        "accepted": one.accepted,
        "used": sum(len(part.indices) for part in synthetic_parts([one], ratio)),
        "rejected": one.rejected,
        **one.scores,
        "features": fitted_scorer.features,
    }


def _digest(endpoint: Endpoint, config: Config, choices: Choices, answers: dict[str, Ints]) -> str:
    """Digest of what a comparison rests on: with the same one, no further look is taken at the test images."""
    facts = {
        "endpoint": [endpoint.name, endpoint.weights.tolist()],
        "arms": [choices.baseline, choices.augmented],
        "resamples": [config.evaluate.resamples, config.seed],
    }
    return content_digest({name: torch.from_numpy(of) for name, of in answers.items()}, facts)[:32]


def _endpoint_metrics(won: Gain, control: Lead | None, choices: Choices) -> dict[str, Any]:
    """The figure that decides; `delta` is larger where the augmented arm is better, also of a cost."""
    return {
        "name": won.name,
        "better": "lower" if won.name == "expected_cost" else "higher",
        "baseline": choices.baseline,
        "augmented": choices.augmented,
        **(estimate(won.endpoint.interval, "delta") or {}),
        "ci_alpha": [won.strict.lo, won.strict.hi],
        "p": won.endpoint.p,
        "detectable": won.endpoint.detectable,
        "control": None if control is None else estimate(control.gain.endpoint.interval, "delta"),
    }


def _arm_metrics(summary: ArmSummary, classes: Sequence[str], endpoint: Endpoint) -> dict[str, Any]:
    return {
        endpoint.name: estimate(summary.endpoint, "mean"),
        "accuracy": estimate(summary.accuracy, "mean"),
        "macro_f1": estimate(summary.macro_f1, "mean"),
        "recall": {name: interval.mean for name, interval in zip(classes, summary.recall, strict=True)},
        "seeds": [
            {
                "repeat": repeat,
                "seed": seed,
                "accuracy": score.accuracy,
                "macro_f1": score.macro_f1,
                endpoint.name: score.endpoint,
            }
            for repeat, of_repeat in enumerate(summary.runs)
            for seed, score in enumerate(of_repeat)
        ],
    }


def _gain_metrics(won: Gain, control: Lead | None, choices: Choices, recipe: Recipe) -> dict[str, Any]:
    return {
        "baseline": choices.baseline,
        "augmented": choices.augmented,
        "ratio": choices.ratio,
        "repeats": won.generators,
        "recipe": {key: getattr(recipe, key) for key in ("policy", "balanced", "steps", "batch")},  # augmented arm's
        "accuracy": estimate(won.accuracy.interval, "delta"),
        "macro_f1": estimate(won.macro_f1, "delta"),
        "randomisation_p": won.accuracy.p,
        "mcnemar_p": won.mcnemar_p,
        "detectable": won.accuracy.detectable,
        "control": None if control is None else estimate(control.gain.accuracy.interval, "delta"),
    }
