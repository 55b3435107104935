"""A job small enough for a test: textures that are easily told apart, a few steps of everything."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config import Config, load_config
from pipeline.store import RunFolder, load_tensors, save_tensors

TEXTURES = {"blobs": (2.5, 2.5), "grain": (0.6, 0.6), "lines": (4.0, 0.4)}  # blur along x and y
SETTINGS = (
    "data.image_size=32",
    "device=cpu",
    "runner=local",
    "gan.steps=40",
    "gan.width=8",
    "gan.batch=8",
    "gan.latent=16",
    "gan.lr_g=0.02",
    "gan.lr_d=0.005",
    "gan.ema=0",
    "gan.diffaugment=none",
    "generate.per_class=12",
    # a generator of forty steps makes rubbish: let some of it through
    "filter.min_confidence=0",
    "filter.copy_correlation=1.0",
    "filter.refuse_fid_ratio=1e12",
    "evaluate.steps=4",
    "evaluate.batch=8",
    "evaluate.seeds=2",
    "evaluate.folds=2",
    "evaluate.repeats=1",
    "evaluate.policies=[flips]",
    "evaluate.ratios=[1]",
    "evaluate.resamples=100",
    f"precision={os.environ.get('TEST_PRECISION', 'auto')}",
)
TWO_ARMS = ("evaluate.arms=[real,gan]", "evaluate.seeds=1", "inspection.learning_curve=false")  # as short as a run gets


def settings(*overrides: str) -> Config:
    return load_config(None, [*SETTINGS, *overrides])


def as_arguments(*overrides: str) -> list[str]:
    return [word for setting in (*SETTINGS, *overrides) for word in ("--set", setting)]


def texture(name: str, seed: int, *, size: int = 32, channels: int = 1) -> NDArray[np.uint8]:
    """One picture of a class, `uint8 [S, S]` or, in colour, `[S, S, 3]`."""
    along_x, along_y = TEXTURES[name]
    noise = np.random.default_rng([seed, ord(name[0])]).normal(size=(size, size, channels)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigmaX=along_x, sigmaY=along_y).reshape(size, size, channels)
    pixels = np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    return pixels[:, :, 0] if channels == 1 else pixels


def encoded(pixels: NDArray[Any]) -> bytes:
    """A PNG of pixels, clipped to 0..255."""
    return cv2.imencode(".png", np.clip(pixels, 0, 255).astype(np.uint8))[1].tobytes()


def write_dataset(
    root: Path, counts: Mapping[str, int] | None = None, *, channels: int = 1, first_seed: int = 0
) -> Path:
    """Class folders under `root`; twelve pictures of each texture unless `counts` says otherwise."""
    for name, count in (counts or dict.fromkeys(TEXTURES, 12)).items():
        (root / name).mkdir(parents=True)
        for i in range(first_seed, first_seed + count):
            (root / name / f"{name}-{i:02d}.png").write_bytes(encoded(texture(name, i, channels=channels)))
    return root


def draw_well(run: RunFolder) -> None:
    """Put new real pictures of the class in place of all candidates of a run: the filter accepts them, whatever a tiny
    training has come to."""
    for file in run.store.glob("candidates-*.safetensors"):
        tensors, record = load_tensors(file)
        count, channels, size, _ = tensors["images"].shape
        pictures = [texture(record["class"], 1000 + i, size=size, channels=channels) for i in range(count)]
        images = torch.from_numpy(np.stack(pictures)).reshape(count, size, size, channels).permute(0, 3, 1, 2)
        save_tensors(file, tensors | {"images": images.contiguous()}, record)


def contents(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of every file."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def times(folder: Path) -> dict[str, int]:
    """Relative path -> time of the last change, in nanoseconds, of every file."""
    return {p.relative_to(folder).as_posix(): p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}
