"""Train the generators: which jobs the strategy asks for, and one job from its images to a saved model."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from sklearn.cluster import KMeans
from torch import Tensor

from classifiers.perception import perceive
from classifiers.scattering import Scattering
from ganaug.checks import check_options
from ganaug.families import get_family
from ganaug.metrics import training_scores
from ganaug.metrics.diversity import find_modes
from ganaug.monitor import Finding, explain
from ganaug.options import Options
from ganaug.training import DivergedError, Hooks, Trainer
from pipeline.config import Config
from pipeline.errors import InputError, JobError
from pipeline.log import RunLog, progress
from pipeline.report.training import save_curves, save_grid
from pipeline.stages.guides import GUIDES, embedding_of, shrunk, training_images, usable_kind
from pipeline.stages.records import Pack, Prepared, Trained, load_pack
from pipeline.stages.upscale import ENLARGES, drawing_family, enlarging_options, scale_of
from pipeline.store import RunFolder, StoreError, code_version, digest, load_tensors, save_tensors, write_json
from pipeline.workers import in_own_process, resolve_device, torch_threads

SHARED, ENLARGER = "all classes", "enlarger"
Averaged = tuple[
    dict[str, Tensor], dict[str, Any]
]  # the weights that images are made with, and their training's record
NOT_OVERRIDES = {"family", "scope", "minutes", "modes", "finetune_steps", "steps", "guide"}


@dataclass(frozen=True)
class TrainJob:
    """One generator to train. `labels` are the classes whose images it sees; `base` is the model it starts from."""

    name: str
    pack: str
    labels: tuple[int, ...]
    family: str
    options: Options
    modes: int  # above 0: condition on this many appearance modes of the one class instead of on the class
    minutes: float | None
    seed: int
    device: str
    threads: int
    out: str
    base: str = ""
    guide: str = "none"  # a kind of pipeline/stages/guides.py
    shrink: int = 1  # side of the pack's images over that of the images it learns to make
    scale: int = 1  # side of those over that of their guides; above 1 it enlarges what others draw

    @property
    def digest(self) -> str:
        """Of everything the model depends on, the wall-clock budget too: it decides how far training gets."""
        identity = {k: v for k, v in asdict(self).items() if k not in ("threads", "out", "base", "pack")}
        return digest(identity, Path(self.pack).name, Path(self.base).name)


def options_for(config: Config) -> Options:
    """The family's defaults with the configuration's overrides.

    Raises:
        InputError: an unknown family, or a value the family cannot take.
    """
    chosen = config.gan.model_dump(exclude=NOT_OVERRIDES, exclude_none=True)
    if chosen.get("diffaugment") == "none":
        chosen["diffaugment"] = ""
    if config.gan.steps is not None:
        chosen["steps"] = config.gan.steps
    try:
        family = get_family(config.gan.family)
        options = replace(family.defaults, **chosen)
        check_options(family, options)
        if config.generate.truncation != 1 and not family.truncates:
            raise ValueError(f"generate.truncation: gan.family {family.name} has no styles to truncate; set it to 1")
        return options
    except ValueError as error:
        raise InputError(str(error)) from None


def drawing_options(config: Config) -> Options:
    """Options of the family that draws; its defaults where `gan.family` is the one that enlarges."""
    if config.gan.family != ENLARGES:
        return options_for(config)
    return replace(drawing_family(config).defaults, steps=options_for(config).steps)


def trainable(prepared: Prepared, config: Config) -> dict[str, int]:
    """Class -> label for the classes with enough training images for a GAN of the chosen family."""
    least = drawing_family(config).min_images
    return {
        name: label for label, name in enumerate(prepared.classes) if prepared.counts["train"].get(name, 0) >= least
    }


def without_generator(prepared: Prepared, config: Config) -> dict[str, str]:
    """Class -> why no generator is trained for it, for the classes that are too small."""
    family, wanted = drawing_family(config), trainable(prepared, config)
    return {
        name: f"Class {name} has {prepared.counts['train'][name]} training image(s) and {family.name} needs "
        f"{family.min_images}: no generator for it, classical augmentation only."
        for name in prepared.classes
        if name not in wanted
    }


def first_jobs(run: RunFolder, config: Config, prepared: Prepared) -> list[TrainJob]:
    """The generators that need no other: one for all classes, or one a class (strategy `per_class`)."""
    options, classes = drawing_options(config), trainable(prepared, config)
    if not classes:
        return []
    for note in usable_kind(config, drawing_family(config), load_pack(prepared.pack))[1]:
        RunLog(run.log).write("train", "guides", note=note)
    if config.gan.scope != "per_class":
        return [_job(run, config, prepared, SHARED, tuple(classes.values()), options)]
    return [
        _job(run, config, prepared, name, (label,), options, modes=config.gan.modes) for name, label in classes.items()
    ]


def fine_tune_jobs(run: RunFolder, config: Config, prepared: Prepared, base: Trained) -> list[TrainJob]:
    """Strategy `specialise`: one short fine-tune a class from the shared generator."""
    options = replace(drawing_options(config), steps=config.gan.finetune_steps)
    return [
        _job(run, config, prepared, name, (label,), options, base=base.model)
        for name, label in trainable(prepared, config).items()
    ]


def enlarging_jobs(run: RunFolder, config: Config, prepared: Prepared) -> list[TrainJob]:
    """The SRGAN that enlarges the candidates of all classes, if they are to be enlarged."""
    labels, scale = tuple(trainable(prepared, config).values()), scale_of(config)
    if scale == 1 or not labels:
        return []
    options = options_for(config) if config.gan.family == ENLARGES else enlarging_options(config)
    job = _job(run, config, prepared, ENLARGER, labels, options)
    return [replace(job, family=ENLARGES, guide="small", shrink=1, scale=scale)]


def _job(
    run: RunFolder,
    config: Config,
    prepared: Prepared,
    name: str,
    labels: tuple[int, ...],
    options: Options,
    **more: Any,
) -> TrainJob:
    device = resolve_device(config.device)
    shared = config.gan.scope == "shared" or (config.gan.scope == "specialise" and not more.get("base"))
    alone = shared or name == ENLARGER
    # Whatever the runner: another number of threads gives other bits.
    threads = torch.get_num_threads() if alone or device != "cpu" else 1
    family = drawing_family(config)
    guide, _ = usable_kind(config, family, load_pack(prepared.pack))
    return TrainJob(
        name, prepared.pack, labels, family.name, options, more.pop("modes", 0), config.gan.minutes,
        config.seed, device, threads, str(run.out), guide=guide, shrink=scale_of(config), **more,
    )  # fmt: skip


def train(job: TrainJob) -> Trained:
    """Train, or load what an earlier run trained, or resume what one left unfinished.

    A generator that diverges, or has too little memory, fails alone: the record says why, and the run goes on.
    """
    run = RunFolder(Path(job.out))
    log, model = RunLog(run.log), run.stored("generator", job.digest)
    pack = load_pack(job.pack)
    conditions, of_class, n_conditions = _conditions(job, pack)
    finished = Trained(job.name, str(model), job.digest, of_class, 0.0, scale=job.scale)
    if model.exists():
        try:
            return replace(finished, seconds=load_tensors(model)[1]["seconds"])
        except StoreError as damaged:
            log.write("train", "damaged", generator=job.name, error=str(damaged))
    try:
        with torch_threads(job.threads):
            return replace(finished, seconds=_train(job, run, log, model, pack, conditions, n_conditions))
    except (DivergedError, MemoryError, RuntimeError) as error:
        if not isinstance(error, DivergedError) and not _lacks_memory(error):
            raise
        return _failed(job, log, str(error))


def train_apart(job: TrainJob) -> Trained:
    """`train` in a process of its own; its death, by want of memory for one, is a failure of this generator alone."""
    try:
        return in_own_process(train, job)
    except JobError as error:
        return _failed(job, RunLog(RunFolder(Path(job.out)).log), str(error))


def _failed(job: TrainJob, log: RunLog, why: str) -> Trained:
    log.write("train", "failed", generator=job.name, error=why)
    return Trained(job.name, "", job.digest, {}, 0.0, failure=why, scale=job.scale)


def _lacks_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _train(
    job: TrainJob, run: RunFolder, log: RunLog, model: Path, pack: Pack, conditions: Tensor, n_conditions: int
) -> float:
    """Train to the end and save; returns the seconds of training in all."""
    index = _images_of(job, pack)
    side = pack.images.shape[-1] // job.shrink
    base = load_tensors(Path(job.base))[0] if job.base else None
    trainer = Trainer(
        get_family(job.family), shrunk(pack.images[index], side), conditions, n_conditions=n_conditions,
        options=job.options, seed=job.seed, device=job.device, base=base, perceive=perceive,
        guides=None if job.guide == "none" else GUIDES[job.guide](pack, index, side // job.scale),
    )  # fmt: skip
    checkpoint = run.stored("checkpoint", job.digest)
    _resume(trainer, checkpoint, log, job)
    log.write("train", "start", generator=job.name, images=len(index), step=trainer.step, options=asdict(job.options))
    _run(trainer, job, run, checkpoint, conditions)
    tensors, record = trainer.state()
    keep = {
        key: tensor for key, tensor in tensors.items() if key.split(".")[0] in ("generator", "discriminator", "ema")
    }
    save_tensors(model, keep, record | {"name": job.name, "guide": job.guide, "monitor": monitored(trainer)})
    for left in (checkpoint, _previous(checkpoint)):
        left.unlink(missing_ok=True)
    log.write("train", "done", generator=job.name, step=trainer.step, seconds=round(trainer.seconds, 1))
    return trainer.seconds


def _run(trainer: Trainer, job: TrainJob, run: RunFolder, checkpoint: Path, conditions: Tensor) -> None:
    folder, log = run.out / "training" / job.name, RunLog(run.log)
    scorer = _scorer(trainer.batches.images.cpu(), conditions, job)
    shown = conditions.unique().repeat_interleave(8)
    with progress(f"train {job.name}", job.options.steps) as bar:
        at = [0]

        def advance(trainer: Trainer, row: Mapping[str, float]) -> None:
            left = _time_left(trainer, job.minutes)
            note = f"{trainer.step / max(trainer.seconds, 1e-9):.1f} steps/s, {left} left, loss {row['loss_d']:.2f}"
            bar.advance(trainer.step - at[0], note)
            at[0] = trainer.step

        def save(trainer: Trainer) -> None:
            if checkpoint.exists():
                checkpoint.replace(_previous(checkpoint))
            save_tensors(checkpoint, *trainer.state())
            save_grid(folder / f"samples_{trainer.step:06d}.png", trainer.sample(shown, seed=0), columns=8)
            save_curves(folder, trainer.history)
            write_json(folder / "monitor.json", monitored(trainer))

        def tell(trainer: Trainer, finding: Finding) -> None:
            text = explain(finding, trainer.keeper.outcome(trainer.step))
            log.write("train", "finding", generator=job.name, **asdict(finding), text=text)

        try:
            trainer.run(Hooks(progress=advance, checkpoint=save, score=scorer, finding=tell), minutes=job.minutes)
        finally:  # what was seen tells why, if training failed
            write_json(folder / "monitor.json", monitored(trainer))
        save_grid(folder / f"samples_{trainer.step:06d}.png", trainer.sample(shown, seed=0), columns=8)
        save_curves(folder, trainer.history)


def monitored(trainer: Trainer) -> dict[str, Any]:
    """How training ended, and everything that was seen meanwhile, in figures and in words."""
    outcome = trainer.keeper.outcome(trainer.step)
    findings = [asdict(finding) | {"text": explain(finding, outcome)} for finding in trainer.findings()]
    return asdict(outcome) | {"findings": findings}


def _time_left(trainer: Trainer, minutes: float | None) -> str:
    seconds = (trainer.options.steps - trainer.step) * trainer.seconds / max(trainer.step, 1)
    if minutes is not None:
        seconds = min(seconds, minutes * 60 - trainer.seconds)
    return f"{int(max(seconds, 0)) // 60}:{int(max(seconds, 0)) % 60:02d}"


def _scorer(real: Tensor, conditions: Tensor, job: TrainJob) -> Callable[[Trainer], dict[str, float]]:
    """FID, KID and variety of as many samples as there are real images, of the same conditions, at most 256 of them."""
    some = torch.randperm(len(real), generator=torch.Generator().manual_seed(job.seed))[:256]
    asked = conditions[some]
    extractor = Scattering.fit(real[some])
    features = extractor(real[some])
    modes = find_modes(features, asked, seed=job.seed)

    def score(trainer: Trainer) -> dict[str, float]:
        return training_scores(extractor(trainer.sample(asked, seed=job.seed)), features, asked, modes)

    return score


def _conditions(job: TrainJob, pack: Pack) -> tuple[Tensor, dict[str, list[int]], int]:
    """Condition of each training image, the conditions each class is asked by, and how many there are."""
    index, labels = _images_of(job, pack), pack.labels
    names = {int(labels[i]): pack.rows[i]["label"] for i in index.tolist()}
    if not job.modes:
        return labels[index], {name: [label] for label, name in names.items()}, int(labels.max()) + 1
    modes = min(job.modes, max(1, len(index) // 4))
    features = Scattering.fit(pack.images[index])(pack.images[index])
    found = KMeans(modes, n_init=10, random_state=job.seed).fit_predict(features.numpy())
    conditions = torch.from_numpy(found).long()
    # asked for as often as they occur: a condition is listed once for each of its images
    order = torch.randperm(len(index), generator=torch.Generator().manual_seed(job.seed))  # the first few of each too
    return conditions, {names[job.labels[0]]: conditions[order].tolist()}, modes


def _images_of(job: TrainJob, pack: Pack) -> Tensor:
    train = pack.of("train")
    return train[torch.isin(pack.labels[train], torch.tensor(job.labels))]


def _previous(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".previous.safetensors")


def _resume(trainer: Trainer, checkpoint: Path, log: RunLog, job: TrainJob) -> None:
    for file in (checkpoint, _previous(checkpoint)):
        if not file.exists():
            continue
        try:
            trainer.load(load_tensors(file))
        except StoreError as damaged:
            log.write("train", "damaged", generator=job.name, error=str(damaged))
            file.unlink()  # lest the next save lets it take the place of the previous one
            continue
        log.write("train", "resumed", generator=job.name, step=trainer.step, checkpoint=file.name)
        return


def publish(run: RunFolder, config: Config, prepared: Prepared, trained: Sequence[Trained]) -> None:
    """Write `generators/CLASS/` with the model that draws the class, the one that enlarges if any, and their card.

    Raises:
        JobError: no generator was trained at all, or none that enlarges what the others draw.
    """
    painters, enlarger = by_task(trained)
    if painters and not any(t.model for t in painters):
        raise JobError(f"Every generator failed to train: {painters[0].failure}")
    if enlarger and not enlarger.model:
        raise JobError(f"The generator that enlarges failed to train (generate.upscale): {enlarger.failure}")
    pack = load_pack(prepared.pack)
    enlarging, its_card = averaged(enlarger) if enlarger else ({}, {})
    drawn = {name for record in painters if record.model for name in record.conditions}
    for folder in run.generator("any").parent.glob("*"):
        if folder.name not in drawn:  # of a run with another configuration or data set
            shutil.rmtree(folder)
    for record in painters:
        if not record.model:
            continue
        weights, card = averaged(record)
        for name, conditions in record.conditions.items():
            save_tensors(run.model(name), weights, {"generator": record.digest})
            run.enlarger(name).unlink(missing_ok=True)
            if enlarger:
                save_tensors(run.enlarger(name), enlarging, {"generator": enlarger.digest})
            run.sentences(name).unlink(missing_ok=True)
            if card["guide"] == "text":
                save_tensors(run.sentences(name), *embedding_of(pack).state())
            write_json(
                run.card(name),
                {
                    "class": name,
                    "generator": record.digest,
                    "conditions": sorted(set(conditions)),
                    "data_digest": prepared.digest,
                    "seed": config.seed,
                    "code_version": code_version(),
                    "config": config.gan.model_dump(mode="json"),
                    **_summary(card),
                    "guide": _guides_of(card, pack, prepared.classes.index(name)),
                    "enlarger": {"generator": enlarger.digest, **_summary(its_card)} if enlarger else None,
                },
            )


def by_task(trained: Sequence[Trained]) -> tuple[list[Trained], Trained | None]:
    """The generators that draw, and the one that enlarges what they drew, if there is one."""
    return [t for t in trained if t.scale == 1], next((t for t in trained if t.scale > 1), None)


def averaged(record: Trained) -> Averaged:
    """The weights that images are made with, and the record of the training."""
    tensors, card = load_tensors(Path(record.model))
    return {key.removeprefix("ema."): t for key, t in tensors.items() if key.startswith("ema.")}, card


def _summary(card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "family": card["family"],
        "spec": card["spec"],
        "options": card["options"],
        "steps": card["step"],
        "seconds": card["seconds"],
        "metrics": card["history"][-1] if card["history"] else {},
        "monitor": card["monitor"],
    }


def _guides_of(card: Mapping[str, Any], pack: Pack, label: int) -> dict[str, Any] | None:
    """The images whose guides are drawn, in the order that `pipeline/stages/guides.py: draw` counts them in."""
    if card["guide"] == "none":
        return None
    return {"kind": card["guide"], "images": [pack.rows[i]["path"] for i in training_images(pack, label).tolist()]}
