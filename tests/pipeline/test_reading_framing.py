"""Framing: crops that show the defect at native resolution, and packing into one tensor."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.reading import channels_of, choose_framing, frame_images, pack, pack_masks, square
from pipeline.reading.framing import crop_side, defect_box, defect_free
from pipeline.stages.prepare import prepare
from pipeline.stages.records import load_pack
from pipeline.store import RunFolder
from tests.pipeline.samples import save, texture


def marked(height: int, width: int, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    for left, top, w, h in boxes:
        mask[top : top + h, left : left + w] = 255
    return mask


def digest(k: int) -> str:
    return hashlib.sha256(str(k).encode()).hexdigest()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_crop_is_square_native_and_holds_the_defect(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(40, 200)), data.draw(st.integers(40, 200))
    w, h = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 30))
    left, top = data.draw(st.integers(0, width - w)), data.draw(st.integers(0, height - h))
    image = (np.arange(height * width) % 251).astype(np.uint8).reshape(height, width)
    image[top : top + h, left : left + w] = 255  # no other pixel has this value
    (crop,) = frame_images(
        [image], [marked(height, width, (left, top, w, h))], ["x"], [digest(0)], framing="mask", image_size=32
    )
    assert crop.shape[0] == crop.shape[1] <= min(height, width)
    assert crop.shape[0] == min(max(32, round(1.5 * max(w, h))), height, width)
    assert (crop == 255).sum() == w * h


def test_of_far_defects_the_largest_is_shown_and_near_parts_are_one() -> None:
    assert defect_box(marked(200, 200, (10, 10, 5, 5), (150, 150, 20, 10)), 64) == (150, 150, 20, 10)
    assert defect_box(marked(200, 200, (10, 10, 5, 5), (22, 10, 20, 10)), 64) == (10, 10, 32, 10)


def test_a_side_is_at_most_the_shorter_side() -> None:
    assert crop_side((0, 0, 90, 5), (100, 300), 32) == 100
    assert crop_side((0, 0, 2, 2), (20, 300), 32) == 20


def test_defect_free_crops_have_the_sides_of_the_defects_and_depend_on_their_own_file() -> None:
    images = [texture(k, 120, 150) for k in range(30)]
    masks = [marked(120, 150, (20, 20, 30 + k, 4)) for k in range(5)] + [marked(120, 150)] * 25
    labels = ["crack"] * 5 + ["free"] * 25
    digests = [digest(k) for k in range(30)]
    crops = frame_images(images, masks, labels, digests, framing="mask", image_size=32)
    sides = {crop.shape[0] for crop in crops[:5]}
    assert {crop.shape[0] for crop in crops[5:]} == sides == {45, 46, 48, 50, 51}
    fewer = frame_images(images[:10], masks[:10], labels[:10], digests[:10], framing="mask", image_size=32)
    assert all(np.array_equal(a, b) for a, b in zip(crops, fewer, strict=False))


def test_an_unmarked_image_of_a_defect_class_keeps_all_it_can() -> None:
    images, masks = [texture(0, 80, 120), texture(1, 80, 120)], [marked(80, 120, (5, 5, 5, 5)), None]
    crops = frame_images(images, masks, ["crack"] * 2, [digest(0), digest(1)], framing="mask", image_size=32)
    assert np.array_equal(crops[1], images[1][:, 20:100])


def test_auto_takes_masks_when_half_of_the_defects_have_one() -> None:
    some, none = marked(32, 32, (1, 1, 3, 3)), marked(32, 32)
    assert choose_framing("auto", ["a", "a", "b", "b"], [some, None, some, None]) == "mask"
    assert choose_framing("auto", ["a", "a", "b", "b"], [some, None, None, None]) == "whole"
    assert choose_framing("auto", ["a", *["free"] * 9], [some, *[none] * 9]) == "mask"
    assert choose_framing("auto", ["a", *["good"] * 9], [some, *[None] * 9]) == "mask"
    assert choose_framing("auto", ["a", "b"], [None, None]) == "whole"
    assert choose_framing("whole", ["a"], [some]) == "whole"
    assert defect_free(["a", "free", "other"], [some, none, None]) == {"free"}
    with pytest.raises(InputError, match=r"data\.framing"):
        choose_framing("mask", ["a"], [none])


def test_packing_averages_when_shrinking_and_keeps_channels() -> None:
    board = (np.indices((128, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)
    grey = pack([board], 64)
    assert (grey.dtype, tuple(grey.shape)) == (torch.uint8, (1, 1, 64, 64))
    assert set(grey.unique().tolist()) <= {127, 128}  # neighbours would keep 0 or 255
    colour = np.stack([board, board // 2, board // 4], axis=2)
    assert channels_of([board, colour]) == 3
    both = pack([board, colour], 32)
    assert tuple(both.shape) == (2, 3, 32, 32)
    assert torch.equal(both[0, 0], both[0, 2])
    assert both[1, 0].float().mean() > both[1, 1].float().mean() > both[1, 2].float().mean()  # RGB order
    assert tuple(pack([colour], 32, channels=1).shape) == (1, 1, 32, 32)


def test_packing_at_the_same_size_changes_nothing() -> None:
    image = texture(4, 64, 64)
    assert np.array_equal(pack([image], 64)[0, 0].numpy(), image)
    assert pack([cv2.resize(image, (20, 20))], 64).shape == (1, 1, 64, 64)


@pytest.mark.parametrize("aspect", ["pad", "crop"])
@pytest.mark.parametrize("shape", [(80, 160), (160, 80)])
def test_a_circle_in_an_oblong_image_stays_round_and_its_mask_stays_on_it(shape: tuple[int, int], aspect: str) -> None:
    image, mask = np.full(shape, 30, np.uint8), np.zeros(shape, np.uint8)
    centre = (shape[1] // 2, shape[0] // 2)
    cv2.circle(image, centre, 24, 220, -1)
    cv2.circle(mask, centre, 24, 255, -1)
    packed, packed_mask = pack([image], 64, aspect=aspect)[0, 0].numpy(), pack_masks([mask], 64, aspect)[0, 0].numpy()
    _, parts, stats, _ = cv2.connectedComponentsWithStats((packed > 125).astype(np.uint8))
    left, top, width, height, pixels = stats[parts[32, 32]]  # parts of it are reflected beyond the edges
    if aspect == "pad":
        assert width == height == pytest.approx(49 * 64 / 160, abs=1)
    else:
        assert width == height == pytest.approx(49 * 64 / 80, abs=1)
    assert (left + width / 2, top + height / 2) == pytest.approx((32, 32), abs=1)
    assert pixels == pytest.approx(np.pi / 4 * width * height, rel=0.06)  # as many pixels as a disc has
    assert np.mean((packed > 125) == (packed_mask > 0)) > 0.98


@settings(max_examples=40, deadline=None)
@given(st.integers(16, 60), st.integers(1, 20), st.booleans())
def test_padding_reflects_and_loses_nothing_cropping_keeps_the_centre(side: int, times: int, wide: bool) -> None:
    image = texture(1, side, side * times)
    image = image if wide else np.ascontiguousarray(image.T)
    padded, cropped = square(image, "pad"), square(image, "crop")
    assert padded.shape == (side * times,) * 2 and cropped.shape == (side, side)
    height, width = image.shape
    top, left = (side * times - height) // 2, (side * times - width) // 2
    assert np.array_equal(padded[top : top + height, left : left + width], image)
    if top:
        assert np.array_equal(padded[top - 1], image[0]) and np.array_equal(padded[top + height], image[-1])
    down, right = (height - side) // 2, (width - side) // 2
    assert np.array_equal(cropped, image[down : down + side, right : right + side])


@pytest.mark.parametrize(("aspect", "words"), [("pad", "extended by reflection"), ("crop", "cut off")])
def test_a_run_says_how_many_images_were_made_square_and_how(tmp_path: Path, aspect: str, words: str) -> None:
    for k in range(6):
        save(tmp_path / "data" / "dent" / f"{k}.png", texture(k, 40, 80 if k < 4 else 40))
        save(tmp_path / "data" / "hole" / f"{k}.png", texture(50 + k, 40, 40))
    prepared = prepare(RunFolder(tmp_path / "run"), Config(data={"aspect": aspect}), tmp_path / "data")
    (note,) = [note for note in prepared.notes if "not square" in note]
    assert note.startswith("4 of 12 images are not square.") and words in note
    images = load_pack(prepared.pack).images
    wide = texture(0, 40, 80)
    assert any(np.array_equal(image[0].numpy(), pack([wide], 64, 1, aspect)[0, 0].numpy()) for image in images)
