"""Draw candidates from the trained generators, each reproducible from its generator and its own seed."""

from collections.abc import Sequence
from pathlib import Path

import torch

from ganaug.families import get_family
from ganaug.sampling import generate as sample
from ganaug.spec import Spec
from pipeline.config import Config
from pipeline.log import progress
from pipeline.stages.records import Candidates, Prepared, Trained
from pipeline.store import RunFolder, cached_tensors, digest, load_tensors
from pipeline.workers import resolve_device, run_jobs, workers

FEWEST, MOST = 200, 2000
MODELS = 50_000_000  # bytes: a checkpoint, the one before it, and the model
PER_WANTED = 3  # candidates for each image that the largest ratio could ask for


def wanted(prepared: Prepared, config: Config, class_name: str) -> int:
    """Synthetic images the largest ratio asks for."""
    return prepared.counts["train"][class_name] * max(config.evaluate.ratios)


def candidates_per_class(prepared: Prepared, config: Config, class_name: str) -> int:
    """As configured, or enough that the filter has a choice."""
    return config.generate.per_class or min(max(FEWEST, PER_WANTED * wanted(prepared, config, class_name)), MOST)


def planned_bytes(prepared: Prepared, config: Config) -> int:
    """Disk that a run takes from here on, roughly: candidates, the merged set, and `MODELS` for each generator."""
    image = prepared.channels * prepared.image_size**2
    candidates = sum(candidates_per_class(prepared, config, name) for name in prepared.classes)
    real = sum(sum(of.values()) for of in prepared.counts.values())
    return image * (2 * candidates + real) + MODELS * len(prepared.classes)


def generate(run: RunFolder, config: Config, prepared: Prepared, trained: Sequence[Trained]) -> list[Candidates]:
    """One `Candidates` for each class that has a generator."""
    jobs = [(run, config, prepared, record, name) for record in trained if record.model for name in record.conditions]
    with progress("generate", len(jobs)) as bar:
        made = run_jobs(_generate_class, jobs, processes=workers(config), done=lambda: bar.advance(1, "classes"))
    return sorted(made, key=lambda c: c.label)


def _generate_class(job: tuple[RunFolder, Config, Prepared, Trained, str]) -> Candidates:
    run, config, prepared, record, name = job
    label, count = prepared.classes.index(name), candidates_per_class(prepared, config, name)
    file = run.stored("candidates", digest(record.digest, name, count, config.seed))

    def build() -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        tensors, card = load_tensors(Path(record.model))
        family, spec = get_family(card["family"]), Spec(**card["spec"])
        generator = family.generator(spec)
        generator.load_state_dict({k.removeprefix("ema."): t for k, t in tensors.items() if k.startswith("ema.")})
        seeds = (config.seed * len(prepared.classes) + label) * MOST * 50 + torch.arange(count)
        asked_by = torch.tensor(record.conditions[name])
        conditions = asked_by[torch.arange(count) % len(asked_by)]
        images = sample(family, generator, spec, seeds, conditions, device=resolve_device(config.device))
        return {"images": images, "seeds": seeds, "conditions": conditions}, {"class": name}

    tensors, _ = cached_tensors(file, build)
    return Candidates(label, name, str(file), record.digest[:16], len(tensors["images"]))
