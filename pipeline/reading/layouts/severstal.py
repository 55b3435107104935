"""Severstal's steel: train_images/ with train.csv of run lengths, ImageId,ClassId,EncodedPixels."""

import csv
from collections import defaultdict
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.errors import InputError
from pipeline.reading.instances import Instance, parts_of_mask
from pipeline.reading.layouts.masks import is_picture
from pipeline.reading.layouts.tree import GOOD, Entry, Layout, Tree
from pipeline.reading.names import check_class_name, check_class_names

HEADERS = ({"ImageId", "ClassId", "EncodedPixels"}, {"ImageId_ClassId", "EncodedPixels"})
LARGEST = 100_000_000  # pixels of an image whose run lengths are drawn; the reader refuses smaller ones already
Rows = dict[str, list[tuple[int, str, str]]]  # image's name -> line, class and run lengths of each row


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
    folders = {str(PurePosixPath(path).parent) for path in pictures if PurePosixPath(path).name in rows}
    own = {folder for folder in folders if folder.lower().startswith(PurePosixPath(table).stem.lower())}
    folders = own if len(own) == 1 else folders  # train.csv is of train_images, whatever test_images are called
    labelled = [path for path in pictures if str(PurePosixPath(path).parent) in folders]
    if not labelled:
        raise InputError(f"{tree.root / table} names no image that is there; put train_images beside it.")
    if len(folders) > 1:
        raise InputError(
            f"{tree.root / table} names images that lie in {' and in '.join(sorted(folders))}; keep those of one."
        )
    entries = [_entry(tree, table, path, rows.pop(PurePosixPath(path).name, [])) for path in labelled]
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
    try:
        with (tree.root / path).open(encoding="utf-8-sig", newline="", errors="replace") as file:
            return {name.strip() for name in file.readline(1000).split(",")} in HEADERS
    except OSError:
        return False


def _rows(tree: Tree, table: str) -> Rows:
    rows: Rows = defaultdict(list)
    try:
        with (tree.root / table).open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file, skipinitialspace=True), start=2):
                fields = {(name or "").strip(): value or "" for name, value in row.items() if isinstance(value, str)}
                image, label = fields.get("ImageId", ""), fields.get("ClassId", "")
                if "ImageId_ClassId" in fields:
                    image, _, label = fields["ImageId_ClassId"].rpartition("_")
                runs = fields.get("EncodedPixels", "").strip()
                if image and runs and runs != "-1":
                    label = check_class_name(label.strip(), f"{tree.root / table}, row {number}")
                    rows[image.strip()].append((number, label, runs))
                elif image:
                    rows.setdefault(image.strip(), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{tree.root / table} cannot be read ({error}); save it as CSV UTF-8.") from error
    return rows


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
