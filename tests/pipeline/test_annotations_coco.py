"""COCO: what is read, against pycocotools, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from pipeline.errors import InputError
from pipeline.reading import load
from pipeline.reading.instances import Instance, mask_of
from tests.pipeline.annotated import (
    CLASSES,
    HEIGHT,
    WIDTH,
    Marked,
    entries,
    layout,
    marked,
    only,
    pictures,
    problem_kinds,
    same,
    survives_mutation,
    write,
)

Row = dict[str, Any]


def written(images: dict[str, list[Marked]], *, compressed: bool = True, **more: Any) -> str:
    """COCO's JSON of these images."""
    rows = []
    for k, marks in enumerate(images.values()):
        for mark in marks:
            row = {"image_id": k, "category_id": CLASSES.index(mark.label), "bbox": list(mark.box), "iscrowd": 0}
            if mark.polygons:
                row["segmentation"] = [[end for corner in one for end in corner] for one in mark.polygons]
            if mark.mask is not None:
                row["segmentation"] = packed(mark.mask, compressed)
            rows.append({"id": len(rows), **row})
    listed = [{"id": k, "file_name": name, "width": WIDTH, "height": HEIGHT} for k, name in enumerate(images)]
    categories = [{"id": k, "name": name} for k, name in enumerate(CLASSES)]
    return json.dumps({"images": listed, "annotations": rows, "categories": categories, **more})


def packed(mask: np.ndarray, compressed: bool) -> Row:
    if compressed:
        found = coco_mask.encode(np.asfortranarray(mask > 0).astype(np.uint8))
        return {"size": found["size"], "counts": found["counts"].decode()}
    flat = (mask > 0).flatten(order="F")
    ends = np.flatnonzero(np.diff(np.concatenate(([False], flat)).astype(int))) if flat.any() else []
    runs = np.diff([0, *ends, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": runs}


def one(root: Path, **row: Any) -> Path:
    """A data set of one image with one annotation, of which `row` changes keys."""
    text = json.loads(written({"a.png": [Marked("dent", (1, 2, 3, 4))]}))
    text["annotations"][0] |= row
    return write(pictures(root, "a.png"), {"annotations.json": json.dumps(text)})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(marked(), max_size=4), st.lists(marked(), max_size=2), st.booleans())
def test_what_is_written_is_read(tmp_path: Path, first: list[Marked], second: list[Marked], compressed: bool) -> None:
    pictures(tmp_path, "images/sub/a.png", "images/b.png")
    text = written({"sub/a.png": first, "b.png": second}, compressed=compressed)
    found = layout(write(tmp_path, {"annotations.json": text}))
    assert found.name == "coco" and found.annotations == ("annotations.json",) and not found.problems
    for path, wanted in (("images/sub/a.png", first), ("images/b.png", second)):
        entry = entries(found)[path]
        assert entry.size == (WIDTH, HEIGHT) and entry.instances is not None
        for instance, mark in zip(entry.instances, wanted, strict=True):
            same(instance, mark)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.lists(marked(("polygons", "mask")), min_size=1, max_size=4), st.booleans())
def test_masks_are_those_of_pycocotools(tmp_path: Path, marks: list[Marked], compressed: bool) -> None:
    write(pictures(tmp_path, "a.png"), {"annotations.json": written({"a.png": marks}, compressed=compressed)})
    theirs = COCO(str(tmp_path / "annotations.json"))
    for instance, row in zip(only(layout(tmp_path)), theirs.loadAnns(theirs.getAnnIds()), strict=True):
        assert np.array_equal(mask_of(instance, HEIGHT, WIDTH), theirs.annToMask(row) * 255)
        assert instance.box == tuple(row["bbox"])


