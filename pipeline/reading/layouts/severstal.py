"""Severstal's steel: train_images/ with train.csv of run lengths, ImageId,ClassId,EncodedPixels."""

from collections import defaultdict
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.errors import InputError
from pipeline.reading.csv_text import header_of, read_rows
from pipeline.reading.header import is_picture
from pipeline.reading.instances import Instance, parts_of_mask
from pipeline.reading.layouts.tree import GOOD, Entry, Layout, Tree
from pipeline.reading.names import check_class_name, check_class_names

RUNS, BOTH = "EncodedPixels", "ImageId_ClassId"
HEADERS = ({"ImageId", "ClassId", RUNS}, {BOTH, RUNS})
LARGEST = 100_000_000  # pixels of an image whose run lengths are drawn; the reader refuses smaller ones already
Rows = dict[str, list[tuple[int, str, str]]]  # image's name in one case -> line, class and run lengths of each row


def severstal(tree: Tree) -> Layout | None:
    """Images that no row marks are good; those of other folders have no labels and are left out.

    Runs are pairs of start and length, pixels counted from 1, down the columns.

    Raises:
        InputError: a row of the table is damaged, or no image has the name of one.
    """
    tables = [path for path in tree.paths if path.lower().endswith(".csv") and _is_table(tree, path)]
    if not tables:
        return None
    table = min(tables, key=lambda path: (not PurePosixPath(path).name.lower().startswith("train"), path))
    pictures = [path for path in tree.paths if is_picture(path)]
    rows = _rows(tree, table)
    folders = {str(PurePosixPath(path).parent) for path in pictures if _name(path) in rows}
    own = {folder for folder in folders if folder.lower().startswith(PurePosixPath(table).stem.lower())}
    folders = own if len(own) == 1 else folders  # train.csv is of train_images, whatever test_images are called
    labelled = [path for path in pictures if str(PurePosixPath(path).parent) in folders]
    if not labelled:
        raise InputError(
            f"{tree.root / table} names no image that is there, such as {next(iter(rows), '')!r}; put "
            "train_images beside it."
        )
    if len(folders) > 1:
        raise InputError(
            f"{tree.root / table} names images that lie in {' and in '.join(sorted(folders))}; keep those of one."
        )
    entries = [_entry(tree, table, path, rows.pop(_name(path), [])) for path in labelled]
    notes = [f"Severstal layout: images without a row in {table} are of class {GOOD!r}."]
    others = [path for path in pictures if path not in set(labelled)]
    if others:
        notes.append(f"{len(others)} image(s), such as {others[0]!r}, have no labels and take no part.")
    if rows:
        notes.append(f"{len(rows)} image(s) of {table}, such as {next(iter(rows))!r}, are not there.")
    return Layout(
        "severstal",
        entries,
        check_class_names({entry.label for entry in entries}, str(tree.root / table)),
        notes,
        annotations=(table,),
        left_out={
            **dict.fromkeys(others, f"{table} says nothing of its folder: unlabelled"),
            **{path: f"a table such as {table}, which is read" for path in tables if path != table},
        },
    )


def _is_table(tree: Tree, path: str) -> bool:
    return any(names <= set(header_of(tree.root / path)) for names in HEADERS)


def _rows(tree: Tree, table: str) -> Rows:
    rows: Rows = defaultdict(list)
    for number, row in read_rows(tree.root / table, needed=(RUNS,))[0]:
        if BOTH in row:
            image, _, label = row[BOTH].rpartition("_")
        else:
            image, label = row.get("path", ""), row.get("ClassId", "")
        image, label, runs = _name(image.strip()), label.strip(), row[RUNS].strip()
        if image and runs and runs != "-1":
            rows[image].append((number, check_class_name(label, f"{tree.root / table}, row {number}"), runs))
        elif image:
            rows.setdefault(image, [])
    return rows


def _name(path: str) -> str:
    """The name of an image without its folders, in one case."""
    return PurePosixPath(path.replace("\\", "/")).name.casefold()


def _entry(tree: Tree, table: str, path: str, rows: list[tuple[int, str, str]]) -> Entry:
    """An image with its instances; where its size is not to be had the reader says what is wrong with the file."""
    if not rows:
        return Entry(path, GOOD, instances=())
    size = _size(tree, path)
    if size is None:
        return Entry(path, rows[0][1])
    instances: list[Instance] = []
    areas: dict[str, int] = defaultdict(int)
    for number, label, runs in rows:
        mask = _drawn(runs, size, f"{tree.root / table}, row {number}")
        areas[label] += int(np.count_nonzero(mask))
        instances += parts_of_mask(label, mask)
    return Entry(path, max(areas, key=areas.__getitem__), instances=tuple(instances), size=size)


def _size(tree: Tree, path: str) -> tuple[int, int] | None:
    try:
        with Image.open(tree.root / path) as image:
            return image.size if image.width * image.height <= LARGEST else None
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _drawn(runs: str, size: tuple[int, int], where: str) -> np.ndarray:
    """Pairs ``start length`` as a mask, uint8 [H, W] of 0 and 1."""
    width, height = size
    try:
        numbers = np.array(runs.split(), np.int64)
    except (ValueError, OverflowError):
        numbers = np.zeros(0, np.int64)
    starts, lengths = numbers[0::2] - 1, numbers[1::2]
    whole = len(numbers) > 0 and len(starts) == len(lengths) and (lengths > 0).all() and (starts >= 0).all()
    if not whole or (starts + lengths > width * height).any():
        raise InputError(f"{where}: EncodedPixels is not pairs of start and length inside {width} x {height} pixels.")
    flat = np.zeros(width * height, np.uint8)
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        flat[start : start + length] = 1
    return flat.reshape((height, width), order="F")
