"""Pascal VOC: boxes that count from 1, files found by their stems, kept beside the images or elsewhere."""

from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

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
    pictures,
    problem_kinds,
    same,
    survives_mutation,
    write,
)
from tests.pipeline.conftest import Ganaug

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "datasets"
DENT = Marked("dent", (4, 5, 6, 7))
SCRATCH = Marked("scratch", (4, 5, 20, 20))


def written(*marks: Marked, filename: str = "", size: tuple[int, int] | None = (WIDTH, HEIGHT)) -> str:
    """An XML file of VOC: the first pixel is 1, and the last one belongs to the box."""
    lines = ["<annotation>"]
    if filename:
        lines.append(f"<filename>{escape(filename)}</filename>")
    if size:
        lines.append(f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>1</depth></size>")
    for mark in marks:
        left, top, width, height = mark.box
        ends = {"xmin": left + 1, "ymin": top + 1, "xmax": left + width, "ymax": top + height}
        box = "".join(f"<{name}>{end!r}</{name}>" for name, end in ends.items())
        lines.append(f"<object><name>{escape(mark.label)}</name><bndbox>{box}</bndbox></object>")
    return "\n".join([*lines, "</annotation>"])


whole = st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1)).flatmap(
    lambda at: st.tuples(st.just(at[0]), st.just(at[1]), st.integers(1, WIDTH - at[0]), st.integers(1, HEIGHT - at[1]))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.builds(Marked, st.sampled_from(["dent", "ü & <b>"]), whole), max_size=4))
def test_what_is_written_is_read(tmp_path: Path, marks: list[Marked]) -> None:
    found = layout(write(pictures(tmp_path, "JPEGImages/a.png"), {"Annotations/a.xml": written(*marks)}))
    assert found.name == "voc" and found.annotations == ("Annotations/a.xml",)
    for instance, mark in zip(only(found), marks, strict=True):
        same(instance, mark)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(marked(("box",)))
def test_boxes_between_pixels_are_read_too(tmp_path: Path, mark: Marked) -> None:
    [instance] = only(layout(write(pictures(tmp_path, "a.png"), {"a.xml": written(mark)})))
    assert instance.is_box
    assert instance.box == pytest.approx(mark.box, abs=1e-9)


def test_the_first_pixel_is_one(tmp_path: Path) -> None:
    text = written(Marked("dent", (0, 0, WIDTH, HEIGHT)))
    ends = {end.tag: end.text for end in ElementTree.fromstring(text).iter() if end.tag in ("xmin", "ymin", "xmax")}
    assert ends == {"xmin": "1", "ymin": "1", "xmax": str(WIDTH)}
    found = layout(write(pictures(tmp_path, "a.png"), {"a.xml": text}))
    assert only(found)[0].box == (0, 0, WIDTH, HEIGHT) and not found.notes


def test_boxes_of_tools_that_count_from_zero_are_clipped_and_said(tmp_path: Path) -> None:
    found = layout(write(pictures(tmp_path, "a.png"), {"a.xml": written(Marked("dent", (-1, -1, 10, 10)))}))
    assert only(found)[0].box == (0, 0, 9, 9)
    assert found.notes == ["1 defect(s) reach beyond their image and were clipped to it."]


