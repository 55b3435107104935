"""The page of `ganaug inspect --html`: what it says and shows, and that nothing on it runs or leads elsewhere."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np

from pipeline.inspect_page import BYTES, CLASSES, EACH, LISTED, PAIRS, render_page
from pipeline.marked_picture import LIGHT, marked
from pipeline.reading import Instance, duplicates_of, inspect, load
from pipeline.report.data_urls import small
from tests import tiny
from tests.pipeline.conftest import Ganaug
from tests.pipeline.samples import folder, save, texture

HOSTILE = "<script>alert(1)<b> &'\".png"


class Page(HTMLParser):
    """Tags with their attributes, and the text, of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " "

    def handle_endtag(self, tag: str) -> None:
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def pictures(self) -> list[str]:
        return [attributes["src"] or "" for tag, attributes in self.tags if tag == "img"]


def html_of(root: Path) -> str:
    reading = load(root)
    duplicates = duplicates_of(reading)
    return render_page(inspect(reading, duplicates=duplicates), reading, duplicates)


def pixels(address: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_the_page_says_what_was_read_and_shows_some_of_each_class(tmp_path: Path) -> None:
    page = Page(html_of(folder(tmp_path / "data", ("dent", "hole"), each=20)))
    assert (
        "Ready" in page.text
        and "one folder for each class" in page.text
        and "all 64 \N{MULTIPLICATION SIGN} 64 pixels" in page.text
    )
    assert f"dent · 20 images, {EACH} shown" in page.text and f"hole · 20 images, {EACH} shown" in page.text
    assert "Darkest" in page.text and "Smallest" not in page.text and "Images that show one thing" not in page.text
    reading = load(tmp_path / "data")
    ends = [reading.images[0], reading.images[19]]  # spread over the whole class, its first and last file among them
    assert np.array_equal(pixels(page.pictures[0])[..., 0], ends[0])
    assert np.array_equal(pixels(page.pictures[EACH - 1])[..., 0], ends[1])


def test_hostile_names_stay_text_and_secrets_are_masked(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", ("<img src=x>", "hole"))
    save(root / "hole" / "password=hunter2.png", texture(7))
    (root / "hole" / HOSTILE).write_bytes(b"no image")
    (root / "hole" / "a\u202egnp.png").write_bytes(b"")
    html = html_of(root)
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "a", "form"} & {tag for tag, _ in page.tags}
    assert page.pictures and all(re.match("data:image/(png|jpeg);base64,", address) for address in page.pictures)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert f"hole/{HOSTILE}" in page.text and "<img src=x> · 6 images" in page.text
    assert "the content is not an image" in page.text and "the file has no content" in page.text
    assert "hunter2" not in html and "password=***" in page.text
    assert "://" not in re.sub(r"data:\S+", "", html)


def test_certain_and_likely_pairs_are_shown_apart_with_their_names(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", each=12)
    shutil.copy(root / "dent" / "1.png", root / "hole" / "same.png")
    image = texture(2).astype(float)
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    save(root / "dent" / "darker.png", np.clip(image / 2 + noise, 0, 255).astype(np.uint8))
    page = Page(html_of(root))
    certain = page.text[page.text.index("Certain: the same file") : page.text.index("Likely: they look alike")]
    likely = page.text[page.text.index("Likely: they look alike") : page.text.index("Images out of the ordinary")]
    assert "· 1 pair" in certain and "left: dent/1.png right: hole/same.png" in certain
    assert "correlation 1.00 · in two classes" in certain
    assert "left: dent/2.png right: dent/darker.png" in likely and re.search(r"correlation 0\.\d\d", likely)
    assert "Not ready: 1 thing to mend" in page.text and "The same image is in two classes" in page.text


def test_extreme_images_are_named(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", each=10)
    save(root / "dent" / "black.png", np.zeros((48, 64), np.uint8))
    save(root / "hole" / "white.png", np.full((64, 64), 255, np.uint8))
    text = Page(html_of(root)).text
    ends = ["Darkest", "Brightest", "Smallest", "Grey levels least like"]
    darkest, brightest, smallest, unlike = (text[text.index(end) :] for end in ends)
    assert darkest.startswith("Darkest dent/black.png mean grey level 0 of 255")
    assert brightest.startswith("Brightest hole/white.png mean grey level 255 of 255")
    assert smallest.startswith("Smallest dent/black.png 64 x 48 pixels")
    assert {"dent/black.png", "hole/white.png"} == set(re.findall(r"\w+/\w+\.png", unlike)[:2])


def test_defects_are_outlined_without_being_covered() -> None:
    image = np.full((200, 400), 90, np.uint8)
    mask = np.zeros((200, 400), np.uint8)
    mask[100:104, 100:140] = 255
    boxed = Instance("dent", (100.0, 100.0, 40.0, 4.0))
    plain = marked(image, None, (), 100)
    assert plain.shape == (50, 100) and (plain == 90).all()
    for picture in (marked(image, mask, (), 100), marked(image, None, (boxed,), 100)):
        line = (picture == LIGHT).all(axis=2)
        rows, columns = np.nonzero(line)
        assert picture.shape == (50, 100, 3)
        assert rows.min() < 25 < rows.max() and columns.min() < 25 and 35 < columns.max() < 42
        assert (picture[25, 25:35] == 90).all()  # the defect itself
    assert (image == 90).all()


def test_masks_of_a_data_set_are_outlined_on_the_page(tmp_path: Path) -> None:
    root = folder(tmp_path / "data")
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    save(root / "dent" / "0_mask.png", mask)
    page = Page(html_of(root))
    assert "images with marked defects 1" in page.text and "Yellow lines" in page.text
    coloured = [(pixels(address) == LIGHT).all(axis=2).any() for address in page.pictures]
    assert coloured[0] and not any(coloured[1:6])


def test_a_picture_keeps_to_its_limit() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    assert len(small(noise, BYTES)) <= BYTES and small(noise, BYTES).startswith("data:image/jpeg")
    assert np.array_equal(pixels(small(noise[:20, :20], BYTES)), noise[:20, :20])  # what fits is exact


def test_a_large_data_set_makes_a_page_of_bounded_size(tmp_path: Path) -> None:
    root, rng = tmp_path / "data", np.random.default_rng(0)
    for k in range(CLASSES + 5):
        for i in range(2):
            save(root / f"class{k:03}" / f"{i}.bmp", rng.integers(0, 256, (120, 120, 3), np.uint8))
    for k in range(LISTED + 9):
        (root / "class000" / f"bad{k}.png").write_bytes(b"")
    for k in range(PAIRS + 3):
        shutil.copy(root / f"class{k:03}" / "0.bmp", root / f"class{k:03}" / "again.bmp")
    html = html_of(root)
    text = Page(html).text
    assert len(html) < 3_000_000
    assert "and 5 more classes" in text.lower() and "And 9 more; ganaug inspect --json lists all" in text
    assert f"· {PAIRS + 3} pairs, {PAIRS} shown" in text


def test_the_command_writes_one_new_file_outside_the_data_set(ganaug: Ganaug, tmp_path: Path) -> None:
    root = tiny.write_dataset(tmp_path / "data", {"lines": 6, "grain": 6})
    before = tiny.contents(root)
    status, out, _ = ganaug("inspect", root, "--html", tmp_path / "page.html", "--json")
    written = (tmp_path / "page.html").read_text("utf-8")
    assert status == 0 and json.loads(out)["images"] == 12 and "lines · 6 images" in Page(written).text
    for place, why in ((tmp_path / "page.html", "exists already"), (root / "page.html", "inside the data set")):
        status, out, err = ganaug("inspect", root, "--html", place)
        assert status == 2 and why in err and "--html" in err and not out
    status, _, err = ganaug("inspect", root, "--html", tmp_path / "none" / "page.html")
    assert status == 2 and "does not exist" in err
    assert tiny.contents(root) == before and (tmp_path / "page.html").read_text("utf-8") == written


def test_equal_data_gives_an_equal_page(tmp_path: Path) -> None:
    root = folder(tmp_path / "data")
    assert html_of(root) == html_of(root)
