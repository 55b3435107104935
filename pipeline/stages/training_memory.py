"""Memory of a training step, compared with the free memory before training starts."""

import torch

from ganaug.footprint import training_bytes
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.memory import available_memory
from pipeline.stages.conditioning_inputs import CONDITIONING_INPUTS, usable_kind
from pipeline.stages.jobs import options_for
from pipeline.stages.records import Prepared, load_pack
from pipeline.stages.super_resolution import drawing_family, scale_of
from pipeline.workers import resolve_device, workers

GIB = 1024**3


def require_memory(config: Config, prepared: Prepared) -> None:
    """Raise InputError, with both figures, where the generators' training steps need more memory than is free."""
    device, options = resolve_device(config.device), options_for(config)
    needed, free = planned_memory(config, prepared), free_memory(device)
    if needed > free:
        raise InputError(
            f"A training step with gan.batch = {options.batch} and gan.width = {options.width} "
            f"needs about {needed / GIB:.1f} GiB and {free / GIB:.1f} GiB are free on {device}; "
            "lower gan.batch, gan.width, data.image_size or workers."
        )


def planned_memory(config: Config, prepared: Prepared) -> int:
    """Bytes that the generators trained at the same time need, roughly."""
    family, options, pack = drawing_family(config), options_for(config), load_pack(prepared.pack)
    side = prepared.image_size // scale_of(config)
    kind, _ = usable_kind(config, family, pack)
    conditioning_shape = (
        () if kind == "none" else tuple(CONDITIONING_INPUTS[kind](pack, pack.of("train")[:1], side).shape[1:])
    )
    conditions = config.gan.modes if config.gan.scope == "per_class" else len(prepared.classes)
    spec = family.spec(
        options, size=side, channels=prepared.channels, conditions=conditions, conditioning_shape=conditioning_shape
    )
    generators = config.gan.repeats * (len(prepared.classes) if config.gan.scope == "per_class" else 1)
    return training_bytes(family, spec, options, conditioning_shape) * min(workers(config), generators)


def free_memory(device: str) -> int:
    """Bytes that can be had on a device; that of `mps` is the machine's."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info()
        return int(free)
    return available_memory()
