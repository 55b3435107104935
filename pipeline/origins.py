"""Sources of candidates: GANs that the run trains, or external images."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pipeline.config import CLUSTERS
from pipeline.errors import InputError
from pipeline.masking import mask_secrets
from pipeline.stages import train as training
from pipeline.stages.foreign import merged_bytes, read_foreign
from pipeline.stages.generate import generate, generate_class, generate_jobs, planned_bytes
from pipeline.stages.jobs import fine_tune_jobs, first_jobs, given_base, super_resolution_jobs, without_generator
from pipeline.stages.publish import publish, published
from pipeline.stages.records import Candidates, Prepared, Supply, Trained
from pipeline.stages.trained_models import by_repeat
from pipeline.stages.training_memory import require_memory
from pipeline.steps import Work


class Origin(Protocol):
    """A source of candidates; the later stages are the same for every source."""

    @property
    def inputs(self) -> tuple[Path, ...]:
        """What it reads beside the real images."""

    def describe(self, work: Work) -> dict[str, Any]:
        """What `metrics.json` says under `source`: `kind`, and what belongs to it."""

    def supply(self, work: Work, prepared: Prepared) -> Supply:
        """The candidates; none where the job ends before there are any."""


@dataclass(frozen=True)
class Generators:
    """GANs that are trained first or, without `train`, those that the folder holds, used as they are."""

    train: bool = True
    inputs: tuple[Path, ...] = ()

    def describe(self, work: Work) -> dict[str, Any]:
        """As `Origin`."""
        return {"kind": "gan", "family": work.config.gan.family}

    def supply(self, work: Work, prepared: Prepared) -> Supply:
        """As `Origin`."""
        run, config = work.run, work.config
        run.prepare(planned_bytes(prepared, config))
        require_memory(config, prepared)
        reasons = list(without_generator(prepared, config).values())
        with work.clock("train"):
            for reason in reasons:
                work.clock.log.write("train", "skipped", reason=reason)
                print(f"train: {reason}", file=sys.stderr)
            if self.train:
                trained = _train(work, prepared)
                work.step("publish generators", publish, run, config, prepared, trained)
            else:
                trained = published(run, prepared)
        if work.until == "train":
            return Supply([], trained)
        with work.clock("generate"):
            repeats = [_drawn(work, prepared, of_repeat) for of_repeat in by_repeat(trained)]
        return Supply(repeats, trained, reasons)


@dataclass(frozen=True)
class Foreign:
    """External images, in class folders or a CSV file at `path`; only classifiers are trained."""

    path: Path

    @property
    def inputs(self) -> tuple[Path, ...]:
        """As `Origin`."""
        return (self.path,)

    def describe(self, work: Work) -> dict[str, Any]:
        """As `Origin`."""
        return {"kind": "foreign", "path": mask_secrets(str(self.path.resolve()))}

    def supply(self, work: Work, prepared: Prepared) -> Supply:
        """As `Origin`; InputError as `read_foreign`, and where a generator is asked for."""
        if work.until in ("train", "generate"):
            raise InputError(
                f"{work.run.out} judges the images of {self.path}: nothing is trained or generated for it; use "
                "`ganaug filter`, `merge`, `evaluate` or `report`, or `ganaug run` in another folder."
            )
        with work.clock("read"):
            supply: Supply = work.step(
                "read synthetic", read_foreign, work.run, work.config, work.source, prepared, self.path
            )
        for remark in supply.remarks:
            work.clock.log.write("read", "remark", remark=remark)
        work.run.prepare(merged_bytes(prepared, *supply.repeats))
        return supply


def _train(work: Work, prepared: Prepared) -> list[Trained]:
    run, config, fan_out = work.run, work.config, work.fan_out
    one = training.train_apart if config.runner == "process" else training.train
    base = given_base(run, config, prepared)
    if base:
        trained = [replace(base, repeat=repeat) for repeat in range(config.gan.repeats)]
    else:
        trained = fan_out("train", one, first_jobs(run, config, prepared), training.failed)
    if config.gan.scope == "specialise":
        jobs = [job for base in trained if base.model for job in fine_tune_jobs(run, config, prepared, base)]
        failures = [base for base in trained if not base.model]
        trained = failures + fan_out("fine-tune", one, jobs, training.failed)
    return trained + fan_out("train", one, super_resolution_jobs(run, config, prepared), training.failed)


def _drawn(work: Work, prepared: Prepared, trained: Sequence[Trained]) -> list[Candidates]:
    run, config = work.run, work.config
    if config.runner in CLUSTERS:
        return work.fan_out("generate", generate_class, generate_jobs(run, config, prepared, trained))
    candidates: list[Candidates] = work.step("generate", generate, run, config, prepared, trained)
    return candidates
