"""The layouts that are recognised, what they say about class, split and mask, and what they refuse."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import DataConfig
from pipeline.errors import InputError
from pipeline.reading import Reading, load, read_dataset
from pipeline.reading.layouts import LAYOUTS, Tree, find_layout
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


@pytest.mark.parametrize(("good", "bad", "ending"), [("Good", "Broken", "{}_mask.PNG"), ("ok", "ko", "{}.bmp")])
def test_a_category_may_be_written_otherwise(tmp_path: Path, good: str, bad: str, ending: str) -> None:
    capitals = good.istitle()
    train, test, truth = ("Train", "Test", "Ground_Truth") if capitals else ("train", "test", "ground_truth")
    folder(tmp_path / train, classes=(good,), each=4)
    folder(tmp_path / test, classes=(good, bad), each=2, first_seed=1000)
    for k in range(2):
        save(tmp_path / truth / bad / ending.format(k).lower(), mask()).rename(
            tmp_path / truth / bad / ending.format(k)
        )
    reading = load(tmp_path)
    assert reading.layout == "mvtec" and reading.classes == sorted([good, bad])
    assert reading.frame["label"].value_counts().to_dict() == {good: 6, bad: 2}
    assert sum(found is not None for found in reading.masks) == 2 and not reading.frame["split"].any()


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


NOTHING = np.zeros((64, 64), np.uint8)


def put(root: Path, name: str, seed: int) -> None:
    save(root / name, texture(seed))


def described(reading: Reading) -> dict[str, tuple[str, str, str]]:
    rows = reading.frame[["path", "label", "split", "mask"]].itertuples(index=False)
    return {path: (label, split, mask_path) for path, label, split, mask_path in rows}


def test_the_setting_names_every_layout() -> None:
    assert get_args(DataConfig.model_fields["layout"].annotation) == ("auto", *LAYOUTS)


@pytest.mark.parametrize("names", [("images", "masks"), ("img", "GT"), ("Image", "ground_truth"), ("images", "labels")])
def test_images_and_masks_in_folders_with_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    for k, label in enumerate(("dent", "hole")):
        for i in range(2):
            put(tmp_path, f"{names[0]}/{label}/{i}.jpg", 10 * k + i)
            save(tmp_path / names[1] / label / f"{i}{'_mask' if i else ''}.png", mask())
    reading = load(tmp_path)
    assert reading.layout == "image_mask_folders" and reading.classes == ["dent", "hole"]
    assert described(reading)[f"{names[0]}/hole/1.jpg"] == ("hole", "", f"{names[1]}/hole/1_mask.png")
    assert all(found is not None and np.array_equal(found, mask()) for found in reading.masks)


@pytest.mark.parametrize("form", ["{split}/{kind}/{i}.png", "{kind}/{split}/{i}.png", "images/{kind}/{split}/{i}.png"])
def test_flat_images_and_masks_get_their_class_from_the_mask(tmp_path: Path, form: str) -> None:
    for s, split in enumerate(("train", "test")):
        for i in range(3):
            put(tmp_path, form.format(kind="images", split=split, i=i), 10 * s + i)
            if i:
                save(tmp_path / form.format(kind="masks", split=split, i=i), mask() if i == 1 else NOTHING)
    reading = load(tmp_path)
    assert {(split, Path(path).stem): label for path, (label, split, _) in described(reading).items()} == {
        (split, str(i)): "defect" if i == 1 else "good" for split in ("train", "test") for i in range(3)
    }
    assert reading.classes == ["defect", "good"]
    assert any("masks decide" in note for note in reading.notes)
    assert any("2 image(s) have a defect, 4 are 'good' (2 of them without a mask)" in note for note in reading.notes)


@pytest.mark.parametrize("form", ["{label}/{i}.png", "{label}/images/{i}.png", "train/{label}/images/{i}.png"])
def test_masks_in_a_folder_of_each_class(tmp_path: Path, form: str) -> None:
    for i in range(2):
        put(tmp_path, form.format(label="dent", i=i), i)
        put(tmp_path, form.format(label="good", i=i), 20 + i)
        where = Path(form.format(label="dent", i=i)).parent
        save(tmp_path / (where.parent if where.name == "images" else where) / "masks" / f"{i}.png", mask())
    reading = load(tmp_path)
    assert reading.frame["label"].value_counts().to_dict() == {"dent": 2, "good": 2}
    assert [found is not None for found in reading.masks] == [True, True, False, False]


@pytest.mark.parametrize(
    "form",
    ["{0}_images/{1} {0}_masks/{1}", "img_dir/{0}/{1} ann_dir/{0}/{1}", "{0}/{1} {0}_masks/{1}_mask"],
)
def test_names_of_several_words_say_what_a_folder_holds(tmp_path: Path, form: str) -> None:
    for split in ("train", "test"):
        image, truth = (part.format(split, "0") + ".png" for part in form.split())
        save(tmp_path / image, texture(len(split)))
        save(tmp_path / truth, mask())
    reading = load(tmp_path)
    assert reading.layout == "image_mask_folders" and reading.problems == []
    assert reading.frame["split"].tolist() == ["test", "train"] and all(found is not None for found in reading.masks)


def test_a_class_may_be_called_after_masks_among_other_words(tmp_path: Path) -> None:
    folder(tmp_path, classes=("missing_label", "solder mask", "good"))
    assert read_dataset(tmp_path).classes == ["good", "missing_label", "solder mask"]


def test_masks_among_images_without_classes(tmp_path: Path) -> None:
    for i in range(3):
        put(tmp_path, f"{i}.png", i)
    save(tmp_path / "mask" / "1.png", mask())
    assert load(tmp_path).frame["label"].tolist() == ["defect", "good", "good"]


def test_images_of_a_split_without_masks_are_unlabelled(tmp_path: Path) -> None:
    for i in range(2):
        put(tmp_path, f"train/images/{i}.png", i)
        put(tmp_path, f"test/images/{i}.png", 10 + i)
        save(tmp_path / "train" / "masks" / f"{i}.png", mask() if i else NOTHING)
    reading = load(tmp_path)
    assert reading.frame["path"].tolist() == ["train/images/1.png", "train/images/0.png"]
    assert any("2 image(s), such as 'test/images/0.png', have neither masks" in note for note in reading.notes)


def test_masks_that_fit_no_image_are_refused_or_named(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png", 1)
    save(tmp_path / "masks" / "b.png", mask())
    with pytest.raises(InputError, match=r"no picture in .*masks has the name of an image in .*images"):
        load(tmp_path)
    save(tmp_path / "masks" / "a.png", mask())
    reading = load(tmp_path)
    assert {one.path: one.use for one in reading.account}["masks/b.png"] == "left_out"
    assert any("'masks/b.png', were left out: a mask" in note for note in reading.notes)


@pytest.mark.parametrize(
    "endings",
    [("_mask.bmp",), ("-mask.png",), ("_label.bmp",), ("_GT.png",), ("_MASK.PNG",), ("_mask_0.png", "_mask_1.png")],
)
def test_masks_beside_their_images_by_any_usual_ending(tmp_path: Path, endings: tuple[str, ...]) -> None:
    for i in range(3):
        put(tmp_path, f"dent/{i}.png", i)
        put(tmp_path, f"hole/{i}.png", 50 + i)
        for k, ending in enumerate(endings):
            part = mask() if k == 0 else np.rot90(mask()).copy()
            save(tmp_path / "dent" / f"{i}{ending.lower()}", part).rename(tmp_path / "dent" / f"{i}{ending}")
    reading = load(tmp_path)
    assert len(reading.images) == 6
    assert [len(found) for found in reading.instances] == [len(endings)] * 3 + [0] * 3
    assert sum(one.use == "mask" for one in reading.account) == 3 * len(endings)


def test_the_case_of_names_tells_images_apart_and_matters_little_to_masks(tmp_path: Path) -> None:
    folder(tmp_path)
    put(tmp_path, "dent/A.bmp", 70)
    put(tmp_path, "dent/a.png", 71)
    put(tmp_path, "hole/IMG_1.jpg", 72)
    save(tmp_path / "hole" / "img_1_mask.png", mask())
    found = described(load(tmp_path))
    assert found["dent/A.bmp"][2] == found["dent/a.png"][2] == ""
    assert found["hole/IMG_1.jpg"][2] == "hole/img_1_mask.png"


def test_an_ending_means_nothing_without_an_image_and_a_lost_image_is_named(tmp_path: Path) -> None:
    folder(tmp_path)
    put(tmp_path, "dent/warning_label.png", 70)
    assert "dent/warning_label.png" in described(load(tmp_path))
    save(tmp_path / "dent" / "0_GT.png", mask())
    save(tmp_path / "dent" / "lost_GT.png", mask())
    reading = load(tmp_path)
    assert len(reading.images) == 13
    assert any("'dent/lost_GT.png'" in note and "image is not there" in note for note in reading.notes)


def test_kolektor_items_are_groups_and_masks_decide(tmp_path: Path) -> None:
    for item in range(1, 4):
        for part in range(3):
            put(tmp_path, f"kos{item:02}/Part{part}.jpg", 10 * item + part)
            save(tmp_path / f"kos{item:02}" / f"Part{part}_label.bmp", mask() if part == item - 1 else NOTHING)
    reading = load(tmp_path)
    assert reading.layout == "kolektor"
    assert reading.frame["label"].value_counts().to_dict() == {"good": 6, "defect": 3}
    assert set(reading.frame["group"]) == {"kos01", "kos02", "kos03"}


def test_sdd2_is_pairs_in_split_folders(tmp_path: Path) -> None:
    for s, split in enumerate(("train", "test")):
        for i in range(4):
            put(tmp_path, f"{split}/{i:05}.png", 10 * s + i)
            save(tmp_path / split / f"{i:05}_GT.png", NOTHING if i else mask())
    reading = load(tmp_path)
    assert reading.layout == "mask_pairs"
    assert described(reading)["test/00000.png"] == ("defect", "test", "test/00000_GT.png")
    assert described(reading)["train/00003.png"] == ("good", "train", "train/00003_GT.png")


def dagm(root: Path) -> Path:
    for s, split in enumerate(("Train", "Test")):
        for i in range(3):
            put(root, f"{split}/{i:04}.png", 10 * s + i)
        save(root / split / "Label" / "0001_label.png", mask())
        (root / split / "Label" / "Labels.txt").write_text("1\n1\t1\t0001.PNG\t1\t0001_label.PNG\n", "utf-8")
    return root


def test_dagm_textures_are_read_one_by_one(tmp_path: Path) -> None:
    reading = load(dagm(tmp_path / "Class1"))
    assert reading.layout == "dagm"
    assert described(reading)["Test/0001.png"] == ("defect", "test", "Test/Label/0001_label.png")
    assert reading.frame["label"].value_counts().to_dict() == {"good": 4, "defect": 2}
    dagm(tmp_path / "Class2")
    with pytest.raises(InputError, match=r"Class1, Class2.*give one, such as .*Class1"):
        load(tmp_path)


def test_loco_masks_lie_in_a_folder_an_image(tmp_path: Path) -> None:
    for place in ("train/good", "validation/good", "test/good", "test/logical_anomalies"):
        folder(tmp_path / place, classes=("",), each=2, first_seed=len(place) * 100)
    for k in range(2):
        pixels = np.where(mask() if k else np.rot90(mask()), 234 + k, 0).astype(np.uint8)
        save(tmp_path / "ground_truth" / "logical_anomalies" / "1" / f"00{k}.png", pixels)
    reading = load(tmp_path)
    assert reading.layout == "mvtec_loco"
    assert reading.frame["label"].value_counts().to_dict() == {"good": 6, "logical_anomalies": 2}
    row = reading.frame.index[reading.frame["path"] == "test/logical_anomalies/1.png"][0]
    assert len(reading.instances[row]) == 2


def visa(root: Path) -> Path:
    for i in range(2):
        put(root, f"Data/Images/Normal/{i}.jpg", i)
        put(root, f"Data/Images/Anomaly/{i}.jpg", 10 + i)
        save(root / "Data" / "Masks" / "Anomaly" / f"{i}.png", mask() // 255)
    (root / "image_anno.csv").write_text("image,label,mask\n", "utf-8")
    return root


def test_visa_categories_are_read_one_by_one(tmp_path: Path) -> None:
    reading = load(visa(tmp_path / "candle"))
    assert (reading.layout, reading.classes) == ("visa", ["Anomaly", "Normal"])
    assert described(reading)["Data/Images/Anomaly/1.jpg"] == ("Anomaly", "", "Data/Masks/Anomaly/1.png")
    visa(tmp_path / "capsules")
    with pytest.raises(InputError, match=r"candle, capsules.*give one, such as .*candle"):
        load(tmp_path)


def severstal(root: Path, table: str) -> Path:
    for i in range(3):
        save(root / "train_images" / f"{i}.jpg", texture(i, 32, 64))
        save(root / "test_images" / f"t{i}.jpg", texture(10 + i, 32, 64))
    (root / "train.csv").write_text(table, "utf-8")
    example = "ImageId,ClassId,EncodedPixels\nt0.jpg,1,1 5\n"  # an example of what a contest wants to be sent
    (root / "sample_submission.csv").write_text(example, "utf-8")
    return root


def test_severstal_runs_go_down_the_columns_from_pixel_one(tmp_path: Path) -> None:
    reading = load(
        severstal(tmp_path, "ImageId,ClassId,EncodedPixels\n0.jpg,3,1 2 33 2\n0.jpg,1,2047 2\n1.jpg,1,65 1\n")
    )
    assert reading.layout == "severstal" and reading.classes == ["1", "3", "good"]
    assert {path: label for path, (label, _, _) in described(reading).items()} == {
        "train_images/0.jpg": "3",
        "train_images/1.jpg": "1",
        "train_images/2.jpg": "good",
    }
    row = reading.frame.index[reading.frame["path"] == "train_images/0.jpg"][0]
    marked = {(int(y), int(x)) for y, x in np.argwhere(reading.masks[row])}
    assert marked == {(0, 0), (1, 0), (0, 1), (1, 1), (30, 63), (31, 63)}
    assert sorted((one.label, one.box) for one in reading.instances[row]) == [
        ("1", (63, 30, 1, 2)),
        ("3", (0, 0, 2, 2)),
    ]
    assert any("3 image(s), such as 'test_images/t0.jpg', have no labels" in note for note in reading.notes)


def test_severstals_older_table_names_image_and_class_in_one(tmp_path: Path) -> None:
    reading = load(severstal(tmp_path, "ImageId_ClassId,EncodedPixels\n0.jpg_1,\n0.jpg_2,5 4\n1.jpg_1,\n"))
    assert reading.frame["label"].tolist() == ["2", "good", "good"]


@pytest.mark.parametrize(
    "table",
    [
        "ImageId;ClassId;EncodedPixels\n0.jpg;2;5 4\n",
        "ImageId_ClassId;EncodedPixels\n0.jpg_2;5 4\n",
        ",ImageId,ClassId,EncodedPixels\n0,0.jpg,2,5 4\n",
        '"ImageId","ClassId","EncodedPixels"\n"0.JPG","2","5 4"\n',
        "ImageId,ClassId,EncodedPixels\ntrain_images\\0.jpg,2,5 4\n",
    ],
)
def test_a_table_of_run_lengths_may_be_written_otherwise(tmp_path: Path, table: str) -> None:
    reading = load(severstal(tmp_path, table))
    assert reading.layout == "severstal" and reading.frame["label"].tolist() == ["2", "good", "good"]


@pytest.mark.parametrize("runs", ["1 2 3", "0 2", "1 -2", "2047 3", "one 2", "99999999999999999999 1"])
def test_a_damaged_run_length_names_its_row(tmp_path: Path, runs: str) -> None:
    with pytest.raises(InputError, match=r"train\.csv, row 2: EncodedPixels"):
        load(severstal(tmp_path, f"ImageId,ClassId,EncodedPixels\n0.jpg,1,{runs}\n"))


def test_parts_of_a_data_set_are_no_classes(tmp_path: Path) -> None:
    folder(tmp_path, classes=("train_images", "test_images"), each=2)
    with pytest.raises(InputError, match=r"test_images, train_images are names of a data set's parts"):
        load(tmp_path)
    reading = load(tmp_path, layout="class_folders")
    assert reading.classes == ["test_images", "train_images"]
    assert any("in spite of their names" in note for note in reading.notes)


def test_dozens_of_folders_of_a_few_images_are_doubted(tmp_path: Path) -> None:
    folder(tmp_path, classes=tuple(f"item{k:02}" for k in range(20)), each=2)
    assert any(
        "20 folders, 20 of them with 8 images at most, are hardly classes" in note for note in load(tmp_path).notes
    )


def test_a_layout_may_be_asked_for(tmp_path: Path) -> None:
    folder(tmp_path / "train")
    folder(tmp_path / "test", first_seed=900)
    assert load(tmp_path, layout="class_folders").classes == ["test", "train"]
    with pytest.raises(InputError, match=r"not of the layout mvtec \(data\.layout\)"):
        load(tmp_path, layout="mvtec")


def test_unlabelled_images_of_split_folders_are_said(tmp_path: Path) -> None:
    folder(tmp_path / "train")
    folder(tmp_path / "test", classes=("",), each=3, first_seed=900)
    put(tmp_path, "train/loose.png", 77)
    reading = load(tmp_path)
    assert len(reading.images) == 12
    assert any(note.startswith("3 image(s) directly in test/") for note in reading.notes)
    assert any(note.startswith("1 image(s) directly in train/") for note in reading.notes)


@pytest.mark.parametrize("place", ["setA", "all/setA"])
def test_data_sets_side_by_side_are_refused_with_the_folder_to_give(tmp_path: Path, place: str) -> None:
    for name in (place, place.replace("A", "B")):
        folder(tmp_path / name / "training", each=1)
    with pytest.raises(InputError, match=rf"give .*{place} or another"):
        load(tmp_path)


@pytest.mark.parametrize("place", ["set", "set/version 1/images of May"])
def test_a_readme_does_not_make_a_folder_of_folders_a_class(tmp_path: Path, place: str) -> None:
    folder(tmp_path / place)
    (tmp_path / "set" / "readme.txt").write_text("About the set.", "utf-8")
    with pytest.raises(InputError, match=rf"the class folders are inside it; give .*{place}\."):
        load(tmp_path)


def test_class_folders_that_differ_in_unicode_form_are_one_class(tmp_path: Path) -> None:
    for split, name in (("train", "caf\u00e9"), ("test", "cafe\u0301")):
        folder(tmp_path / split, classes=(name, "hole"), each=2, first_seed=100 * len(name) + 10 * len(split))
    reading = load(tmp_path)
    assert reading.classes == ["caf\u00e9", "hole"] and set(reading.frame["label"]) == set(reading.classes)
    assert any("Unicode's form alone" in note for note in reading.notes)


PLACES = ["train", "test", "val", "good", "dent", "images", "masks", "labels", "Label", "ground_truth", "kos01", "Data"]
FILES = ["0.png", "0.jpg", "0_mask.png", "0_GT.bmp", "1.png", "1_label_0.png", "1_label_1.png", "notes.txt"]


@settings(max_examples=300)
@given(st.lists(st.tuples(st.lists(st.sampled_from(PLACES), max_size=3), st.sampled_from(FILES)), max_size=24))
def test_any_folder_is_read_without_contradiction_or_refused_in_words(files: list[tuple[list[str], str]]) -> None:
    paths = sorted({"/".join([*places, name]) for places, name in files})
    folders = sorted({str(parent) for path in paths for parent in Path(path).parents} - {"."})
    try:
        layout = find_layout(Tree(Path("/nowhere"), paths, folders))
    except InputError:
        return
    images = [entry.path for entry in layout.entries]
    masks = {mask for entry in layout.entries for mask in entry.masks}
    assert len(images) == len(set(images)) and set(images) | masks | set(layout.left_out) <= set(paths)
    assert not masks & set(images) and not set(layout.left_out) & (masks | set(images))
    assert {entry.label for entry in layout.entries} <= {*layout.classes, *([""] if layout.class_by_mask else [])}
