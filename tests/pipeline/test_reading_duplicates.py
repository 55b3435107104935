"""Near-duplicates: what counts as the same spot, what does not, and what a run does about them."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.reading import Duplicates, find_duplicates, inspect, load, read_dataset, render, require_clean
from tests.pipeline.samples import folder, save, texture

Image = np.ndarray


def duplicates(images: list[Image], threshold: float = 0.6) -> Duplicates:
    return find_duplicates(images, [f"{k:064x}" for k in range(len(images))], threshold=threshold)


def noisy(image: Image) -> Image:
    return np.clip(image + np.random.default_rng(0).normal(0, 5, image.shape), 0, 255).astype(np.uint8)


def lit_from_the_side(image: Image) -> Image:
    return (image * np.linspace(0.3, 1, image.shape[1])).astype(np.uint8)


SAME: dict[str, Callable[[Image], Image]] = {
    "compressed": lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], 0),
    "darker": lambda image: (image * 0.5).astype(np.uint8),
    "lit_from_the_side": lit_from_the_side,
    "noisy": noisy,
    "smaller": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "mirrored": lambda image: image[:, ::-1].copy(),
    "turned": lambda image: np.rot90(image).copy(),
    "tilted": lambda image: cv2.warpAffine(image, cv2.getRotationMatrix2D((100, 100), 1, 1), (200, 200), borderMode=2),
    "coloured": lambda image: np.stack([image, image // 2, image], axis=2),
}


@pytest.mark.parametrize("change", SAME)
def test_the_same_spot_is_recognised(change: str) -> None:
    images = [cv2.resize(texture(k), (200, 200)) for k in range(12)]
    found = duplicates([*images, SAME[change](images[3])])
    assert [(pair.first, pair.second) for pair in found.pairs] == [(3, 12)]
    assert found.groups[3] == found.groups[12]
    assert len(set(found.groups.tolist())) == 12


def test_shared_lighting_or_a_straight_line_is_not_the_same_spot() -> None:
    ramp = np.linspace(20, 220, 64)[None, :] * np.ones((64, 1))
    lit = [np.clip(ramp + texture(k) / 12, 0, 255).astype(np.uint8) for k in range(10)]
    lined = [(texture(50 + k) // 8).astype(np.uint8) for k in range(10)]
    for image in lined:
        image[:, 30:33] = 255
    assert duplicates(lit + lined).pairs == []


def test_parts_in_one_pose_are_not_all_one_spot() -> None:
    outline = np.zeros((64, 64), np.float32)
    cv2.circle(outline, (32, 32), 22, 160, 2)
    cv2.putText(outline, "A7", (18, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 160, 2)
    images = [np.clip(outline + texture(k) / 4, 0, 255).astype(np.uint8) for k in range(40)]
    found = duplicates([*images, noisy(images[5])])
    assert [(pair.first, pair.second) for pair in found.pairs] == [(5, 40)]


def test_flat_images_are_grouped_only_when_identical() -> None:
    flat = [np.full((20, 20), level, np.uint8) for level in (10, 200, 10)]
    assert [(pair.first, pair.second, pair.identical) for pair in duplicates(flat).pairs] == [(0, 2, True)]


def test_at_one_only_identical_images_are_grouped() -> None:
    image = texture(0)
    found = duplicates([image, noisy(image), image.copy()], threshold=1)
    assert found.groups.tolist() == [0, 1, 0]


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(9)))
def test_groups_do_not_depend_on_the_order(order: list[int]) -> None:
    images = [texture(k) for k in range(6)] + [noisy(texture(0)), noisy(texture(1)), texture(0)[::-1].copy()]
    groups = duplicates([images[k] for k in order]).groups
    together = {frozenset(order[i] for i in np.flatnonzero(groups == group)) for group in set(groups.tolist())}
    assert together == {frozenset({0, 6, 8}), frozenset({1, 7}), *(frozenset({k}) for k in range(2, 6))}
    assert groups[0] == 0  # numbered by first appearance


def test_near_duplicates_across_a_given_split_stop_a_run_and_are_named(tmp_path: Path) -> None:
    folder(tmp_path / "train")
    folder(tmp_path / "test", first_seed=900)
    save(tmp_path / "test" / "dent" / "again.png", noisy(texture(0)))
    reading = read_dataset(tmp_path)
    found = find_duplicates(reading.images, reading.frame["sha256"].tolist())
    with pytest.raises(InputError, match=r"test/dent/again\.png.*\(test\).*train/dent/0\.png.*\(train\)"):
        require_clean(reading.frame, found)
    record = inspect(reading)
    assert len(record["across_splits"]) == 1
    assert "train/dent/0.png" in record["errors"][0]


def test_near_duplicates_in_two_classes_are_a_warning(tmp_path: Path) -> None:
    folder(tmp_path)
    save(tmp_path / "hole" / "again.png", noisy(texture(0)))
    reading = read_dataset(tmp_path)
    require_clean(reading.frame, find_duplicates(reading.images, reading.frame["sha256"].tolist()))
    record = inspect(reading)
    assert record["errors"] == []
    assert "dent/0.png" in record["warnings"][0] and "hole/again.png" in record["warnings"][0]


def test_inspect_tells_everything_that_is_wrong(tmp_path: Path) -> None:
    folder(tmp_path, each=2)
    save(tmp_path / "hole" / "same.png", texture(0))  # identical to dent/0.png
    save(tmp_path / "single" / "one.png", texture(70, 90, 30))
    (tmp_path / "void").mkdir()
    (tmp_path / "dent" / "bad.png").write_bytes(b"text")
    record = inspect(load(tmp_path))
    assert json.loads(json.dumps(record)) == record
    assert record["images"] == 6
    assert record["classes"]["void"]["images"] == 0
    assert record["classes"]["dent"] == {"images": 2, "groups": 2, "with_mask": 0}
    assert record["sizes"]["largest"] == [64, 90]
    assert record["modes"] == {"L": 6}
    assert record["unreadable"][0]["path"] == "dent/bad.png"
    assert record["exact_duplicates"] == record["in_two_classes"]
    assert record["exact_duplicates"][0]["paths"] == ["dent/0.png", "hole/same.png"]
    assert len(record["errors"]) == 3  # too many bad files, an empty class, a label conflict
    assert "'single' has one image" in record["warnings"][0]
    text = render(record)
    for words in ("dent/bad.png", "void", "hole/same.png", "'single' has one image", "64x64"):
        assert words in text


def test_inspect_says_when_a_class_is_one_spot(tmp_path: Path) -> None:
    folder(tmp_path)
    for k in range(4):
        save(tmp_path / "crack" / f"{k}.png", (texture(300) * (1 - 0.2 * k)).astype(np.uint8))
    assert any("class 'crack' form one group" in warning for warning in inspect(load(tmp_path))["warnings"])
