"""Exports: every format through the command, read back by those who read it elsewhere, or by their rules."""

import base64
import csv
import io
import json
import os
import re
import shutil
import unicodedata
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import tifffile
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO
from torchvision.datasets import CocoDetection, ImageFolder, VOCDetection, VOCSegmentation

from pipeline.config import load_config
from pipeline.errors import InputError, JobError
from pipeline.exporting import FORMATS, export, notes_on_export
from pipeline.exporting.names import place, safe
from pipeline.exporting.outlines import joined, outlines_of
from pipeline.exporting.parts import Part, run_lengths
from pipeline.exporting.sources import Source, read_source
from pipeline.manifest import COLUMNS, read_manifest
from pipeline.reading import load
from pipeline.reading.instances import Instance, mask_of, of_mask, of_polygons, union
from tests import tiny
from tests.conftest import Finished
from tests.pipeline.conftest import Ganaug
from tests.pipeline.samples import save, texture

ODD = [
    "a b.png",
    "zwölf 12.png",
    "部品.png",
    "line\nbreak.png",
    "100%.png",
    "50%25.png",
    "what?.png",
    " lead.png",
    "con.png",
]


def marked_set(root: Path, suffix: str = ".jpg") -> Path:
    """Two classes of defects with masks, one has holes, and good images, in train, val and test: SPLIT/CLASS/NAME."""
    for s, split in enumerate(("train", "val", "test")):
        for k, name in enumerate(("dent", "hole", "good")):
            for i in range(2):
                save(root / split / name / f"{i}{suffix}", texture(100 * s + 10 * k + i, 40, 50))
                mask = np.zeros((40, 50), np.uint8)
                mask[5 + i : 12, 6:20] = 255
                mask[25:30, 30 : 36 + i] = 255
                if name == "hole":
                    mask[8, 10] = 0
                if name != "good":
                    mask_name = f"{i}.png" if suffix != ".png" else f"{i}_mask.png"
                    save(root / split / name / mask_name, mask)
    return root


def part(file: Path, name: str, instances: tuple[Instance, ...] = (), **more: Any) -> Part:
    """A grey picture of 40 x 50 pixels with what is told of it."""
    import hashlib

    save(file, texture(sum(map(ord, name)), 40, 50))
    mask = union(instances, 40, 50)
    facts: dict[str, Any] = {
        "label": "dent",
        "split": "",
        "source": "real",
        "pixels": None if mask is None or not instances else run_lengths(mask),
        "kind": "PNG",
    }
    return Part(
        file=file,
        original=name,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        width=50,
        height=40,
        channels=1,
        instances=instances,
        **(facts | more),
    )


def blob() -> np.ndarray:
    mask = np.zeros((40, 50), np.uint8)
    mask[3:9, 4:17] = mask[9:14, 10:12] = 255
    mask[5, 8] = 0
    return mask


BOX = Instance("dent", (1.5, 2.25, 10.5, 7.0))
OUTLINE = of_polygons("pit", [((5.5, 6.0), (20.25, 6.5), (12.0, 18.125))])
PAIR = of_polygons("pit", [((2.0, 2.0), (6.0, 2.0), (6.0, 6.0)), ((30.0, 30.0), (36.0, 30.0), (33.0, 38.0))])
RLE = of_mask("dent", blob())


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def as_pixels(packed: Any, height: int, width: int) -> np.ndarray:
    return np.asarray(mask_of(packed, height, width))


# the command


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_comes_out_whole_with_its_lineage(ganaug: Ganaug, finished: Finished, tmp_path: Path, form: str) -> None:
    before = tiny.contents(finished.run.dataset)
    manifest = read_manifest(finished.run.manifest)
    out = tmp_path / "new" / form
    words = ["--allow-training-defects"] if form == "mvtec" else []
    status, said, err = ganaug("export", finished.run.out, "--format", form, "--out", out, *words)
    synthetic = int((manifest["source"] == "synthetic").sum())
    assert synthetic > 0
    assert (status, said) == (0, f"{out}: {len(manifest)} images as {form}, {synthetic} of them synthetic.\n"), err
    assert tiny.contents(finished.run.dataset) == before
    assert [path.name for path in out.parent.iterdir()] == [form]  # nothing is left beside

    found = lineage_of(out, form)
    assert found.keys() == set(manifest["path"])
    for row in manifest.to_dict("records"):
        path, facts = found[row["path"]]
        assert path.read_bytes() == (finished.run.dataset / row["path"]).read_bytes()
        assert facts["synthetic"] in ((True, "true") if row["source"] == "synthetic" else (False, "false"))
        if row["source"] == "synthetic":
            assert facts["generator"] == row["generator"] and int(facts["seed"]) == row["seed"]
            nearest, _ = found[row["nearest_real"]]
            assert nearest.relative_to(out).as_posix() == facts["nearest_real"]
            assert float(facts["confidence"]) == row["confidence"]


