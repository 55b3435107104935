"""The layouts that are recognised, what they say about class, split and mask, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.reading import load, read_dataset
from tests.pipeline.samples import folder, save, texture


def mask(height: int = 64, width: int = 64) -> np.ndarray:
    pixels = np.zeros((height, width), np.uint8)
    pixels[20:30, 10:40] = 255
    return pixels


def test_class_folders_are_read_in_order_whatever_their_depth(tmp_path: Path) -> None:
    folder(tmp_path)
    save(tmp_path / "dent" / "monday" / "early" / "z.png", texture(80))
    reading = read_dataset(tmp_path)
    assert (reading.layout, reading.classes) == ("class_folders", ["dent", "hole"])
    columns = ["path", "label", "split", "sha256", "width", "height", "mode", "mask", "group"]
    assert list(reading.frame.columns) == columns
    assert reading.frame["path"].tolist()[-7:] == ["dent/monday/early/z.png", *(f"hole/{i}.png" for i in range(6))]
    assert reading.frame[["label", "path"]].equals(reading.frame[["label", "path"]].sort_values(["label", "path"]))
    assert np.array_equal(reading.images[0], texture(0))


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "TEST")])
def test_a_given_split_is_read(tmp_path: Path, names: tuple[str, str, str]) -> None:
    for k, name in enumerate(names):
        folder(tmp_path / name, each=2, first_seed=1000 * k)
    (tmp_path / "papers").mkdir()
    reading = read_dataset(tmp_path)
    assert reading.layout == "split_folders"
    assert reading.frame["split"].value_counts().to_dict() == {"train": 4, "val": 4, "test": 4}
    assert any("papers" in note for note in reading.notes)


def test_a_class_that_one_split_lacks_is_still_a_class(tmp_path: Path) -> None:
    folder(tmp_path / "train", classes=("dent", "hole", "scratch"))
    folder(tmp_path / "test", first_seed=5000)
    assert read_dataset(tmp_path).classes == ["dent", "hole", "scratch"]


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    for name in ("train", "val", "valid"):
        folder(tmp_path / name)
    with pytest.raises(InputError, match="val and valid"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("image_name", ["x.jpg", "x.BMP"])
@pytest.mark.parametrize("levels", [1, 255])
def test_a_png_of_the_same_stem_is_the_mask(tmp_path: Path, image_name: str, levels: int) -> None:
    folder(tmp_path)
    save(tmp_path / "dent" / image_name.lower(), texture(60)).rename(tmp_path / "dent" / image_name)
    save(tmp_path / "dent" / "x.png", mask() // 255 * levels)
    reading = read_dataset(tmp_path)
    row = reading.frame.index[reading.frame["path"] == f"dent/{image_name}"][0]
    assert reading.frame["mask"][row] == "dent/x.png"
    assert np.array_equal(reading.masks[row], mask())
    assert len(reading.images) == 13
    assert sum(found is not None for found in reading.masks) == 1


def test_a_mask_may_carry_its_suffix_instead(tmp_path: Path) -> None:
    folder(tmp_path)
    save(tmp_path / "dent" / "0_mask.png", mask())
    frame = read_dataset(tmp_path).frame
    assert frame.loc[frame["path"] == "dent/0.png", "mask"].tolist() == ["dent/0_mask.png"]
    assert len(frame) == 12


@pytest.mark.parametrize(
    ("pixels", "kind"), [(texture(61), "mask_grey"), (mask(64, 60), "mask_size"), (None, "mask_unreadable")]
)
def test_an_image_whose_mask_is_unusable_is_quarantined(tmp_path: Path, pixels: np.ndarray | None, kind: str) -> None:
    folder(tmp_path)
    save(tmp_path / "dent" / "x.jpg", texture(60))
    if pixels is None:
        (tmp_path / "dent" / "x.png").write_bytes(b"text")
    else:
        save(tmp_path / "dent" / "x.png", pixels)
    (problem,) = read_dataset(tmp_path).problems
    assert (problem.path, problem.kind) == ("dent/x.jpg", kind)
    assert "dent/x.png" in problem.detail


def mvtec(root: Path) -> Path:
    folder(root / "train", classes=("good",))
    folder(root / "test", classes=("good", "crack", "hole"), each=3, first_seed=3000)
    for name in ("crack", "hole"):
        for i in range(3):
            save(root / "ground_truth" / name / f"{i}_mask.png", mask())
    return root


def test_mvtec_defects_are_classes_with_their_masks(tmp_path: Path) -> None:
    reading = read_dataset(mvtec(tmp_path / "bottle"))
    assert (reading.layout, reading.classes) == ("mvtec", ["crack", "good", "hole"])
    assert reading.frame["label"].value_counts().to_dict() == {"good": 9, "crack": 3, "hole": 3}
    assert set(reading.frame["split"]) == {""}  # its train folder has no defects
    assert reading.frame.loc[reading.frame["label"] == "crack", "mask"].tolist() == [
        f"ground_truth/crack/{i}_mask.png" for i in range(3)
    ]


def test_the_whole_of_mvtec_asks_for_one_category(tmp_path: Path) -> None:
    for name in ("bottle", "cable"):
        mvtec(tmp_path / name)
    with pytest.raises(InputError, match=r"bottle, cable.*give one"):
        read_dataset(tmp_path)


def table(root: Path, text: str, name: str = "list.csv") -> Path:
    folder(root)
    path = root / name
    path.write_bytes(text.encode())
    return path


def rows(extra: str = "") -> str:
    return "".join(f"{name}/{i}.png,{name}{extra}\n" for name in ("dent", "hole") for i in range(6))


def test_a_csv_names_path_class_split_and_mask(tmp_path: Path) -> None:
    save(tmp_path / "masks" / "m.png", mask())
    text = "\ufeffpath,label,split,mask,remark\r\n" + rows(",train,,x").replace("\n", "\r\n")
    reading = read_dataset(table(tmp_path, text.replace("dent/0.png,dent,train,", "dent/0.png,NA,test,masks/m.png")))
    first = reading.frame.loc[reading.frame["path"] == "dent/0.png"].iloc[0]
    assert (first["label"], first["split"], first["mask"]) == ("NA", "test", "masks/m.png")
    assert reading.layout == "csv"


def test_a_manifest_of_a_run_gives_its_real_images_only(tmp_path: Path) -> None:
    table(tmp_path, "path,label,source\n" + rows(",real") + "gone.png,dent,synthetic\n", "manifest.csv")
    reading = read_dataset(tmp_path)
    assert len(reading.images) == 12
    assert any("1 synthetic" in note for note in reading.notes)


def test_a_missing_file_is_quarantined(tmp_path: Path) -> None:
    reading = load(table(tmp_path, "path,label\n" + rows() + "gone.png,dent\n"))
    assert [(problem.path, problem.kind) for problem in reading.problems] == [("gone.png", "missing")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lacks the column path and label"),
        ("path:label\na.png:x\n", "separated by commas"),
        ("path,label\n", "lists no images"),
        ("path,label\na.png\n", "row 2 has 1 fields"),
        ("path,label\n../a.png,x\n", r"row 2: the path '\.\./a\.png' .* leaves"),
        ("path,label\n/etc/a.png,x\n", "leaves"),
        ("path,label,mask\na.png,x,../m.png\n", "leaves"),
        ("path,label\na.png,x\n./a.png,y\n", "rows 2 and 3 both list 'a.png'"),
        ("path,label,split\na.png,x,later\n", "split 'later' is unknown"),
        ("path,label,split\na.png,x,train\nb.png,x,\n", "for every row or for none"),
        ('path,label\n"a.png,x\n', "not a well-formed CSV"),
        ("path,label\na.png,Crack\nb.png,crack\n", "'Crack' and 'crack'"),
    ],
)
def test_a_faulty_csv_names_the_row_and_the_mend(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_dataset(table(tmp_path, text))


def test_a_csv_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, "")
    path.write_bytes("path,label\n\u00fc.png,x\n".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        read_dataset(path)
