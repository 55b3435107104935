"""YOLO: shares of the image, names and splits of a YAML file or of folders."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.reading import load
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
    survives_mutation,
    write,
)

NAMES = "names:\n" + "".join(f"  {k}: {name}\n" for k, name in enumerate(CLASSES))
DENT, SCRATCH = "0 0.5 0.5 0.2 0.2", "1 0.5 0.5 0.5 0.5"


def written(*marks: Marked) -> str:
    """A label file: the class's number, then a box (centre and sides) or the corners of a polygon, in shares."""
    lines = []
    for mark in marks:
        left, top, width, height = mark.box
        shares = [(left + width / 2) / WIDTH, (top + height / 2) / HEIGHT, width / WIDTH, height / HEIGHT]
        if mark.polygons:
            shares = [end for x, y in mark.polygons[0] for end in (x / WIDTH, y / HEIGHT)]
        lines.append(" ".join(map(repr, [CLASSES.index(mark.label), *shares])))
    return "\n".join(lines)


def splits(root: Path) -> dict[str, tuple[str, str]]:
    return {entry.path: (entry.label, entry.split) for entry in layout(root).entries}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(marked(("box", "polygons")), min_size=1, max_size=4))
def test_what_is_written_is_read(tmp_path: Path, marks: list[Marked]) -> None:
    pictures(tmp_path, "images/a.png")
    found = layout(write(tmp_path, {"labels/a.txt": written(*marks), "data.yaml": NAMES}))
    assert found.name == "yolo" and set(found.annotations) == {"labels/a.txt", "data.yaml"}
    for instance, mark in zip(only(found), marks, strict=True):
        assert instance.label == mark.label
        if mark.polygons:
            for corner, wanted in zip(instance.polygons[0], mark.polygons[0], strict=True):
                assert corner == pytest.approx(wanted, abs=1e-9)
        else:
            assert instance.is_box and instance.box == pytest.approx(mark.box, abs=1e-9)


def test_an_image_without_a_file_or_with_an_empty_one_is_good(tmp_path: Path) -> None:
    pictures(tmp_path, "images/a.png", "images/b.png", "images/c.png")
    write(tmp_path, {"labels/a.txt": DENT, "labels/b.txt": "\n", "classes.txt": "dent\nscratch\n"})
    found = layout(tmp_path)
    assert {path: entry.label for path, entry in entries(found).items()} == {
        "images/a.png": "dent",
        "images/b.png": "good",
        "images/c.png": "good",
    }
    assert any("1 image(s) have no file of annotations" in note for note in found.notes)
    assert "2 image(s) without a marked defect are of class 'good'." in found.notes
    assert load(tmp_path).frame["label"].tolist() == ["dent", "good", "good"]


@pytest.mark.parametrize(
    "place", ["images/{split}/a.png labels/{split}/a.txt", "{split}/images/a.png {split}/labels/a.txt"]
)
def test_splits_are_folders(tmp_path: Path, place: str) -> None:
    for split, label in (("train", DENT), ("valid", SCRATCH)):
        image, text = place.format(split=split).split()
        write(pictures(tmp_path, image), {text: label, "obj.names": "dent\nscratch"})
    assert sorted(splits(tmp_path).values()) == [("dent", "train"), ("scratch", "val")]


def test_splits_are_those_of_the_yaml_file(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"images/{part}/{part}.png" for part in "abcd"))
    write(tmp_path, {f"labels/{part}/{part}.txt": DENT for part in "abcd"})
    text = "path: /somewhere/else\ntrain: [../images/a, images/b]\nval: list.txt\ntest:\nnames: [dent]\n"
    write(tmp_path, {"dataset.yaml": text, "list.txt": "./images/c/c.png\n"})
    found = layout(tmp_path)
    assert {path: entry.split for path, entry in entries(found).items()} == {
        "images/a/a.png": "train",
        "images/b/b.png": "train",
        "images/c/c.png": "val",
    }
    assert "images/d/d.png" in found.left_out and "list.txt" in found.annotations
    write(tmp_path, {"dataset.yaml": text.replace("test:", "test: nowhere")})
    assert any("names has no folder here (1 time(s))" in note for note in layout(tmp_path).notes)
    write(tmp_path, {"dataset.yaml": text.replace("test:", "test: images/a")})
    assert any("holds the images of an earlier one alone" in note for note in layout(tmp_path).notes)
    write(tmp_path, {"dataset.yaml": text.replace("test:", "test: [images/d, images]")})
    with pytest.raises(InputError, match=r"'images/a/a\.png' is in train and in test"):
        layout(tmp_path)


def test_splits_are_those_of_cvats_lists(tmp_path: Path) -> None:
    kinds = {"train": "obj_train_data/a", "valid": "obj_valid_data/b"}
    pictures(tmp_path, *(f"{stem}.png" for stem in kinds.values()))
    write(tmp_path, {f"{stem}.txt": DENT for stem in kinds.values()} | {"obj.names": "dent\n"})
    lists = {f"{name}.txt": f"data/{stem}.png\n" for name, stem in kinds.items()}
    rows = "".join(f"{name} = data/{name}.txt\n" for name in kinds)
    write(tmp_path, lists | {"obj.data": f"classes = 1\n{rows}names = data/obj.names\n"})
    found = layout(tmp_path)
    assert splits(tmp_path) == {"obj_train_data/a.png": ("dent", "train"), "obj_valid_data/b.png": ("dent", "val")}
    assert {"obj.data", "obj.names", "train.txt", "valid.txt"} <= set(found.annotations)
    (tmp_path / "valid.txt").unlink()
    assert {split for _, split in splits(tmp_path).values()} == {""}


