"""The training jobs of a strategy; each record holds everything that the trained generator depends on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganaug.families import get_family
from ganaug.options import Options
from ganaug.preconditions import check_options
from ganaug.seeding import derived_seed
from pipeline.config import Config, GanSettings
from pipeline.errors import InputError, JobError
from pipeline.log import RunLog
from pipeline.stages.conditioning_inputs import usable_kind
from pipeline.stages.records import Pack, Prepared, Trained, load_pack
from pipeline.stages.seen import require_unseen
from pipeline.stages.super_resolution import SUPER_RESOLVES, drawing_family, scale_of, super_resolution_options
from pipeline.stages.trained_models import require_current
from pipeline.store import RunFolder, digest, file_digest, load_tensors, write_atomically
from pipeline.workers import resolve_device, resolve_precision

SHARED, SUPER_RESOLVER = "all classes", "super_resolver"
NOT_OVERRIDES = set(GanSettings.model_fields)  # of the run, not of one training
UNLIMITED = 1_000_000  # steps, where minutes decide
LEAST_HELD_OUT = 20  # validation images; fewer say less than the training images do (docs/scores.md)


@dataclass(frozen=True)
class TrainJob:
    """One generator to train, on the images of the classes `labels`, starting from the model `init_from` if given.

    A generator of one class depends on the images of that class alone, and on its base, so that a class that joins the
    data set leaves the others' generators as they are: `classes`, names by label, are empty for it.
    """

    name: str
    pack: str
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    family: str
    options: Options
    modes: int  # above 0: condition on this many appearance modes of the one class instead of on the class
    minutes: float | None
    seed: int
    device: str
    threads: int
    out: str
    init_from: str = ""
    conditioning_input: str = "none"  # a kind of pipeline/stages/conditioning_inputs.py
    shrink: int = 1  # side of the pack's images over that of the images it learns to make
    scale: int = 1  # side of those over that of the conditioning inputs; above 1 it is a super-resolver
    devices: int = 1  # processes that train it together
    repeat: int = 0  # of `gan.repeats`; each has a seed and a name of its own

    @property
    def result(self) -> Path:
        """The file of the trained generator."""
        return RunFolder(Path(self.out)).stored("generator", self.digest)

    @cached_property
    def digest(self) -> str:
        """Of everything the model depends on, the wall-clock budget too: it decides how far training gets."""
        without = ("threads", "out", "init_from", "pack", "labels", "repeat")
        identity = {k: v for k, v in asdict(self).items() if k not in without}
        return digest(identity, _content(self), Path(self.init_from).name, code="pipeline.stages.train")


def _content(job: TrainJob) -> str:
    """Digest of the images that the job is trained and scored on."""
    pack = load_pack(job.pack)
    if job.conditioning_input == "text":  # what a sentence means is learned from those of all images
        return Path(job.pack).name
    index = images_of(job, pack)
    masks = None if job.conditioning_input == "none" or pack.masks is None else pack.masks[index]
    labels = pack.labels[index] if job.classes else len(index)
    held_out = pack.images[held_out_of(job, pack)]
    return digest(pack.images[index], labels, masks, held_out, code="pipeline.stages.train")


def options_for(config: Config) -> Options:
    """The family's defaults with the configuration's overrides.

    Raises:
        InputError: an unknown family, or a value the family cannot take.
    """
    chosen = config.gan.model_dump(exclude=NOT_OVERRIDES, exclude_none=True) | {"precision": resolve_precision(config)}
    if chosen.get("diffaugment") == "none":
        chosen["diffaugment"] = ""
    if config.gan.minutes is not None:
        chosen.setdefault("steps", UNLIMITED)
    try:
        family = get_family(config.gan.family)
        options = replace(family.defaults, **chosen)
        check_options(family, options, processes=config.gan.devices)
        if config.generate.truncation != 1 and not family.truncates:
            raise ValueError(f"generate.truncation: gan.family {family.name} has no styles to truncate; set it to 1")
        return options
    except ValueError as error:
        raise InputError(str(error)) from None


def drawing_options(config: Config) -> Options:
    """Options of the family that draws; its defaults where `gan.family` is the one that enlarges."""
    if config.gan.family != SUPER_RESOLVES:
        return options_for(config)
    enlarging = options_for(config)
    return replace(drawing_family(config).defaults, steps=enlarging.steps, precision=enlarging.precision)


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
    """The generators that need no other, in every repeat: one for all classes, or one a class (`per_class`)."""
    options, classes = drawing_options(config), trainable(prepared, config)
    if not classes:
        return []
    for note in usable_kind(config, drawing_family(config), load_pack(prepared.pack))[1]:
        RunLog(run.log).write("train", "conditioning_inputs", note=note)
    if config.gan.scope != "per_class":
        return _repeated(config, [_job(run, config, prepared, SHARED, tuple(classes.values()), options)])
    modes = config.gan.modes
    jobs = [_job(run, config, prepared, name, (label,), options, modes=modes) for name, label in classes.items()]
    return _repeated(config, jobs)


def _repeated(config: Config, jobs: Sequence[TrainJob]) -> list[TrainJob]:
    return [_repeat(job, repeat) for repeat in range(config.gan.repeats) for job in jobs]


def _repeat(job: TrainJob, repeat: int) -> TrainJob:
    """The same training from another seed; repeat 0 is the job itself."""
    if repeat == 0:
        return job
    return replace(job, name=f"{job.name} (repeat {repeat})", seed=derived_seed(job.seed, repeat), repeat=repeat)


def given_base(run: RunFolder, config: Config, prepared: Prepared) -> Trained | None:
    """The generator of `gan.init_from`, copied into the run's store if it is not there; None if one is to be trained.

    Raises:
        InputError: the file holds no generator, one of another family or of images of another form, or one that has
            learned from test images of this run.
    """
    if config.gan.init_from is None:
        return None
    file = Path(config.gan.init_from)
    own = file.resolve().parent == run.store.resolve()
    try:
        asked = _fitting(run, file, config, prepared, own=own)
    except InputError as error:
        if not own:
            raise
        # gan.init_from was set by the workspace, not by the user: an earlier run of this folder trained it
        RunLog(run.log).write("train", "base", dropped=str(error))
        return None
    content, stored = file_digest(file), file
    if not own:
        stored = run.stored("base", content)
        if not stored.exists():
            write_atomically(stored, file.read_bytes())
    return Trained(SHARED, str(stored), content, asked, 0.0)


def _fitting(run: RunFolder, file: Path, config: Config, prepared: Prepared, *, own: bool) -> dict[str, list[int]]:
    """The conditions of each class in a base; InputError where the base does not fit this run.

    A base in the run's own store without a list of its training images is of an earlier version; it is trained again.
    """
    try:
        card = load_tensors(file)[1]
        spec, asked = card["spec"], card["asked"]
        require_current(file, card)
    except (OSError, JobError, KeyError) as error:
        raise InputError(
            f"gan.init_from = {file} is no trained generator ({error}); give a file store/generator-*.safetensors of a "
            "run with gan.scope = shared or specialise."
        ) from None
    wanted = (drawing_family(config).name, prepared.image_size // scale_of(config), prepared.channels)
    if (card["family"], spec["size"], spec["channels"]) != wanted:
        raise InputError(
            f"gan.init_from = {file} is a {card['family']} for {spec['size']} pixels and {spec['channels']} "
            "channel(s), "
            f"but this run needs a {wanted[0]} for {wanted[1]} pixels and {wanted[2]} channel(s); leave gan.init_from "
            "out."
        )
    if own and card.get("seen") is None:
        raise InputError(
            f"gan.init_from = {file} does not say which images it has learned from; leave gan.init_from out."
        )
    mend = "leave gan.init_from out, or give a data set with a split of its own that trains on these images"
    require_unseen(card, prepared, RunLog(run.log), generator=f"gan.init_from = {file}", mend=mend)
    found: dict[str, list[int]] = asked
    return found


def fine_tune_jobs(run: RunFolder, config: Config, prepared: Prepared, base: Trained) -> list[TrainJob]:
    """Strategy `specialise`: one short fine-tune a class from the shared generator, as one of the same repeat."""
    options = replace(drawing_options(config), steps=config.gan.finetune_steps)
    return [
        _repeat(_job(run, config, prepared, name, (label,), options, init_from=base.model), base.repeat)
        for name, label in trainable(prepared, config).items()
    ]


def super_resolution_jobs(run: RunFolder, config: Config, prepared: Prepared) -> list[TrainJob]:
    """The SRGAN of every repeat that enlarges the candidates of all classes, if they are to be enlarged."""
    labels, scale = tuple(trainable(prepared, config).values()), scale_of(config)
    if scale == 1 or not labels:
        return []
    options = options_for(config) if config.gan.family == SUPER_RESOLVES else super_resolution_options(config)
    job = _job(run, config, prepared, SUPER_RESOLVER, labels, options)
    return _repeated(config, [replace(job, family=SUPER_RESOLVES, conditioning_input="small", shrink=1, scale=scale)])


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
    shared = config.gan.scope == "shared" or (config.gan.scope == "specialise" and not more.get("init_from"))
    alone = shared or name == SUPER_RESOLVER
    # Whatever the runner: another number of threads gives other bits.
    cores = torch.get_num_threads()
    many = (alone and config.gan.repeats == 1) or device != "cpu"  # else several are trained at a time
    threads = min(cores, config.workers or cores) if many else 1
    family = drawing_family(config)
    conditioning_input, _ = usable_kind(config, family, load_pack(prepared.pack))
    return TrainJob(
        name,
        prepared.pack,
        labels,
        tuple(prepared.classes) if alone else (),
        family.name,
        options,
        more.pop("modes", 0),
        config.gan.minutes,
        config.seed,
        device,
        threads,
        str(run.out),
        conditioning_input=conditioning_input,
        shrink=scale_of(config),
        devices=config.gan.devices,
        **more,
    )


def images_of(job: TrainJob, pack: Pack, split: str = "train") -> Tensor:
    """Pack indices `int64` of the images that a job trains on, or of those of the same classes in another split."""
    index = pack.of(split)
    return index[torch.isin(pack.labels[index], torch.tensor(job.labels))]


def held_out_of(job: TrainJob, pack: Pack) -> Tensor:
    """Pack indices `int64` of the validation images that FID is measured against in training; empty if too few."""
    index = images_of(job, pack, "val")
    return index if len(index) >= LEAST_HELD_OUT else index[:0]
