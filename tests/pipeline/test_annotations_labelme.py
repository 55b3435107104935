"""LabelMe: shapes of points in a JSON file beside each image."""

import base64
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.reading import load
from pipeline.reading.instances import mask_of
from tests.pipeline.annotated import (
    HEIGHT,
    WIDTH,
    Marked,
    entries,
    layout,
    marked,
    only,
    outlines,
    pictures,
    problem_kinds,
    survives_mutation,
    write,
)

TRIANGLE = [[1, 2], [21, 2], [1, 22]]


def shape(label: str, points: Any, kind: str | None = "polygon", group: int | None = None) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": group, "flags": {}}


def painted(label: str, mask: np.ndarray, left: int, top: int) -> dict[str, Any]:
    """A mask of 0 and 1 of a part of the image: its first and last pixel, and a PNG in base64."""
    ok, data = cv2.imencode(".png", mask)
    assert ok
    last = [left + mask.shape[1] - 1, top + mask.shape[0] - 1]
    return shape(label, [[left, top], last], "mask") | {"mask": base64.b64encode(data.tobytes()).decode()}


def file(*shapes: Any, image: str = "a.png", size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    """A JSON file of LabelMe."""
    sides = {"imageWidth": size[0], "imageHeight": size[1]}
    return json.dumps({"version": "5.4.1", "shapes": list(shapes), "imagePath": image, "imageData": None, **sides})


def written(*marks: Marked) -> str:
    """Boxes as rectangles, outlines as polygons with a group each."""
    shapes = []
    for group, mark in enumerate(marks):
        left, top, width, height = mark.box
        corners = [[left, top], [left + width, top + height]]
        shapes += [shape(mark.label, one, group=group) for one in mark.polygons]
        shapes += [] if mark.polygons else [shape(mark.label, corners, "rectangle")]
    return file(*shapes)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(marked(("box", "polygons")), max_size=4))
def test_what_is_written_is_read(tmp_path: Path, marks: list[Marked]) -> None:
    found = layout(write(pictures(tmp_path, "a.png"), {"a.json": written(*marks)}))
    assert found.name == "labelme" and found.annotations == ("a.json",) and not found.problems
    for instance, mark in zip(only(found), marks, strict=True):
        assert (instance.label, instance.polygons) == (mark.label, mark.polygons)
        if not mark.polygons:
            assert instance.box == pytest.approx(mark.box, abs=1e-9)
            assert instance.box == mark.box or not all(isinstance(end, int) for end in mark.box)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(outlines())
def test_polygons_cover_what_opencv_fills(tmp_path: Path, outline: tuple[tuple[float, float], ...]) -> None:
    found = layout(write(pictures(tmp_path, "a.png"), {"a.json": file(shape("dent", [list(end) for end in outline]))}))
    mask = mask_of(only(found)[0], HEIGHT, WIDTH)
    theirs = cv2.fillPoly(np.zeros((HEIGHT, WIDTH), np.uint8), [np.floor(outline).astype(np.int32)], 255)
    assert mask is not None
    near = cv2.dilate(theirs, np.ones((3, 3), np.uint8))
    assert not (mask & ~near).any()  # nothing beyond the rim, which OpenCV draws
    assert not (cv2.erode(theirs, np.ones((5, 5), np.uint8), borderValue=0) & ~mask).any()


def test_every_kind_of_shape(tmp_path: Path) -> None:
    shapes = [
        shape("polygon", TRIANGLE, None),
        shape("rectangle", [[30, 20], [10, 10]], "rectangle"),
        shape("four", [[1, 1], [5, 1], [5, 9], [1, 9]], "rectangle"),
        shape("circle", [[30, 20], [33, 24]], "circle"),
        shape("line", [[5, 5], [25, 5]], "line"),
        shape("strip", [[5, 5], [25, 15], [9, 30]], "linestrip"),
        shape("point", [[7, 8]], "point"),
        painted("mask", np.eye(11, dtype=np.uint8), 2, 3),
    ]
    found = layout(write(pictures(tmp_path, "a.png"), {"a.json": file(*shapes)}))
    read = {one.label: one for one in only(found)}
    assert read["polygon"].polygons == (((1, 2), (21, 2), (1, 22)),)
    assert read["rectangle"].box == (10, 10, 20, 10) and read["four"].box == (1, 1, 4, 8)
    assert read["line"].box == (5, 4.5, 20, 1) and read["strip"].box == (5, 5, 20, 25)
    assert read["point"].box == (6.5, 7.5, 1, 1) and read["mask"].box == (2, 3, 11, 11)
    mask = mask_of(read["mask"], HEIGHT, WIDTH)
    assert mask is not None and np.array_equal(mask[3:14, 2:13], np.eye(11) * 255) and mask.sum() == 11 * 255
    circle = mask_of(read["circle"], HEIGHT, WIDTH)
    assert circle is not None and np.count_nonzero(circle) == pytest.approx(math.pi * 25, rel=0.05)
    assert read["circle"].box == pytest.approx((25, 15, 10, 10))
    assert any("3 line(s) or point(s)" in note for note in found.notes)


def test_polygons_of_a_group_are_one_defect(tmp_path: Path) -> None:
    shapes = [shape("dent", TRIANGLE, group=1), shape("dent", [[40, 30], [50, 30], [50, 39]], group=1)]
    shapes += [shape("hole", TRIANGLE, group=1), shape("dent", TRIANGLE)]
    found = layout(write(pictures(tmp_path, "a.png"), {"a.json": file(*shapes)}))
    assert [(one.label, len(one.polygons)) for one in only(found)] == [("dent", 2), ("hole", 1), ("dent", 1)]
    assert only(found)[0].box == (1, 2, 49, 37)


