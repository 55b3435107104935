"""Conditioning inputs: edge map, mask, small image or text embedding of each training image, and one for each seed."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ganaug.families import Family
from ganaug.symmetries import SYMMETRIES
from pipeline.config import Config
from pipeline.descriptions import SentenceEmbedding
from pipeline.errors import InputError
from pipeline.stages.records import Pack

# Canny's thresholds in medians of the gradient: relative ones, for a dim image has edges too
WEAK, STRONG = 1.2, 2.4
STREAM = 1  # of random numbers, beside that of the latents

Kind = Callable[[Pack, Tensor, int], Tensor]  # pack, indices [n], side -> conditioning inputs [n, ...]


def shrunk(images: Tensor, side: int) -> Tensor:
    """Images `uint8 [N, C, S, S]` by area averaging: `uint8 [N, C, side, side]`."""
    return images if images.shape[-1] == side else F.adaptive_avg_pool2d(images.float(), side).round().to(torch.uint8)


def edges(pack: Pack, index: Tensor, side: int) -> Tensor:
    """Edge maps of 0 and 255, `uint8 [n, 1, side, side]`, with the outline of the mask where there is one."""
    images = shrunk(pack.images[index], side).float().mean(1).round().to(torch.uint8).numpy()
    found = torch.from_numpy(np.stack([canny(image) for image in images]))[:, None]
    return found if pack.masks is None else torch.maximum(found, _outlines(_masks(pack.masks[index], side)))


def masks(pack: Pack, index: Tensor, side: int) -> Tensor:
    """Masks of 0 and 255, `uint8 [n, 1, side, side]`; the edge map of an image in which nothing is marked."""
    found, filled = edges(pack, index, side), torch.zeros(len(index), 1, side, side, dtype=torch.uint8)
    if pack.masks is not None:
        filled = _masks(pack.masks[index], side)
    return torch.where(marked(pack)[index][:, None, None, None], filled, found)


def small(pack: Pack, index: Tensor, side: int) -> Tensor:
    """The images themselves, shrunk: `uint8 [n, C, side, side]`."""
    return shrunk(pack.images[index], side)


def text(pack: Pack, index: Tensor, _side: int) -> Tensor:
    """The images' descriptions as vectors, `float32 [n, E]`."""
    return embedding_of(pack)([pack.rows[i]["description"] for i in index.tolist()])


def embedding_of(pack: Pack) -> SentenceEmbedding:
    """The embedding of sentences that the training images of all classes give."""
    return SentenceEmbedding.fit([pack.rows[i]["description"] for i in pack.of("train").tolist()])


CONDITIONING_INPUTS: dict[str, Kind] = {"edges": edges, "mask": masks, "small": small, "text": text}


class Drawn(NamedTuple):
    """For each seed: a conditioning input `[n, ...]`, the pack index of its image, and its symmetry, `int64 [n]`."""

    conditioning_inputs: Tensor
    rows: Tensor
    symmetries: Tensor


def draw(kind: str, pack: Pack, label: int, seeds: Tensor, side: int) -> Drawn:
    """For each seed, by the seed alone, the picture of a training image of the class in a symmetry of the square."""
    mine = training_images(pack, label)
    which, turns = _choices(seeds, len(mine)).unbind(1)
    of_class = CONDITIONING_INPUTS[kind](pack, mine, side)
    conditioning_inputs = [
        SYMMETRIES[turn](of_class[i]) for i, turn in zip(which.tolist(), turns.tolist(), strict=True)
    ]
    return Drawn(torch.stack(conditioning_inputs), mine[which], turns)


def draw_sentences(pack: Pack, label: int, seeds: Tensor, embedding: SentenceEmbedding) -> Drawn:
    """For each seed, by the seed alone, the description of a training image of the class, as the generator learnt it.

    A sentence has no symmetries: all are 0.
    """
    mine = training_images(pack, label)
    which = _choices(seeds, len(mine))[:, 0]
    rows = mine[which]
    return Drawn(embedding([pack.rows[row]["description"] for row in rows.tolist()]), rows, torch.zeros_like(rows))


