"""Draw candidates from the trained generators, each reproducible from its generator and its own seed (on the CPU)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganaug.sampling import generate as sample
from pipeline.config import Config
from pipeline.log import RunLog, progress
from pipeline.stages.conditioning_inputs import draw, draw_sentences, usable_kind
from pipeline.stages.publish import sentence_embedding
from pipeline.stages.records import Candidates, Prepared, Trained, load_pack
from pipeline.stages.super_resolution import drawing_family
from pipeline.stages.trained_models import Averaged, averaged, by_task, generator_of
from pipeline.store import RunFolder, cached_tensors, digest
from pipeline.workers import resolve_device, run_jobs, torch_threads, workers

FEWEST, MOST = 400, 2000
MODELS = 50_000_000  # bytes: a checkpoint, the one before it, and the model
PER_WANTED = 5  # candidates for each image that the largest ratio could ask for


def wanted(prepared: Prepared, config: Config, class_name: str) -> int:
    """Synthetic images the largest ratio asks for."""
    return prepared.counts["train"][class_name] * max(config.evaluate.ratios)


def candidates_per_class(prepared: Prepared, config: Config, class_name: str) -> int:
    """As configured, or enough that the filter has a choice."""
    return config.generate.per_class or min(max(FEWEST, PER_WANTED * wanted(prepared, config, class_name)), MOST)


def planned_bytes(prepared: Prepared, config: Config) -> int:
    """Disk that a run takes from here on, roughly: candidates, the merged set, and `MODELS` for each generator."""
    image, repeats = prepared.channels * prepared.image_size**2, config.gan.repeats
    candidates = sum(candidates_per_class(prepared, config, name) for name in prepared.classes)
    real = sum(sum(of.values()) for of in prepared.counts.values())
    return image * ((1 + repeats) * candidates + real) + MODELS * len(prepared.classes) * repeats


@dataclass(frozen=True)
class GenerateJob:
    """The candidates of class `name`: drawn by `generator`, then enlarged by the `super_resolver` if there is one.

    `sentences` is the file of the fitted text embedding, for a generator that draws from text.
    """

    name: str
    out: str
    config: Config
    prepared: Prepared
    generator: Trained
    super_resolver: Trained | None
    sentences: str
    digest: str

    @property
    def result(self) -> Path:
        """The file of the candidates."""
        return RunFolder(Path(self.out)).stored("candidates", self.digest)


def generate_jobs(run: RunFolder, config: Config, prepared: Prepared, trained: Sequence[Trained]) -> list[GenerateJob]:
    """One job for each class that has a generator of one repeat, in the order of the labels.

    None where the images would have to be enlarged and what does that failed to train.
    """
    generators, super_resolver = by_task(trained)
    if super_resolver and not super_resolver.model:
        return []
    conditioned = usable_kind(config, drawing_family(config), load_pack(prepared.pack))[0] != "none"
    said = (config.generate.truncation, config.generate.description)

    def job(name: str, generator: Trained) -> GenerateJob:
        made_by = [generator.digest, *([super_resolver.digest] if super_resolver else [])]
        sentences = str(run.sentences(name)) if run.sentences(name).exists() else ""
        # Conditioning inputs are other images' and named by their place in the pack; all else of a class is its own.
        pack = prepared.digest if conditioned else ""
        count = candidates_per_class(prepared, config, name)
        key = digest(made_by, name, count, config.seed, said, pack, resolve_device(config.device), code=__name__)
        return GenerateJob(name, str(run.out), config, prepared, generator, super_resolver, sentences, key)

    asked = {name: record for record in generators if record.model for name in record.conditions}
    return [job(name, asked[name]) for name in prepared.classes if name in asked]


def generate(run: RunFolder, config: Config, prepared: Prepared, trained: Sequence[Trained]) -> list[Candidates]:
    """One `Candidates` for each class that has a generator, from as many processes as there are workers."""
    jobs = generate_jobs(run, config, prepared, trained)
    with progress("generate", len(jobs)) as bar:
        return run_jobs(generate_class, jobs, processes=workers(config), done=lambda: bar.advance(1, "classes"))


def generate_class(job: GenerateJob) -> Candidates:
    """Draw, or load what an earlier run drew."""
    run, config, prepared, name = RunFolder(Path(job.out)), job.config, job.prepared, job.name
    record, super_resolver = job.generator, job.super_resolver
    label, count = prepared.classes.index(name), candidates_per_class(prepared, config, name)
    pack, file = load_pack(prepared.pack), job.result

    def build() -> tuple[dict[str, Tensor], dict[str, Any]]:
        generator = averaged(Path(record.model))
        card = generator[1]
        seeds = first_seed(config.seed, name) + torch.arange(count)
        asked_by = torch.tensor(record.conditions[name])
        conditions = asked_by[torch.arange(count) % len(asked_by)]
        tensors, conditioning_inputs, said = {"seeds": seeds, "conditions": conditions}, None, {}
        if card["conditioning_input"] == "text" and config.generate.description:
            said = {"descriptions": [config.generate.description] * count}
            conditioning_inputs = _asked(run, job.sentences, config.generate.description).expand(count, -1)
        elif card["conditioning_input"] == "text":
            conditioning_inputs, rows, turns = draw_sentences(pack, label, seeds, sentence_embedding(job.sentences))
            tensors |= {"conditioning_rows": rows, "conditioning_symmetries": turns}
            said = {"descriptions": [pack.rows[row]["description"] for row in rows.tolist()]}
        elif card["conditioning_input"] != "none":
            side = card["spec"]["size"] // card["spec"]["scale"]
            conditioning_inputs, rows, turns = draw(card["conditioning_input"], pack, label, seeds, side)
            tensors |= {"conditioning_rows": rows, "conditioning_symmetries": turns}
        images = _sample(generator, config, seeds, conditions, conditioning_inputs)
        if super_resolver:
            # it may have been trained when other classes came before this one
            (condition,) = super_resolver.conditions[name]
            images = _sample(
                averaged(Path(super_resolver.model)), config, seeds, torch.full_like(seeds, condition), images
            )
        return tensors | {"images": images}, {"class": name, "conditioning_input": card["conditioning_input"], **said}

    with torch_threads(1):  # in every process: another number of threads gives other bits
        tensors, _ = cached_tensors(file, build)
    made_by = "+".join(one.digest[:16] for one in (record, super_resolver) if one)
    return Candidates(label, name, str(file), made_by, len(tensors["images"]))


def first_seed(seed: int, class_name: str) -> int:
    """Where a class's seeds begin, in 0..2^48: far from those of other classes, whichever these are."""
    return int(hashlib.sha256(f"{seed}/{class_name}".encode()).hexdigest()[:12], 16)


def _asked(run: RunFolder, learnt: str, sentence: str) -> Tensor:
    """The embedding `[1, E]` of the sentence asked for; words that the embedding does not know are logged."""
    embedding = sentence_embedding(learnt)
    if ignored := embedding.ignored(sentence):
        RunLog(run.log).write("generate", "description", ignored=ignored)
    return embedding([sentence])


def _sample(
    made: Averaged, config: Config, seeds: Tensor, conditions: Tensor, conditioning_inputs: Tensor | None
) -> Tensor:
    family, spec, generator = generator_of(*made, config.generate.truncation)
    device = resolve_device(config.device)
    return sample(family, generator, spec, seeds, conditions, conditioning_inputs=conditioning_inputs, device=device)
