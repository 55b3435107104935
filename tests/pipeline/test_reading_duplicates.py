"""Near-duplicates: what is certain, what is likely, what is neither, and what a run does about them."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.duplicates import aligned_parts, binary_boards
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.reading import (
    Duplicates,
    duplicates_of,
    find_duplicates,
    inspect,
    likely_notes,
    load,
    read_dataset,
    render,
    require_clean,
    write_pairs,
)
from pipeline.reading.reencoding import is_copy, is_reencoding
from pipeline.reading.thumbnails import SYMMETRIES, correlate, whitened
from pipeline.stages.prepare import prepare
from pipeline.store import RunFolder
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
def test_near_duplicates_are_recognised(change: str) -> None:
    images = [cv2.resize(texture(k), (200, 200)) for k in range(12)]
    found = duplicates([*images, SAME[change](images[3])])
    assert [(pair.first, pair.second) for pair in found.pairs] == [(3, 12)]
    assert found.groups[3] == found.groups[12]
    assert len(set(found.groups.tolist())) == 12


def test_shared_lighting_or_a_straight_line_is_no_near_duplicate() -> None:
    ramp = np.linspace(20, 220, 64)[None, :] * np.ones((64, 1))
    lit = [np.clip(ramp + texture(k) / 12, 0, 255).astype(np.uint8) for k in range(10)]
    lined = [(texture(50 + k) // 8).astype(np.uint8) for k in range(10)]
    for image in lined:
        image[:, 30:33] = 255
    assert duplicates(lit + lined).pairs == []


def test_parts_in_one_pose_are_not_one_group() -> None:
    outline = np.zeros((64, 64), np.float32)
    cv2.circle(outline, (32, 32), 22, 160, 2)
    cv2.putText(outline, "A7", (18, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 160, 2)
    images = [np.clip(outline + texture(k) / 4, 0, 255).astype(np.uint8) for k in range(40)]
    found = duplicates([*images, noisy(images[5])])
    assert [(pair.first, pair.second) for pair in found.pairs] == [(5, 40)]


def test_flat_images_are_grouped_only_when_identical() -> None:
    flat = [np.full((20, 20), level, np.uint8) for level in (10, 200, 10)]
    assert [(pair.first, pair.second, pair.identical) for pair in duplicates(flat).pairs] == [(0, 2, True)]


def test_at_one_only_certain_pairs_are_grouped() -> None:
    image = texture(0)
    found = duplicates([image, lit_from_the_side(image), image.copy(), jpeg(image)], threshold=1)
    assert found.groups.tolist() == [0, 1, 0, 0] and all(pair.certain for pair in found.pairs)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(9)))
def test_groups_do_not_depend_on_the_order(order: list[int]) -> None:
    images = [texture(k) for k in range(6)] + [noisy(texture(0)), noisy(texture(1)), texture(0)[::-1].copy()]
    groups = duplicates([images[k] for k in order]).groups
    together = {frozenset(order[i] for i in np.flatnonzero(groups == group)) for group in set(groups.tolist())}
    assert together == {frozenset({0, 6, 8}), frozenset({1, 7}), *(frozenset({k}) for k in range(2, 6))}
    assert groups[0] == 0  # numbered by first appearance


def jpeg(image: Image, inspection: int = 90) -> Image:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, inspection])[1], cv2.IMREAD_UNCHANGED)


def test_likely_pairs_across_a_given_split_are_told_and_the_split_is_kept(tmp_path: Path) -> None:
    folder(tmp_path / "train")
    folder(tmp_path / "test", first_seed=900)
    save(tmp_path / "test" / "dent" / "again.png", noisy(texture(0)))
    reading = read_dataset(tmp_path)
    found = duplicates_of(reading)
    require_clean(reading.frame, found)
    assert len(set(found.groups.tolist())) == len(reading.images)  # nothing is grouped across a given split
    (note,) = [note for note in likely_notes(reading.frame, found) if "two of the given splits" in note]
    assert "test/dent/again.png" in note and "train/dent/0.png" in note
    record = inspect(reading)
    assert len(record["across_splits"]) == 1 and not record["across_splits"][0]["certain"]
    assert record["errors"] == [] and note in record["notes"]
    prepared = prepare(RunFolder(tmp_path / "run"), Config(), tmp_path)
    assert note in prepared.notes and sum(prepared.counts["test"].values()) == 13


def test_the_same_picture_stored_anew_across_a_given_split_stops_a_run(tmp_path: Path) -> None:
    folder(tmp_path / "train")
    folder(tmp_path / "test", first_seed=900)
    save(tmp_path / "test" / "dent" / "again.png", jpeg(texture(0))[::-1])
    reading = read_dataset(tmp_path)
    with pytest.raises(InputError, match=r"test/dent/again\.png.*\(test\).*train/dent/0\.png.*\(train\)"):
        require_clean(reading.frame, duplicates_of(reading))
    (error,) = inspect(reading)["errors"]
    assert "train/dent/0.png" in error


def test_the_same_picture_stored_anew_in_two_classes_stops_a_run(tmp_path: Path) -> None:
    folder(tmp_path)
    save(tmp_path / "hole" / "again.png", jpeg(texture(0)))
    reading = read_dataset(tmp_path)
    with pytest.raises(InputError, match=r"two classes.*dent/0\.png.*hole/again\.png"):
        require_clean(reading.frame, duplicates_of(reading))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(85, 100), st.integers(0, 7), st.booleans())
def test_a_picture_stored_anew_is_certain_whichever_way_up(seed: int, inspection: int, turn: int, colour: bool) -> None:
    image = texture(seed, 64, 96)
    image = np.stack([image, image // 2, 255 - image], axis=2) if colour else image
    turned = np.rot90(image, turn % 4)
    assert is_reencoding(image, jpeg(np.ascontiguousarray(turned[:, ::-1] if turn > 3 else turned), inspection))


@pytest.mark.parametrize("change", ["darker", "lit_from_the_side", "noisy", "smaller", "tilted"])
def test_another_shot_is_not_the_same_picture(change: str) -> None:
    image = cv2.resize(texture(3), (200, 200))
    assert not is_reencoding(image, SAME[change](image))


def test_another_shot_of_a_steady_scene_is_not_the_same_picture() -> None:
    scene, rng = aligned_parts(1, noise=0, seed=0)[0], np.random.default_rng(0)
    one, other = (np.clip(scene + rng.normal(0, 3, scene.shape), 0, 255).astype(np.uint8) for _ in range(2))
    assert not is_reencoding(one, other)
    assert is_reencoding(one, jpeg(one, 95))


@pytest.mark.parametrize("noise", [0.5, 1, 2, 6])
def test_a_brightened_part_is_a_copy_and_the_next_part_is_not(noise: float) -> None:
    images = aligned_parts(10, noise, seed=4)
    assert not any(is_copy(images[i], images[j]) for i in range(10) for j in range(i))
    for image in images[:4]:
        for gain, offset in ((1.0, 5), (1.15, 0), (0.75, 20)):
            assert is_copy(image, np.clip(image * gain + offset, 0, 255).astype(np.uint8))


def test_every_copy_of_boards_is_looked_for_whatever_they_have_in_common() -> None:
    """A straight track fits itself further along, and so do most boards: its copy is certain nevertheless."""
    images = [board for boards in binary_boards(per_kind=20, seed=3).values() for board in boards]
    found = duplicates([*images, *(jpeg(board) for board in images[::4])])
    certain = {(pair.first, pair.second) for pair in found.pairs if pair.certain}
    added = {(4 * k, len(images) + k) for k in range(len(images[::4]))}
    assert len(certain & added) >= 0.85 * len(added) and not certain - added


def test_a_small_defect_makes_another_picture() -> None:
    image = np.full((64, 64), 255, np.uint8)
    cv2.line(image, (0, 0), (63, 63), 0, 7)
    nicked = image.copy()
    nicked[30:33, 27:30] = 255
    assert is_reencoding(image, jpeg(image, 95)) and not is_reencoding(image, nicked)


@pytest.mark.parametrize("seed", [1, 2])
def test_boards_of_black_tracks_on_white_are_not_one_thing(seed: int) -> None:
    images = [board for boards in binary_boards(per_kind=100, seed=seed).values() for board in boards]
    found = duplicates(images)
    assert not [pair for pair in found.pairs if pair.certain and not pair.identical]
    assert np.bincount(found.groups).max() <= 5  # of 600; by looks alone it was 270
    assert len(set(found.groups.tolist())) >= 0.97 * len(images)


@pytest.mark.parametrize("noise", [0.5, 2, 6])
def test_parts_in_a_fixture_under_a_fixed_camera_are_not_one_thing(noise: float) -> None:
    images = aligned_parts(40, noise, seed=2)
    assert len(set(duplicates(images).groups.tolist())) == 40
    if noise > 1:  # the noise tells one shot from the next
        again = duplicates([*images, jpeg(images[7], 95)])
        assert [(pair.first, pair.second, pair.certain) for pair in again.pairs] == [(7, 40, True)]


def test_where_all_images_are_alike_the_notes_ask_for_groups() -> None:
    images = aligned_parts(12, 2, seed=3)
    frame = pd.DataFrame({"path": [f"{k}.png" for k in range(12)], "label": "part", "split": "", "group": ""})
    assert ["data.group_pattern" in note for note in likely_notes(frame, duplicates(images))] == [True]
    textures = duplicates([texture(k) for k in range(12)])
    assert likely_notes(frame, textures) == []


def test_of_many_identical_images_each_is_paired_with_the_first() -> None:
    found = duplicates([texture(0)] * 50 + [texture(1)])
    assert [(pair.first, pair.second) for pair in found.pairs] == [(0, k) for k in range(1, 50)]
    assert found.groups.tolist() == [0] * 50 + [1]


def test_pairs_are_drawn_side_by_side_outside_the_data_set(tmp_path: Path) -> None:
    data = folder(tmp_path / "data")
    save(data / "dent" / "again.png", noisy(texture(0)))
    reading = read_dataset(data)
    (file,) = write_pairs(reading, duplicates_of(reading).pairs, tmp_path / "pairs")
    drawn = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    enlarged = cv2.resize(texture(0), (256, 256), interpolation=cv2.INTER_NEAREST)
    assert file.name == "pair-001.png" and drawn.shape == (256, 520) and np.array_equal(drawn[:, :256], enlarged)
    for refused, words in ((data / "pairs", "inside the data set"), (tmp_path / "pairs", "not empty")):
        with pytest.raises(InputError, match=words):
            write_pairs(reading, [], refused)
    assert not (data / "pairs").exists()


def test_near_duplicates_in_two_classes_are_a_warning(tmp_path: Path) -> None:
    folder(tmp_path)
    save(tmp_path / "hole" / "again.png", noisy(texture(0)))
    reading = read_dataset(tmp_path)
    require_clean(reading.frame, duplicates_of(reading))
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


def test_inspect_says_when_a_class_is_one_group(tmp_path: Path) -> None:
    folder(tmp_path)
    for k in range(4):
        save(tmp_path / "crack" / f"{k}.png", (texture(300) * (1 - 0.2 * k)).astype(np.uint8))
    assert any("class 'crack' form one group" in warning for warning in inspect(load(tmp_path))["warnings"])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6))
def test_correlation_is_the_best_over_all_eight_symmetries(seed: int, many: int, others: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = (whitened(rng.integers(0, 256, (n, 32, 32)).astype(np.float32)) for n in (many, others))
    products = [np.einsum("aij,bij->ab", one, symmetry(other)) for symmetry in SYMMETRIES]
    assert np.allclose(correlate(one, other), np.max(products, axis=0), atol=1e-5)
    turned = np.stack([symmetry(one[0]) for symmetry in SYMMETRIES])
    assert np.allclose(correlate(one[:1], turned), 1, atol=1e-5)


def test_pairs_are_found_across_blocks_of_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [texture(k, 64, 64) for k in range(40)]
    best = [cv2.IMWRITE_JPEG_QUALITY, 95]
    images[37], images[33] = (cv2.imdecode(cv2.imencode(".jpg", images[k], best)[1], 0) for k in (2, 5))
    images[33], images[21] = SAME["turned"](images[33]), SAME["darker"](images[20])
    whole = duplicates(images)
    monkeypatch.setattr("pipeline.reading.duplicates.BLOCK", 7)
    parts = duplicates(images)
    assert parts.pairs == whole.pairs and (parts.groups == whole.groups).all() and parts.usual == whole.usual
    found = {(pair.first, pair.second): pair.certain for pair in whole.pairs}
    assert found == {(2, 37): True, (5, 33): True, (20, 21): False}
