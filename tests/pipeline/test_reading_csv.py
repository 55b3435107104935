"""CSV manifests as Excel, pandas and other people write them: read and said, or refused with the cause."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.reading import Reading, load
from pipeline.reading.csv_text import read_rows
from tests.pipeline.samples import save, texture

NAMES = [(f"img/{name}{k}.png", label) for name, label in (("s", "scratch"), ("o", "ok")) for k in range(2)]
PLAIN = "path,label\n" + "".join(f"{path},{label}\n" for path, label in NAMES)


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[str | bytes], Reading]:
    def read(text: str | bytes) -> Reading:
        (tmp_path / "manifest.csv").write_bytes(text.encode() if isinstance(text, str) else text)
        return load(tmp_path)

    for k, (path, _) in enumerate(NAMES):
        save(tmp_path / path, texture(k, 32, 32))
    return read


FORMS: dict[str, str | bytes] = {
    "semicolon": PLAIN.replace(",", ";"),
    "tab": PLAIN.replace(",", "\t"),
    "bar": PLAIN.replace(",", "|"),
    "byte order mark, CRLF": b"\xef\xbb\xbf" + PLAIN.replace("\n", "\r\n").encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "old Mac": PLAIN.replace("\n", "\r"),
    "sep=": "sep=;\n" + PLAIN.replace(",", ";"),
    "sep= and CRLF": ("sep=\t\n" + PLAIN.replace(",", "\t")).replace("\n", "\r\n"),
    "header in capitals": PLAIN.replace("path,label", "PATH,Label"),
    "other header": PLAIN.replace("path,label", "File Name,class"),
    "blank rows": PLAIN + ",\n,\n\n",
    "more separators": PLAIN.replace("scratch\n", "scratch,,\n"),
    "blanks": PLAIN.replace("s0.png,scratch", " s0.png , scratch ").replace("img/ ", " img/"),
    "quotes": PLAIN.replace("scratch", '"scratch"'),
    "backslashes": PLAIN.replace("img/", "img\\"),
    "capital endings": PLAIN.replace(".png", ".PNG"),
    "moved from Windows": PLAIN.replace("img/", "C:\\line 4\\img\\"),
    "moved from Linux": PLAIN.replace("img/", "/data/set/img/"),
    "the same file twice": PLAIN + "./img/s0.png,scratch\nimg/s0.png,scratch\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_the_same(listed: Callable[[str | bytes], Reading], form: str) -> None:
    reading = listed(FORMS[form])
    assert dict(zip(reading.frame["path"], reading.frame["label"], strict=True)) == dict(NAMES)
    assert reading.problems == []


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("UTF-16", "UTF-16"),
        ("other header", "'File Name' as path, 'class' as label"),
        ("backslashes", "'img\\\\s0.png' is 'img/s0.png'"),
        ("moved from Windows", "absolute paths"),
        ("capital endings", "case"),
        ("the same file twice", "2 row(s) list an image again"),
    ],
)
def test_what_was_taken_for_what_is_said(listed: Callable[[str | bytes], Reading], form: str, words: str) -> None:
    assert any(words in note for note in listed(FORMS[form]).notes)


def test_korean_text_is_read_and_other_code_pages_are_refused(listed: Callable[[str | bytes], Reading]) -> None:
    reading = listed(PLAIN.replace("scratch", "긁힘").encode("cp949"))
    assert reading.classes == ["ok", "긁힘"] and any("cp949" in note for note in reading.notes)
    with pytest.raises(InputError, match="save it as CSV UTF-8"):
        listed(PLAIN.replace("scratch", "Kratzer größer").encode("latin-1"))
    with pytest.raises(InputError, match="save it as CSV UTF-8"):
        listed(PLAIN.replace("scratch", "傷").encode("cp932"))


@pytest.mark.parametrize(("on_disk", "in_file"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_in_another_unicode_form_are_found(
    tmp_path: Path, listed: Callable[[str | bytes], Reading], on_disk: str, in_file: str
) -> None:
    name = "긁힘é.png"
    save(tmp_path / "img" / unicodedata.normalize(on_disk, name), texture(9, 32, 32))
    reading = listed(PLAIN + f"img/{unicodedata.normalize(in_file, name)},{unicodedata.normalize(in_file, '긁힘')}\n")
    assert len(reading.images) == 5 and reading.problems == []
    assert unicodedata.normalize("NFC", "긁힘") in reading.classes
    assert any("Unicode" in note for note in reading.notes)


def test_several_masks_of_an_image_are_its_rows(tmp_path: Path, listed: Callable[[str | bytes], Reading]) -> None:
    for k in range(2):
        pixels = np.zeros((32, 32), np.uint8)
        pixels[4 + 12 * k : 10 + 12 * k, 4:20] = 255
        save(tmp_path / "masks" / f"{k}.png", pixels)
    rows = "".join(f"{path},{label},\n" for path, label in NAMES[1:])
    reading = listed(f"path,label,mask\nimg/s0.png,scratch,masks/0.png\nimg/s0.png,scratch,masks/1.png\n{rows}")
    row = reading.frame.index[reading.frame["path"] == "img/s0.png"][0]
    assert len(reading.instances[row]) == 2 and np.count_nonzero(reading.masks[row]) == 2 * 6 * 16


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PLAIN + "img/s0.png,ok\n", "rows 2 and 6 both list 'img/s0.png'"),
        (PLAIN.replace("label", "remark"), r"lacks the column label.*it has path, remark"),
        (PLAIN + "..\\out.png,ok\n", "leaves the folder"),
        (PLAIN + "C:\\else\\gone.png,ok\n", "leaves the folder"),
        (PLAIN.replace("scratch\n", "Scratch\n", 1), "'Scratch' and 'scratch'"),
        (PLAIN.encode("utf-16")[:-1], "damaged UTF-16"),
    ],
)
def test_what_cannot_be_meant_is_refused(listed: Callable[[str | bytes], Reading], text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        listed(text)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (PLAIN.replace("img/", ""), "without their folder and were found: 's0.png' is 'img/s0.png'"),
        (PLAIN.replace("img/", "").replace(".png", ""), "their ending and were found: 's0' is 'img/s0.png'"),
    ],
)
def test_names_alone_are_found_in_a_folder_below(
    listed: Callable[[str | bytes], Reading], form: str, words: str
) -> None:
    reading = listed(form)
    assert reading.frame["path"].tolist() == listed(PLAIN).frame["path"].tolist()
    assert any(words in note for note in reading.notes)


def test_a_name_that_is_missing_is_not_another_folders(
    tmp_path: Path, listed: Callable[[str | bytes], Reading]
) -> None:
    save(tmp_path / "old" / "img" / "gone.png", texture(8, 32, 32))
    assert [problem.path for problem in listed(PLAIN + "img/gone.png,ok\n").problems] == ["img/gone.png"]
    save(tmp_path / "new" / "gone.png", texture(9, 32, 32))
    with pytest.raises(InputError, match=r"'gone\.png' is not there, and both .* write which"):
        listed(PLAIN + "gone.png,ok\n")


def test_columns_that_would_say_more_are_named(listed: Callable[[str | bytes], Reading]) -> None:
    header, *rows = PLAIN.splitlines()
    wide = "\n".join([f"{header},class,xmin,remark", *(f"{row},a,3,b" for row in rows)])
    assert "Columns of manifest.csv that are not read: class, xmin." in listed(wide).notes


def test_a_list_beside_a_folder_that_is_not_understood_is_offered(tmp_path: Path) -> None:
    for path, _ in NAMES:
        save(tmp_path / path, texture(3, 32, 32))
    (tmp_path / "labels.csv").write_text(PLAIN, "utf-8")
    with pytest.raises(InputError, match=r"Or give .*labels\.csv, which lists images"):
        load(tmp_path)
    save(tmp_path / "good" / "a.png", texture(4, 32, 32))
    (tmp_path / "img").rename(tmp_path / "dent")
    assert any("1 CSV file(s), such as 'labels.csv'" in note for note in load(tmp_path).notes)


def test_an_absolute_path_with_two_possible_files_is_refused(
    tmp_path: Path, listed: Callable[[str | bytes], Reading]
) -> None:
    save(tmp_path / "old" / "img" / "s0.png", texture(8, 32, 32))
    with pytest.raises(InputError, match=r"absolute, and both .*write it relative"):
        listed(PLAIN.replace("img/s0", "/data/img/s0"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1), st.text("ab")),
        min_size=1,
    ),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_quoted_fields_come_back_whatever_separates_them(
    tmp_path: Path, rows: list[tuple[str, str]], separator: str, end: str
) -> None:
    file = tmp_path / "list.csv"
    lines = [("path", "label"), *rows]
    quoted = [separator.join('"' + field.replace('"', '""') + '"' for field in line) for line in lines]
    file.write_bytes((end.join(quoted) + end).encode())
    found = [(row["path"], row["label"]) for _, row in read_rows(file)[0]]
    assert found == [row for row in rows if row[0].strip() or row[1].strip()]
