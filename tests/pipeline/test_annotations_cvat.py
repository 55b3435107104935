"""CVAT XML for images 1.1: one file of all images, with shapes, tags and subsets."""

from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.reading.instances import mask_of
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

BOX = '<box label="dent" xtl="4.5" ytl="5" xbr="14.5" ybr="15" occluded="0" z_order="0"/>'


def image(content: str, name: str = "a.png", **more: object) -> str:
    attributes = {"id": 0, "name": name, "width": WIDTH, "height": HEIGHT} | more
    return f"<image {' '.join(f'{key}={quoteattr(str(value))}' for key, value in attributes.items())}>{content}</image>"


def file(*images: str) -> str:
    labels = "".join(f"<label><name>{name}</name></label>" for name in CLASSES)
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>{meta}' + "\n".join(
        [*images, "</annotations>"]
    )


def element(mark: Marked) -> str:
    label = quoteattr(mark.label)
    if mark.polygons:
        points = ";".join(f"{x!r},{y!r}" for x, y in mark.polygons[0])
        return f'<polygon label={label} points="{points}"/>'
    if mark.mask is not None:
        rows, columns = (np.flatnonzero(mark.mask.any(axis=axis)) for axis in (1, 0))
        top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
        flat = mark.mask[top:bottom, left:right].flatten() > 0
        ends = np.flatnonzero(np.diff(np.concatenate(([False], flat)).astype(int)))
        runs = ", ".join(map(str, np.diff([0, *ends, flat.size])))
        part = f'left="{left}" top="{top}" width="{right - left}" height="{bottom - top}"'
        return f'<mask label={label} rle="{runs}" {part}/>'
    left, top, width, height = mark.box
    return f'<box label={label} xtl="{left!r}" ytl="{top!r}" xbr="{left + width!r}" ybr="{top + height!r}"/>'


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(marked(), max_size=4))
def test_what_is_written_is_read(tmp_path: Path, marks: list[Marked]) -> None:
    pictures(tmp_path, "images/sub/a.png")
    text = file(image("".join(map(element, marks)), "sub/a.png"))
    found = layout(write(tmp_path, {"annotations.xml": text}))
    assert found.name == "cvat" and found.annotations == ("annotations.xml",)
    for instance, mark in zip(only(found), marks, strict=True):
        assert (instance.label, instance.polygons) == (mark.label, mark.polygons[:1])
        if mark.mask is not None:
            assert np.array_equal(mask_of(instance, HEIGHT, WIDTH), mark.mask)
        elif not mark.polygons:
            assert instance.box == pytest.approx(mark.box, abs=1e-9)


def test_every_kind_of_shape(tmp_path: Path) -> None:
    shapes = [
        BOX,
        '<box label="turned" xtl="20" ytl="10" xbr="30" ybr="14" rotation="90"/>',
        '<ellipse label="ellipse" cx="40" cy="20" rx="10" ry="5"/>',
        '<polyline label="line" points="1,2;11,2"/>',
        '<points label="points" points="5,5;9,9"/>',
        '<cuboid label="cuboid" xtl1="1"/>',
    ]
    found = layout(write(pictures(tmp_path, "a.png"), {"annotations.xml": file(image("".join(shapes)))}))
    read = {one.label: one for one in only(found)}
    assert set(read) == {"dent", "turned", "ellipse", "line", "points"}
    assert read["dent"].box == (4.5, 5, 10, 10)
    assert read["turned"].box == pytest.approx((23, 7, 4, 10)) and len(read["turned"].polygons[0]) == 4
    assert read["ellipse"].box == pytest.approx((30, 15, 20, 10))
    assert read["line"].box == (1, 1.5, 10, 1) and read["points"].box == (5, 5, 4, 4)
    assert any("2 polyline(s) or point(s)" in note for note in found.notes)
    assert any("1 cuboid(s) or skeleton(s)" in note for note in found.notes)