def test_the_class_of_an_image_is_that_of_its_largest_defect(tmp_path: Path) -> None:
    blob = np.zeros((HEIGHT, WIDTH), np.uint8)
    blob[:10, :10] = 255
    triangle = ((0.0, 0.0), (20.0, 0.0), (0.0, 20.0))
    marks = {
        "box.png": [Marked("dent", (0, 0, 9, 9)), Marked("scratch", (0, 0, 10, 10))],
        "mask.png": [Marked("dent", (0, 0, 9, 9)), Marked("scratch", (0, 0, 50, 30), mask=blob)],
        "polygon.png": [Marked("dent", (0, 0, 15, 15)), Marked("scratch", (0, 0, 20, 20), (triangle,))],
        "none.png": [],
    }
    found = layout(write(pictures(tmp_path, *marks), {"annotations.json": written(marks)}))
    labels = {entry.path: entry.label for entry in found.entries}
    assert labels == {"box.png": "scratch", "mask.png": "scratch", "polygon.png": "dent", "none.png": "good"}
    assert found.classes == ["dent", "good", "scratch"]
    assert "3 image(s) have defects of several classes; all are kept." in found.notes
    assert "1 image(s) without a marked defect are of class 'good'." in found.notes
    assert "Listed classes that are no image's class: Fleck ü." in found.notes
    reading = load(tmp_path)
    assert reading.frame["label"].tolist() == ["dent", "good", "scratch", "scratch"]
    assert [len(instances) for instances in reading.instances] == [2, 0, 2, 2]


def test_the_class_of_good_parts_is_the_one_declared(tmp_path: Path) -> None:
    text = json.loads(written({"a.png": [], "b.png": [Marked("dent", (0, 0, 9, 9))]}))
    text["categories"].append({"id": 9, "name": "OK"})
    text["annotations"].append({"id": 8, "image_id": 0, "category_id": 9, "bbox": [0, 0, 60, 40]})
    found = layout(write(pictures(tmp_path, "a.png", "b.png"), {"annotations.json": json.dumps(text)}))
    assert entries(found)["a.png"].label == "OK" and entries(found)["a.png"].instances == ()
    assert any("1 mark(s) of a class of good parts" in note for note in found.notes)


def test_marks_of_the_background_are_no_defects_and_blanks_around_names_are_nothing(tmp_path: Path) -> None:
    text = json.loads(written({"a.png": [], "b.png": [Marked("dent", (0, 0, 9, 9))]}))
    text["categories"].append({"id": 7, "name": "Background"})
    text["categories"].append({"id": 9, "name": " pit "})
    text["annotations"].append({"id": 8, "image_id": 0, "category_id": 7, "bbox": [0, 0, 60, 40]})
    text["annotations"].append({"id": 9, "image_id": 0, "category_id": 9, "bbox": [0, 0, 6, 4]})
    found = layout(write(pictures(tmp_path, "a.png", "b.png"), {"annotations.json": json.dumps(text)}))
    assert {entry.path: entry.label for entry in found.entries} == {"a.png": "pit", "b.png": "dent"}
    assert any("1 mark(s) of a class of good parts or of the background" in note for note in found.notes)


@pytest.mark.parametrize(("key", "row"), [("images", {"file_name": "c.png"}), ("categories", {"name": "pit"})])
def test_an_id_given_twice_is_refused(tmp_path: Path, key: str, row: dict[str, str]) -> None:
    text = json.loads(written({"a.png": [], "b.png": [Marked("dent", (0, 0, 9, 9))]}))
    text[key].append({"id": 1, **row})
    write(pictures(tmp_path, "a.png", "b.png", "c.png"), {"annotations.json": json.dumps(text)})
    with pytest.raises(InputError, match=rf"annotations\.json: the id 1 is given twice in '{key}'"):
        load(tmp_path)


def test_splits_are_in_folders_or_in_the_files_names(tmp_path: Path) -> None:
    marks = [Marked("dent", (0, 0, 9, 9))]
    service = pictures(tmp_path / "service", "train/a.png", "valid/a.png", "test/b.png")
    for split, name in (("train", "a.png"), ("valid", "a.png"), ("test", "b.png")):
        write(service, {f"{split}/_annotations.coco.json": written({name: marks})})
    splits = {"train/a.png": "train", "valid/a.png": "val", "test/b.png": "test"}
    assert {entry.path: entry.split for entry in layout(service).entries} == splits
    official = pictures(tmp_path / "official", "train2017/1.png", "val2017/1.png")
    for split in ("train2017", "val2017"):
        write(official, {f"annotations/instances_{split}.json": written({"1.png": marks})})
    write(official, {"annotations/person_keypoints_val2017.json": written({"1.png": marks})})
    found = layout(official)
    assert {entry.path: entry.split for entry in found.entries} == {"train2017/1.png": "train", "val2017/1.png": "val"}
    assert found.annotations == ("annotations/instances_train2017.json", "annotations/instances_val2017.json")