def test_the_image_is_found_though_it_moved(tmp_path: Path) -> None:
    pictures(tmp_path, "images/a.png", "b.png", "c.png", "sub/d.png")
    texts = {
        "labels/a.json": file(shape("dent", TRIANGLE), image="..\\images\\a.png"),
        "b.json": file(shape("dent", TRIANGLE), image="C:\\Users\\me\\renamed.png"),
        "c.json": file(shape("dent", TRIANGLE), image="../../old/c.png"),
        "sub/d.json": file(shape("hole", TRIANGLE), image="/home/me/d.jpg"),
    }
    assert set(entries(layout(write(tmp_path, texts)))) == {"images/a.png", "b.png", "c.png", "sub/d.png"}


def test_an_image_outside_is_refused_by_name(tmp_path: Path) -> None:
    root = pictures(tmp_path / "set", "a.png")
    pictures(tmp_path, "out.png")
    with pytest.raises(InputError, match=r"'\.\./out\.png', which is outside"):
        layout(write(root, {"x.json": file(image="../out.png"), "a.json": file()}))


def test_images_without_a_file_are_left_out(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png", "c.png")
    write(tmp_path, {"a.json": file(shape("dent", TRIANGLE)), "b.json": file(image="b.png")})
    found = layout(tmp_path)
    assert {path: entry.label for path, entry in entries(found).items()} == {"a.png": "dent", "b.png": "good"}
    assert set(found.left_out) == {"c.png"}
    reading = load(tmp_path)
    assert [mask is not None and int((mask > 0).sum()) > 0 for mask in reading.masks] == [True, False]


def test_in_class_folders_a_mask_gives_way_to_the_annotation(tmp_path: Path) -> None:
    pictures(tmp_path, "dent/a.jpg", "dent/a.png", "good/b.jpg")
    write(tmp_path, {"dent/a.json": file(shape("dent", TRIANGLE), image="a.jpg")})
    found = layout(tmp_path)
    assert found.name == "labelme" and entries(found)["dent/a.jpg"].masks == ()
    assert set(found.left_out) == {"dent/a.png"}


BAD = {
    "cut": file(shape("dent", TRIANGLE))[:-60],
    "list": '["shapes", "imagePath"]',
    "no shapes": '{"shapes": 3, "imagePath": "a.png"}',
    "corners": file(shape("dent", TRIANGLE[:2])),
    "nan": file(shape("dent", [[float("nan"), 1], [5, 1], [5, 5]])),
    "points": file(shape("dent", [1, 2, 3])),
    "none": file(shape("dent", [], "point")),
    "label": file(shape("dent", TRIANGLE) | {"label": None}),
    "kind": file(shape("dent", TRIANGLE, "hexagon")),
    "kind that is no text": file(shape("dent", TRIANGLE, "x") | {"shape_type": [1]}),
    "rectangle": file(shape("dent", TRIANGLE, "rectangle")),
    "circle": file(shape("dent", TRIANGLE, "circle")),
    "mask of another size": file(painted("dent", np.eye(5, dtype=np.uint8), 2, 3) | {"points": [[2, 3], [9, 9]]}),
    "mask beyond": file(painted("dent", np.eye(5, dtype=np.uint8), WIDTH - 3, 3)),
    "mask in colour": file(painted("dent", np.ones((5, 5, 3), np.uint8), 2, 3)),
    "mask without pixels": file(shape("dent", [[2, 3], [6, 7]], "mask")),
    "mask that is no PNG": file(shape("dent", [[2, 3], [6, 7]], "mask") | {"mask": "iVBORw0KGgo="}),
    "mask that is no text": file(shape("dent", [[2, 3], [6, 7]], "mask") | {"mask": "\u00fc"}),
    "shape": file(7),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_puts_its_image_aside(tmp_path: Path, name: str) -> None:
    pictures(tmp_path, "a.png", "b.png")
    found = layout(write(tmp_path, {"a.json": BAD[name], "b.json": file(shape("dent", TRIANGLE), image="b.png")}))
    assert problem_kinds(found) == {"a.png": "annotation"} and list(entries(found)) == ["b.png"]
    assert found.problems[0].detail.startswith("a.json: ")


def test_an_annotation_of_another_size_or_without_an_image(tmp_path: Path) -> None:
    found = layout(write(pictures(tmp_path, "a.png"), {"a.json": file(size=(61, 40)), "x.json": file(image="x.png")}))
    assert problem_kinds(found) == {"a.png": "annotation_size", "x.json": "missing"}


def test_two_files_of_one_image_put_it_aside(tmp_path: Path) -> None:
    found = layout(write(pictures(tmp_path, "a.png", "b.png"), {"a.json": file(), "x.json": file()}))
    assert problem_kinds(found) == {"a.png": "annotation"}
    assert "annotated twice, in a.json and x.json" in found.problems[0].detail


def test_damage_never_ends_in_anything_else(tmp_path: Path) -> None:
    shapes = [shape("dent", TRIANGLE, group=1), shape("hole", [[30, 20], [33, 24]], "circle")]
    shapes += [shape("dent", [[30, 20], [10, 10]], "rectangle"), shape("hole", [[5, 5], [25, 5]], "line")]
    shapes += [painted("dent", np.eye(11, dtype=np.uint8), 2, 3)]
    write(pictures(tmp_path, "a.png", "b.png"), {"a.json": file(*shapes), "b.json": file(*shapes, image="b.png")})
    survives_mutation(tmp_path, ["a.json", "b.json"])