def test_the_pixels_of_an_object_have_its_number(tmp_path: Path) -> None:
    numbers = np.zeros((HEIGHT, WIDTH), np.uint8)
    numbers[5:9, 4:8], numbers[20, 20], numbers[0] = 1, 2, 255
    picture = Image.fromarray(numbers)
    picture.putpalette(bytes(range(256)) * 3)
    pictures(tmp_path, "JPEGImages/a.png", "JPEGImages/b.png")
    (tmp_path / "SegmentationObject").mkdir()
    picture.save(tmp_path / "SegmentationObject/a.png")
    write(tmp_path, {"Annotations/a.xml": written(DENT, SCRATCH, DENT), "Annotations/b.xml": written(DENT)})
    found = layout(tmp_path)
    first, second, third = entries(found)["JPEGImages/a.png"].instances or ()
    for instance, number in ((first, 1), (second, 2)):
        assert np.array_equal(mask_of(instance, HEIGHT, WIDTH), (numbers == number) * 255)
    assert third.is_box and [one.box for one in (first, second)] == [DENT.box, SCRATCH.box]
    assert "SegmentationObject/a.png" in found.annotations and not found.left_out
    assert entries(found)["JPEGImages/a.png"].label == "dent"
    picture.crop((0, 0, 9, 9)).save(tmp_path / "SegmentationObject/a.png")
    assert problem_kinds(layout(tmp_path)) == {"JPEGImages/a.png": "annotation"}


def test_splits_are_those_of_image_sets(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"JPEGImages/{name}.png" for name in "abcd"))
    write(tmp_path, {f"Annotations/{name}.xml": written(DENT) for name in "abcd"})
    sets = {"train": "a\n", "val": "b\n", "trainval": "a\nb\n", "test": "c\n", "dent_train": "a  1\n"}
    write(tmp_path, {f"ImageSets/Main/{name}.txt": text for name, text in sets.items()})
    found = layout(tmp_path)
    assert {path: entry.split for path, entry in entries(found).items()} == {
        "JPEGImages/a.png": "train",
        "JPEGImages/b.png": "val",
        "JPEGImages/c.png": "test",
    }
    assert found.left_out["JPEGImages/d.png"] == "it is in none of the splits"
    write(tmp_path, {"ImageSets/Main/test.txt": "a\n"})
    with pytest.raises(InputError, match=r"train\.txt lists 'a', which is in test as well"):
        layout(tmp_path)


def test_images_without_a_file_are_left_out(tmp_path: Path) -> None:
    found = layout(write(pictures(tmp_path, "a.png", "b.png"), {"a.xml": written(DENT)}))
    assert list(entries(found)) == ["a.png"] and list(found.left_out) == ["b.png"]
    assert found.notes == ["1 image(s) are left out, such as 'b.png': no annotation is of it."]


def test_in_class_folders_the_folder_is_the_class(tmp_path: Path) -> None:
    pictures(tmp_path, "dent/a.png", "dent/b.png", "good/c.png", "scratch/d.png")
    write(tmp_path, {"dent/a.xml": written(DENT, SCRATCH), "dent/b.xml": written(DENT), "scratch/d.xml": written()})
    found = layout(tmp_path)
    assert found.name == "voc" and found.classes == ["dent", "good", "scratch"]
    read = {path: (entry.label, entry.instances and len(entry.instances)) for path, entry in entries(found).items()}
    assert read == {
        "dent/a.png": ("dent", 2),
        "dent/b.png": ("dent", 1),
        "good/c.png": ("good", None),
        "scratch/d.png": ("scratch", ()),
    }
    assert any("the folder is an image's class" in note for note in found.notes)


def test_folders_that_are_no_classes_do_not_become_some(tmp_path: Path) -> None:
    pictures(tmp_path, "camera1/a.png", "camera2/a.png")
    write(tmp_path, {"camera1/a.xml": written(DENT), "camera2/a.xml": written(SCRATCH)})
    assert {path: entry.label for path, entry in entries(layout(tmp_path)).items()} == {
        "camera1/a.png": "dent",
        "camera2/a.png": "scratch",
    }


def test_a_stray_file_changes_nothing_in_class_folders(tmp_path: Path) -> None:
    pictures(tmp_path, "line1/a.png", "line1/b.png", "line2/a.png", "line2/b.png")
    found = layout(write(tmp_path, {"line1/a.xml": written(DENT)}))
    assert {entry.label for entry in found.entries} == {"line1", "line2"} and len(found.entries) == 4