def test_every_picture_is_accounted_for(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "unlisted.png", "masks/a.png")
    write(tmp_path, {"annotations.json": written({"a.png": [Marked("dent", (0, 0, 9, 9))]}), "README.txt": "hello"})
    found = layout(tmp_path)
    assert set(found.left_out) == {"unlisted.png", "masks/a.png"}
    assert "folder of masks" in found.left_out["masks/a.png"]
    assert any("1 image(s) are left out, such as 'unlisted.png'" in note for note in found.notes)


def test_a_crowd_is_one_defect_and_said(tmp_path: Path) -> None:
    found = layout(one(tmp_path, iscrowd=1))
    assert len(only(found)) == 1 and any("1 region(s) that are marked as a crowd" in note for note in found.notes)


@pytest.mark.parametrize(
    ("bbox", "kept", "words"),
    [
        ([-2, 3, 10, 10], (0, 3, 8, 10), "reach beyond"),
        ([55, 35, 10, 10], (55, 35, 5, 5), "reach beyond"),
        ([55, 35, 5.0001, 5], (55, 35, 5, 5), ""),
        ([60, 3, 10, 10], None, "wholly outside"),
        ([-20, 3, 10, 10], None, "wholly outside"),
        ([5, 5, 0, 10], None, "no area"),
    ],
)
def test_boxes_beyond_the_image(tmp_path: Path, bbox: list[float], kept: tuple[float, ...] | None, words: str) -> None:
    found = layout(one(tmp_path, bbox=bbox))
    assert [instance.box for instance in only(found)] == ([kept] if kept else [])
    assert any(words in note for note in found.notes) if words else len(found.notes) == 1


def test_a_polygon_is_cut_off_at_the_image(tmp_path: Path) -> None:
    found = layout(one(tmp_path, bbox=None, segmentation=[[50, 10, 70, 10, 70, 50, 50, 50], [70, 1, 80, 1, 80, 9]]))
    [instance] = only(found)
    assert instance.box == (50, 10, 10, 30) and len(instance.polygons) == 1
    whole = np.zeros((HEIGHT, WIDTH), np.uint8)
    whole[10:, 50:] = 255
    assert np.array_equal(mask_of(instance, HEIGHT, WIDTH), whole)


BAD_ROWS = {
    "negative": {"bbox": [1, 2, -3, 4]},
    "nan": {"bbox": [1, 2, float("nan"), 4]},
    "infinite": {"bbox": [1, 2, float("inf"), 4]},
    "text": {"bbox": [1, 2, "wide", 4]},
    "truth": {"bbox": [1, 2, True, 4]},
    "huge": {"bbox": [1, 2, 10**400, 4]},
    "three": {"bbox": [1, 2, 3]},
    "category": {"category_id": 77},
    "nothing": {"bbox": None},
    "corners": {"segmentation": [[1, 2, 3, 4]]},
    "odd": {"segmentation": [[1, 2, 3, 4, 5, 6, 7]]},
    "runs": {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [1, 2, 3]}},
    "below zero": {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [WIDTH * HEIGHT + 5, -5]}},
    "compressed": {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "~~~~~~~~~~"}},
    "cut": {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "P"}},
    "size": {"segmentation": {"size": [WIDTH, HEIGHT], "counts": [WIDTH * HEIGHT]}},
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_annotation_puts_its_image_aside(tmp_path: Path, name: str) -> None:
    found = layout(one(tmp_path, **BAD_ROWS[name]))
    assert problem_kinds(found) == {"a.png": "annotation"} and not found.entries
    assert found.problems[0].detail.startswith("annotations.json: annotation 0: ")


def test_images_that_are_missing_doubled_or_of_another_size(tmp_path: Path) -> None:
    text = json.loads(written({"a.png": [], "b.png": [], "gone.png": [], "a.png ": []}))
    text["images"][3]["file_name"] = "a.png"
    text["images"][1]["width"] = 61
    found = layout(write(pictures(tmp_path, "a.png", "b.png"), {"annotations.json": json.dumps(text)}))
    assert problem_kinds(found) == {"a.png": "annotation", "b.png": "annotation_size", "gone.png": "missing"}


