"""The small records that stages hand to each other; bulk data stays in files that they name."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config import Arm
from pipeline.store import load_tensors


@dataclass(frozen=True)
class Prepared:
    """The data set as the networks see it. `pack` is the file of `load_pack`; `counts` is split -> class -> images.

    `white` is the 16-bit level that became 255, and None where no image has 16 bits. `float_range` are the two values
    that became 0 and 255 of floating-point images, and None where there are none.
    """

    digest: str
    pack: str
    classes: list[str]
    image_size: int
    channels: int
    framing: str
    counts: dict[str, dict[str, int]]
    notes: list[str]
    white: int | None = None
    float_range: list[float] | None = None

    @property
    def n_train(self) -> int:
        """How many real images there are to train on."""
        return sum(self.counts["train"].values())

    @property
    def cross_validated(self) -> bool:
        """Whether choices are made by repeated k-fold on the training images, for want of a validation split."""
        return not any(self.counts["val"].values())


@dataclass(frozen=True)
class Trained:
    """One trained generator, or why there is none. `conditions` maps a class to the conditions it is drawn with.

    With `scale` above 1 it is a super-resolver: it enlarges the others' images by that factor. `repeat` counts, from 0,
    the trainings of all generators from different seeds (`gan.repeats`).
    """

    name: str
    model: str
    digest: str
    conditions: dict[str, list[int]]
    seconds: float
    failure: str = ""
    scale: int = 1
    repeat: int = 0


@dataclass(frozen=True)
class Candidates:
    """Synthetic images of one class: tensors `images`, `seeds`, `conditions` in `file`.

    With conditioning inputs also `conditioning_rows` (pack index of the image that each was taken from) and
    `conditioning_symmetries`. The file's metadata holds the `descriptions`, for generators that draw from text.
    `generator` names the generator and, after a `+`, the super-resolver. It is empty where somebody
    else made the images: then the file has no seeds and conditions but `masks` where some image has one, and its
    metadata says under `origins` and `names` where each image came from and what its file is called.
    """

    label: int
    class_name: str
    file: str
    generator: str
    count: int


@dataclass(frozen=True)
class Supply:
    """The candidates of all classes, the generators that drew them, if any did, and what the report has to say.

    `repeats` has the candidates of each training of the generators (`gan.repeats`). The first are those of the run; the
    others only tell how far generators differ.
    """

    repeats: list[list[Candidates]]
    trained: list[Trained] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FittedScorer:
    """Extractor and scorer of the filter, fitted on the training images, with the real images' features."""

    file: str
    features: str


@dataclass(frozen=True)
class Selected:
    """Result of the filter for one class.

    Tensors in `file`: `ratio_R`, the candidates that ratio R merges; `blind`, all in random order; `nearest_real` (pack
    index), `distance`, `realism` and `confidence` of every candidate; `wanted`, real training images of the class.
    """

    label: int
    class_name: str
    candidates: str
    generator: str
    file: str
    generated: int
    accepted: int
    rejected: dict[str, int]
    scores: dict[str, float | None]
    refused: str
    warnings: list[str]


@dataclass(frozen=True)
class Choices:
    """What was chosen on training and validation images alone, with the endpoint of each option."""

    policy: str
    balanced: bool  # whether the arms with this policy draw classes equally often
    ratio: int
    baseline: Arm
    augmented: Arm
    scores: dict[str, dict[str, float]]
    method: str


@dataclass(frozen=True)
class Pack:
    """Images `uint8 [N, C, S, S]`, labels, groups and splits (index into SPLITS) `int64 [N]`, and a row for each.

    `masks` are `uint8 [N, 1, S, S]` of 0 and 255, all 0 where nothing is marked; None if the data set has none at all.
    """

    images: Tensor
    labels: Tensor
    groups: Tensor
    splits: Tensor
    rows: list[dict[str, Any]]
    masks: Tensor | None = None

    def of(self, split: str) -> Tensor:
        """Indices of the images of a split, `int64`."""
        return torch.nonzero(self.splits == SPLIT_CODES[split]).squeeze(1)


SPLIT_CODES = {"train": 0, "val": 1, "test": 2, "unused": 3}


@lru_cache(maxsize=4)
def load_pack(file: str) -> Pack:
    """Read what `prepare` saved."""
    tensors, metadata = load_tensors(Path(file))
    return Pack(
        tensors["images"],
        tensors["labels"],
        tensors["groups"],
        tensors["splits"],
        metadata["rows"],
        tensors.get("masks"),
    )


@lru_cache(maxsize=4)  # a file may hold 100 MB, and each worker keeps its own
def load_images(file: str) -> Tensor:
    """The `images` of a candidates file."""
    return load_tensors(Path(file))[0]["images"]


def as_pixels(image: Tensor) -> NDArray[np.uint8]:
    """An image `uint8 [1 or 3, S, S]` as pixels `[S, S]` or `[S, S, 3]`."""
    pixels: NDArray[np.uint8] = image.permute(1, 2, 0).numpy()
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels
