"""Small pictures and data sets made on the fly for the tests of reading."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def texture(seed: int, height: int = 64, width: int = 64) -> NDArray[np.uint8]:
    """A grey picture with structure of its own: smooth noise over the whole range, ``uint8 [H, W]``."""
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.rint(255 * (smooth - smooth.min()) / (smooth.max() - smooth.min())).astype(np.uint8)


def save(path: Path, pixels: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(path.suffix, pixels)
    assert ok
    path.write_bytes(data.tobytes())
    return path


def folder(root: Path, classes: tuple[str, ...] = ("dent", "hole"), each: int = 6, first_seed: int = 0) -> Path:
    """A data set of class folders, every picture different: CLASS/0.png, 1.png, ..."""
    for k, name in enumerate(classes):
        for i in range(each):
            save(root / name / f"{i}.png", texture(first_seed + 100 * k + i))
    return root
