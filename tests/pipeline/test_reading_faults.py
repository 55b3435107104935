"""Damaged, hostile and odd files: each row of the fault list that reading meets, on files made here."""

import io
import os
import re
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.reading import Reading, check_class_name, check_class_names, load, read_dataset
from pipeline.reading.decode_memory import require_memory
from pipeline.reading.reader import MANY
from tests.pipeline.samples import folder, save, texture


def kinds(reading: Reading) -> dict[str, str]:
    return {problem.path: problem.kind for problem in reading.problems}


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(seed: int = 7, height: int = 40, width: int = 60) -> Image.Image:
    return Image.fromarray(np.stack([texture(seed + k, height, width) for k in range(3)], axis=2))


def png_declaring(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


def put(root: Path, name: str, data: bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def read_one(root: Path, name: str, data: bytes) -> tuple[np.ndarray, str]:
    """The pixels and the mode that reading makes of one file among good ones."""
    put(folder(root), name, data)
    reading = read_dataset(root)
    row = reading.frame.index[reading.frame["path"] == name][0]
    return reading.images[row], reading.frame["mode"][row]


BAD = {
    "empty_file": b"",
    "not_an_image": b"this is text\n" * 20,
    "too_large": png_declaring(50_000, 50_000),
    "too_small": encoded(Image.new("L", (1, 1)), "PNG"),
    "aspect": encoded(Image.new("L", (421, 20)), "PNG"),
    "depth": encoded(Image.fromarray(np.ones((40, 60), np.int32)), "TIFF"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_quarantined_with_its_reason_and_the_rest_is_read(tmp_path: Path, kind: str) -> None:
    put(folder(tmp_path), "dent/bad.png", BAD[kind])
    reading = read_dataset(tmp_path)
    assert kinds(reading) == {"dent/bad.png": kind}
    assert reading.problems[0].detail
    assert len(reading.images) == len(reading.frame) == 12


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_images_are_quarantined(tmp_path: Path, kind: str, share: float) -> None:
    whole = encoded(picture(), kind)
    put(folder(tmp_path), "dent/bad.png", whole[: max(16, int(share * len(whole)))])
    assert kinds(read_dataset(tmp_path)) == {"dent/bad.png": "truncated"}


def test_more_than_a_tenth_of_bad_files_stops_a_run_and_not_a_look(tmp_path: Path) -> None:
    folder(tmp_path, each=9)
    for i in range(2):
        put(tmp_path, f"dent/bad{i}.png", b"text")
    assert len(read_dataset(tmp_path).problems) == 2  # 2 of 20 is not more than a tenth
    put(tmp_path, "dent/bad2.png", b"text")
    with pytest.raises(InputError, match=r"3 of 21 files are bad.*dent/bad0\.png.*max_bad_fraction"):
        read_dataset(tmp_path)
    assert len(load(tmp_path).problems) == 3


def test_a_file_too_heavy_for_its_pixels_is_refused_unread(tmp_path: Path) -> None:
    path = put(folder(tmp_path), "dent/heavy.png", encoded(picture(), "PNG"))
    with path.open("ab") as file:
        file.truncate(1 << 30)  # sparse
    assert kinds(read_dataset(tmp_path)) == {"dent/heavy.png": "too_large"}


def test_the_pixel_cap_is_the_callers(tmp_path: Path) -> None:
    save(folder(tmp_path) / "dent" / "wide.png", texture(50, 200, 200))
    assert kinds(read_dataset(tmp_path, max_megapixels=0.03)) == {"dent/wide.png": "too_large"}
    assert kinds(read_dataset(tmp_path, max_megapixels=0.04)) == {}


def test_other_formats_are_ignored_with_a_count_whatever_their_name(tmp_path: Path) -> None:
    folder(tmp_path)
    put(tmp_path, "dent/movie.png", encoded(picture(), "GIF"))
    put(tmp_path, "dent/notes.txt", b"seen on Monday")
    put(tmp_path, "dent/.DS_Store", b"\0\0\0\1")
    reading = read_dataset(tmp_path)
    assert (len(reading.images), reading.problems, reading.ignored) == (12, [], 3)
    assert any(note.startswith("1 of 13 pictures are GIF (1), which are not read") for note in reading.notes)
    assert any(note.startswith("2 hidden file(s) or file(s) of other formats") for note in reading.notes)


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    pixels, _ = read_one(tmp_path, "dent/actually-a-png.dat", encoded(picture().convert("L"), "PNG"))
    assert np.array_equal(pixels, np.asarray(picture().convert("L")))


def test_animated_and_multipage_files_are_refused(tmp_path: Path) -> None:
    pages = [picture(k) for k in range(2)]
    folder(tmp_path, each=12)
    for name, kind in (("a.png", "PNG"), ("b.webp", "WEBP")):
        put(tmp_path, f"dent/{name}", encoded(pages[0], kind, save_all=True, append_images=pages[1:]))
    put(tmp_path, "hole/c.tif", encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert set(kinds(load(tmp_path)).values()) == {"multipage"}
    assert len(load(tmp_path).problems) == 3


def test_sixteen_bits_are_scaled_by_one_factor_and_never_clipped(tmp_path: Path) -> None:
    folder(tmp_path)
    dark = np.linspace(0, 1000, 64 * 64).reshape(64, 64).astype(np.uint16)
    bright = dark * 4  # to 4000: a 12-bit camera
    save(tmp_path / "dent" / "dark.png", dark)
    save(tmp_path / "hole" / "bright.tif", bright)
    reading = read_dataset(tmp_path)
    by_path = dict(zip(reading.frame["path"], reading.images, strict=True))
    assert np.array_equal(by_path["dent/dark.png"], np.rint(dark * (255 / 4095)).astype(np.uint8))
    assert by_path["hole/bright.tif"].max() == round(4000 * 255 / 4095)
    assert sorted(set(reading.frame["mode"])) == ["I;16", "L"]
    assert any("2 16-bit" in note for note in reading.notes)


def test_sixteen_bit_colour_is_recorded(tmp_path: Path) -> None:
    deep = np.stack([texture(k).astype(np.uint16) * 257 for k in range(3)], axis=2)
    folder(tmp_path)
    save(tmp_path / "dent" / "deep.png", deep)
    reading = read_dataset(tmp_path)
    row = reading.frame.index[reading.frame["path"] == "dent/deep.png"][0]
    assert reading.frame["mode"][row] == "RGB;16"
    assert np.array_equal(reading.images[row], (deep[..., ::-1] // 257).astype(np.uint8))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted_and_recorded(tmp_path: Path, kind: str) -> None:
    data = encoded(picture().convert("CMYK"), kind)
    pixels, mode = read_one(tmp_path, "dent/ink.jpg", data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert mode == "CMYK"
    assert np.abs(pixels - expected).max() <= 1
    assert any("CMYK" in note for note in read_dataset(tmp_path).notes)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("LA", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("LA", "TIFF"), ("RGBA", "TIFF"), ("P", "TIFF"), ("RGBA", "WEBP")],
)
@pytest.mark.parametrize("background", [(255, 255, 255), (10, 200, 30)])
def test_alpha_and_palette_are_composited_on_the_declared_background(
    tmp_path: Path, mode: str, kind: str, background: tuple[int, int, int]
) -> None:
    image = picture()
    image.putalpha(Image.fromarray(np.linspace(0, 255, 40 * 60).reshape(40, 60).astype(np.uint8)))
    image = picture().quantize(16) if mode == "P" else image.convert(mode)
    options: dict[str, object] = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    if mode == "P" and kind == "PNG":
        options["transparency"] = 3
    data = encoded(image, kind, **options)
    put(folder(tmp_path), "dent/clear.png", data)
    reading = read_dataset(tmp_path, background=background)
    row = reading.frame.index[reading.frame["path"] == "dent/clear.png"][0]
    stored = Image.open(io.BytesIO(data)).convert("RGBA")
    expected = Image.new("RGBA", stored.size, (*background, 255))
    expected.alpha_composite(stored)
    pixels = reading.images[row]
    colour = np.stack([pixels] * 3, axis=2) if pixels.ndim == 2 else pixels
    assert np.abs(colour.astype(int) - np.asarray(expected.convert("RGB"))).max() <= 2


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    turned, _ = read_one(tmp_path / "turned", "dent/x.png", encoded(picture(), kind, exif=exif, **options))
    plain, _ = read_one(tmp_path / "plain", "dent/x.png", encoded(picture(), kind, **options))
    by_hand = {
        1: plain,
        2: plain[:, ::-1],
        3: plain[::-1, ::-1],
        4: plain[::-1],
        5: plain.swapaxes(0, 1),
        6: plain.swapaxes(0, 1)[:, ::-1],
        7: plain.swapaxes(0, 1)[::-1, ::-1],
        8: plain.swapaxes(0, 1)[::-1],
    }
    assert np.array_equal(turned, by_hand[orientation])


def test_mixed_sizes_and_modes_are_read_and_reported(tmp_path: Path) -> None:
    folder(tmp_path)
    save(tmp_path / "dent" / "large.jpg", np.asarray(picture(3, 90, 120))[..., ::-1])
    reading = read_dataset(tmp_path)
    assert {image.shape for image in reading.images} == {(64, 64), (90, 120, 3)}
    assert any("2 different sizes" in note for note in reading.notes)
    assert any("in colour" in note for note in reading.notes)


@pytest.mark.parametrize(
    "name", ["../x", "/etc", "a/b", "a\\b", "C:\\x", "a\0b", "", "  ", ".", "..", "a\n", "x" * 101]
)
def test_unsafe_class_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="class name"):
        check_class_name(name)
    quoted = '"' + name + '"'
    table = put(tmp_path, "set.csv", f"path,label\nmissing.png,{quoted}\n".encode())
    with pytest.raises(InputError, match=r"row 2.*class name"):  # not "missing": no file was touched
        read_dataset(table)


@pytest.mark.parametrize("pair", [("Crack", "crack"), ("caf\u00e9", "cafe\u0301"), ("STRASSE", "stra\u00dfe")])
def test_class_names_that_share_a_folder_elsewhere_are_refused_both_named(pair: tuple[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        check_class_names(["other", *pair])
    assert all(repr(name) in str(caught.value) for name in pair)


def test_links_that_leave_or_loop_are_refused(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", each=20)
    outside = save(tmp_path / "outside.png", texture(99))
    (root / "dent" / "leaves.png").symlink_to(outside)
    (root / "dent" / "loop.png").symlink_to("loop.png")
    (root / "dent" / "dangling.png").symlink_to("nowhere.png")
    (root / "dent" / "within.png").symlink_to("0.png")
    reading = read_dataset(root)
    assert kinds(reading) == {
        "dent/leaves.png": "link_outside",
        "dent/loop.png": "link_loop",
        "dent/dangling.png": "link_loop",
    }
    assert "dent/within.png" in set(reading.frame["path"])


@pytest.mark.parametrize("target", ["..", "../..", "hole"])
def test_a_link_to_a_folder_stops_the_reading(tmp_path: Path, target: str) -> None:
    root = folder(tmp_path / "set")
    (root / "dent" / "again").symlink_to(root / target, target_is_directory=True)
    with pytest.raises(InputError, match="link to a folder"):
        read_dataset(root)


def test_pipes_and_sockets_are_not_opened(tmp_path: Path) -> None:
    folder(tmp_path)
    os.mkfifo(tmp_path / "dent" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "dent" / "s.png"))
        assert len(read_dataset(tmp_path).images) == 12


def test_odd_file_names_are_kept_and_unwritable_ones_refused(tmp_path: Path) -> None:
    odd = ["a b.png", "line\nbreak.png", "quo\"te,'.png", "\u00fcn\u00ef\u4e2d.png", "tab\t\r.png", "-rf.png"]
    folder(tmp_path)
    for k, name in enumerate(odd):
        save(tmp_path / "dent" / name, texture(200 + k))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/dent/bad\xff.png")).write_bytes(b"")
    reading = read_dataset(tmp_path)
    assert {f"dent/{name}" for name in odd} <= set(reading.frame["path"])
    assert list(kinds(reading).values()) == ["name"]
    reading.problems[0].path.encode()  # printable


def test_an_empty_class_is_an_error_or_an_explicit_skip(tmp_path: Path) -> None:
    (folder(tmp_path) / "void").mkdir()
    with pytest.raises(InputError, match="'void' holds no readable image"):
        read_dataset(tmp_path)
    reading = read_dataset(tmp_path, skip_empty_classes=True)
    assert reading.classes == ["dent", "hole"]
    assert any("void" in note for note in reading.notes)


def test_the_same_image_in_two_classes_is_a_label_conflict_naming_both(tmp_path: Path) -> None:
    folder(tmp_path)
    pixels = texture(500)
    save(tmp_path / "dent" / "same.png", pixels)
    save(tmp_path / "hole" / "other-format.bmp", pixels)  # other bytes, same pixels
    with pytest.raises(InputError, match=r"dent/same\.png.*hole/other-format\.bmp"):
        read_dataset(tmp_path)


def test_nothing_to_read_is_said_in_one_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for i in range(3):
        put(tmp_path / "texts", f"{'ab'[i % 2]}/{i}.png", b"text")
    put(tmp_path / "loose", "0.png", encoded(picture(), "PNG"))
    folder(tmp_path / "single", classes=("dent",))
    cases = {
        "missing": "does not exist",
        "empty": "holds no files",
        "texts": "none of its 3 image file",
        "loose": "no class folders",
        "single": "holds one class, 'dent'",
    }
    for name, words in cases.items():
        with pytest.raises(InputError, match=words) as caught:
            read_dataset(tmp_path / name)
        assert name in str(caught.value)


def test_an_archive_is_not_mistaken_for_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a folder nor a CSV"):
        read_dataset(put(tmp_path, "set.zip", b"PK\3\4"))


def test_too_little_memory_is_said_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"2 images need 3\.0 GiB and 1\.0 GiB are free"):
        require_memory(tmp_path, [1 << 29, 1 << 29], available=1 << 30)
    require_memory(tmp_path, [1 << 20], available=1 << 30)


def test_reading_leaves_every_file_as_it_was(tmp_path: Path) -> None:
    put(folder(tmp_path), "dent/bad.png", b"text")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}
    read_dataset(tmp_path)
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.rglob("*") if p.is_file()}


def test_grey_pictures_stored_in_colour_are_read_as_grey(tmp_path: Path) -> None:
    grey = texture(1)
    pixels, mode = read_one(tmp_path, "dent/grey.jpg", cv2.imencode(".jpg", np.stack([grey] * 3, axis=2))[1].tobytes())
    assert (pixels.ndim, mode) == (2, "RGB")


def test_a_folder_one_level_off_is_refused_with_the_right_one(tmp_path: Path) -> None:
    plain = folder(tmp_path / "plain")
    folder(tmp_path / "below" / "data")
    for place in ("one/set", "two/a", "two/b"):
        for split in ("train", "test"):
            folder(tmp_path / place / split)
    for split in ("val", "test"):
        folder(tmp_path / "unnamed" / split)
    cases = {
        "plain/dent": f"give {plain}",
        "below": f"give {tmp_path / 'below' / 'data'}",
        "one": f"splits are inside set; give {tmp_path / 'one' / 'set'}",
        "two": f"splits are inside a, b; give {tmp_path / 'two' / 'a'} or another",
        "unnamed": "test and val but no folder train",
    }
    for name, words in cases.items():
        with pytest.raises(InputError, match=re.escape(words)):
            load(tmp_path / name)


@pytest.mark.parametrize("module", ["torch", "sklearn", "scipy", "ganaug", "classifiers"])
def test_looking_at_a_data_set_needs_no_networks(tmp_path: Path, module: str) -> None:
    program = (
        "import sys; from pathlib import Path; from pipeline.reading import inspect, load;"
        f"inspect(load(Path({str(folder(tmp_path))!r}))); sys.exit({module!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_large_data_set_says_how_far_it_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    small = np.zeros((16, 16), np.uint8)
    for k in range(MANY):
        small[k // 16 % 16, k % 16] = k % 251 + 1
        save(tmp_path / ("dent", "hole")[k % 2] / f"{k}.png", small)
    load(tmp_path)
    assert f"read: {MANY}/{MANY}" in capfd.readouterr().err