def test_files_are_of_the_nearest_image_with_the_stem(tmp_path: Path) -> None:
    pictures(tmp_path, "train/images/a.png", "valid/images/a.png", "train/images/sub/b.png")
    write(tmp_path, {"train/annotations/a.xml": written(DENT), "valid/annotations/a.xml": written(SCRATCH)})
    write(tmp_path, {"train/annotations/sub/b.xml": written(filename="other.jpg")})
    assert {path: (entry.label, entry.split) for path, entry in entries(layout(tmp_path)).items()} == {
        "train/images/a.png": ("dent", "train"),
        "valid/images/a.png": ("scratch", "val"),
        "train/images/sub/b.png": ("good", "train"),
    }


def test_masks_with_the_stem_of_an_image_are_not_taken_for_it(tmp_path: Path) -> None:
    pictures(tmp_path, "JPEGImages/a.png", "SegmentationClass/a.png", "SegmentationObject/a.png")
    found = layout(write(tmp_path, {"Annotations/a.xml": written(DENT, filename="a.jpg")}))
    assert list(entries(found)) == ["JPEGImages/a.png"] and not found.problems
    beside = pictures(tmp_path / "beside", "a.png", "a.jpg")
    assert list(entries(layout(write(beside, {"a.xml": written(DENT, filename="a.jpg")})))) == ["a.jpg"]


def test_an_image_beside_class_folders_is_left_out(tmp_path: Path) -> None:
    pictures(tmp_path, "dent/a.png", "good/b.png", "good/d.png", "c.png")
    found = layout(write(tmp_path, {"dent/a.xml": written(DENT), "c.xml": written(DENT)}))
    assert found.classes == ["dent", "good"] and len(found.entries) == 3
    assert found.left_out == {"c.png": "it lies beside the class folders"}


def test_a_stem_of_two_images_is_put_aside(tmp_path: Path) -> None:
    found = layout(write(pictures(tmp_path, "a.png", "a.jpg", "b.png"), {"a.xml": written(DENT), "b.xml": written()}))
    assert problem_kinds(found) == {"a.xml": "annotation"}
    assert list(entries(found)) == ["b.png"] and {"a.png", "a.jpg"} <= set(found.left_out)


BAD = {
    "cut": written(DENT)[:-40],
    "bytes": b"\xff\xfe\x00<annotation>",
    "negative": written(Marked("dent", (9, 9, -5, 5))),
    "nan": written(DENT).replace("<xmin>5<", "<xmin>NaN<"),
    "absent": written(DENT).replace("xmin>", "x>"),
    "encoding": '<?xml version="1.0" encoding="klingon"?>' + written(DENT),
    "size": written(DENT, size=(-1, 5)),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_puts_its_image_aside(tmp_path: Path, name: str) -> None:
    found = layout(write(pictures(tmp_path, "a.png", "b.png"), {"a.xml": BAD[name], "b.xml": written(DENT)}))
    assert problem_kinds(found) == {"a.png": "annotation"} and list(entries(found)) == ["b.png"]
    assert found.problems[0].detail.startswith("a.xml: ")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_never_expanded(tmp_path: Path, encoding: str) -> None:
    pictures(tmp_path, "a.png")
    (tmp_path / "secret").write_text("secret")
    kinds = (f'SYSTEM "file://{tmp_path}/secret"', '"lol"')
    for kind in kinds:
        text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY x {kind}>]>' + written(DENT)
        (tmp_path / "a.xml").write_bytes(text.replace("dent", "&x;").encode(encoding))
        found = layout(tmp_path)
        assert problem_kinds(found) == {"a.png": "annotation"} and "DOCTYPE" in found.problems[0].detail


def test_a_turned_picture_and_an_annotation_of_what_is_stored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (WIDTH, HEIGHT), 9).save(tmp_path / "a.jpg", exif=exif)
    shown = layout(write(tmp_path, {"a.xml": written(Marked("dent", (1, 50, 5, 6)), size=(HEIGHT, WIDTH))}))
    assert only(shown)[0].box == (1, 50, 5, 6)
    stored = layout(write(tmp_path, {"a.xml": written(DENT)}))
    assert problem_kinds(stored) == {"a.jpg": "annotation_size"}
    assert "before its EXIF orientation" in stored.problems[0].detail


