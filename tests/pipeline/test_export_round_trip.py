"""What was exported, read by our own reader: classes, splits, boxes and pixels as they were."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.config import load_config
from pipeline.errors import InputError
from pipeline.exporting import export
from pipeline.exporting.sources import Source, read_source
from pipeline.reading import Reading, load
from pipeline.reading.instances import of_mask
from tests.pipeline.samples import folder
from tests.pipeline.test_export import BOX, OUTLINE, PAIR, RLE, marked_set, part

ANNOTATED = ["coco", "yolo", "voc", "labelme"]
Known = dict[str, tuple[str, str, list[tuple[str, tuple[float, ...]]]]]


def known(reading: Reading) -> Known:
    """Digest of the file -> class, split, and class and box of each defect."""
    return {
        row.sha256: (row.label, row.split, sorted((one.label, tuple(np.round(one.box, 6))) for one in some))
        for row, some in zip(reading.frame.itertuples(), reading.instances, strict=True)
    }


def masks(reading: Reading) -> dict[str, np.ndarray]:
    """Digest of the file -> its mask, where it has one with anything on it."""
    pairs = zip(reading.frame["sha256"], reading.masks, strict=True)
    return {name: mask for name, mask in pairs if mask is not None and mask.any()}


def exported(source: Path, form: str, out: Path) -> Reading:
    export(read_source(source, load_config(None, None)), form, out, allow=True)
    return load(out)


@pytest.mark.parametrize("form", [*ANNOTATED, "folder", "csv"])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_classes_splits_and_boxes_come_back(tmp_path: Path, form: str, suffix: str) -> None:
    source = marked_set(tmp_path / "set", suffix)
    again = exported(source, form, tmp_path / "out")
    assert not again.problems
    assert known(again) == known(load(source))


@pytest.mark.parametrize("form", [*ANNOTATED, "folder", "csv", "mvtec"])
def test_pixels_come_back(tmp_path: Path, form: str) -> None:
    source = marked_set(tmp_path / "set")
    wanted = masks(load(source))
    if form == "yolo":  # an outline has no holes
        wanted = {name: filled(mask) for name, mask in wanted.items()}
    found = masks(exported(source, form, tmp_path / "out"))
    assert found.keys() == wanted.keys() and len(found) == 12
    for name, mask in wanted.items():
        assert np.array_equal(found[name], mask)


def filled(mask: np.ndarray) -> np.ndarray:
    outer, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(mask), outer, -1, 255, cv2.FILLED))


@pytest.mark.parametrize("form", ANNOTATED)
def test_boxes_with_fractions_come_back(tmp_path: Path, form: str) -> None:
    labels = {"a": "dent", "b": "good"}
    parts = [
        part(tmp_path / "set" / f"{name}.png", f"{name}.png", (BOX,) if name == "a" else (), label=label, split="train")
        for name, label in labels.items()
    ]
    export(Source(tmp_path / "set", parts), form, tmp_path / "out")
    found = known(load(tmp_path / "out"))
    assert found == {one.sha256: (one.label, "train", [(i.label, i.box) for i in one.instances]) for one in parts}


@pytest.mark.parametrize("form", ["coco", "labelme"])
def test_instances_come_back_as_they_are(tmp_path: Path, form: str) -> None:
    some = (BOX, OUTLINE, PAIR, RLE, of_mask("pit", np.flipud(np.fliplr(np.asarray(part_mask())))))
    one = part(tmp_path / "set" / "a.png", "a.png", some, label="pit", split="test")
    good = part(tmp_path / "set" / "b.png", "b.png", label="good", split="train")
    export(Source(tmp_path / "set", [one, good]), form, tmp_path / "out")
    reading = load(tmp_path / "out")
    at = reading.frame.index[reading.frame["sha256"] == one.sha256][0]
    assert set(reading.instances[at]) == set(some)


def part_mask() -> Any:
    mask = np.zeros((40, 50), np.uint8)
    mask[1:4, 2:9] = 255
    return mask


def test_yolo_without_a_split_comes_back(tmp_path: Path) -> None:
    """data.yaml names the training images as val too then, as Ultralytics' own sample sets do."""
    labels = {"a": "dent", "b": "good"}
    parts = [
        part(tmp_path / "set" / f"{name}.png", f"{name}.png", (RLE,) if name == "a" else (), label=label)
        for name, label in labels.items()
    ]
    export(Source(tmp_path / "set", parts), "yolo", tmp_path / "out")
    reading = load(tmp_path / "out")
    assert set(reading.frame["split"]) == {"train"} and sorted(reading.frame["label"]) == ["dent", "good"]


