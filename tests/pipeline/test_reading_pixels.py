"""Decoded values equal what was written, for every kind of file; what is not read is refused by its own name."""

import io
import resource
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.reading import Reading, load
from pipeline.reading.decode import decode
from pipeline.reading.header import Header, own_pixel_cap, read_header
from pipeline.reading.layers import Picture
from pipeline.reading.problems import BadFile, ForeignFormat
from pipeline.reading.scaling import common_scale, to_eight_bits
from tests.pipeline.image_files import HEIGHT, WIDTH, Array, bare_tiff, bmp, encoded, noise, packed, png, tiff
from tests.pipeline.samples import folder

IN_THE_SUITE, AT_LENGTH = 300, 20_000  # mutations that are tried
PEAK = 1 << 30  # bytes by which the memory of the process may grow meanwhile

GREY, COLOUR = noise(255), noise(255, 3)
GREY_16, COLOUR_16, ALPHA_16 = noise(65535), noise(65535, 3), noise(65535, 4)
GREY_12 = noise(4095)
INDEX = {bits: noise(2**bits - 1) for bits in (1, 2, 4, 8)}
PALETTE = noise(255, 3, seed=1).reshape(-1, 3)[100:356]
FLOAT = np.random.default_rng(0).normal(size=(HEIGHT, WIDTH)).astype(np.float32)
FLOAT_ALPHA = np.random.default_rng(0).random((HEIGHT, WIDTH, 4)).astype(np.float32)
NAN_ALPHA = FLOAT_ALPHA.copy()
NAN_ALPHA[0, :, 3] = np.nan
FOURTH = np.zeros((HEIGHT, WIDTH, 1), np.uint8)


def picture_of(folder: Path, data: bytes) -> Picture:
    path = folder / "x.png"
    path.write_bytes(data)
    with own_pixel_cap():
        return decode(data, read_header(path, 10**6))


def bmp_palette(bits: int) -> bytes:
    return np.pad(PALETTE[: 2**bits, ::-1], ((0, 0), (0, 1))).tobytes()


def rows(samples: Array) -> list[bytes]:
    return [row.tobytes() for row in samples]


