"""Every file of a data set has one use, the counts add up, and what is not read is named."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config import load_config
from pipeline.inspect_command import inspect_dataset
from pipeline.reading import duplicates_of, load, render
from tests.pipeline.samples import folder, save, texture

RUBBISH = ("Thumbs.db", ".DS_Store", "desktop.ini", "._0.png")


def uses(root: Path) -> dict[str, str]:
    return {one.path: one.use for one in load(root).account}


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


def test_every_file_has_one_use(tmp_path: Path) -> None:
    folder(tmp_path, each=8)
    blank = np.zeros((64, 64), np.uint8)
    blank[5:9, 5:30] = 255
    save(tmp_path / "dent" / "0_mask.png", blank)
    save(tmp_path / "loose.png", texture(90))
    contents = {
        "dent/a.gif": b"GIF89a",
        "dent/b.dcm": bytes(128) + b"DICM",
        "dent/c.heic": b"\0\0\0\x18ftypheic",
        "dent/d.png": b"GIF89a" + bytes(20),
        "dent/broken.png": b"text",
        "dent/0.json": json.dumps({"version": "5", "shapes": [], "imagePath": "0.png"}).encode(),
        "dent/1.xml": b"<annotation></annotation>",
        "dent/notes.txt": b"seen on Monday",
        **{f"dent/{name}": b"x" for name in RUBBISH},
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "dent" / "pipe")
    found = uses(tmp_path)
    assert sorted(found) == files(tmp_path)
    assert {name: found[name] for name in contents} == {
        "dent/a.gif": "other_format",
        "dent/b.dcm": "other_format",
        "dent/c.heic": "other_format",
        "dent/d.png": "other_format",
        "dent/broken.png": "unreadable",
        "dent/0.json": "unused_annotation",
        "dent/1.xml": "annotation",
        "dent/notes.txt": "other",
        **dict.fromkeys((f"dent/{name}" for name in RUBBISH), "rubbish"),
    }
    assert (found["dent/0_mask.png"], found["loose.png"], found["dent/pipe"]) == ("mask", "left_out", "other")
    assert sum(use == "image" for use in found.values()) == 16


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["dent/", "train/dent/", "images/", "masks/", "", ".git/"]), min_size=1, max_size=8))
def test_the_counts_add_up_whatever_lies_there(tmp_path_factory: pytest.TempPathFactory, places: list[str]) -> None:
    root = folder(tmp_path_factory.mktemp("set") / "train", each=1).parent
    for k, place in enumerate(places):
        (root / place).mkdir(parents=True, exist_ok=True)
        (root / place / f"{k}.dat").write_bytes(bytes(k))
    expected = {".git" if name.startswith(".git") else name for name in files(root)}  # a hidden folder is one
    assert set(uses(root)) == expected


@pytest.mark.parametrize("name", ["$RECYCLE.BIN", "@eaDir", "System Volume Information"])
def test_folders_of_a_system_are_no_classes(tmp_path: Path, name: str) -> None:
    folder(tmp_path)
    save(tmp_path / name / "0.png", texture(99))
    save(tmp_path / "dent" / name / "0.png", texture(98))
    assert load(tmp_path).classes == ["dent", "hole"] and len(load(tmp_path).images) == 12
    assert uses(tmp_path)[name] == uses(tmp_path)[f"dent/{name}"] == "rubbish"


def test_formats_that_are_not_read_are_named_apart_from_rubbish(tmp_path: Path) -> None:
    folder(tmp_path, each=6)
    for k in range(5):
        (tmp_path / "dent" / f"{k}.jp2").write_bytes(b"\x00\x00\x00\x0cjP  \r\n")
        (tmp_path / "dent" / f"{k}.pgm").write_bytes(b"P5 2 2 255 abcd")
    (tmp_path / "dent" / "Thumbs.db").write_bytes(b"x")
    notes = load(tmp_path).notes
    assert "10 of 22 pictures are JPEG 2000 (5), PGM/PPM (5), which are not read; convert them to PNG." in notes
    assert "1 hidden file(s) or file(s) of other formats were ignored." in notes


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("0.json", '{"version": "5", "shapes": [], "imagePath": "0.png"}', "2 LabelMe file(s)"),
        ("all.json", '{"images": [], "annotations": []}', "2 COCO file(s)"),
        ("0.xml", "<?xml version='1.0'?><annotation></annotation>", "2 Pascal VOC file(s)"),
        ("0.txt", "0 0.5 0.5 0.1 0.1\n", "2 YOLO file(s)"),
        ("0.json", "{}", "2 JSON file(s)"),
    ],
)
def test_annotations_that_no_layout_uses_are_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    folder(tmp_path)
    for label in ("dent", "hole"):
        (tmp_path / label / name).write_text(text, "utf-8")
    notes = load(tmp_path, layout="class_folders").notes
    assert any(note.startswith(words) and "were not used" in note for note in notes)


def test_files_beside_a_manifest_are_accounted_for(tmp_path: Path) -> None:
    folder(tmp_path, each=2)
    (tmp_path / "notes.md").write_text("x", "utf-8")
    rows = "path,label,source\ndent/0.png,dent,real\nhole/0.png,hole,real\ndent/1.png,dent,synthetic\n"
    (tmp_path / "manifest.csv").write_text(rows, "utf-8")
    assert uses(tmp_path) == {
        "manifest.csv": "annotation",
        "notes.md": "other",
        "dent/0.png": "image",
        "dent/1.png": "left_out",
        "hole/0.png": "image",
        "hole/1.png": "left_out",
    }
    assert any("'hole/1.png', were left out: not listed" in note for note in load(tmp_path).notes)


def test_inspect_shows_the_layout_and_the_files(tmp_path: Path) -> None:
    folder(tmp_path / "train")
    folder(tmp_path / "test", classes=("",), each=3, first_seed=900)
    record = inspect_dataset(tmp_path, load_config(None, None))
    assert record["files"] == {"image": 12, "left_out": 3} and len(record["account"]) == 15
    json.dumps(record)
    text = render(record)
    assert "read as  split_folders" in text and "files    15" in text
    assert "12 images that are read" in text and "3 left out: in test/ without a class folder: unlabelled" in text


def test_augmented_versions_of_a_picture_are_one_group_by_their_names(tmp_path: Path) -> None:
    for k, name in enumerate(("dent", "hole")):
        for i in range(3):
            for version in range(3 if i else 1):
                digest = f"{16 * i + version:032x}"
                save(tmp_path / name / f"IMG_{i}_jpg.rf.{digest}.jpg", texture(100 * k + 10 * i + version))
        save(tmp_path / name / "other.png", texture(100 * k + 77))
    reading = load(tmp_path)
    groups = set(reading.frame["group"])
    assert groups == {"", *(f"{name}/IMG_{i}_jpg" for name in ("dent", "hole") for i in (1, 2))}
    assert any("12 images are versions of 4 pictures" in note for note in reading.notes)
    found = duplicates_of(reading).groups
    assert len(set(found.tolist())) == 8
    again = save(tmp_path / "dent" / "again.jpg", texture(77))
    assert again.exists() and len(set(duplicates_of(load(tmp_path)).groups.tolist())) == 8  # looks still count


def test_the_users_groups_come_before_those_of_names(tmp_path: Path) -> None:
    for i in range(2):
        save(tmp_path / "dent" / f"a_jpg.rf.{i:032x}.jpg", texture(i))
        save(tmp_path / "hole" / f"b_jpg.rf.{i:032x}.jpg", texture(10 + i))
    reading = load(tmp_path, group_pattern=r"/(\w)_jpg")
    assert set(reading.frame["group"]) == {"a", "b"} and not reading.groups_by_name
