"""A tiny data set with masks: a square of another texture in each picture, outlined by a mask beside it."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests import tiny


def write_marked(root: Path, *, bare: tuple[str, ...] = (), each: int = 8) -> Path:
    """`tiny`'s classes as .bmp with a .png mask of the same stem; none for the classes in `bare`."""
    for name in tiny.TEXTURES:
        (root / name).mkdir(parents=True)
        for i in range(each):
            pixels, mask = marked_picture(name, i)
            (root / name / f"{name}-{i:02d}.bmp").write_bytes(cv2.imencode(".bmp", pixels)[1].tobytes())
            if name not in bare:
                (root / name / f"{name}-{i:02d}.png").write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    return root


def marked_picture(name: str, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A 64 x 64 picture, dark within a rectangle, and the mask of that, `uint8 [64, 64]` of 0 and 255."""
    pixels, mask = tiny.texture(name, seed, size=64), np.zeros((64, 64), np.uint8)
    top, left = (int(v) for v in np.random.default_rng([seed, ord(name[0])]).integers(4, 36, 2))
    mask[top : top + 12 + seed, left : left + 20] = 255
    return np.where(mask > 0, pixels // 3, pixels).astype(np.uint8), mask
