"""Policy and ratio are chosen by score, with synthetic images anew; the verdict then has a control."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.config import Config
from pipeline.job import run_job
from pipeline.stages import choose as choosing
from pipeline.stages import evaluate, fits
from pipeline.stages.fits import FitJob
from pipeline.stages.records import load_pack
from pipeline.store import RunFolder
from tests import tiny
from tests.conftest import Finished

POLICIES = "evaluate.policies=[flips,flips_rotate,flips_shift,flips_light]"


def scored(best: dict[bool, str]) -> Any:
    """Stands for training: right on more held-out images the better the policy, by whether it saw synthetic images."""

    def run_fits(_: RunFolder, __: Config, stage: str, jobs: Sequence[FitJob]) -> list[np.ndarray]:
        order = ("none", "flips_light", "flips_shift", "flips_rotate", "flips")
        predicted = []
        for job in jobs:
            truth = load_pack(job.pack).labels[list(job.held_out)].numpy().copy()
            place = order.index(job.recipe.policy)
            right = len(truth) if job.recipe.policy == best[bool(job.synthetic)] else place
            truth[right:] = (truth[right:] + 1) % job.classes
            predicted.append(truth)
        return predicted

    return run_fits


@pytest.mark.parametrize(("with_synthetic", "found"), [("flips_rotate", "flips_rotate"), ("flips_light", "flips")])
def test_the_three_best_policies_are_tried_again_with_synthetic_images(
    finished: Finished, copied: RunFolder, monkeypatch: pytest.MonkeyPatch, with_synthetic: str, found: str
) -> None:
    """flips_light, the fourth, is not tried."""
    monkeypatch.setattr(choosing, "run_fits", scored({False: "flips", True: with_synthetic}))
    seen: list[Any] = []
    choose = choosing.choose

    def look(*arguments: Any) -> Any:
        seen.append(choose(*arguments))
        raise InterruptedError

    monkeypatch.setattr("pipeline.job.choose", look)
    with pytest.raises(InterruptedError):
        run_job(copied, tiny.settings(POLICIES), finished.source)
    (choices,) = seen
    assert (choices.policy, choices.policy_with) == ("flips", found)
    assert set(choices.scores["policy_with"]) == {"flips", "flips_rotate", "flips_shift"}
    assert (choices.baseline, choices.augmented) == ("classical", "classical_gan")


@pytest.mark.parametrize("policy", ["flips", "flips_rotate"])
def test_another_policy_with_synthetic_images_has_a_control(
    finished: Finished, copied: RunFolder, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    choose, fitted = choosing.choose, dict[str, list[FitJob]]()

    def other(*arguments: Any) -> Any:
        return replace(choose(*arguments), policy_with=policy, baseline="classical", augmented="classical_gan")

    def spy(run: RunFolder, config: Config, stage: str, jobs: Sequence[FitJob]) -> Any:
        fitted[stage] = list(jobs)
        return fits.run_fits(run, config, stage, jobs)

    monkeypatch.setattr("pipeline.job.choose", other)
    monkeypatch.setattr(evaluate, "run_fits", spy)
    metrics = run_job(copied, finished.config, finished.source)
    augmented = [job for job in fitted["evaluate"] if job.recipe.policy == policy and job.synthetic]
    if policy == "flips":
        assert metrics["gain"]["control"] is None and "control" not in fitted
        return
    assert len(augmented) == 2 and fitted["control"] == [replace(job, synthetic=()) for job in augmented]
    low, high = metrics["gain"]["control"]["ci95"]
    assert low <= metrics["gain"]["control"]["delta"] <= high
