"""Images and random annotations of them, and what the tests of every format of annotations ask."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.reading.file_listing import list_files
from pipeline.reading.instances import Box, Instance, Polygon, mask_of
from pipeline.reading.layouts import Entry, Layout, Tree, find_layout
from tests.pipeline.samples import save, texture

WIDTH, HEIGHT = 60, 40
MUTATIONS = int(os.environ.get("GANAUG_MUTATIONS", "300"))  # 20000 for a thorough look
CLASSES = ("dent", "scratch", "Fleck ü")


@dataclass(frozen=True)
class Marked:
    """A defect as a test draws it: class and box, and polygons or a mask."""

    label: str
    box: Box
    polygons: tuple[Polygon, ...] = ()
    mask: NDArray[np.uint8] | None = None


def pictures(root: Path, *names: str) -> Path:
    """Different images of WIDTH x HEIGHT under these names."""
    for seed, name in enumerate(names):
        save(root / name, texture(seed, HEIGHT, WIDTH))
    return root


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def layout(root: Path, annotations: Path | None = None) -> Layout:
    """What is found in a folder, with annotations that are kept elsewhere."""

    def tree(place: Path, elsewhere: Tree | None = None) -> Tree:
        listing = list_files(place.resolve())
        return Tree(place.resolve(), listing.paths, listing.folders, elsewhere)

    return find_layout(tree(root, None if annotations is None else tree(annotations)))


def entries(found: Layout) -> dict[str, Entry]:
    return {entry.path: entry for entry in found.entries}


def only(found: Layout) -> tuple[Instance, ...]:
    """The defects of the one image."""
    [entry] = found.entries
    assert entry.instances is not None
    return entry.instances


def problem_kinds(found: Layout) -> dict[str, str]:
    return {problem.path: problem.kind for problem in found.problems}


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, allow_subnormal=False)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """Boxes inside the image, whole numbers or not."""
    if draw(st.booleans()):
        left, top = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
        return left, top, draw(st.integers(1, WIDTH - left)), draw(st.integers(1, HEIGHT - top))
    left, top = draw(numbers(0, WIDTH - 2)), draw(numbers(0, HEIGHT - 2))
    return left, top, draw(numbers(0.5, WIDTH - 1 - left)), draw(numbers(0.5, HEIGHT - 1 - top))


@st.composite
def outlines(draw: st.DrawFn) -> Polygon:
    """Polygons inside the image with an area of their own."""
    corner = st.tuples(numbers(0, WIDTH), numbers(0, HEIGHT))
    left, top = draw(numbers(0, 50)), draw(numbers(0, 30))
    first = ((left, top), (left + 8, top), (left + 8, top + 8))
    inner = draw(st.lists(corner, max_size=1))
    inner = [(left + x / WIDTH, top + 7 + y / HEIGHT) for x, y in inner]
    return first + tuple(inner)


@st.composite
def masks(draw: st.DrawFn) -> NDArray[np.uint8]:
    seed, share = draw(st.integers(0, 2**32 - 1)), draw(st.floats(0.01, 0.99))
    mask = np.where(np.random.default_rng(seed).random((HEIGHT, WIDTH)) < share, 255, 0).astype(np.uint8)
    mask[draw(st.integers(0, HEIGHT - 1)), draw(st.integers(0, WIDTH - 1))] = 255
    return mask


@st.composite
def marked(draw: st.DrawFn, kinds: tuple[str, ...] = ("box", "polygons", "mask")) -> Marked:
    label, kind = draw(st.sampled_from(CLASSES)), draw(st.sampled_from(kinds))
    box = draw(boxes())
    if kind == "polygons":
        return Marked(label, box, tuple(draw(st.lists(outlines(), min_size=1, max_size=3))))
    return Marked(label, box, mask=draw(masks()) if kind == "mask" else None)


def same(instance: Instance, wanted: Marked, *, box: bool = True) -> None:
    """The defect is read as it was drawn; `box` where the format gives one beside its outline."""
    assert instance.label == wanted.label
    assert instance.polygons == wanted.polygons
    if box or instance.is_box:
        assert instance.box == wanted.box
    mask = mask_of(instance, HEIGHT, WIDTH)
    if wanted.mask is None:
        assert instance.rle == "" and (mask is None) == (not wanted.polygons)
    else:
        assert np.array_equal(mask, wanted.mask)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, cut out, doubled, or put in from elsewhere or from a list of nasty words."""
    nasty = (
        b"NaN",
        b"-1",
        b"1e999",
        b"[" * 300,
        b'"',
        b"<",
        b"&x;",
        b"\xff\xfe",
        b"null",
        b"{}",
        b"\0",
        b"../../x",
        b" ",
    )
    for _ in range(rng.integers(1, 5)):
        at, length = int(rng.integers(0, len(data) + 1)), int(rng.integers(1, 20))
        part = data[int(rng.integers(0, len(data) + 1)) :][:length]
        new = (bytes(rng.integers(0, 256, 1, np.uint8)), b"", part, nasty[rng.integers(len(nasty))])[rng.integers(4)]
        data = data[:at] + new + data[at + int(rng.integers(0, length)) :]
    return data


def survives_mutation(root: Path, names: list[str], read: Callable[[Path], Layout] = layout) -> None:
    """A layout or InputError comes of every damaged file, and masks that are read can be drawn."""
    rng = np.random.default_rng(0)
    whole = {name: (root / name).read_bytes() for name in names}
    read_at_all = 0
    for k in range(MUTATIONS):
        name = names[k % len(names)]
        (root / name).write_bytes(mutated(whole[name], rng))
        try:
            found = read(root)
        except InputError as error:
            assert "\n" not in str(error).strip() or "Traceback" not in str(error)
        else:
            read_at_all += 1
            for entry in found.entries:
                for one in entry.instances or ():
                    left, top, width, height = one.box
                    assert 0 <= left <= left + width <= WIDTH + 1e-9 and 0 <= top <= top + height <= HEIGHT + 1e-9
                    mask_of(one, HEIGHT, WIDTH)
        (root / name).write_bytes(whole[name])
    assert read_at_all