@pytest.mark.parametrize("line", ["dent 0.5 0.5 0.2 0.2", "0.0 0.5 0.5 0.2 0.2", "0,0.5,0.5,0.2,0.2"])
def test_lines_that_are_written_otherwise_are_named(tmp_path: Path, line: str) -> None:
    write(pictures(tmp_path, "images/a.png"), {"labels/a.txt": line, "classes.txt": "dent"})
    with pytest.raises(InputError, match=r"labels/a\.txt: line 1: the class number is"):
        load(tmp_path)


def test_names_may_differ_in_case_and_unicode_form(tmp_path: Path) -> None:
    pictures(tmp_path, f"images/{unicodedata.normalize('NFD', 'Prüf')}.png", "images/B.PNG")
    write(tmp_path, {f"labels/{unicodedata.normalize('NFC', 'Prüf')}.txt": DENT, "labels/b.TXT": DENT})
    assert [len(entry.instances or ()) for entry in layout(tmp_path).entries] == [1, 1]


def test_labels_beside_the_images_without_names(tmp_path: Path) -> None:
    found = layout(write(pictures(tmp_path, "a.png"), {"a.txt": "3 0.5 0.5 0.2 0.2"}))
    assert only(found)[0].label == "class_3"
    assert any("No file names the classes" in note for note in found.notes)


def test_texts_that_are_no_labels_make_no_yolo_of_class_folders(tmp_path: Path) -> None:
    pictures(tmp_path, "dent/a.png", "hole/b.png")
    found = layout(write(tmp_path, {"dent/a.txt": "a deep dent, 3 mm", "hole/b.txt": "1 2"}))
    assert found.name == "class_folders"


BAD = {
    "text": "0 0.5 0.5 wide 0.2",
    "nan": "0 0.5 0.5 nan 0.2",
    "class": "7 0.5 0.5 0.2 0.2",
    "name": "dent 0.5 0.5 0.2 0.2",
    "negative": "0 0.5 0.5 -0.2 0.2",
    "pixels": "0 300 200 50 50",
    "confidence": "0 0.5 0.5 0.2 0.2 0.93",
    "short": "0 0.5 0.5",
    "bytes": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_puts_its_image_aside(tmp_path: Path, name: str) -> None:
    bad = BAD[name]
    lines = bad if isinstance(bad, bytes) else f"{DENT}\n{bad}\n"
    pictures(tmp_path, "a.png", "b.png")
    found = layout(write(tmp_path, {"a.txt": lines, "b.txt": SCRATCH, "data.yaml": NAMES}))
    assert problem_kinds(found) == {"a.png": "annotation"} and list(entries(found)) == ["b.png"]
    assert found.problems[0].detail.startswith("a.txt: it is" if name == "bytes" else "a.txt: line 2: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: [a\n", r"data\.yaml cannot be read"),
        ("names: 3\n", "neither a list nor numbers"),
        ("names: [[1]]\n", "no text"),
        ("names: [dent]\nkpt_shape: [3, 2]\n", "key points"),
        ("names: ['../x', b]\n", "is a path"),
        ("names: !!python/object/apply:os.system ['true']\n", "cannot be read"),
    ],
)
def test_a_bad_description_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        layout(write(pictures(tmp_path, "a.png"), {"a.txt": DENT, "data.yaml": text}))


def test_two_lists_of_classes_that_differ_are_refused(tmp_path: Path) -> None:
    pictures(tmp_path, "x/a.png", "y/b.png")
    texts = {"x/a.txt": DENT, "y/b.txt": DENT, "x/classes.txt": "dent", "y/classes.txt": "scratch"}
    with pytest.raises(InputError, match=r"x/classes\.txt and y/classes\.txt"):
        layout(write(tmp_path, texts))
    with pytest.raises(InputError, match=r"data\.yaml and old\.yaml"):
        layout(write(tmp_path, {"data.yaml": NAMES, "old.yaml": "names: [a]", "docker.yaml": "x: 1"}))


def test_boxes_beyond_the_image(tmp_path: Path) -> None:
    lines = "0 0.0 0.5 0.2 0.2\n0 1.5 0.5 0.2 0.2\n0 0.5 0.5 1.000001 1.0\n"
    found = layout(write(pictures(tmp_path, "a.png"), {"a.txt": lines, "data.yaml": NAMES}))
    assert [one.box for one in only(found)] == [pytest.approx((0, 16, 6, 8)), (0, 0, WIDTH, HEIGHT)]
    assert sum("1 defect(s)" in note for note in found.notes) == 2


def test_labels_kept_elsewhere(tmp_path: Path) -> None:
    images = pictures(tmp_path / "set", "dent/a.png", "good/b.png")
    place = write(tmp_path / "labels", {"a.txt": DENT, "classes.txt": "dent"})
    found = entries(layout(images, place))
    assert {path: entry.label for path, entry in found.items()} == {"dent/a.png": "dent", "good/b.png": "good"}
    assert found["dent/a.png"].instances and found["good/b.png"].instances is None


def test_damage_never_ends_in_anything_else(tmp_path: Path) -> None:
    pictures(tmp_path, "images/train/a.png", "images/val/b.png")
    triangle = "1 0.1 0.1 0.9 0.1 0.5 0.9"
    text = f"train: images/train\nval: images/val\n{NAMES}"
    write(tmp_path, {"labels/train/a.txt": f"{DENT}\n{triangle}\n", "labels/val/b.txt": SCRATCH, "data.yaml": text})
    survives_mutation(tmp_path, ["labels/train/a.txt", "labels/val/b.txt", "data.yaml"])
