"""Keep the trained classifiers of the two arms compared: `classifiers/ARM/`, and what each said of the test images."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from classifiers.bootstrap import Floats
from classifiers.decision_rule import DecisionRule
from pipeline.config import Arm, Config
from pipeline.reading.decode import BACKGROUND
from pipeline.stages.fits import FitJob, kept_weights
from pipeline.stages.records import Pack, Prepared, load_pack
from pipeline.store import RunFolder, code_version, replace_folder, save_tensors, write_csv, write_json

KEPT = "the first of the training runs, which was so before any of them was tested"


class Kept(NamedTuple):
    """The classifier of an arm: its job, what it said of the test images [N, K], and how that becomes an answer."""

    arm: Arm
    job: FitJob
    probabilities: Floats
    rule: DecisionRule


def keep_classifiers(
    run: RunFolder, config: Config, prepared: Prepared, kept: Sequence[Kept], metrics: Mapping[str, Any]
) -> None:
    """Write `classifiers/` whole beside the old one, then exchange the two.

    `kept` are the baseline's and the augmented arm's, both of jobs that `run_fits` kept and of the same test images.
    `metrics` is what the run found.
    """
    baseline, augmented = kept
    recommended = recommended_arm(metrics)
    fresh = RunFolder(run.store / "keeping")
    shutil.rmtree(fresh.out, ignore_errors=True)  # left by a killed run
    for one in kept:
        save_tensors(fresh.classifier(one.arm), kept_weights(run, one.job), {"arm": one.arm})
        card = _card(config, prepared, one, metrics) | {"recommended": one.arm == recommended}
        write_json(fresh.classifier_card(one.arm), card)
    pack, test = load_pack(prepared.pack), list(baseline.job.held_out)
    columns = ("path", "label", "split", "arm", "predicted", *(f"p_{name}" for name in prepared.classes))
    write_csv(fresh.predictions, columns, _predictions(pack, test, prepared.classes, kept))
    columns = ("path", "label", "change", "baseline_predicted", "augmented_predicted")
    write_csv(fresh.changes, columns, _changes(pack, test, prepared.classes, baseline, augmented))
    replace_folder(fresh.classifiers, run.classifiers)
    shutil.rmtree(fresh.out, ignore_errors=True)  # holds the old classifiers where they could not be deleted


def recommended_arm(metrics: Mapping[str, Any]) -> str:
    """The augmented arm where the verdict is to merge, else the baseline."""
    arm: str = metrics["gain"]["augmented" if metrics["verdict"] == "merge" else "baseline"]
    return arm


def probability_columns(classes: Sequence[str], probabilities: ArrayLike, label: int) -> dict[str, str]:
    """`predicted` and `p_CLASS` of one image, from its [K]; six digits, as machines do not agree on more."""
    columns = {f"p_{name}": f"{p:.6g}" for name, p in zip(classes, np.asarray(probabilities).tolist(), strict=True)}
    return {"predicted": classes[label], **columns}


def _card(config: Config, prepared: Prepared, one: Kept, metrics: Mapping[str, Any]) -> dict[str, Any]:
    threshold = one.rule.threshold
    return {
        "schema": 1,
        "arm": one.arm,
        "verdict": metrics["verdict"],
        "classes": prepared.classes,
        "decision": None if threshold is None else {"good": prepared.classes[one.rule.good], "threshold": threshold},
        "preprocessing": {
            "image_size": prepared.image_size,
            "channels": prepared.channels,
            "framing": prepared.framing,
            "aspect": config.data.aspect,
            "white_of_16_bit": prepared.white,
            "range_of_float": prepared.float_range,
            "background": BACKGROUND,
            "max_megapixels": config.data.max_megapixels,
            "resize": "area averaging where an image shrinks, bilinear where it grows",
            "scaling": "grey level / 127.5 - 1",
        },
        "recipe": asdict(one.job.recipe),
        "seed": one.job.seed,
        "seeds": config.evaluate.seeds,
        "kept": KEPT,
        "endpoint": metrics["endpoint"],
        "test": metrics["arms"][one.arm],
        "data_digest": prepared.digest,
        "code_version": code_version(),
    }


def _predictions(pack: Pack, test: list[int], classes: list[str], kept: Sequence[Kept]) -> Iterator[dict[str, str]]:
    for one in kept:
        answers = one.rule.answers(one.probabilities).tolist()
        for i, row, answer in zip(test, one.probabilities, answers, strict=True):
            known = {"path": pack.rows[i]["path"], "label": classes[int(pack.labels[i])]}
            yield known | {"split": "test", "arm": one.arm} | probability_columns(classes, row, answer)


def _changes(
    pack: Pack, test: list[int], classes: list[str], baseline: Kept, augmented: Kept
) -> Iterator[dict[str, str]]:
    """The test images that one of the two classifiers gets right and the other wrong."""
    before, after = (one.rule.answers(one.probabilities).tolist() for one in (baseline, augmented))
    for i, old, new in zip(test, before, after, strict=True):
        truth = int(pack.labels[i])
        if (old == truth) != (new == truth):
            yield {
                "path": pack.rows[i]["path"],
                "label": classes[truth],
                "change": "wrong_to_right" if new == truth else "right_to_wrong",
                "baseline_predicted": classes[old],
                "augmented_predicted": classes[new],
            }