def test_names_that_nothing_can_print_are_shown_all_the_same(tmp_path: Path) -> None:
    text = written({"a.png": [], "X": []}).replace('"X"', r'"\ud800.png"')
    found = layout(write(pictures(tmp_path, "a.png"), {"annotations.json": text}))
    [problem] = found.problems
    assert problem.kind == "missing" and (problem.path + problem.detail).encode()


def test_an_image_that_cannot_be_read_is_reported_as_ever(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png")
    write(tmp_path, {"a.png": b"", "annotations.json": written({"a.png": [], "b.png": []})})
    assert [(problem.path, problem.kind) for problem in load(tmp_path).problems] == [("a.png", "empty_file")]


@pytest.mark.parametrize(
    ("name", "path"), [("../out.png", None), ("/data/old/sub/a.png", "sub/a.png"), ("C:\\x\\sub\\a.png", "sub/a.png")]
)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str, path: str | None) -> None:
    root = pictures(tmp_path / "set", "sub/a.png", "other/a.png")
    pictures(tmp_path, "out.png")
    write(root, {"annotations.json": written({name: []})})
    if path:
        assert [entry.path for entry in layout(root).entries] == [path]
    else:
        with pytest.raises(InputError, match=r"'\.\./out\.png', which is outside the data set"):
            layout(root)


def test_a_name_that_fits_two_images_is_put_aside(tmp_path: Path) -> None:
    root = pictures(tmp_path, "x/a.png", "y/a.png")
    found = layout(write(root, {"annotations.json": written({"a.png": []})}))
    assert (
        problem_kinds(found) == {"a.png": "annotation"}
        and "could be 'x/a.png' or 'y/a.png'" in found.problems[0].detail
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"images": [],\n"annotations": [], "categories": [}', r"annotations\.json cannot be read: .*line 2"),
        ('{"images": [3], "annotations": [], "categories": []}', "'images'"),
        ('{"images": [], "annotations": {}, "categories": []}', "'annotations'"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "no file_name"),
        ('["images", "annotations", "categories"]', "'images'"),
        ('{"images": [], "annotations": [], "categories": ' + "[" * 200_000, "nested too deep"),
        ('{"images": [], "annotations": [], "categories": [' + "9" * 5000 + "]}", "out of range"),
    ],
)
def test_a_file_that_is_broken_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        layout(write(pictures(tmp_path, "a.png"), {"annotations.json": text}))


def test_class_names_are_checked(tmp_path: Path) -> None:
    text = written({"a.png": [Marked("dent", (0, 0, 9, 9))]}).replace('"dent"', '"../x"')
    with pytest.raises(InputError, match=r"'\.\./x' is a path"):
        layout(write(pictures(tmp_path, "a.png"), {"annotations.json": text}))


def test_annotations_of_images_that_are_not_listed_are_counted(tmp_path: Path) -> None:
    found = layout(one(tmp_path, image_id=5))
    assert problem_kinds(found) == {"annotations.json": "annotation"}
    assert "1 annotation(s) are of images that it does not list" in found.problems[0].detail


def test_damage_never_ends_in_anything_else(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:20, 4:30] = 255
    triangle = ((0.0, 0.0), (20.0, 0.0), (0.0, 20.0))
    marks = [
        Marked("dent", (1, 2, 3, 4)),
        Marked("scratch", (0, 0, 20, 20), (triangle,)),
        Marked("dent", (4, 3, 26, 17), mask=mask),
    ]
    pictures(tmp_path, "train/a.png", "val/b.png")
    write(tmp_path, {"train.json": written({"a.png": marks}), "val.json": written({"b.png": marks}, compressed=False)})
    survives_mutation(tmp_path, ["train.json", "val.json"])


def test_instances_are_those_of_the_reading(tmp_path: Path) -> None:
    reading = load(one(tmp_path))
    assert reading.instances == [(Instance("dent", (1, 2, 3, 4)),)] and reading.masks == [None]