def lineage_of(out: Path, form: str) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Path in the source -> file in the export, and what is said of it."""
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    if form == "coco":
        for file in sorted((out / "annotations").iterdir()):
            split = file.stem.removeprefix("instances_")
            for image in json.loads(file.read_text("utf-8"))["images"]:
                found[image["original"]] = out / split / image["file_name"], image
    elif form == "labelme":
        for file in sorted(out.rglob("*.json")):
            card = json.loads(file.read_text("utf-8"))
            found[card["lineage"]["original"]] = file.parent / card["imagePath"], card["flags"] | card["lineage"]
    else:
        for row in rows_of(out / ("manifest.csv" if form in ("folder", "csv") else "lineage.csv")):
            found[row["original"]] = out / row["path"], row
    return found


def test_training_defects_have_no_place_in_mvtec(ganaug: Ganaug, tmp_path: Path) -> None:
    source = marked_set(tmp_path / "set")
    out = tmp_path / "out"
    status, _, err = ganaug("export", source, "--format", "mvtec", "--out", out)
    assert status == 2 and "4 image(s) are defects for training" in err and "--allow-training-defects" in err
    assert not out.exists()
    status, _, err = ganaug("export", source, "--format", "mvtec", "--out", out, "--allow-training-defects")
    assert status == 0 and "4 image(s) are defects for training and lie in test/" in err
    assert "6 image(s) are of the validation split" in err
    splits = {row["path"]: row["split"] for row in rows_of(out / "lineage.csv")}
    assert sorted(splits.values()) == ["test"] * 6 + ["train"] * 6 + ["val"] * 6


@pytest.mark.parametrize("case", ["full", "file", "link", "inside", "around", "run"])
def test_out_is_a_new_or_an_empty_folder_apart_from_the_images(ganaug: Ganaug, tmp_path: Path, case: str) -> None:
    source = tiny.write_dataset(tmp_path / "up" / "set", {"grain": 3, "lines": 3})
    out = {"inside": source / "out", "around": tmp_path / "up", "run": tmp_path / "run" / "x"}.get(
        case, tmp_path / "out"
    )
    if case == "full":
        out.mkdir()
        (out / "mine.txt").write_text("mine")
    elif case == "file":
        out.write_text("mine")
    elif case == "run":
        out.parent.mkdir()
        (out.parent / "run.json").write_text("{}")
        (out.parent / "config.yaml").write_text("")
    elif case == "link":
        (tmp_path / "elsewhere").mkdir()
        out.symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.rglob("*"))
    status, _, err = ganaug("export", source, "--format", "csv", "--out", out)
    assert status == 2 and f"--out {out}" in err and len(err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_taken_and_neighbours_are_left_alone(ganaug: Ganaug, tmp_path: Path) -> None:
    source = tiny.write_dataset(tmp_path / "set", {"grain": 3, "lines": 3})
    for name in ("out", "out-before"):
        (tmp_path / name).mkdir()
    (tmp_path / "out-before" / "mine.txt").write_text("mine")
    assert ganaug("export", source, "--format", "csv", "--out", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "manifest.csv").is_file() and (tmp_path / "out-before" / "mine.txt").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "pascal"], "pascal"),
        (["--format", "coco", "--set", "data.max_megapixel=3"], "Did you mean 'data.max_megapixels'"),
    ],
)
def test_a_wrong_word_is_told(ganaug: Ganaug, tmp_path: Path, words: list[str], said: str) -> None:
    source = tiny.write_dataset(tmp_path / "set", {"grain": 3, "lines": 3})
    status, _, err = ganaug("export", source, *words, "--out", tmp_path / "out")
    assert status == 2 and said in err and not (tmp_path / "out").exists()


def test_a_run_without_a_data_set_is_told(ganaug: Ganaug, finished: Finished, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("run.json", "config.yaml"):
        shutil.copy(finished.run.out / name, run / name)
    status, _, err = ganaug("export", run, "--format", "coco", "--out", tmp_path / "out")
    assert status == 2 and "ganaug merge" in err


def test_broken_files_are_named_and_what_a_run_would_do_is_not_said(ganaug: Ganaug, tmp_path: Path) -> None:
    source = tiny.write_dataset(tmp_path / "set", {"grain": 3, "lines": 3})
    save(source / "grain" / "larger.png", texture(3, 40, 50))
    (source / "grain" / "bro\nken.png").write_bytes((source / "grain" / "grain-00.png").read_bytes()[:200])
    (source / "stray.png").write_bytes(b"")
    status, out, err = ganaug("export", source, "--format", "csv", "--out", tmp_path / "out")
    assert status == 0 and ": 7 images as csv" in out
    assert "left out: grain/bro\N{REPLACEMENT CHARACTER}ken.png" in err and "1 file(s) outside any class folder" in err
    assert "working size" not in err


def test_an_image_that_changes_meanwhile_stops_the_export(tmp_path: Path) -> None:
    one = part(tmp_path / "set" / "a.png", "a.png", (RLE,))
    one.file.write_bytes(b"other")
    with pytest.raises(JobError, match=r"a\.png has changed"):
        export(Source(tmp_path / "set", [one]), "coco", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


@pytest.mark.parametrize("case", ["disk full", "no room", "gone"])
def test_what_cannot_be_written_leaves_nothing(
    ganaug: Ganaug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    source = tiny.write_dataset(tmp_path / "set", {"grain": 3, "lines": 3})

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device", "x.png")

    if case == "disk full":
        monkeypatch.setattr("pipeline.exporting.writing.Target.data", refuse)
    elif case == "no room":
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    else:
        (tmp_path / "file").write_text("mine")
    out = tmp_path / ("file/out" if case == "gone" else "out")
    status, _, err = ganaug("export", source, "--format", "csv", "--out", out)
    told = {"disk full": (1, "No space left"), "no room": (2, "MB free"), "gone": (2, "cannot be written")}[case]
    assert status == told[0] and told[1] in err and len(err.splitlines()) == 1
    assert not out.exists() and not list(tmp_path.glob(".tmp-*"))


# names


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_names_are_safe_and_come_back(name: str) -> None:
    told = safe(name)
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', told)
    assert told == told.strip() and not told.endswith(".") and not told.startswith(".")
    assert not re.match(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", told, re.IGNORECASE)
    assert len(told.encode()) <= 180
    if not re.search(r"-[0-9a-f]{8}$", told):
        assert unquote(told) == name


@given(st.lists(st.sampled_from(["a.png", "A.PNG", "a.jpg", "ä.png", "a\u0308.png", "a-2.png", "b.png"]), max_size=12))
def test_placed_stems_are_distinct_on_any_disk(names: list[str]) -> None:
    parts = [
        Part(Path(f"{i}/{name}"), f"{i}/{name}", "dent", "", "real", "", 1, 1, 1, "PNG") for i, name in enumerate(names)
    ]
    placed = place(parts, lambda part: "in")
    stems = [unicodedata.normalize("NFC", PurePosixPath(one.path).stem.casefold()) for one in placed]
    assert len(set(stems)) == len(names)
    assert all(one.path.lower().endswith(".png") for one in placed)  # what the content is


@pytest.mark.parametrize("form", FORMATS)
def test_odd_names_and_equal_stems_are_exported_byte_for_byte(ganaug: Ganaug, tmp_path: Path, form: str) -> None:
    source = tmp_path / "set"
    names = [*ODD, *(name.upper() for name in ODD[:1]), "twin.jpg", "Twin.bmp", "jpeg inside.png", "no suffix"]
    for k, name in enumerate(names):
        for label in ("good", "dent: deep"):
            pixels = texture(k + 50 * (label == "good"))
            kind = ".jpg" if name.startswith(("jpeg", "twin")) else ".bmp" if name.endswith("bmp") else ".png"
            save(tmp_path / f"made{kind}", pixels)
            (source / label).mkdir(parents=True, exist_ok=True)
            (source / label / name).write_bytes((tmp_path / f"made{kind}").read_bytes())
    status, _, err = ganaug("export", source, "--format", form, "--out", tmp_path / "out")
    found = lineage_of(tmp_path / "out", form)
    originals = {path.relative_to(source).as_posix(): path for path in source.rglob("*") if path.is_file()}
    assert status == 0 and found.keys() == originals.keys(), err
    for original, (copy, facts) in found.items():
        assert copy.read_bytes() == originals[original].read_bytes() and facts["label"] == original.split("/")[0]
        assert copy.suffix.lower() in {b"\x89P": ".png", b"BM": ".bmp", b"\xff\xd8": ".jpg"}[copy.read_bytes()[:2]]
    for path in (tmp_path / "out").rglob("*"):
        assert not re.search(r'[<>:"\\|?*\x00-\x1f]', path.name) and path.name == path.name.strip()


@pytest.mark.parametrize(
    ("pixels", "channels"),
    [
        (np.full((40, 50, 3), 60000, np.uint16), 3),
        (np.full((40, 50, 4), 60000, np.uint16), 4),
        (np.full((40, 50), 60000, np.uint16), 1),
        (np.full((40, 50), 0.5, np.float32), 1),
        (np.full((40, 50, 3), 0.5, np.float32), 3),
    ],
)
def test_deep_tiffs_are_exported_and_counted(tmp_path: Path, pixels: np.ndarray, channels: int) -> None:
    for name in ("dent", "good"):
        (tmp_path / "set" / name).mkdir(parents=True)
        varied = pixels.copy()
        varied[3:9, 4:20] = varied[3:9, 4:20] // 2 if pixels.dtype == np.uint16 else ord(name[0]) / 255
        tifffile.imwrite(
            tmp_path / "set" / name / "0.tif",
            varied,
            photometric="rgb" if pixels.ndim == 3 else "minisblack",
            extrasamples=["unassalpha"] if channels == 4 else None,
            metadata=None,
        )
    source = read_source(tmp_path / "set", load_config())
    assert [(one.channels, one.deep) for one in source.parts] == [(channels, True)] * 2
    export(source, "voc", tmp_path / "out")
    depth = ElementTree.parse(tmp_path / "out" / "Annotations" / "0.xml").getroot().findtext("size/depth")
    assert depth == str(channels) and "2 image(s) have more than 8 bits" in " ".join(
        notes_on_export(source.parts, "yolo")
    )


# formats, as others read them


@pytest.fixture
def exported(tmp_path: Path, ganaug: Ganaug) -> Any:
    def call(form: str, suffix: str = ".jpg") -> tuple[Path, Any]:
        source = marked_set(tmp_path / "set", suffix)
        words = ["--allow-training-defects"] if form == "mvtec" else []
        status, _, err = ganaug("export", source, "--format", form, "--out", tmp_path / "out", *words)
        assert status == 0, err
        return tmp_path / "out", load(source)

    return call


def test_folder_by_torchvision_and_by_our_reader(exported: Any) -> None:
    out, reading = exported("folder")
    for split in ("train", "val", "test"):
        folder = ImageFolder(str(out / split))
        assert folder.classes == ["dent", "good", "hole"] and len(folder) == 6
    again = load(out)
    assert again.layout == "csv" and same(again, reading)


def test_csv_by_our_reader(exported: Any) -> None:
    out, reading = exported("csv", ".png")
    assert same(load(out), reading) and same(load(out / "manifest.csv"), reading)
    assert rows_of(out / "manifest.csv")[0].keys() == {*COLUMNS, "synthetic", "original"}


def same(found: Any, wanted: Any) -> bool:
    """Whether two readings hold the same images with the same classes, splits, masks and instances."""

    def rows(reading: Any) -> list[Any]:
        columns = zip(reading.frame.itertuples(), reading.masks, reading.instances, strict=True)
        return sorted(
            (row.sha256, row.label, row.split, b"" if mask is None else mask.tobytes(), repr(instances))
            for row, mask, instances in columns
        )

    return rows(found) == rows(wanted) and len(rows(wanted)) > 0


def test_coco_by_pycocotools_and_torchvision(exported: Any) -> None:
    out, reading = exported("coco")
    seen = 0
    for split in ("train", "val", "test"):
        file = out / "annotations" / f"instances_{split}.json"
        coco = COCO(str(file))
        assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == ["dent", "hole"]
        assert coco.getCatIds() == [1, 2] and "description" in coco.dataset["info"]
        for image in coco.loadImgs(coco.getImgIds()):
            at = reading.frame.index[reading.frame["path"] == image["original"]][0]
            annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
            assert (image["width"], image["height"], image["synthetic"]) == (50, 40, False)
            assert [tuple(one["bbox"]) for one in annotations] == [one.box for one in reading.instances[at]]
            mask = np.zeros((40, 50), np.uint8)
            for one in annotations:
                pixels = coco.annToMask(one)
                assert one["area"] == pixels.sum() and one["iscrowd"] == 0
                mask |= pixels
            if reading.masks[at] is not None:
                assert np.array_equal(mask * 255, reading.masks[at])
            seen += len(annotations)
        detection = CocoDetection(str(out / split), str(file))
        assert len(detection) == 6 and all(picture.size == (50, 40) for picture, _ in detection)
    assert seen == sum(map(len, reading.instances)) > 0


def test_coco_keeps_boxes_polygons_and_run_lengths(tmp_path: Path) -> None:
    some = (BOX, OUTLINE, PAIR, RLE)
    export(Source(tmp_path / "set", [part(tmp_path / "set" / "a.png", "a.png", some)]), "coco", tmp_path / "out")
    coco = COCO(str(tmp_path / "out" / "annotations" / "instances_train.json"))
    found = coco.loadAnns(coco.getAnnIds())
    assert [tuple(one["bbox"]) for one in found] == [one.box for one in some]
    assert found[0]["segmentation"] == [] and found[0]["area"] == 10.5 * 7
    assert found[2]["segmentation"] == [[2, 2, 6, 2, 6, 6], [30, 30, 36, 30, 33, 38]]
    for one, instance in zip(found[1:], some[1:], strict=True):
        assert np.array_equal(coco.annToMask(one) * 255, as_pixels(instance, 40, 50))


def test_yolo_by_the_rules_of_ultralytics(exported: Any) -> None:
    """As its loader does it: labels by the last folder `images`, seven fields or more for outlines, shares up to 1."""
    out, reading = exported("yolo")
    data = yaml.safe_load((out / "data.yaml").read_text("utf-8"))
    assert data["names"] == {0: "dent", 1: "hole"} and "path" not in data  # so that paths are relative to the file
    rows = {row["path"]: row for row in rows_of(out / "lineage.csv")}
    seen = 0
    for split in ("train", "val", "test"):
        for image in sorted((out / data[split]).rglob("*.*")):
            at = reading.frame.index[reading.frame["path"] == rows[image.relative_to(out).as_posix()]["original"]][0]
            label = Path(f"{os.sep}labels{os.sep}".join(str(image).rsplit(f"{os.sep}images{os.sep}", 1)))
            lines = [line.split() for line in label.with_suffix(".txt").read_text().splitlines()]
            assert len(lines) == len(reading.instances[at])
            for (number, *ends), instance in zip(lines, reading.instances[at], strict=True):
                shares = np.array(ends, float).reshape(-1, 2)
                assert data["names"][int(number)] == instance.label
                assert len(ends) >= 6 and shares.min() >= 0 and shares.max() <= 1
                corners = np.rint(shares * (50, 40))
                assert np.allclose(corners, shares * (50, 40), atol=1e-9)
                (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
                assert (left, top, right - left, bottom - top) == instance.box
                seen += 1
    assert seen == sum(map(len, reading.instances)) > 0


def test_yolo_writes_boxes_where_some_defect_is_a_box_alone(tmp_path: Path) -> None:
    beyond, outside = Instance("dent", (-5.0, 30.0, 10.0, 20.0)), Instance("dent", (60.0, 5.0, 4.0, 4.0))
    parts = [
        part(tmp_path / "set" / "a.png", "a.png", (BOX, OUTLINE, RLE, beyond, outside)),
        part(tmp_path / "set" / "b.png", "b.png"),
    ]
    notes = " ".join(notes_on_export(parts, "yolo"))
    assert "boxes alone, so all are written as boxes" in notes and "1 image(s) have defects that reach beyond" in notes
    assert "1 image(s) of a class of defects carry no mark" in notes and "no split val" in notes
    export(Source(tmp_path / "set", parts), "yolo", tmp_path / "out")
    lines = [line.split() for line in (tmp_path / "out" / "labels" / "train" / "a.txt").read_text().splitlines()]
    wanted = [BOX.box, OUTLINE.box, RLE.box, (0, 30, 5, 10)]
    assert [int(line[0]) for line in lines] == [0, 1, 0, 0]
    for (_, *ends), box in zip(lines, wanted, strict=True):
        x, y, width, height = np.array(ends, float) * (50, 40, 50, 40)
        assert (x - width / 2, y - height / 2, width, height) == pytest.approx(box, abs=1e-9)
    assert not (tmp_path / "out" / "labels" / "train" / "b.txt").exists()  # no good image
    data = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert data["train"] == data["val"] == "images/train"


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 0.9))
def test_outlines_lie_on_the_edges_of_pixels(seed: int, share: float) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).random((12, 15)), (0, 0), 0.8)
    mask = np.where(noise < np.quantile(noise, share), 255, 0).astype(np.uint8)
    outlines, holes = outlines_of(mask)
    filled = np.zeros_like(mask)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, contours, -1, 255, cv2.FILLED)
    assert holes == bool((filled != mask).any())
    assert np.array_equal(as_pixels(of_polygons("dent", outlines), 12, 15), filled)
    assert of_polygons("dent", [joined(outlines)]).box == of_mask("dent", mask).box
    assert np.array_equal(as_pixels(of_polygons("dent", [joined(outlines)]), 12, 15), filled)


def test_voc_by_torchvision(exported: Any, tmp_path: Path) -> None:
    out, reading = exported("voc")
    devkit = tmp_path / "root" / "VOCdevkit" / "VOC2012"
    shutil.copytree(out, devkit)
    assert (out / "labelmap.txt").read_text().splitlines()[1:] == [
        "background:0,0,0::",
        "dent:128,0,0::",
        "hole:0,128,0::",
    ]
    shape = {row["path"]: row["original"] for row in rows_of(out / "lineage.csv")}
    seen = 0
    for split in ("train", "val"):
        detection = VOCDetection(str(tmp_path / "root"), image_set=split)
        segmented = VOCSegmentation(str(tmp_path / "root"), image_set=split)
        masks = {Path(file).stem: Path(file) for file in segmented.masks}
        assert len(detection) == 6
        for picture, target in detection:
            told = target["annotation"]
            at = reading.frame.index[reading.frame["path"] == shape[f"JPEGImages/{told['filename']}"]][0]
            assert picture.size == (50, 40) == (int(told["size"]["width"]), int(told["size"]["height"]))
            assert told["synthetic"] == "0" and told["size"]["depth"] == "1"
            boxes = [{k: float(v) for k, v in one["bndbox"].items()} for one in told.get("object", [])]
            wanted = [one.box for one in reading.instances[at]]
            assert [
                (b["xmin"] - 1, b["ymin"] - 1, b["xmax"] - b["xmin"] + 1, b["ymax"] - b["ymin"] + 1) for b in boxes
            ] == wanted
            stem = Path(told["filename"]).stem
            assert (stem in masks) == (reading.masks[at] is not None)
            if stem in masks:
                kinds = np.asarray(Image.open(masks[stem]))
                objects = np.asarray(Image.open(out / "SegmentationObject" / f"{stem}.png"))
                number = ["dent", "hole"].index(reading.frame["label"][at]) + 1
                assert np.array_equal(kinds, (reading.masks[at] > 0) * number)
                for k, one in enumerate(reading.instances[at], start=1):
                    assert np.array_equal(objects == k, as_pixels(one, 40, 50) > 0)
                    seen += 1
    assert seen > 0


def test_voc_keeps_fractions_and_has_names_of_one_word(tmp_path: Path) -> None:
    one = part(tmp_path / "set" / "a b.png", "a b.png", (BOX, Instance("dent", (3.0, 4.0, 5.0, 6.0))))
    export(Source(tmp_path / "set", [one]), "voc", tmp_path / "out")
    assert (tmp_path / "out" / "ImageSets" / "Main" / "train.txt").read_text() == "a%20b\n"
    root = ElementTree.parse(tmp_path / "out" / "Annotations" / "a%20b.xml").getroot()
    ends = [{end.tag: end.text for end in box} for box in root.iter("bndbox")]
    assert ends[1] == {"xmin": "4", "ymin": "5", "xmax": "8", "ymax": "10"}  # pixels 3 to 7, counted from 1
    assert {key: float(str(end)) for key, end in ends[0].items()} == {
        "xmin": 2.5,
        "ymin": 3.25,
        "xmax": 12,
        "ymax": 9.25,
    }


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_mvtec_by_our_reader(exported: Any, suffix: str) -> None:
    out, reading = exported("mvtec", suffix)
    again = load(out)
    assert again.layout == "mvtec" and again.classes == ["dent", "good", "hole"]
    wanted = {
        row.sha256: (row.label, repr(some))
        for row, some in zip(reading.frame.itertuples(), reading.instances, strict=True)
    }
    found = {
        row.sha256: (row.label, repr(some)) for row, some in zip(again.frame.itertuples(), again.instances, strict=True)
    }
    assert found == wanted
    names = {path.relative_to(out).as_posix() for path in (out / "train").rglob("*.*")}
    assert names == {f"train/good/{i}{suffix}" for i in range(2)}
    assert all(path.name.endswith("_mask.png") for path in (out / "ground_truth").rglob("*.*"))


def test_labelme_by_its_own_rules(tmp_path: Path) -> None:
    """A mask shape covers the pixels from its first point to its second, both included."""
    some = (BOX, OUTLINE, PAIR, RLE)
    one = part(tmp_path / "set" / "a.png", "a.png", some, split="val", source="synthetic", lineage={"seed": 7})
    export(Source(tmp_path / "set", [one]), "labelme", tmp_path / "out")
    card = json.loads((tmp_path / "out" / "val" / "a.json").read_text())
    assert card["imagePath"] == "a.png" and card["imageData"] is None and card["flags"] == {"synthetic": True}
    assert (card["imageWidth"], card["imageHeight"], card["lineage"]["seed"]) == (50, 40, 7)
    box, outline, first, second, mask = card["shapes"]
    assert box["shape_type"] == "rectangle" and box["points"] == [[1.5, 2.25], [12, 9.25]]
    assert outline["shape_type"] == "polygon" and outline["points"] == [[5.5, 6], [20.25, 6.5], [12, 18.125]]
    assert first["group_id"] == second["group_id"] != outline["group_id"] and first["label"] == "pit"
    (left, top), (right, bottom) = mask["points"]
    inside = np.asarray(Image.open(io.BytesIO(base64.b64decode(mask["mask"]))))
    assert mask["shape_type"] == "mask" and inside.max() == 1
    whole = np.zeros((40, 50), np.uint8)
    whole[top : bottom + 1, left : right + 1] = inside
    assert np.array_equal(whole * 255, as_pixels(RLE, 40, 50))


# what formats have no place for, and what is read beside a manifest


def test_what_has_no_place_is_counted(tmp_path: Path) -> None:
    root = tmp_path / "set"
    parts = [
        part(root / "a.png", "a.png", (RLE, of_mask("pit", blob())), group="lot 1", deep=True, turned=True),
        part(root / "b.png", "b.png", (BOX,), kind="TIFF"),
        part(root / "c.png", "c.png", split="val"),
        part(root / "d.png", "d.png", label="free"),
        part(root / "e.png", "e.png", (BOX, OUTLINE), label="pit"),
        part(root / "f.png", "f.png", (OUTLINE, Instance("dent", (1.0, 1.0, 3.0, 3.0)))),
    ]
    said = {form: " ".join(notes_on_export(parts, form)) for form in FORMATS}
    for form in FORMATS:
        assert "1 image(s) are turned by EXIF" in said[form]
    for form in ("yolo", "voc", "mvtec"):
        assert "1 image(s) have a group" in said[form]
    for form in ("coco", "yolo", "voc", "labelme"):
        assert "1 image(s) of a class of defects carry no mark" in said[form]
    assert "1 image(s) have more than 8 bits" in said["yolo"] and "1 image(s) are TIFF" in said["yolo"]
    assert "1 image(s) are of another class than their largest defect" in said["yolo"]
    assert "1 image(s) have defects with holes" in said["yolo"]
    assert "1 image(s) have defects that overlap" in said["voc"] and "6 image(s) are not JPEG" in said["voc"]
    assert "3 image(s) hold boxes" in said["mvtec"] and "1 image(s) are good by another name" in said["mvtec"]
    assert "3 image(s) show defects of other classes" in said["folder"]


@pytest.mark.parametrize("form", ["folder", "csv"])
def test_instances_beside_a_manifest_are_read_again(tmp_path: Path, form: str) -> None:
    some = (BOX, OUTLINE, PAIR, RLE)
    made = part(tmp_path / "set" / "x.png", "x.png", (), label="dent", split="train", source="synthetic")
    parts = [part(tmp_path / "set" / "a.png", "a.png", some, split="train", group="7"), made]
    parts[1] = Part(**{**vars(made), "lineage": {"generator": "abc", "seed": 5, "nearest_real": "a.png"}})
    export(Source(tmp_path / "set", parts), form, tmp_path / "one")
    again = read_source(tmp_path / "one", load_config(None, None))
    assert [one.instances for one in again.parts] == [some, ()]
    first, second = again.parts
    assert np.array_equal(first.mask, parts[0].mask) and (first.group, first.split) == ("7", "train")
    assert second.synthetic and second.lineage == {"generator": "abc", "seed": 5, "nearest_real": first.original}
    export(again, "coco", tmp_path / "two")
    coco = COCO(str(tmp_path / "two" / "annotations" / "instances_train.json"))
    assert [tuple(one["bbox"]) for one in coco.loadAnns(coco.getAnnIds())] == [one.box for one in some]


@pytest.mark.parametrize("damage", ["{", "[]", '{"images": [], "categories": [], "annotations": [{"image_id": 1}]}'])
def test_damaged_instances_are_told(tmp_path: Path, damage: str) -> None:
    export(Source(tmp_path / "set", [part(tmp_path / "set" / "a.png", "a.png", (RLE,))]), "csv", tmp_path / "one")
    (tmp_path / "one" / "instances.json").write_text(damage)
    with pytest.raises(InputError, match=r"instances\.json.*(restore it|export it anew|cannot be read)"):
        read_source(tmp_path / "one", load_config(None, None))


@pytest.mark.parametrize("form", ["coco", "yolo", "voc"])
def test_boxes_and_pixels_by_supervision(exported: Any, form: str) -> None:
    from supervision import DetectionDataset

    out, reading = exported(form)
    original = {}
    for original_path, (file, _) in lineage_of(out, form).items():
        original[file] = original_path
    splits = ("train", "val", "test")
    if form == "coco":
        sets = [
            DetectionDataset.from_coco(str(out / s), str(out / "annotations" / f"instances_{s}.json"), force_masks=True)
            for s in splits
        ]
    elif form == "yolo":
        sets = [
            DetectionDataset.from_yolo(
                str(out / "images" / s), str(out / "labels" / s), str(out / "data.yaml"), force_masks=True
            )
            for s in splits
        ]
    else:
        sets = [DetectionDataset.from_pascal_voc(str(out / "JPEGImages"), str(out / "Annotations"))]
    seen = 0
    for found in sets:
        for path, _, detections in found:
            at = reading.frame.index[reading.frame["path"] == original[Path(path)]][0]
            wanted = reading.instances[at]
            assert [found.classes[k] for k in detections.class_id] == [one.label for one in wanted]
            assert len(detections) == len(wanted)
            for box, one in zip(detections.xyxy, wanted, strict=True):
                left, top, width, height = one.box
                slack = 1 if form == "voc" else 1e-4  # it does not take the last pixel in; float32
                assert np.abs(box - [left, top, left + width, top + height]).max() <= slack
            if form == "coco" and wanted:
                assert np.array_equal(detections.mask.any(axis=0), reading.masks[at] > 0)
            seen += len(wanted)
    assert seen == 24


def test_an_interrupted_export_starts_anew(ganaug: Ganaug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.exporting.export", interrupt)
    status, _, err = ganaug("export", marked_set(tmp_path / "set"), "--format", "coco", "--out", tmp_path / "out")
    assert status == 130 and "Interrupted; the same command starts anew." in err
    assert not (tmp_path / "out").exists()