def test_without_a_size_the_images_own_counts(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png")
    texts = {"a.xml": written(DENT, size=None), "b.xml": written(Marked("dent", (50, 30, 20, 20)), size=(0, 0))}
    found = entries(layout(write(tmp_path, texts)))
    assert [(entry.size, entry.instances and entry.instances[0].box) for entry in found.values()] == [
        (None, (4, 5, 6, 7)),
        (None, (50, 30, 10, 10)),
    ]


def test_annotations_kept_elsewhere(tmp_path: Path, ganaug: Ganaug) -> None:
    images, place = tmp_path / "images", tmp_path / "xml"
    pictures(images, "dent/a.png", "dent/b.png", "good/c.png", "good/d.png")
    write(place, {"a.xml": written(DENT), "b.xml": written(DENT, SCRATCH), "gone.xml": written(DENT)})
    reading = load(images, annotations=place)
    assert reading.layout == "voc" and reading.frame["label"].tolist() == ["dent", "dent", "good", "good"]
    assert [len(instances) for instances in reading.instances] == [1, 2, 0, 0]
    assert "1 annotation(s) are of images that are not in this data set." in reading.notes
    status, out, _ = ganaug("inspect", images, "--annotations", place)
    assert "voc" in out and "4 images" in out and status in (0, 2)
    with pytest.raises(InputError, match=r"data\.annotations: .*nowhere does not exist"):
        load(images, annotations=tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no annotations as coco"):
        load(images, annotations=images)
    write(images, {"manifest.csv": "path,label\ndent/a.png,dent\n"})
    with pytest.raises(InputError, match=r"leave out data\.annotations"):
        load(images, annotations=place)


def test_a_folder_of_annotations_inside_the_data_set_may_be_named_too(tmp_path: Path) -> None:
    pictures(tmp_path, "dent/a.png", "good/b.png")
    found = layout(write(tmp_path, {"xml/a.xml": written(DENT)}), tmp_path / "xml")
    assert found.annotations == ("xml/a.xml",) and not found.left_out and len(found.entries) == 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/datasets")
def test_neu_steel_with_neu_steel_annotations() -> None:
    place = SHARED / "neu-steel-annotations"
    found = layout(SHARED / "neu-steel", place)
    assert found.name == "voc" and len(found.entries) == 1200 and not found.problems
    assert found.classes == ["crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"]
    assert len(found.annotations) == 1200
    for entry in found.entries:
        folder, name = entry.path.split("/")
        root = ElementTree.parse(place / f"{Path(name).stem}.xml").getroot()
        ends = [[int(end.text or "") for end in box] for box in root.iter("bndbox")]
        assert entry.label == folder and entry.size == (200, 200) and entry.instances is not None
        assert [one.label for one in entry.instances] == [name.text for name in root.iterfind("object/name")]
        assert [
            [one.box[0] + 1, one.box[1] + 1, one.box[0] + one.box[2], one.box[1] + one.box[3]]
            for one in entry.instances
        ] == ends
    assert "79 image(s) have defects of several classes; all are kept." in found.notes


def test_damage_never_ends_in_anything_else(tmp_path: Path) -> None:
    pictures(tmp_path, "JPEGImages/a.png", "JPEGImages/b.png")
    write(tmp_path, {f"Annotations/{name}.xml": written(DENT, SCRATCH, filename=f"{name}.png") for name in "ab"})
    write(tmp_path, {"ImageSets/Main/train.txt": "a\n", "ImageSets/Main/test.txt": "b\n"})
    survives_mutation(tmp_path, ["Annotations/a.xml", "Annotations/b.xml", "ImageSets/Main/train.txt"])
