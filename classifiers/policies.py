"""Classical augmentation policies for surface textures: the one adapter of albumentations."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks the network for a newer version otherwise

import difflib
import random
from collections.abc import Callable

import albumentations as A
import cv2
import numpy as np
import torch
from torch import Tensor

Transforms = list[A.BasicTransform]


def _flips(size: int) -> Transforms:
    return [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]


def _rotations(size: int) -> Transforms:
    return [A.D4(p=1.0)]  # the eight symmetries of the square: flips and quarter turns


def _shift(size: int) -> Transforms:
    # Reflection continues a texture; a constant border would be an edge, and edges are what defects look like.
    border = cv2.BORDER_REFLECT_101
    return [A.Affine(scale=(0.9, 1.1), keep_ratio=True, translate_percent=(-0.1, 0.1), border_mode=border, p=0.8)]


def _light(size: int) -> Transforms:
    # Mild: on some surfaces the brightness itself tells the classes apart.
    return [A.RandomBrightnessContrast(0.1, 0.1, p=0.5), A.RandomGamma((85, 118), p=0.5)]


def _crop(size: int) -> Transforms:
    return [A.RandomResizedCrop((size, size), scale=(0.6, 1.0), ratio=(0.9, 1.1), p=0.8)]


def _noise(size: int) -> Transforms:
    return [A.GaussNoise(std_range=(0.01, 0.04), p=0.5)]


def _chain(*parts: Callable[[int], Transforms]) -> Callable[[int], Transforms]:
    return lambda size: [transform for part in parts for transform in part(size)]


POLICIES: dict[str, Callable[[int], Transforms]] = {
    "none": _chain(),
    "flips": _flips,
    "flips_rotate": _rotations,
    "flips_shift": _chain(_flips, _shift),
    "flips_light": _chain(_flips, _light),
    "flips_shift_light": _chain(_flips, _shift, _light),
    "flips_crop": _chain(_flips, _crop),
    "flips_noise": _chain(_flips, _noise),
}


class Augmenter:
    """Augments batches by a policy of `POLICIES`; two with equal arguments give equal sequences of batches.

    Raises:
        ValueError: the policy is unknown.
    """

    def __init__(self, policy: str, size: int, seed: int) -> None:
        if policy not in POLICIES:
            near = difflib.get_close_matches(policy, POLICIES, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"unknown augmentation policy {policy!r}; known: {', '.join(POLICIES)}{hint}")
        transforms = POLICIES[policy](size)
        self._compose: A.Compose | None = None
        if transforms:
            self._compose = A.Compose(transforms)
            # Compose(seed=...) starts every transform at the same state, and both flips would always happen together;
            # handing it the generators lets all transforms draw from one stream.
            self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311 (not for secrets)

    def __call__(self, images: Tensor) -> Tensor:
        """Augment every image on its own: uint8 [N, C, S, S] -> uint8 [N, C, S, S] on the CPU."""
        if self._compose is None:
            return images
        height_width_channels = images.permute(0, 2, 3, 1).contiguous().numpy()
        augmented = np.stack([self._compose(image=image)["image"] for image in height_width_channels])
        return torch.from_numpy(augmented).permute(0, 3, 1, 2).contiguous()
