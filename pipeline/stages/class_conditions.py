"""Class conditions of a generator: the condition of each training image, and the conditions of each class."""

from pathlib import Path
from typing import NamedTuple

import torch
from sklearn.cluster import KMeans
from torch import Tensor

from classifiers.scattering import Scattering
from ganaug.sampling import generate
from ganaug.seeding import random_stream
from pipeline.stages.conditioning_inputs import CONDITIONING_INPUTS, shrunk
from pipeline.stages.jobs import TrainJob, images_of
from pipeline.stages.records import Pack
from pipeline.stages.trained_models import averaged, generator_of

LOOKED_AT = 32  # images of each condition


class Conditions(NamedTuple):
    """Condition of each training image `int64 [n]`, the conditions that each class is drawn with, and their number."""

    of_images: Tensor
    of_class: dict[str, list[int]]
    number: int


def conditions_of(job: TrainJob, pack: Pack) -> Conditions:
    """Classes, or modes of the one class (`per_class`), or the condition of the base that a class takes over."""
    index, labels = images_of(job, pack), pack.labels
    names = {int(labels[i]): pack.rows[i]["label"] for i in index.tolist()}
    if job.init_from:
        name = names[job.labels[0]]
        condition, number = _taken_over(job, name, pack, index)
        return Conditions(torch.full((len(index),), condition), {name: [condition]}, number)
    if not job.modes:
        return Conditions(labels[index], {name: [label] for label, name in names.items()}, len(job.classes))
    modes = min(job.modes, max(1, len(index) // 4))
    features = Scattering.fit(pack.images[index])(pack.images[index])
    found = KMeans(modes, n_init=10, random_state=job.seed).fit_predict(features.numpy())
    conditions = torch.from_numpy(found).long()
    # drawn as often as they occur: a condition is listed once for each of its images
    order = torch.randperm(len(index), generator=random_stream(job.seed))  # the first few of each too
    return Conditions(conditions, {names[job.labels[0]]: conditions[order].tolist()}, modes)


def _taken_over(job: TrainJob, name: str, pack: Pack, index: Tensor) -> tuple[int, int]:
    """The base's own condition for the class `name`, and how many it has.

    A class that the base has never seen starts from the one whose generated images look most like its own (smallest
    distance of mean features).
    """
    weights, card = averaged(Path(job.init_from))
    number = int(card["spec"]["conditions"])
    if name in card["asked"]:
        return int(card["asked"][name][0]), number
    family, spec, generator = generator_of(weights, card)
    known = torch.tensor([conditions[0] for conditions in card["asked"].values()])
    asked = known.repeat_interleave(LOOKED_AT)
    conditioning_inputs = None
    if job.conditioning_input != "none":
        conditioning_inputs = CONDITIONING_INPUTS[job.conditioning_input](pack, index, spec.size // spec.scale)
        conditioning_inputs = conditioning_inputs[torch.arange(LOOKED_AT) % len(index)].repeat(
            len(known), *[1] * (conditioning_inputs.ndim - 1)
        )
    drawn = generate(
        family,
        generator,
        spec,
        torch.arange(len(asked)),
        asked,
        conditioning_inputs=conditioning_inputs,
        device=job.device,
    )
    real = shrunk(pack.images[index], spec.size)
    extractor = Scattering.fit(real)
    means = extractor(drawn).unflatten(0, (len(known), LOOKED_AT)).mean(1)
    nearest = (means - extractor(real).mean(0)).norm(dim=1).argmin()
    return int(known[nearest]), number
