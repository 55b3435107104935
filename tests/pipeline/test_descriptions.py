"""Descriptions: rendered defects get the right words, sentences become vectors, and a run is drawn from them."""

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.descriptions import Measures, Scales, SentenceEmbedding, describe, measure, read_descriptions, sentence
from pipeline.descriptions.embedding import MOST, terms
from pipeline.descriptions.sentences import noun
from pipeline.errors import InputError
from pipeline.job import check_names
from pipeline.log import read_log
from pipeline.stages.conditioning_inputs import CONDITIONING_INPUTS, embedding_of
from pipeline.stages.generate import generate
from pipeline.stages.jobs import first_jobs
from pipeline.stages.prepare import prepare
from pipeline.stages.publish import publish
from pipeline.stages.records import load_pack
from pipeline.stages.train import train
from pipeline.store import RunFolder, load_tensors
from tests import tiny

Picture = NDArray[np.uint8]
SIDE = 64
ANY = Scales(area=(0.02, 0.1), background=(100.0, 160.0), slender=4.0, faint=15.0)


def surface(level: int = 130, seed: int = 0) -> NDArray[np.float32]:
    """Smooth noise on a slope, as a steel strip under a lamp."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), 1)
    slope = np.linspace(-8, 8, SIDE, dtype=np.float32)
    return np.asarray(level + 4 * noise + slope, np.float32)


def drawn(shape: Picture, contrast: float, level: int = 130) -> Picture:
    """The surface with a defect of that contrast where the shape is."""
    soft = cv2.GaussianBlur(shape, (0, 0), 0.7).astype(np.float32) / 255
    return np.asarray((surface(level) + contrast * soft).clip(0, 255), np.uint8)


def line(angle: float, centre: tuple[float, float] = (0.5, 0.5), length: float = 0.6, width: int = 3) -> Picture:
    """A straight line, angles counter-clockwise from the horizontal in degrees."""
    x, y = (SIDE * at for at in centre)
    dx, dy = (SIDE * length / 2 * f(math.radians(angle)) for f in (math.cos, math.sin))
    shape = np.zeros((SIDE, SIDE), np.uint8)
    cv2.line(shape, (round(x - dx), round(y + dy)), (round(x + dx), round(y - dy)), 255, width)
    return shape


def disc(centre: tuple[float, float] = (0.5, 0.5), radius: float = 0.1) -> Picture:
    shape = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(shape, (round(centre[0] * SIDE), round(centre[1] * SIDE)), round(radius * SIDE), 255, -1)
    return shape


def words(picture: Picture, mask: Picture | None = None, name: str = "spot") -> str:
    return sentence(measure(picture, mask), ANY, name)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    ("shape", "contrast", "level", "expected"),
    [
        (line(45), -70, 190, "medium-sized long thin dark spot, diagonal, in the centre, bright background"),
        (line(0, (0.5, 0.15)), 70, 80, "medium-sized long thin bright spot, horizontal, at the top, dark background"),
        (line(90, (0.15, 0.5)), 60, 80, "medium-sized long thin bright spot, vertical, on the left, dark background"),
        (disc((0.8, 0.2), 0.07), -60, 130, "small round dark spot, at the top right, mid-tone background"),
        (disc((0.5, 0.8), 0.2), -60, 190, "large round dark spot, at the bottom, bright background"),
        (
            line(90, (0.8, 0.5), 0.3, 2),
            60,
            80,
            "medium-sized short thin bright spot, vertical, on the right, dark background",
        ),
    ],
)
def test_a_rendered_defect_gets_the_words_that_it_was_rendered_from(
    shape: Picture, contrast: float, level: int, expected: str, masked: bool
) -> None:
    assert words(drawn(shape, contrast, level), shape if masked else None) == expected


def test_a_weak_contrast_is_faint_and_two_kinds_of_contrast_are_both_named() -> None:
    shape = disc((0.5, 0.5), 0.15)
    assert "faint dark spot" in words(drawn(shape, -11), shape)
    two = np.asarray((surface() + 70 * (disc((0.25, 0.5)) > 0) - 70 * (disc((0.75, 0.5)) > 0)).clip(0, 255), np.uint8)
    assert "dark and bright spot, a few spots" in words(two)


@pytest.mark.parametrize(("n", "expected"), [(1, ""), (3, "a few spots"), (9, "many spots")])
@pytest.mark.parametrize("masked", [True, False])
def test_the_number_of_spots(n: int, expected: str, masked: bool) -> None:
    shape = np.maximum.reduce([disc((0.2 + 0.3 * (i % 3), 0.2 + 0.3 * (i // 3)), 0.06) for i in range(n)])
    found = words(drawn(shape, -70), shape if masked else None)
    assert (expected in found) if expected else ("spots" not in found)
    assert ("all over" in found) == (n == 9)


def test_parts_of_a_mask_that_lie_close_together_are_one() -> None:
    shape = line(0) * (np.arange(SIDE) % 8 > 0).astype(np.uint8)  # cut by gaps of a pixel
    assert measure(drawn(shape, -60), shape).parts == 1


def test_a_bent_line_is_long_and_thin_and_a_ragged_blob_is_irregular() -> None:
    arc = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(arc, (32, 60), (30, 45), 0, 200, 290, 255, 3)
    assert "long thin" in words(drawn(arc, -60), arc)
    cross = np.maximum(line(0, width=9), line(90, width=9))
    assert "irregular" in words(drawn(cross, -60), cross)


def test_an_empty_mask_says_that_there_is_no_defect_and_no_mask_says_nothing() -> None:
    image = drawn(disc(), -70)
    assert words(image, np.zeros_like(image), "good") == "good, no distinct mark, mid-tone background"
    assert "dark good" in words(image, None, "good")
    assert "no distinct mark" in words(np.asarray(surface(), np.uint8))


@pytest.mark.parametrize("extent", [(slice(20, 21), slice(30, 31)), (slice(None), slice(None))])
def test_a_mask_of_one_pixel_or_of_all_pixels_is_a_defect(extent: tuple[slice, slice]) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[extent] = 255
    found = measure(drawn(mask, -60), mask)
    assert found.parts == 1 and all(np.isfinite(v).all() for v in vars(found).values())


SHAPES = st.builds(line, st.floats(0, 180), length=st.floats(0.4, 0.6), width=st.integers(2, 4)) | st.builds(
    disc, radius=st.floats(0.07, 0.2)
)


@settings(max_examples=30, deadline=None)
@given(shape=SHAPES, dx=st.integers(-12, 12), dy=st.integers(-12, 12), masked=st.booleans())
def test_a_shift_changes_where_and_nothing_else(shape: Picture, dx: int, dy: int, masked: bool) -> None:
    moved = np.roll(shape, (dy, dx), (0, 1))
    before, after = (measure(drawn(s, -70), s if masked else None) for s in (shape, moved))
    assert after.centre[0] - before.centre[0] == pytest.approx(dx / SIDE, abs=0.03)
    assert after.centre[1] - before.centre[1] == pytest.approx(dy / SIDE, abs=0.03)
    assert (after.parts, after.slenderness) == (1, pytest.approx(before.slenderness, rel=0.25))
    assert after.area == pytest.approx(before.area, rel=0.25)


@settings(max_examples=30, deadline=None)
@given(shape=SHAPES, turns=st.integers(1, 3), mirrored=st.booleans(), masked=st.booleans())
def test_turns_and_mirrors_turn_and_mirror_the_words(shape: Picture, turns: int, mirrored: bool, masked: bool) -> None:
    shape = np.roll(shape, (9, -15), (0, 1))

    def turned(picture: Picture) -> Picture:
        picture = picture[:, ::-1] if mirrored else picture
        return np.ascontiguousarray(np.rot90(picture, turns))

    image = drawn(shape, -70)
    before, after = measure(image, shape if masked else None), measure(turned(image), turned(shape) if masked else None)
    x, y = before.centre
    x = 1 - x if mirrored else x
    for _ in range(turns):
        x, y = y, 1 - x  # counter-clockwise
    assert after.centre == (pytest.approx(x, abs=0.02), pytest.approx(y, abs=0.02))
    if before.elongation > 2:
        expected = ((180 - before.angle if mirrored else before.angle) + 90 * turns) % 180
        assert abs((after.angle - expected + 90) % 180 - 90) < 4
    for name in ("area", "slenderness", "length", "elongation", "roundness", "darker", "background"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=0.12, abs=0.02), name


@settings(max_examples=30, deadline=None)
@given(angle=st.floats(0, 180))
def test_the_measured_angle_is_the_drawn_one(angle: float) -> None:
    shape = line(angle)
    found = measure(drawn(shape, -70), shape).angle
    assert abs((found - angle + 90) % 180 - 90) < 5


@settings(max_examples=20, deadline=None)
@given(side=st.sampled_from([32, 64, 128, 200]), colour=st.booleans())
def test_neither_resolution_nor_colour_changes_what_is_measured(side: int, colour: bool) -> None:
    shape = line(30, width=5)
    image = cv2.resize(drawn(shape, -80), (side, side), interpolation=cv2.INTER_AREA)
    mask = cv2.resize(shape, (side, side), interpolation=cv2.INTER_NEAREST)
    found = measure(np.stack([image] * 3, axis=2) if colour else image, mask)
    reference = measure(drawn(shape, -80), shape)
    assert found.area == pytest.approx(reference.area, rel=0.3)
    assert abs(found.angle - reference.angle) < 4 and found.parts == 1


def test_words_are_relative_to_the_training_images() -> None:
    radii, levels = np.linspace(0.05, 0.25, 9), np.linspace(60, 200, 9)
    images = [drawn(disc(radius=r), -45, int(level)) for r, level in zip(radii, levels, strict=True)]
    masks = [disc(radius=r) for r in radii]
    found = describe(images, masks, ["dent"] * 9, [True] * 9)
    assert [text.split()[0] for text in found] == ["small"] * 3 + ["medium-sized"] * 3 + ["large"] * 3
    assert [text.split()[-2] for text in found] == ["dark"] * 3 + ["mid-tone"] * 3 + ["bright"] * 3
    # where only the smaller ones are for training, "large" begins earlier: the others have no say
    few = describe(images, masks, ["dent"] * 9, [True] * 6 + [False] * 3)
    assert [text.split()[0] for text in few] == ["small"] * 2 + ["medium-sized"] * 2 + ["large"] * 5


def test_words_that_would_tell_no_images_apart_are_left_out() -> None:
    images = [drawn(disc((0.3 + 0.05 * i, 0.5)), -60) for i in range(6)]
    for text in describe(images, [disc((0.3 + 0.05 * i, 0.5)) for i in range(6)], ["dent"] * 6, [True] * 6):
        assert text.startswith("round dark dent") and "background" not in text


def test_scales_do_not_bend_words_beyond_what_they_mean() -> None:
    discs = [measure(drawn(disc(radius=0.1 + i / 100), -60), disc(radius=0.1 + i / 100)) for i in range(6)]
    assert Scales.fit(discs).slender >= 3  # the most elongated of the discs are still not thin
    assert Scales.fit([Measures()]).area is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scratches", "scratch"),
        ("rolled-in_scale", "rolled in scale"),
        ("Patches", "patch"),
        ("glass", "glass"),
        ("blowhole", "blowhole"),
        ("cracks_2", "cracks 2"),
        ("riss", "riss"),
        ("__", "__"),
    ],
)
def test_a_class_name_becomes_a_noun(name: str, expected: str) -> None:
    assert noun(name) == expected


SENTENCES = [
    "long thin dark scratch, diagonal, in the centre, bright background",
    "long thin bright scratch, vertical, on the left, dark background",
    "small round dark blowhole, at the top, dark background",
    "large round dark blowhole, a few spots, at the bottom, bright background",
]


def test_terms_are_singular_and_paired_within_a_phrase_only() -> None:
    assert terms("Thin scratches, on the Bright background.") == [
        "thin",
        "scratch",
        "thin scratch",
        "bright",
        "background",
        "bright background",
    ]


def test_vectors_are_float32_centred_of_unit_size_and_repeatable() -> None:
    embedding = SentenceEmbedding.fit(SENTENCES)
    vectors = embedding(SENTENCES)
    assert vectors.dtype == torch.float32 and vectors.shape == (4, 4)
    torch.testing.assert_close(vectors.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    assert vectors.square().mean().item() == pytest.approx(1, abs=1e-4)
    assert SentenceEmbedding.fit(SENTENCES)(SENTENCES).equal(vectors)
    assert embedding(SENTENCES[2:3]).equal(vectors[2:3])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["long", "thin", "dark", "spot", "left", "top"]), min_size=1), min_size=1))
def test_dimensions_are_bounded_by_the_sentences_and_the_words(sentences: list[list[str]]) -> None:
    texts = [" ".join(words_) for words_ in sentences]
    vectors = SentenceEmbedding.fit(texts)(texts)
    assert vectors.isfinite().all()
    assert 1 <= vectors.shape[1] <= min(MOST, len(texts), len({term for text in texts for term in terms(text)}))


def test_an_embedding_goes_through_json_and_tensors(tmp_path: Path) -> None:
    embedding = SentenceEmbedding.fit(SENTENCES)
    tensors, record = embedding.state()
    again = SentenceEmbedding.from_state((tensors, json.loads(json.dumps(record))))
    asked = ["a thin scratch on a bright background", "round, at the top"]
    assert again(asked).equal(embedding(asked)) and again.ignored("rusty scratch") == ["rusty"]


def test_a_sentence_is_closest_to_those_that_say_the_same() -> None:
    embedding = SentenceEmbedding.fit(SENTENCES)
    (asked,) = embedding(["long thin scratch, bright background"])
    assert (embedding(SENTENCES) - asked).norm(dim=1).argmin() == 0


def test_words_that_were_never_learnt_are_named_and_a_sentence_of_them_alone_is_refused() -> None:
    embedding = SentenceEmbedding.fit(SENTENCES)
    assert embedding.ignored("rusty scratch with holes") == ["rusty", "hole"]
    with pytest.raises(InputError, match=r"generate\.description = 'rusty hole' .*background"):
        embedding.ignored("rusty hole")
    with pytest.raises(InputError, match="no words"):
        SentenceEmbedding.fit(["", "the"])


def csv_of(folder: Path, text: str | bytes) -> Path:
    file = folder / "descriptions.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def test_written_descriptions_are_read(tmp_path: Path) -> None:
    file = csv_of(
        tmp_path, '\ufeffpath,who,description\nb/1.png,x,"thin, long"\n./b/2.png,x, two  words \n\nb/3.png,x,\n'
    )
    assert read_descriptions(file) == {"b/1.png": "thin, long", "b/2.png": "two words"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,words\na,b\n", "lacks the column description; its first line must be path,description"),
        ("", "lacks the column path and description"),
        ("path,description\na,b,c\n", "row 2 has 3 fields, not 2; quote commas"),
        ("path,description\na,b\n./a,c\n", "row 3 lists 'a' once more"),
        ('path,description\na,"b\n', "not a well-formed CSV"),
        (b"path,description\na,\xff\n", "not UTF-8"),
    ],
)
def test_a_faulty_file_is_named_with_its_mend(tmp_path: Path, text: Any, said: str) -> None:
    with pytest.raises(InputError, match=rf"data\.descriptions: .*{said}"):
        read_descriptions(csv_of(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.descriptions: .*none\.csv cannot be read"):
        read_descriptions(tmp_path / "none.csv")


def test_written_descriptions_replace_derived_ones_and_those_that_lack_are_noted(
    tmp_path: Path, textures_folder: Path
) -> None:
    file = csv_of(tmp_path, "path,description\nblobs/blobs-00.png,a remarkable blob\n")
    derived = prepare(RunFolder(tmp_path / "a"), tiny.settings(), textures_folder)
    written = prepare(RunFolder(tmp_path / "b"), tiny.settings(f"data.descriptions={file}"), textures_folder)
    before, after = ({r["path"]: r["description"] for r in load_pack(p.pack).rows} for p in (derived, written))
    assert {path for path in after if after[path] != before[path]} == {"blobs/blobs-00.png"}
    assert after["blobs/blobs-00.png"] == "a remarkable blob"
    assert [n for n in written.notes if "35 image(s), such as blobs/blobs-01.png, have no line" in n]
    assert not [n for n in derived.notes if "data.descriptions" in n]
    file.write_text("path,description\nblobs/blobs-00.png,another one\n")
    assert prepare(RunFolder(tmp_path / "b"), tiny.settings(f"data.descriptions={file}"), textures_folder) != written


def test_a_description_of_no_image_is_refused(tmp_path: Path, textures_folder: Path) -> None:
    file = csv_of(tmp_path, "path,description\nblobs/blobs-0.png,a blob\n")
    with pytest.raises(InputError, match=r"describes 'blobs/blobs-0.png'.*did you mean 'blobs/blobs-\d\d.png'"):
        prepare(RunFolder(tmp_path / "run"), tiny.settings(f"data.descriptions={file}"), textures_folder)


def test_the_text_conditioning_inputs_are_fitted_on_training_images_only(tmp_path: Path, textures_folder: Path) -> None:
    pack = load_pack(prepare(RunFolder(tmp_path / "run"), tiny.settings(), textures_folder).pack)
    train_rows, test_rows = pack.of("train"), pack.of("test")
    before = CONDITIONING_INPUTS["text"](pack, train_rows, 32)
    assert before.dtype == torch.float32 and before.ndim == 2 and len(before) == len(train_rows)
    for i in test_rows.tolist():
        pack.rows[i]["description"] = "something else entirely"
    assert CONDITIONING_INPUTS["text"](pack, train_rows, 32).equal(before)


def test_a_sentence_is_refused_where_the_family_draws_from_none() -> None:
    with pytest.raises(InputError, match=r"generate\.description: gan\.family dcgan .*stackgan"):
        check_names(tiny.settings("generate.description=a thin scratch"))
    check_names(tiny.settings("gan.family=stackgan", "generate.description=a thin scratch"))


def test_candidates_are_drawn_from_sentences_and_say_which(tmp_path: Path, textures_folder: Path) -> None:
    run = RunFolder(tmp_path / "run")
    config = tiny.settings("gan.family=stackgan", "gan.steps=6", "gan.lr_g=5e-4", "gan.lr_d=5e-4")
    prepared = prepare(run, config, textures_folder)
    trained = [train(job) for job in first_jobs(run, config, prepared)]
    publish(run, config, prepared, trained)
    pack = load_pack(prepared.pack)
    for made in generate(run, config, prepared, trained):
        tensors, metadata = load_tensors(Path(made.file))
        rows = [pack.rows[i] for i in tensors["conditioning_rows"].tolist()]
        assert metadata["descriptions"] == [row["description"] for row in rows]
        assert {row["label"] for row in rows} == {made.class_name}
        state = load_tensors(run.sentences(made.class_name))
        again = SentenceEmbedding.from_state(state)
        assert again(metadata["descriptions"]).equal(embedding_of(pack)(metadata["descriptions"]))
    known = pack.rows[int(pack.of("train")[0])]["description"]
    asked = tiny.settings(
        "gan.family=stackgan", "gan.steps=6", "gan.lr_g=5e-4", "gan.lr_d=5e-4", f"generate.description='shiny {known}'"
    )
    for made, plain in zip(
        generate(run, asked, prepared, trained), generate(run, config, prepared, trained), strict=True
    ):
        tensors, metadata = load_tensors(Path(made.file))
        assert metadata["descriptions"] == [f"shiny {known}"] * made.count
        assert not tensors["images"].equal(load_tensors(Path(plain.file))[0]["images"])
    assert {tuple(e["ignored"]) for e in read_log(run.log) if e["event"] == "description"} == {("shiny",)}
