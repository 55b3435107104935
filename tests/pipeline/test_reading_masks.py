"""Masks as tools write them: every defect pixel counts, or the mask is refused by name."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.reading import Reading, load
from pipeline.reading.layouts.class_lists import palette_colour
from pipeline.reading.mask_pixels import MaskNames, fitted, read_marks, to_mask
from pipeline.reading.problems import BadFile
from tests.pipeline.samples import save, texture

SIDE = 64
Box = tuple[slice, slice]
ONE: Box = (slice(10, 20), slice(12, 40))
OTHER: Box = (slice(40, 50), slice(8, 30))


def boxes(values: dict[int, Box], background: int = 0) -> NDArray[np.uint8]:
    pixels = np.full((SIDE, SIDE), background, np.uint8)
    for value, box in values.items():
        pixels[box] = value
    return pixels


def both() -> NDArray[np.bool_]:
    return boxes({1: ONE}) + boxes({1: OTHER}) > 0


@given(st.lists(st.integers(1, 255), min_size=1, max_size=6, unique=True), st.integers(0, 2**32 - 1))
def test_every_label_value_is_a_defect(values: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    for k, value in enumerate(values):
        top, left = 2 + 10 * k, int(rng.integers(2, 40))
        pixels[top : top + 6, left : left + int(rng.integers(4, 20))] = value
    assert np.array_equal(to_mask(pixels) > 0, pixels > 0)


@given(st.integers(0, 2**32 - 1))
def test_every_colour_that_is_not_the_background_is_a_defect(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[ONE], pixels[OTHER] = rng.integers(0, 256, (2, 3)) | 1
    assert np.array_equal(to_mask(pixels) > 0, both())


def test_a_white_background_of_colours_is_one() -> None:
    pixels = np.full((SIDE, SIDE, 3), 255, np.uint8)
    pixels[ONE], pixels[OTHER] = (200, 0, 0), (0, 0, 200)
    assert np.array_equal(to_mask(pixels) > 0, both())


def test_thin_marks_of_small_labels_count() -> None:
    pixels = boxes({1: (slice(5, 6), slice(3, 60)), 2: ONE})
    assert np.array_equal(to_mask(pixels) > 0, pixels > 0)


def test_thin_marks_of_few_values_count() -> None:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[5, 3:60], pixels[ONE] = (0, 60, 0), (255, 0, 0)
    assert np.array_equal(to_mask(pixels) > 0, pixels.any(axis=2))
    assert np.array_equal(to_mask(pixels.max(axis=2)) > 0, pixels.any(axis=2))


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_a_little_noise_is_no_defect(seed: int, levels: int) -> None:
    mask = boxes({255: ONE}) | boxes({255: OTHER})
    noise = np.random.default_rng(seed).integers(1, levels + 1, mask.shape) * (
        np.random.default_rng(seed + 1).random(mask.shape) < 0.02
    )
    noisy = np.where(mask, 255 - noise, noise).astype(np.uint8)
    assert np.array_equal(to_mask(noisy), mask)


def test_soft_edges_are_cut_at_half() -> None:
    line = cv2.line(np.zeros((SIDE, SIDE), np.uint8), (5, 9), (58, 41), 255, 3, cv2.LINE_AA)
    assert len(np.unique(line)) > 3
    assert np.array_equal(to_mask(line) > 0, line > 127)


@given(st.integers(40, 100), st.integers(3, 30), st.integers(3, 30), st.integers(0, 30))
def test_jpeg_edges_do_not_grow_or_lose_a_defect(quality: int, height: int, width: int, left: int) -> None:
    mask = boxes({255: (slice(20, 20 + height), slice(left, left + width))})
    data = cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    found = to_mask(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), lossy=True) > 0
    near = cv2.dilate(mask, np.ones((7, 7), np.uint8)) > 0
    assert not (found & ~near).any()
    assert np.count_nonzero(found & (mask > 0)) >= 0.75 * np.count_nonzero(mask)


@pytest.mark.parametrize("quality", [75, 95])
def test_a_colour_stored_as_jpeg_is_found(quality: int) -> None:
    mask = np.kron(boxes({255: ONE}), np.ones((4, 4), np.uint8))
    drawn = np.dstack([np.zeros_like(mask)] * 2 + [mask])
    data = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    found = to_mask(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), lossy=True)
    assert np.count_nonzero(found != mask) <= 0.005 * mask.size


def test_a_weaker_part_apart_is_not_lost() -> None:
    soft = cv2.GaussianBlur(boxes({255: ONE, 100: (slice(40, 44), slice(8, 16))}), (0, 0), 0.7)
    found = to_mask(soft) > 0
    assert found[42, 12] and found[15, 20] and not found[30].any()


def test_pictures_are_refused() -> None:
    for picture in (texture(3), np.dstack([texture(k) for k in range(3)]), texture(5) // 6):
        with pytest.raises(BadFile, match="not black and white"):
            to_mask(picture)


def test_empty_and_full_masks_are_what_they_are() -> None:
    assert not to_mask(np.zeros((SIDE, SIDE), np.uint8)).any()
    assert to_mask(np.full((SIDE, SIDE), 255, np.uint8)).all()
    assert read_marks(np.zeros((SIDE, SIDE, 3), np.uint8)) == {}


def test_a_class_list_names_values_and_colours() -> None:
    names = MaskNames({0: "", 1: "dent", 2: "pit", 9: ""}, {(0, 0, 0): "", (200, 0, 0): "dent"})
    marks = read_marks(boxes({1: ONE, 3: OTHER, 9: (slice(0, 4), slice(0, 4))}), names)
    assert {name: int(np.count_nonzero(mask)) for name, mask in marks.items()} == {"dent": 280, "": 220}
    coloured = np.zeros((SIDE, SIDE, 3), np.uint8)
    coloured[ONE], coloured[OTHER] = (200, 0, 0), (0, 9, 0)
    assert {name: int(np.count_nonzero(mask)) for name, mask in read_marks(coloured, names).items()} == {
        "dent": 280,
        "": 220,
    }


@given(st.integers(1, 8), st.integers(1, 8))
def test_a_mask_of_the_same_proportions_is_enlarged_by_nearest_pixels(up: int, down: int) -> None:
    mask = boxes({255: ONE})
    other = np.kron(mask, np.ones((up, up), np.uint8))
    assert np.array_equal(fitted(other, mask.shape), mask) and fitted(mask, other.shape) is not None
    assert fitted(mask[:, : SIDE - 3 * down], mask.shape) is None


def pairs(root: Path, masks: list[NDArray[np.uint8]], name: str = "dent") -> Path:
    for k, pixels in enumerate(masks):
        save(root / name / f"{k}.jpg", texture(k, SIDE, SIDE))
        save(root / name / f"{k}_mask.png", pixels)
    return root


def said(reading: Reading, words: str) -> bool:
    return any(words in note for note in reading.notes)


def test_masks_that_are_inverted_over_the_set_are_turned_and_it_is_said(tmp_path: Path) -> None:
    upright = [boxes({255: ONE}), boxes({255: OTHER}), boxes({255: ONE}), boxes({255: OTHER})]
    reading = load(pairs(tmp_path, [255 - mask for mask in upright]))
    assert said(reading, "The masks are inverted: 4 of the 4")
    assert all(np.array_equal(found, mask) for found, mask in zip(reading.masks, upright, strict=True))
    assert [len(found) for found in reading.instances] == [1, 1, 1, 1]


def test_some_large_defects_invert_nothing(tmp_path: Path) -> None:
    masks = [boxes({255: ONE}), 255 - boxes({255: OTHER}), boxes({255: OTHER})]
    reading = load(pairs(tmp_path, masks))
    assert not said(reading, "inverted")
    assert np.array_equal(reading.masks[1], masks[1])


def test_masks_of_all_or_nothing_are_said(tmp_path: Path) -> None:
    full, none = np.full((SIDE, SIDE), 255, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    reading = load(pairs(tmp_path, [full, none, boxes({255: ONE})]))
    assert said(reading, "1 mask(s), such as that of 'dent/0.jpg', mark the whole image")
    assert said(reading, "1 mask(s) of defect images, such as that of 'dent/1.jpg', mark nothing")


def test_a_mask_of_another_size_is_resized_and_said_or_refused_by_name(tmp_path: Path) -> None:
    large = np.kron(boxes({255: ONE}), np.ones((2, 2), np.uint8))
    reading = load(pairs(tmp_path, [large, large[:, :100], boxes({255: ONE})]))
    assert said(reading, "1 mask(s), such as that of 'dent/0.jpg', were of another size")
    assert np.array_equal(reading.masks[0], boxes({255: ONE}))
    assert [(one.path, one.kind) for one in reading.problems] == [("dent/1.jpg", "mask_size")]
    assert "dent/1_mask.png" in reading.problems[0].detail


def test_a_class_list_names_the_instances_and_the_class_is_that_of_the_largest(tmp_path: Path) -> None:
    for k in range(3):
        save(tmp_path / "images" / f"{k}.png", texture(k, SIDE, SIDE))
        save(tmp_path / "masks" / f"{k}.png", boxes({1: ONE, 2: OTHER} if k else {}))
    (tmp_path / "classes.txt").write_text("background\ndent\npit\n", "utf-8")
    reading = load(tmp_path)
    assert reading.frame["label"].tolist() == ["dent", "dent", "good"]
    assert sorted(one.label for one in reading.instances[0]) == ["dent", "pit"]
    assert {one.path: one.use for one in reading.account}["classes.txt"] == "annotation"


def test_a_label_map_names_colours(tmp_path: Path) -> None:
    coloured = np.zeros((SIDE, SIDE, 3), np.uint8)
    coloured[ONE], coloured[OTHER] = (0, 0, 128), (0, 128, 0)  # OpenCV's order: red, green
    save(tmp_path / "JPEGImages" / "a.jpg", texture(1, SIDE, SIDE))
    save(tmp_path / "SegmentationClass" / "a.png", coloured)
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nrust:128,0,0::\n", "utf-8"
    )
    (marks,) = load(tmp_path).instances
    assert sorted(one.label for one in marks) == ["defect", "rust"]


def test_a_class_list_names_the_indices_of_a_palette(tmp_path: Path) -> None:
    indexed = Image.fromarray(boxes({1: ONE, 2: OTHER}), "L").convert("P")
    indexed.putdata(boxes({1: ONE, 2: OTHER}).ravel().tolist())
    indexed.putpalette([end for value in range(256) for end in palette_colour(value)])
    assert [palette_colour(value) for value in (1, 2, 3, 8)] == [(128, 0, 0), (0, 128, 0), (128, 128, 0), (64, 0, 0)]
    save(tmp_path / "images" / "a.jpg", texture(1, SIDE, SIDE))
    (tmp_path / "SegmentationClassPNG").mkdir()
    indexed.save(tmp_path / "SegmentationClassPNG" / "a.png")
    (tmp_path / "class_names.txt").write_text("__ignore__\n_background_\ndent\npit\n", "utf-8")
    (marks,) = load(tmp_path).instances
    assert sorted((one.label, one.box) for one in marks) == [("dent", (12, 10, 28, 10)), ("pit", (8, 40, 22, 10))]


@pytest.mark.parametrize(
    "mask", ["crack_mask/{}.png", "Mask/{}.png", "crack/mask_{}.png", "crack/{}_L.png", "y/{}.png"]
)
@pytest.mark.parametrize("colour", [255, 1, (0, 0, 255)])
def test_masks_that_no_name_tells_are_never_images(
    tmp_path: Path, mask: str, colour: int | tuple[int, int, int]
) -> None:
    for k in range(4):
        save(tmp_path / "crack" / (f"{k}_0000.png" if mask.startswith("y/") else f"{k}.png"), texture(k))
        save(tmp_path / "good" / f"ok{k}.png", texture(10 + k))
        pixels = np.zeros((SIDE, SIDE, 3) if isinstance(colour, tuple) else (SIDE, SIDE), np.uint8)
        pixels[ONE] = colour
        save(tmp_path / mask.format(k), pixels if k else pixels * 0)
    with pytest.raises(InputError, match=r"3 pictures, such as .* they are masks, not images"):
        load(tmp_path)


def test_photographs_of_few_levels_are_images(tmp_path: Path) -> None:
    for k in range(4):
        save(tmp_path / "lamp_off" / f"{k}.png", np.zeros((SIDE, SIDE), np.uint8))
        save(tmp_path / "lamp_on" / f"{k}.png", texture(k))
        save(tmp_path / "outline" / f"shape{k}.png", boxes({255: ONE}))
    assert len(load(tmp_path).images) == 12
