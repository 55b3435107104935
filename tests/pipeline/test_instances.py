"""Instances: masks, polygons and boxes, and back."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO

from pipeline.errors import InputError
from pipeline.reading.annotations.coco import read_instances
from pipeline.reading.coco_file import write_instances
from pipeline.reading.instances import Instance, mask_of, of_mask, of_polygons, parts_of_mask, redrawn, union


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_a_mask_comes_back_whole_from_its_parts(seed: int, height: int, width: int) -> None:
    mask = np.where(np.random.default_rng(seed).random((height, width)) < 0.3, 255, 0).astype(np.uint8)
    parts = parts_of_mask("dent", mask)
    found = union(parts, height, width)
    assert found is not None and np.array_equal(found, mask)
    pixels = [mask_of(part, height, width) for part in parts]
    assert list(parts) == [of_mask("dent", one) for one in pixels if one is not None]  # the same run lengths and boxes
    assert sum(int(np.count_nonzero(one)) for one in pixels if one is not None) == np.count_nonzero(mask)  # no overlap


def test_parts_touch_at_corners_and_have_tight_boxes() -> None:
    mask = np.zeros((8, 10), np.uint8)
    mask[1, 1] = mask[2, 2] = mask[5:7, 6:9] = 255
    boxes = [part.box for part in parts_of_mask("dent", mask)]
    assert boxes == [(1, 1, 2, 2), (6, 5, 3, 2)]
    assert of_mask("dent", mask).box == (1, 1, 8, 6)


def test_a_polygon_covers_the_pixels_within() -> None:
    square = of_polygons("hole", [((2, 1), (6, 1), (6, 4), (2, 4))])
    assert square.box == (2, 1, 4, 3)
    mask = mask_of(square, 6, 8)
    assert mask is not None and mask.dtype == np.uint8
    expected = np.zeros((6, 8), np.uint8)
    expected[1:4, 2:6] = 255
    assert np.array_equal(mask, expected)


def test_a_box_alone_has_no_pixels() -> None:
    box = Instance("dent", (1, 2, 3, 4))
    assert box.is_box and mask_of(box, 9, 9) is None and union([box], 9, 9) is None
    nothing = union([], 9, 9)
    assert nothing is not None and not nothing.any()
    both = union([box, of_polygons("dent", [((0, 0), (2, 0), (2, 2), (0, 2))])], 9, 9)
    assert both is not None and np.count_nonzero(both) == 4


def test_two_outlines_are_one_instance() -> None:
    outlines = [((0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)), ((5.0, 5.0), (7.0, 5.0), (7.0, 8.0), (5.0, 8.0))]
    one = of_polygons("dent", outlines)
    mask = mask_of(one, 9, 9)
    assert one.box == (0, 0, 7, 8) and mask is not None and np.count_nonzero(mask) == 4 + 6


def test_what_is_redrawn_keeps_its_kind_and_falls_into_its_parts() -> None:
    mask = np.zeros((8, 12), np.uint8)
    mask[2:4, 1:11] = 255
    halves = redrawn(of_mask("dent", mask), 8, 12, lambda m: np.delete(m, 6, axis=1))
    assert [one.box for one in halves] == [(1, 2, 9, 2)] and not halves[0].is_box
    (box,) = redrawn(Instance("dent", (1.5, 2.25, 3.0, 2.0)), 8, 12, lambda m: m[:, 2:])
    assert box == Instance("dent", (0, 2, 3, 3))
    assert redrawn(Instance("dent", (0, 0, 2, 2)), 8, 12, lambda m: m[:, 3:]) == ()


def test_the_file_of_instances_is_a_coco_file_and_comes_back_the_same(tmp_path: Path) -> None:
    mask = np.zeros((9, 7), np.uint8)
    mask[1:4, 2:5] = mask[6, 6] = 255
    outline = of_polygons("größe", [((0.25, 1.0), (3.0, 1.0), (3.0, 4.5))])
    written = {
        "train/a b.png": (of_mask("dent", mask), Instance("dent", (0.5, 0.125, 3.0, 2.0))),
        "test/ü.png": (outline,),
        "test/good.png": (),
    }
    write_instances(tmp_path / "i.json", [(path, 7, 9, instances) for path, instances in written.items()])
    assert read_instances(tmp_path / "i.json") == written
    coco = COCO(tmp_path / "i.json")
    first = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert np.array_equal(coco.annToMask(first[0]) * 255, mask) and first[0]["area"] == 10
    assert first[1]["bbox"] == [0.5, 0.125, 3.0, 2.0] and first[1]["area"] == 6
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["dent", "größe"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"categories": [], "images": [{"id": 1}], "annotations": [{}]}'])
def test_another_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "instances.json").write_text(text)
    with pytest.raises(InputError, match=r"instances\.json"):
        read_instances(tmp_path / "instances.json")