def test_a_tag_is_the_class_and_a_subset_the_split(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png", "c.png", "d.png")
    text = file(
        image('<tag label="scratch"/>' + BOX, "a.png", subset="Train"),
        image('<tag label="scratch"/>', "b.png", subset="Validation"),
        image("", "c.png", subset="test"),
        image('<tag label="dent"/><tag label="scratch"/>', "d.png", subset="test"),
    )
    found = layout(write(tmp_path, {"annotations.xml": text}))
    read = {path: (entry.label, entry.split) for path, entry in entries(found).items()}
    assert read == {"a.png": ("scratch", "train"), "b.png": ("scratch", "val"), "c.png": ("good", "test")}
    assert entries(found)["b.png"].instances is None and entries(found)["c.png"].instances == ()
    assert problem_kinds(found) == {"d.png": "annotation"}


BAD = {
    "negative": '<box label="dent" xtl="9" ytl="5" xbr="1" ybr="9"/>',
    "nan": '<box label="dent" xtl="nan" ytl="5" xbr="1" ybr="9"/>',
    "absent": '<box label="dent" xtl="1"/>',
    "corners": '<polygon label="dent" points="1,2;3,4"/>',
    "points": '<polygon label="dent" points="1,2,3;3,4;5"/>',
    "runs": '<mask label="dent" rle="1, 2" left="0" top="0" width="5" height="5"/>',
    "beyond": '<mask label="dent" rle="0, 25" left="58" top="0" width="5" height="5"/>',
    "huge": '<mask label="dent" rle="0, 999999999" left="0" top="0" width="999999999" height="1"/>',
    "fraction": '<mask label="dent" rle="0, 25" left="0.5" top="0" width="5" height="5"/>',
    "minus": '<mask label="dent" rle="30, -5" left="0" top="0" width="5" height="5"/>',
    "unknown": '<star label="dent"/>',
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_shape_puts_its_image_aside(tmp_path: Path, name: str) -> None:
    text = file(image(BAD[name]), image(BOX, "b.png"))
    found = layout(write(pictures(tmp_path, "a.png", "b.png"), {"annotations.xml": text}))
    assert problem_kinds(found) == {"a.png": "annotation"} and list(entries(found)) == ["b.png"]


def test_images_that_are_missing_doubled_nameless_or_of_another_size(tmp_path: Path) -> None:
    text = file(
        image("", "a.png"), image("", "a.png"), image("", "gone.png"), image("", "b.png", width=50), image("", "")
    )
    found = layout(write(pictures(tmp_path, "a.png", "b.png"), {"annotations.xml": text}))
    assert problem_kinds(found) == {
        "a.png": "annotation",
        "b.png": "annotation_size",
        "gone.png": "missing",
        "annotations.xml": "missing",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (file(image(BOX))[:-30], r"annotations\.xml cannot be read: it is no well-formed XML \(line \d"),
        (file(image(BOX)).replace("<annotations>", "<!DOCTYPE x [<!ENTITY a 'b'>]><annotations>"), "DOCTYPE"),
        (file(image(BOX)).replace("<version>", "<a>" * 5000), "nested more than"),
        ("<annotations><track id='0' label='dent'></track></annotations>", "is of a video"),
        (file(image(BOX.replace('"dent"', '"../x"'))), "is a path"),
    ],
)
def test_a_file_that_is_broken_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        layout(write(pictures(tmp_path, "a.png"), {"annotations.xml": text}))


def test_damage_never_ends_in_anything_else(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:9, 4:12] = 255
    mask[5, 5] = 0
    triangle = ((0.0, 0.0), (20.0, 0.0), (0.0, 20.0))
    marks = [
        Marked("dent", (1, 2, 3, 4)),
        Marked("scratch", (0, 0, 1, 1), (triangle,)),
        Marked("dent", (0, 0, 1, 1), mask=mask),
    ]
    content = "".join(map(element, marks)) + '<tag label="dent"/><ellipse label="dent" cx="40" cy="20" rx="10" ry="5"/>'
    text = file(image(content), image(content, "b.png", subset="train"))
    survives_mutation(write(pictures(tmp_path, "a.png", "b.png"), {"annotations.xml": text}), ["annotations.xml"])
