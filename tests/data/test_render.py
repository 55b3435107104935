"""The shipped image set: what is stored is what the script renders, whole, and free of copies across the split."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

DATA = Path(__file__).resolve().parents[2] / "data"
SAMPLE = DATA / "sample"


def load_script() -> ModuleType:
    # `data` is no installed package: the script is loaded from its file, as `python data/render.py` would.
    spec = importlib.util.spec_from_file_location("sample_render", DATA / "render.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


script = load_script()


def read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image


@pytest.mark.parametrize("split", script.PER_CLASS)
@pytest.mark.parametrize("label", script.DEFECTS)
def test_rendering_again_gives_the_stored_pixels(split: str, label: str) -> None:
    for index in (0, 17, script.PER_CLASS[split] - 1):
        stored = read(SAMPLE / split / label / f"{label}_{index:03d}.png")
        np.testing.assert_array_equal(script.render(label, split, index, seed=0), stored)


def test_the_set_is_whole_grey_and_nearly_square() -> None:
    assert {folder.name for folder in SAMPLE.iterdir()} == set(script.PER_CLASS)
    for split, count in script.PER_CLASS.items():
        assert {folder.name for folder in (SAMPLE / split).iterdir()} == set(script.DEFECTS)
        for label in script.DEFECTS:
            images = [read(path) for path in (SAMPLE / split / label).iterdir()]
            assert len(images) == count
            for image in images:
                assert image.dtype == np.uint8 and image.ndim == 2
                assert all(64 <= side <= 96 for side in image.shape)
                assert abs(image.shape[0] - image.shape[1]) <= 6


def test_no_near_duplicates_across_the_split() -> None:
    def standardised(thumbnails: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = thumbnails.reshape(len(thumbnails), -1)
        flat = flat - flat.mean(1, keepdims=True)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    def thumbnails(split: str) -> NDArray[np.float64]:
        paths = sorted((SAMPLE / split).rglob("*.png"))
        return np.stack([cv2.resize(read(path), (32, 32), interpolation=cv2.INTER_AREA) for path in paths]).astype(
            float
        )

    train, test = thumbnails("train"), standardised(thumbnails("test"))
    for mirrored in (train, train[:, :, ::-1]):
        for turns in range(4):
            correlation = standardised(np.rot90(mirrored, turns, (1, 2))) @ test.T
            assert correlation.max() < 0.97


def test_streams_are_independent() -> None:
    images = [
        script.render("good", split, index, seed) for split in ("train", "test") for index in (0, 1) for seed in (0, 1)
    ]
    assert len({image.tobytes() for image in images}) == len(images)


def test_the_command_writes_the_class_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "PER_CLASS", {"train": 2, "test": 1})
    script.main(["--out", str(tmp_path), "--seed", "0"])
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.png"))
    assert len(written) == 3 * len(script.DEFECTS)
    for path in written:
        np.testing.assert_array_equal(read(tmp_path / path), read(SAMPLE / path))


@pytest.mark.parametrize(("label", "split"), [("dent", "train"), ("pit", "val")])
def test_unknown_names_are_refused_with_the_known_ones(label: str, split: str) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        script.render(label, split, 0, seed=0)
