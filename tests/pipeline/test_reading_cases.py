"""Inputs as people have them, built by the scripts of ../shared/cases: what the head of each script expects."""

import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.reading import duplicates_of, load

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
Case = Callable[[str], Path]  # a case's number -> the folder that was built
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is absent")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    made: dict[str, Path] = {}

    def build(number: str) -> Path:
        if number not in made:
            (script,) = CASES.glob(f"{number}_*.py")
            made[number] = tmp_path_factory.mktemp(f"case{number}")
            subprocess.run([sys.executable, str(script), str(made[number])], check=True)
        return made[number]

    return build


def test_10_masks_named_otherwise(case: Case) -> None:
    reading = load(case("10"))
    assert reading.frame["label"].value_counts().unique().tolist() == [6]
    assert all(mask is not None and mask.any() for mask in reading.masks)


def test_11_images_and_masks_side_by_side(case: Case) -> None:
    reading = load(case("11"))
    assert reading.classes == ["dent", "scratch"] and len(reading.images) == 20
    assert all(mask is not None and mask.any() for mask in reading.masks)


def test_12_kolektorsdd(case: Case) -> None:
    reading = load(case("12"))
    assert reading.frame["label"].value_counts().to_dict() == {"good": 40, "defect": 8}
    assert reading.frame["group"].nunique() == 8


def test_14_visa(case: Case) -> None:
    root = case("14")
    with pytest.raises(InputError, match="candle, capsules"):
        load(root)
    reading = load(root / "candle")
    assert reading.frame["label"].value_counts().to_dict() == {"Anomaly": 8, "Normal": 8}


def test_17_unlabelled_test_folder(case: Case) -> None:
    reading = load(case("17"))
    assert len(reading.images) == 24
    assert any("12 image(s) directly in test/" in note for note in reading.notes)
    assert any("1 image(s) directly in train/" in note for note in reading.notes)


def test_18_severstal(case: Case) -> None:
    reading = load(case("18"))
    assert reading.frame["label"].value_counts().to_dict() == {"good": 11, "1": 1}
    assert any("12 image(s), such as 'test_images/00000.jpg', have no labels" in note for note in reading.notes)


REFUSED = {"conflict_row": "rows 2 and 14 both list", "label_case": "'Scratch' and 'scratch'"}
FORMS = (
    "backslash",
    "absolute",
    "semicolon",
    "utf16",
    "cp949",
    "bom_crlf",
    "trailing_rows",
    "header_case",
    "sep_line",
    "label_blank",
    "path_blank",
    "dotslash_twice",
    "quoted_comma",
    "cr_only",
    "header_other",
    "numeric",
    "duplicate_row",
    "conflict_row",
    "space_after_comma",
    "upper_ext",
    "label_case",
)


@pytest.mark.parametrize("form", FORMS)
def test_19_csv_dialects(case: Case, form: str) -> None:
    folder = case("19") / form
    if form in REFUSED:
        with pytest.raises(InputError, match=REFUSED[form]):
            load(folder)
        return
    reading = load(folder)
    assert (len(reading.images), len(reading.classes), reading.problems) == (12, 2, [])


def test_20_unicode_forms(case: Case) -> None:
    word = unicodedata.normalize("NFC", "긁힘")
    listed, folders = load(case("20") / "csv"), load(case("20") / "folders")
    assert listed.classes == folders.classes == ["ok", word]
    assert (len(listed.images), len(folders.images), listed.problems) == (16, 32, [])
    assert folders.frame.groupby("label")["split"].nunique().to_dict() == {"ok": 2, word: 2}


def test_24_augmented_copies(case: Case) -> None:
    reading = load(case("24"))
    groups = duplicates_of(reading).groups
    assert {label: len(set(groups[rows])) for label, rows in reading.frame.groupby("label").indices.items()} == {
        "ok": 8,
        "scratch": 8,
    }


def test_26_split_data_sets_side_by_side(case: Case) -> None:
    with pytest.raises(InputError, match=r"setA, setB; give .*setA"):
        load(case("26") / "pair")
    with pytest.raises(InputError, match="no folder train"):
        load(case("26") / "evalonly")


def test_27_other_formats(case: Case) -> None:
    reading = load(case("27"))
    (note,) = (note for note in reading.notes if "convert them" in note)
    assert all(words in note for words in ("19 of 37", "JPEG 2000 (6)", "PGM/PPM (12)", "DICOM (1)"))
    assert sum(one.use == "rubbish" for one in reading.account) == 4