def _choices(seeds: Tensor, images: int) -> Tensor:
    """Image and symmetry that each seed stands for, `int64 [N, 2]`."""
    drawn = [np.random.default_rng([STREAM, seed]).integers([images, len(SYMMETRIES)]) for seed in seeds.tolist()]
    return torch.from_numpy(np.array(drawn, np.int64).reshape(-1, 2))


def training_images(pack: Pack, label: int) -> Tensor:
    """Pack indices of the class's training images, `int64`; conditioning inputs are numbered in this order."""
    train = pack.of("train")
    return train[pack.labels[train] == label]


def asked_kind(config: Config, family: Family) -> str:
    """The configured kind of conditioning input, or the family's first; InputError if it cannot take it."""
    kind = config.gan.conditioning_input or family.conditioning_inputs[0]
    if config.generate.description and "text" not in family.conditioning_inputs:
        raise InputError(
            f"generate.description: gan.family {family.name} draws from no sentence; use stackgan or leave it out."
        )
    if kind not in family.conditioning_inputs:
        raise InputError(
            f"gan.conditioning_input = {kind}: gan.family {family.name} takes "
            f"{' or '.join(family.conditioning_inputs)}; choose so."
        )
    return kind


def usable_kind(config: Config, family: Family, pack: Pack) -> tuple[str, list[str]]:
    """The kind that the data allow, and notes for the log: images without a mask are replaced by their edge maps.

    Raises:
        InputError: masks were asked for and no training image has one.
    """
    kind = asked_kind(config, family)
    if kind != "mask":
        return kind, []
    train, has = pack.of("train"), marked(pack)
    if not has[train].any():
        if config.gan.conditioning_input:
            raise InputError(
                "gan.conditioning_input = mask: no training image has a mask that marks anything; use edges."
            )
        return "edges", ["No training image has a mask that marks anything: the generator is conditioned on edge maps."]
    bare = [pack.rows[i]["label"] for i in train[~has[train]].tolist()]
    return kind, [
        f"{bare.count(name)} training image(s) of class {name} have no mask that marks anything: "
        "the generator is conditioned on their edge maps."
        for name in sorted(set(bare))
    ]


def marked(pack: Pack) -> Tensor:
    """Whether each image has a mask that marks anything, `bool [N]`."""
    if pack.masks is None:
        return torch.zeros(len(pack.images), dtype=torch.bool)
    return _any(pack.masks)


def canny(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Canny's edges of a grey image, 0 or 255, above multiples of its median gradient."""
    smooth = cv2.GaussianBlur(image, (3, 3), 0)
    along_x, along_y = cv2.Sobel(smooth, cv2.CV_16S, 1, 0), cv2.Sobel(smooth, cv2.CV_16S, 0, 1)
    median = float(np.median(np.abs(along_x.astype(np.int32)) + np.abs(along_y.astype(np.int32))))
    found = cv2.Canny(along_x, along_y, WEAK * max(median, 1), STRONG * max(median, 1))
    return np.asarray(found, np.uint8)


def _masks(filled: Tensor, side: int) -> Tensor:
    """Nearest neighbour, except that what is marked at all stays marked."""
    if filled.shape[-1] == side:
        return filled
    near = F.interpolate(filled, (side, side), mode="nearest-exact")
    lost = ~_any(near)
    near[lost] = F.adaptive_max_pool2d(filled[lost].float(), side).to(torch.uint8)
    return near


def _any(filled: Tensor) -> Tensor:
    return (filled > 0).flatten(1).any(1)


def _outlines(filled: Tensor) -> Tensor:
    """The inner border of each marked area."""
    eroded = -F.max_pool2d(-filled.float(), 3, stride=1, padding=1)
    return torch.where(eroded < 255, filled, 0).to(torch.uint8)
