"""Keep the trained classifiers of the two arms compared: `classifiers/ARM/`, and what each said of the test images."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from pipeline.config import Arm, Config
from pipeline.reading.decode import BACKGROUND
from pipeline.stages.fits import FitJob, kept_fit
from pipeline.stages.records import Pack, Prepared, load_pack
from pipeline.store import RunFolder, code_version, replace_folder, save_tensors, write_csv, write_json

KEPT = "the first of the training runs, which was so before any of them was tested"
Probabilities = Mapping[str, Tensor]  # arm -> float32 [test images, K]


def keep_classifiers(
    run: RunFolder, config: Config, prepared: Prepared, jobs: Mapping[Arm, FitJob], metrics: Mapping[str, Any]
) -> None:
    """Write `classifiers/` whole beside the old one, then exchange the two.

    `jobs` are those of `run_fits` whose classifiers were kept, the baseline's first; all have the same test images.
    `metrics` is what the run found.
    """
    baseline, augmented = jobs
    recommended = recommended_arm(metrics)
    fresh = RunFolder(run.store / "keeping")
    shutil.rmtree(fresh.out, ignore_errors=True)  # left by a killed run
    said: dict[str, Tensor] = {}
    for arm, job in jobs.items():
        weights, said[arm] = kept_fit(run, job)
        save_tensors(fresh.classifier(arm), weights, {"arm": arm})
        card = _card(config, prepared, arm, job, metrics) | {"recommended": arm == recommended}
        write_json(fresh.classifier_card(arm), card)
    pack, test = load_pack(prepared.pack), list(jobs[baseline].held_out)
    columns = ("path", "label", "split", "arm", "predicted", *(f"p_{name}" for name in prepared.classes))
    write_csv(fresh.predictions, columns, _predictions(pack, test, prepared.classes, said))
    columns = ("path", "label", "change", "baseline_predicted", "augmented_predicted")
    write_csv(fresh.changes, columns, _changes(pack, test, prepared.classes, said[baseline], said[augmented]))
    replace_folder(fresh.classifiers, run.classifiers)
    shutil.rmtree(fresh.out, ignore_errors=True)  # holds the old classifiers where they could not be deleted


def recommended_arm(metrics: Mapping[str, Any]) -> str:
    """The augmented arm where the verdict is to merge, else the baseline."""
    arm: str = metrics["gain"]["augmented" if metrics["verdict"] == "merge" else "baseline"]
    return arm


def probability_columns(classes: list[str], probabilities: Tensor) -> dict[str, str]:
    """`predicted` and `p_CLASS` of one image, from its float32 [K]; six digits, as machines do not agree on more."""
    columns = {f"p_{name}": f"{float(p):.6g}" for name, p in zip(classes, probabilities, strict=True)}
    return {"predicted": classes[int(probabilities.argmax())], **columns}


def _card(config: Config, prepared: Prepared, arm: str, job: FitJob, metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "arm": arm,
        "verdict": metrics["verdict"],
        "classes": prepared.classes,
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
        "recipe": asdict(job.recipe),
        "seed": job.seed,
        "seeds": config.evaluate.seeds,
        "kept": KEPT,
        "endpoint": metrics["endpoint"],
        "test": metrics["arms"][arm],
        "data_digest": prepared.digest,
        "code_version": code_version(),
    }


def _predictions(pack: Pack, test: list[int], classes: list[str], said: Probabilities) -> Iterator[dict[str, str]]:
    for arm, probabilities in said.items():
        for i, row in zip(test, probabilities, strict=True):
            known = {"path": pack.rows[i]["path"], "label": classes[int(pack.labels[i])]}
            yield known | {"split": "test", "arm": arm} | probability_columns(classes, row)


def _changes(
    pack: Pack, test: list[int], classes: list[str], before: Tensor, after: Tensor
) -> Iterator[dict[str, str]]:
    """The test images that one of the two classifiers gets right and the other wrong."""
    for i, old, new in zip(test, before.argmax(1).tolist(), after.argmax(1).tolist(), strict=True):
        truth = int(pack.labels[i])
        if (old == truth) != (new == truth):
            yield {
                "path": pack.rows[i]["path"],
                "label": classes[truth],
                "change": "wrong_to_right" if new == truth else "right_to_wrong",
                "baseline_predicted": classes[old],
                "augmented_predicted": classes[new],
            }