def grey_of(index: Array, bits: int) -> Array:
    return index * np.uint8(255 // (2**bits - 1))


def planes(samples: Array) -> Array:
    return np.moveaxis(samples, 2, 0)


def without_photometric(data: bytes) -> bytes:
    """A TIFF whose tag is called otherwise; 261 means nothing."""
    return data.replace(struct.pack("<HH", 262, 3), struct.pack("<HH", 261, 3))


def with_page(data: bytes, other: bytes) -> bytes:
    """A little-endian TIFF with the page of another behind its own."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for one in (data, other):
            with tifffile.TiffFile(io.BytesIO(one)) as file:
                page = file.pages.first
                kind = page.subfiletype
                writer.write(page.asarray(), photometric="minisblack", metadata=None, subfiletype=kind)
    return buffer.getvalue()


BGR0 = np.dstack([COLOUR[..., ::-1], FOURTH])
RGB_555 = noise(31, 3)
WORDS_555 = (RGB_555.astype(np.uint16) << np.array([10, 5, 0], np.uint16)).sum(2, dtype=np.uint16)
EXPANDED_555 = RGB_555 << 3 | RGB_555 >> 2
NOTHING, LINE_ENDS, ALL_ENDS = PALETTE[0], b"\0\0", b"\0\1"  # of run lengths; pixels that are skipped are of colour 0
RUNS_OF_8 = bytes([5, 3]) + LINE_ENDS + LINE_ENDS + bytes([0, 3, 7, 8, 9, 0, 0, 2, 4, 0, 6, 2]) + LINE_ENDS + ALL_ENDS
RUNS_OF_4 = (bytes([0, 5, 0x12, 0x34, 0x50, 0, WIDTH - 5, 0x67]) + LINE_ENDS) * HEIGHT + ALL_ENDS
SHOWN_OF_8, SHOWN_OF_4 = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
SHOWN_OF_8[-1, :5], SHOWN_OF_8[-3, :3], SHOWN_OF_8[-3, 7:13] = 3, (7, 8, 9), 2
SHOWN_OF_4[:] = [1, 2, 3, 4, 5, *np.resize([6, 7], WIDTH - 5)]
PNG_COLOUR, PNG_PALETTE, PNG_GREY_ALPHA, PNG_COLOUR_ALPHA = 2, 3, 4, 6

# name: (file, what it shows, by how much it may differ)
KINDS: dict[str, tuple[bytes, Array, int]] = {
    "BMP 24": (bmp(rows(COLOUR[..., ::-1]), 24), COLOUR, 0),
    "BMP 24, top-down": (bmp(rows(COLOUR[..., ::-1]), 24, top_down=True), COLOUR, 0),
    "BMP 32": (bmp(rows(BGR0), 32), COLOUR, 0),
    "BMP 32, bit fields": (bmp(rows(BGR0), 32, masks=(0xFF0000, 0xFF00, 0xFF)), COLOUR, 0),
    "BMP 32, bit fields, top-down": (bmp(rows(BGR0), 32, masks=(0xFF0000, 0xFF00, 0xFF), top_down=True), COLOUR, 0),
    "BMP 32, alpha of 0": (bmp(rows(BGR0), 32, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)), COLOUR, 0),
    "BMP 16": (bmp(rows(WORDS_555), 16), EXPANDED_555, 1),
    "BMP 16, bit fields": (bmp(rows(WORDS_555), 16, masks=(0x7C00, 0x3E0, 0x1F)), EXPANDED_555, 1),
    "BMP 8, run lengths": (bmp([], 8, palette=bmp_palette(8), runs=RUNS_OF_8), PALETTE[SHOWN_OF_8], 0),
    "BMP 4, run lengths": (bmp([], 4, palette=bmp_palette(4), runs=RUNS_OF_4), PALETTE[SHOWN_OF_4], 0),
    "PNG 8": (png(GREY, 8, 0), GREY, 0),
    "PNG 16": (png(GREY_16, 16, 0), GREY_16, 0),
    "PNG 16, colour": (png(COLOUR_16, 16, PNG_COLOUR), COLOUR_16, 0),
    "PNG alpha of 0": (png(np.dstack([COLOUR, FOURTH]), 8, PNG_COLOUR_ALPHA), COLOUR, 0),
    "PNG grey, alpha of 0": (png(np.dstack([GREY, FOURTH]), 8, PNG_GREY_ALPHA), GREY, 0),
    "TIFF 8, WhiteIsZero": (tiff(255 - GREY, photometric="miniswhite"), GREY, 0),
    "TIFF RGBX": (tiff(np.dstack([COLOUR, FOURTH]), extrasamples=["unspecified"]), COLOUR, 0),
    "TIFF RGBA, alpha of 0": (tiff(np.dstack([COLOUR, FOURTH]), extrasamples=["unassalpha"]), COLOUR, 0),
    "TIFF of 10 bits in 16": (tiff(noise(1023)), noise(1023), 0),
    "TIFF of 12 bits, packed": (bare_tiff(GREY_12[..., None], 12, 1, 1), GREY_12, 0),
    "TIFF float": (tiff(FLOAT), FLOAT, 0),
    "TIFF double": (tiff(FLOAT.astype(np.float64)), FLOAT, 0),
    "TIFF float, predictor": (bare_tiff(FLOAT[..., None], 32, 3, 1, t259=[8], t317=[3]), FLOAT, 0),
    "TIFF bits": (tiff(INDEX[1].astype(bool)), grey_of(INDEX[1], 1), 0),
    "TIFF fax": (encoded(grey_of(INDEX[1], 1), "TIFF", "1", compression="group4"), grey_of(INDEX[1], 1), 0),
    "TIFF of undefined numbers": (bare_tiff(GREY_16[..., None], 16, 4, 1), GREY_16, 0),
    "TIFF that says not what is white": (without_photometric(tiff(GREY)), GREY, 0),
    "TIFF with a preview": (with_page(tiff(GREY_16), tiff(GREY[:16, :16], subfiletype=1)), GREY_16, 0),
    "TIFF palette": (tiff(GREY, photometric="palette", colormap=PALETTE.T.astype(np.uint16) * 257), PALETTE[GREY], 0),
    "TIFF BigTIFF": (tiff(COLOUR, bigtiff=True), COLOUR, 0),
    "TIFF big-endian": (tiff(COLOUR_16, byteorder=">"), COLOUR_16, 0),
    "WebP": (encoded(COLOUR, "WEBP", lossless=True), COLOUR, 0),
}
for _bits in (1, 4, 8):
    _rows = [packed(row, _bits) for row in INDEX[_bits]]
    KINDS[f"BMP {_bits}"] = bmp(_rows, _bits, palette=bmp_palette(_bits)), PALETTE[INDEX[_bits]], 0
for _bits, _index in INDEX.items():
    _colours, _opaque = (b"PLTE", PALETTE[: 2**_bits].tobytes()), (b"tRNS", b"\xff\0")
    _clear = np.where(_index[..., None] == 1, 255, PALETTE[_index]).astype(np.uint8)
    KINDS[f"PNG palette of {_bits}"] = png(_index, _bits, PNG_PALETTE, _colours), PALETTE[_index], 0
    KINDS[f"PNG palette of {_bits}, tRNS"] = png(_index, _bits, PNG_PALETTE, _colours, _opaque), _clear, 0
    KINDS[f"PNG grey of {_bits}"] = png(_index, _bits, 0), grey_of(_index, _bits), 0
    _grey_clear = np.where(_index == 1, 255, grey_of(_index, _bits)).astype(np.uint8)
    KINDS[f"PNG grey of {_bits}, tRNS"] = png(_index, _bits, 0, (b"tRNS", b"\0\1")), _grey_clear, 0
for _bits, _samples in ((8, COLOUR), (16, COLOUR_16)):
    for _options in ({}, {"tile": (16, 16)}, {"compression": "zlib"}, {"compression": "zlib", "tile": (16, 32)}):
        _name = f"TIFF {_bits} {_options}"
        KINDS[_name] = tiff(_samples, **_options), _samples, 0
        KINDS[f"{_name}, grey"] = tiff(_samples[..., 0], **_options), _samples[..., 0], 0
        KINDS[f"{_name}, planar"] = tiff(planes(_samples), planarconfig="separate", **_options), _samples, 0
    for _number, _compression in {5: "LZW", 8: "deflate", 32773: "PackBits", 50000: "Zstandard"}.items():
        for _predictor in (1, 2):
            _name = f"TIFF {_bits}, {_compression}, predictor {_predictor}"
            KINDS[_name] = bare_tiff(_samples, _bits, 1, 2, t259=[_number], t317=[_predictor]), _samples, 0
for _bits in (2, 4):
    KINDS[f"TIFF {_bits}"] = bare_tiff(INDEX[_bits][..., None], _bits, 1, 1), grey_of(INDEX[_bits], _bits), 0
for _bits in (10, 14):
    KINDS[f"TIFF {_bits}, LZW"] = bare_tiff(noise(2**_bits - 1, 1), _bits, 1, 1, t259=[5]), noise(2**_bits - 1), 0


@pytest.mark.parametrize("kind", KINDS)
def test_decoded_values_are_what_was_written(tmp_path: Path, kind: str) -> None:
    data, expected, tolerance = KINDS[kind]
    pixels = picture_of(tmp_path, data).pixels
    assert (pixels.shape, pixels.dtype) == (expected.shape, expected.dtype)
    assert float(np.abs(np.subtract(pixels, expected, dtype=np.float64)).max()) <= tolerance


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WebP"])
@pytest.mark.parametrize("deep", [False, True])
def test_alpha_is_composited(tmp_path: Path, kind: str, deep: bool) -> None:
    layers = ALPHA_16 if deep else noise(255, 4)
    full = np.iinfo(layers.dtype).max
    if deep and kind in ("BMP", "WebP"):
        pytest.skip("has no such depth")
    data = {
        "PNG": lambda: png(layers, 16 if deep else 8, PNG_COLOUR_ALPHA),
        "TIFF": lambda: tiff(layers, extrasamples=["unassalpha"]),
        "BMP": lambda: bmp(rows(layers[..., [2, 1, 0, 3]]), 32, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        "WebP": lambda: encoded(layers, "WEBP", lossless=True, exact=True),
    }[kind]()
    alpha = layers[..., 3:] / full
    expected = alpha * layers[..., :3] + (1 - alpha) * full
    assert np.abs(picture_of(tmp_path, data).pixels - expected).max() <= 1


def test_alpha_of_grey_and_premultiplied_alpha_are_composited(tmp_path: Path) -> None:
    layers = np.dstack([GREY_16, noise(65535, seed=3)])
    alpha = layers[..., 1] / 65535
    expected = alpha * layers[..., 0] + (1 - alpha) * 65535
    assert np.abs(picture_of(tmp_path, png(layers, 16, PNG_GREY_ALPHA)).pixels - expected).max() <= 1
    share = noise(255, 1, seed=4)
    held = np.minimum(COLOUR, share)
    pixels = picture_of(tmp_path, tiff(np.dstack([held, share]), extrasamples=["assocalpha"])).pixels
    assert np.abs(pixels - (held + 255.0 - share)).max() <= 1


@pytest.mark.parametrize(("bits", "colour_type"), [(16, 0), (16, PNG_COLOUR), (8, PNG_COLOUR)])
def test_a_transparent_colour_shows_the_background(tmp_path: Path, bits: int, colour_type: int) -> None:
    samples = {0: GREY_16, PNG_COLOUR: COLOUR_16 if bits == 16 else COLOUR}[colour_type]
    key = np.atleast_1d(samples[5, 7])
    pixels = picture_of(tmp_path, png(samples, bits, colour_type, (b"tRNS", key.astype(">u2").tobytes()))).pixels
    clear = (samples.reshape(HEIGHT, WIDTH, -1) == key).all(2)
    assert clear[5, 7] and (pixels[clear] == 2**bits - 1).all()
    assert np.array_equal(pixels[~clear], samples[~clear])


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("wrapped", [False, True])
def test_jpeg_is_what_pillow_makes_of_it_also_inside_tiff(tmp_path: Path, subsampling: int, wrapped: bool) -> None:
    smooth = cv2.GaussianBlur(COLOUR, (0, 0), 3)
    data = encoded(smooth, "TIFF", compression="jpeg") if wrapped else encoded(smooth, "JPEG", subsampling=subsampling)
    (tmp_path / "reference").write_bytes(data)
    with Image.open(tmp_path / "reference") as reference:
        expected = np.asarray(reference.convert("RGB"))
    assert np.array_equal(picture_of(tmp_path, data).pixels, expected)
    assert np.abs(expected.astype(int) - smooth).mean() < 6


@pytest.mark.parametrize("kind", ["jpeg", "tiff_lzw"])
def test_tiffs_are_turned_upright_once(tmp_path: Path, kind: str) -> None:
    smooth = cv2.GaussianBlur(COLOUR, (0, 0), 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = picture_of(tmp_path, encoded(smooth, "TIFF", compression=kind)).pixels
    data = encoded(smooth, "TIFF", compression=kind, exif=exif)
    assert np.array_equal(picture_of(tmp_path, data).pixels, np.rot90(plain, -1))


ANY = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
JPEG, FRAME = encoded(GREY, "JPEG"), b"\xff\xc0"
REFUSED = {
    "12-bit JPEG": JPEG.replace(FRAME + b"\0\x0b\x08", FRAME + b"\0\x0b\x0c"),
    "JPEG-LS": JPEG.replace(FRAME, b"\xff\xf7"),
    "unsupported BMP bitfields": bmp(rows(BGR0), 32, masks=(0x3FF00000, 0xFFC00, 0x3FF)),
    "two channels": bare_tiff(np.dstack([ANY] * 2), 8, 1, 1, t338=[0]),
    "five channels": bare_tiff(np.dstack([ANY] * 5), 8, 1, 1, t338=[0] * 4),
    "half floats": bare_tiff(ANY.astype(np.float16), 16, 3, 1),
    "16-bit signed whole numbers": bare_tiff(ANY.astype(np.int16), 16, 2, 1),
    "32-bit whole numbers": bare_tiff(ANY.astype(np.uint32), 32, 1, 1),
    "JPEG 2000": bare_tiff(ANY, 8, 1, 1, t259=[34712]),
    "old-style JPEG": bare_tiff(ANY, 8, 1, 1, t259=[6]),
    "compressed with method 999": bare_tiff(ANY, 8, 1, 1, t259=[999]),
    "raw sensor data": bare_tiff(ANY, 8, 1, 32803),
    r"CIE L\*a\*b\*": bare_tiff(np.dstack([ANY] * 3), 8, 1, 8),
    "YCbCr without JPEG": bare_tiff(np.dstack([ANY] * 3), 8, 1, 6, t530=[1, 1]),
    "other inks": bare_tiff(np.dstack([ANY] * 4), 8, 1, 5, t332=[2]),
    "differ in depth": bare_tiff(np.dstack([ANY] * 3), 8, 1, 2, t258=[5, 6, 5]),
    "multi-page TIFF of 2 pages": encoded(GREY, "TIFF", save_all=True, append_images=[Image.fromarray(GREY)]),
    "multi-page TIFF of 2": with_page(tiff(GREY_16[:16, :16], subfiletype=1), tiff(GREY_16)),
    "one channel;": bare_tiff(ANY, 8, 1, 2),
    "floating-point transparency": tiff(FLOAT_ALPHA * 255, extrasamples=["unassalpha"]),
    "48 of its pixel values are no numbers": tiff(NAN_ALPHA, extrasamples=["unassalpha"]),
    "NaN or infinite": tiff(np.where(GREY > 200, np.nan, FLOAT)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_read_is_refused_by_its_name(tmp_path: Path, reason: str) -> None:
    with pytest.raises(BadFile, match=reason) as caught:
        picture_of(tmp_path, REFUSED[reason])
    assert "damaged" not in str(caught.value)


def test_a_size_of_a_wrong_type_fills_no_memory(tmp_path: Path) -> None:
    data = bytearray(bare_tiff(ANY, 8, 1, 1, t257=[65535]))
    entry = data.index(struct.pack("<HHI", 256, 3, 1))
    data[entry + 2] = 1  # BYTE, which parsers hand on as bytes: times the height, that is a long text
    with pytest.raises(BadFile, match="wrong type"):
        picture_of(tmp_path, bytes(data))


def test_a_large_image_is_refused_with_the_setting_that_admits_it(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(np.zeros((300, 400), np.uint8)))
    with (
        own_pixel_cap(),
        pytest.raises(BadFile, match=r"400 x 300 pixels, more than data\.max_megapixels = 0\.1; raise"),
    ):
        read_header(path, 100_000)


def test_the_setting_admits_what_pillow_alone_would_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert np.array_equal(picture_of(tmp_path, KINDS["PNG 8"][0]).pixels, GREY)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_floats_that_are_opaque_keep_their_values(tmp_path: Path) -> None:
    bright = FLOAT_ALPHA * 1000
    bright[..., 3] = 1
    shown = picture_of(tmp_path, tiff(bright, extrasamples=["unassalpha"])).pixels
    assert np.array_equal(shown, bright[..., :3])


@pytest.mark.parametrize("channels", [3, 4])
def test_a_large_image_takes_a_few_times_its_own_memory(channels: int) -> None:
    """Grey in colour, so that all of it is looked at; numpy tells tracemalloc what it takes."""
    samples = np.full((2000, 2000, channels), 7, np.uint8)
    data = encoded(samples, "BMP" if channels == 3 else "PNG")
    header = Header("BMP" if channels == 3 else "PNG", "RGB", 2000, 2000, 1)
    tracemalloc.start()
    decode(data, header)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * samples.nbytes + 40 * 2**20


@pytest.mark.parametrize(("kind", "held"), [("PNG 8", 1), ("PNG 16", 3), ("TIFF float", 5)])
def test_the_memory_for_deep_pixels_is_counted(tmp_path: Path, kind: str, held: int) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(KINDS[kind][0])
    with own_pixel_cap():
        assert read_header(path, 10**6).bytes_held == held


def read(root: Path, **files: bytes) -> tuple[Reading, dict[str, Array]]:
    """A data set of 8-bit pictures and these; returns the reading and the pixels by name."""
    folder(root)
    for name, data in files.items():
        (root / "dent" / f"{name}.png").write_bytes(data)
    reading = load(root)
    assert not reading.problems
    return reading, {Path(path).stem: image for path, image in zip(reading.frame["path"], reading.images, strict=True)}


def in_eight_bits(pixels: Array, low: float, high: float) -> Array:
    return np.rint((np.clip(pixels.astype(float), low, high) - low) * (255 / (high - low))).astype(np.uint8)


def hot(pixels: Array, value: float, *places: tuple[int, int]) -> Array:
    found = pixels.copy()
    for place in places:
        found[place] = value
    return found


def test_one_hot_pixel_does_not_darken_the_set_and_is_reported(tmp_path: Path) -> None:
    reading, found = read(tmp_path, plain=png(GREY_12, 16, 0), hot=png(hot(GREY_12, 65535, (0, 0), (9, 9)), 16, 0))
    assert reading.white == 4095
    assert np.array_equal(found["plain"], in_eight_bits(GREY_12, 0, 4095))
    assert found["hot"][9, 9] == 255
    said = "2 16-bit image(s) were scaled by 255/4095 to 8 bits; 2 pixel value(s) of 1 image(s) above 4095, such as in"
    assert any(note.startswith(f"{said} 'dent/hot.png'") for note in reading.notes)


@pytest.mark.parametrize("places", [[(4, k) for k in range(12)], [(4, 4), (4, 5)]], ids=["line", "pair"])
def test_what_is_no_single_pixel_is_never_clipped(tmp_path: Path, places: list[tuple[int, int]]) -> None:
    """A scratch one pixel wide that shines on a dark surface is what it is all about."""
    dark = noise(200).astype(np.uint16)
    reading, found = read(tmp_path, dark=png(dark, 16, 0), scratch=png(hot(dark, 4000, *places), 16, 0))
    assert reading.white == 4095
    assert found["scratch"].max() == round(4000 * 255 / 4095)
    assert any("nothing was clipped" in note for note in reading.notes)


def test_many_bright_single_pixels_are_no_faults(tmp_path: Path) -> None:
    places = [(y, x) for y in range(1, HEIGHT, 3) for x in range(1, WIDTH, 3)]
    reading, _ = read(tmp_path, x=png(hot(noise(1000), 60_000, *places), 16, 0))
    assert reading.white == 65535


DIM = noise(900)


@pytest.mark.parametrize(
    "data",
    [
        bare_tiff(DIM[..., None], 12, 1, 1),
        tiff(DIM, extratags=[(281, 3, 1, 4095, True)]),
        tiff(DIM, extratags=[(341, 3, 1, 3000, True)]),
        png(DIM, 16, 0, (b"sBIT", b"\x0c")),
    ],
    ids=["BitsPerSample", "MaxSampleValue", "SMaxSampleValue", "sBIT"],
)
def test_a_declared_depth_comes_first(tmp_path: Path, data: bytes) -> None:
    reading, found = read(tmp_path, x=data)
    assert reading.white == 4095
    assert np.array_equal(found["x"], in_eight_bits(DIM, 0, 4095))


def test_a_declared_depth_that_does_not_hold_the_pixels_is_not_believed(tmp_path: Path) -> None:
    reading, _ = read(tmp_path, x=tiff(GREY_12, extratags=[(281, 3, 1, 255, True)]))
    assert reading.white == 4095


def test_deep_negatives_are_turned_over_within_the_range_of_the_set(tmp_path: Path) -> None:
    negative = tiff(4095 - GREY_12, photometric="miniswhite")
    reading, found = read(tmp_path, negative=negative, plain=tiff(GREY_12))
    assert reading.white == 4095
    assert np.abs(found["negative"].astype(int) - found["plain"]).max() <= 1


def test_floating_point_is_scaled_by_the_range_of_the_set(tmp_path: Path) -> None:
    calm = cv2.GaussianBlur(FLOAT, (0, 0), 1)
    broken = hot(calm, 1e30, (3, 3))
    reading, found = read(tmp_path, a=tiff(calm), b=tiff(broken), c=tiff(calm / 2))
    low, high = float(calm.min()), float(calm.max())
    assert reading.scale.float_range == pytest.approx((low, high))
    assert np.array_equal(found["a"], in_eight_bits(calm, low, high))
    assert np.array_equal(found["c"], in_eight_bits(calm / 2, low, high))
    note = next(note for note in reading.notes if "floating-point" in note)
    assert note.startswith("3 floating-point image(s)") and f"{low:.6g} became 0 and {high:.6g} became 255" in note
    assert "1 pixel value(s) of 1 image(s)" in note and "'dent/b.png'" in note


def test_a_declared_range_of_floating_point_comes_first(tmp_path: Path) -> None:
    unit = np.abs(FLOAT) / 10
    tags = [(340, 11, 1, 0.0, True), (341, 11, 1, 1.0, True)]
    reading, found = read(tmp_path, x=tiff(unit, extratags=tags))
    assert reading.scale.float_range == (0, 1)
    assert np.array_equal(found["x"], in_eight_bits(unit, 0, 1))


def test_an_even_surface_of_floating_point_is_read(tmp_path: Path) -> None:
    _, found = read(tmp_path, x=tiff(np.full((HEIGHT, WIDTH), 7.5, np.float32)))
    assert not found["x"].any()


def test_wholly_transparent_images_show_their_colours_and_are_counted(tmp_path: Path) -> None:
    reading, found = read(tmp_path, clear=png(np.dstack([COLOUR, FOURTH]), 8, PNG_COLOUR_ALPHA))
    assert np.array_equal(found["clear"], COLOUR)
    assert any(
        note.startswith("1 image(s), such as 'dent/clear.png', are wholly transparent") for note in reading.notes
    )


def test_a_wholly_transparent_mask_marks_nothing(tmp_path: Path) -> None:
    folder(tmp_path)
    unmarked = np.dstack([np.full((64, 64, 3), 255, np.uint8), np.zeros((64, 64), np.uint8)])
    (tmp_path / "dent" / "0_mask.png").write_bytes(encoded(unmarked, "PNG"))
    reading = load(tmp_path)
    mask = reading.masks[reading.frame["path"].tolist().index("dent/0.png")]
    assert mask is not None and not mask.any()


SEEDS = [data for data, _, _ in KINDS.values()] + [
    *REFUSED.values(),
    encoded(COLOUR, "JPEG"),
    encoded(COLOUR, "JPEG", "CMYK"),
    encoded(COLOUR, "TIFF", compression="jpeg"),
    encoded(COLOUR, "TIFF", "CMYK"),
]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, most of them in the header or, where TIFF has it, at the end; or a part cut out."""
    found = bytearray(data)
    if rng.random() < 0.1:
        start, end = sorted(rng.integers(0, len(found), 2))
        del found[start:end]
    for _ in range(rng.integers(1, 9)):
        if not found:
            break
        near = min(len(found), 300)
        place = rng.choice([rng.integers(near), len(found) - 1 - rng.integers(near), rng.integers(len(found))])
        found[place] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
    return bytes(found)


def try_mutations(tmp_path: Path, count: int, seed: int) -> dict[str, int]:
    """How often a mutated file was read, and refused as what; anything else escapes."""
    rng = np.random.default_rng(seed)
    outcomes: dict[str, int] = {}
    for _ in range(count):
        data = mutated(SEEDS[rng.integers(len(SEEDS))], rng)
        try:
            picture = picture_of(tmp_path, data)
            scale, _ = common_scale(["x"], [picture])
            limits: Any = scale.range_of(picture.pixels)
            shown = to_eight_bits(picture.pixels, limits, negative=picture.negative)
            assert shown.dtype == np.uint8 and shown.shape[2:] in ((), (3,))
            outcome = "read"
        except BadFile as bad:
            outcome = bad.kind
        except ForeignFormat:
            outcome = "foreign"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


@pytest.mark.parametrize("count", [IN_THE_SUITE, pytest.param(AT_LENGTH, marks=pytest.mark.slow)])
def test_damage_of_any_kind_is_refused_or_read_in_bounded_memory(tmp_path: Path, count: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = try_mutations(tmp_path, count, seed=count)
    assert {"read", "truncated"} <= set(outcomes)
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < PEAK