@pytest.mark.parametrize("form", ["coco", "voc", "labelme"])
def test_synthetic_images_do_not_come_back_as_real_ones(tmp_path: Path, form: str) -> None:
    parts = [
        part(tmp_path / "set" / f"{name}.png", f"{name}.png", (RLE,), split=split, source=source)
        for name, split, source in (("a", "train", "real"), ("b", "test", "real"), ("c", "train", "synthetic"))
    ]
    export(Source(tmp_path / "set", parts), form, tmp_path / "out")
    reading = load(tmp_path / "out")
    assert sorted(reading.frame["sha256"]) == sorted(one.sha256 for one in parts[:2])
    assert any("1 image(s) are left out" in note and "synthetic" in note for note in reading.notes)
    export(Source(tmp_path / "set", parts[2:]), form, tmp_path / "drawn")
    with pytest.raises(InputError, match="synthetic images alone"):
        load(tmp_path / "drawn")


@pytest.mark.parametrize("form", ["coco", "voc", "labelme"])
def test_classes_of_images_without_marks_come_back(tmp_path: Path, form: str) -> None:
    labels = ("dent", "free", "wave")
    parts = [part(tmp_path / "set" / f"{name}.png", f"{name}.png", label=name, split="train") for name in labels]
    parts.append(part(tmp_path / "set" / "x.png", "x.png", (RLE,), split="train"))
    export(Source(tmp_path / "set", parts), form, tmp_path / "out")
    frame = load(tmp_path / "out").frame
    assert dict(zip(frame["sha256"], frame["label"], strict=True)) == {one.sha256: one.label for one in parts}


@pytest.mark.parametrize("form", ["yolo", "voc", "mvtec"])
def test_what_a_format_cannot_hold_comes_back_from_its_table(tmp_path: Path, form: str) -> None:
    """Class of the image, split and group of each; and no synthetic image is taken for a real one."""
    splits = {"dent": "train", "free": "val", "wave": "test"}
    parts = [
        part(tmp_path / "set" / f"{name}-{i}.png", f"{name}-{i}.png", (RLE,), label=name, split=split, group=f"lot {i}")
        for name, split in splits.items()
        for i in range(2)
    ]
    made = part(tmp_path / "set" / "made.png", "made.png", (RLE,), split="train", source="synthetic")
    export(Source(tmp_path / "set", [*parts, made]), form, tmp_path / "out", allow=True)
    reading = load(tmp_path / "out")
    rows = zip(*(reading.frame[name] for name in ("sha256", "label", "split", "group")), strict=True)
    assert {sha256: rest for sha256, *rest in rows} == {one.sha256: [one.label, one.split, one.group] for one in parts}
    assert not any("split anew" in note for note in reading.notes)
    if form != "voc":  # whose annotations say so themselves
        assert "1 synthetic image(s) are left out, as lineage.csv says." in reading.notes
    assert [use.use for use in reading.account if use.path == "lineage.csv"] == ["annotation"]


def test_a_table_of_somebody_else_changes_nothing(tmp_path: Path) -> None:
    root = folder(tmp_path / "set")
    before = load(root).frame
    (root / "lineage.csv").write_text("path,label,split\ndent/0.png,hole,test\n")
    assert load(root).frame.equals(before)
