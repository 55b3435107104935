"""COCO: one JSON file of images, categories and annotations, or one a split."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.errors import InputError
from pipeline.reading.annotations.assemble import Sheet, assemble, broken, files_with, sources
from pipeline.reading.annotations.files import BadAnnotation, read_json, required
from pipeline.reading.annotations.matching import split_in, split_name
from pipeline.reading.annotations.shapes import box, declared_size, number, polygons, run_lengths
from pipeline.reading.instances import Box, Instance, Polygon
from pipeline.reading.layouts.tree import Layout, Tree
from pipeline.reading.problems import Problem

CROWDS = "{} region(s) that are marked as a crowd are read as one defect each."
Row = dict[str, Any]


def coco(tree: Tree) -> Layout | None:
    """Instances of every JSON file that lists images, annotations and categories; `instances_*.json` where there are.

    The split is in the file's name or that of its folder. Images that are listed without an annotation hold no defect.
    """
    source = sources(tree)
    files = files_with(source, ".json", b'"images"', b'"annotations"', b'"categories"')
    named = [path for path in files if PurePosixPath(path).name.startswith("instances")]
    files = named or files
    if not files:
        return None
    sheets: list[Sheet] = []
    problems: list[Problem] = []
    classes: set[str] = set()
    remarks = Counter[str]()
    for file in files:
        categories, found = _read(source.root / file, file, remarks, problems)
        classes |= set(categories.values())
        sheets += found
    return assemble(tree, "coco", sheets, files, declared=classes, remarks=remarks, problems=problems)


def read_instances(path: Path) -> dict[str, tuple[Instance, ...]]:
    """`file_name` of every image in a COCO file that states its sizes -> its instances.

    Raises:
        InputError: it is no such file, or one of its annotations is broken.
    """
    problems: list[Problem] = []
    _, sheets = _read(path, path.name, Counter(), problems)
    try:
        found = {sheet.names[0]: tuple(sheet.marks(*(sheet.size or (0, 0)))) for sheet in sheets}
    except BadAnnotation as bad:
        raise InputError(f"{path}: {bad}; restore it, or remove it to have the defects found in the masks.") from None
    if problems:
        raise InputError(f"{path}: {problems[0].detail}; restore it, or remove it.")
    return found


def _read(path: Path, file: str, remarks: Counter[str], problems: list[Problem]) -> tuple[dict[Any, str], list[Sheet]]:
    data = required(read_json, path)
    images, annotations, rows = (_rows(path, data, key) for key in ("images", "annotations", "categories"))
    categories = {_id(path, row, "id", "categories"): str(row.get("name", "")).strip() for row in rows}
    _refuse_doubled(path, [row.get("id") for row in images], "images")
    _refuse_doubled(path, [row["id"] for row in rows], "categories")
    by_image: dict[Any, list[Row]] = defaultdict(list)
    for row in annotations:
        by_image[_id(path, row, "image_id", "annotations")].append(row)
        remarks[CROWDS] += row.get("iscrowd") in (1, True)
    split = _split(file)
    sheets = [_sheet(path, file, row, categories, by_image.pop(row.get("id"), []), split) for row in images]
    if by_image:
        lost = sum(map(len, by_image.values()))
        problems.append(Problem(file, "annotation", f"{lost} annotation(s) are of images that it does not list"))
    remarks += Counter()  # without zeros
    return categories, sheets


def _sheet(path: Path, file: str, row: Row, categories: dict[Any, str], marks: list[Row], split: str) -> Sheet:
    _id(path, row, "id", "images")
    name = row.get("file_name")
    if not isinstance(name, str) or not name:
        raise InputError(f"{path}: an entry of 'images' has no file_name (id {row.get('id')!r}); add it.")
    try:
        size = declared_size(row.get("width"), row.get("height"))
    except BadAnnotation as bad:
        return broken(file, (name,), bad)
    tag = row.get("label")  # an export of ours writes it
    tag = tag if isinstance(tag, str) else ""
    return Sheet(file, (name,), _marks(marks, categories), size, split, tag, row.get("synthetic") is True)


def _marks(rows: list[Row], categories: dict[Any, str]) -> Callable[[int, int], Sequence[Instance]]:
    return lambda width, height: [_instance(row, categories, (width, height)) for row in rows]


def _instance(row: Row, categories: dict[Any, str], size: tuple[int, int]) -> Instance:
    try:
        return _shape(row, categories, size)
    except BadAnnotation as bad:
        raise BadAnnotation(f"annotation {row.get('id')!r}: {bad}") from None


def _shape(row: Row, categories: dict[Any, str], size: tuple[int, int]) -> Instance:
    category = row.get("category_id")
    if not isinstance(category, (int, str)) or category not in categories:
        raise BadAnnotation(f"category {category!r} is not listed")
    label, given, outline = categories[category], row.get("bbox"), row.get("segmentation")
    known = _box(given) if given not in (None, []) else None
    if isinstance(outline, dict):
        declared = outline.get("size")
        if declared != [size[1], size[0]]:
            raise BadAnnotation(f"its mask is of size {str(declared)[:40]}, the image's is {[size[1], size[0]]}")
        return run_lengths(label, outline.get("counts"), size, known)
    if outline not in (None, []):
        return polygons(label, _polygons(outline), known)
    if known is None:
        raise BadAnnotation("it has neither a bbox nor a segmentation")
    return box(label, *known)


def _box(values: Any) -> Box:
    if not isinstance(values, list) or len(values) != 4:
        raise BadAnnotation("its bbox is not four numbers")
    left, top, width, height = (number(value) for value in values)
    return left, top, width, height


def _polygons(outlines: Any) -> list[Polygon]:
    if not isinstance(outlines, list) or not all(isinstance(one, list) and len(one) % 2 == 0 for one in outlines):
        raise BadAnnotation("its segmentation is no list of polygons, each x, y, x, y, ...")
    flat = [[number(value) for value in one] for one in outlines]
    return [tuple(zip(one[::2], one[1::2], strict=True)) for one in flat]


def _rows(path: Path, data: Any, key: str) -> list[Row]:
    rows = data.get(key) if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path} has no list of {key!r} as COCO defines it; export it anew.")
    return rows


def _id(path: Path, row: Row, key: str, where: str) -> Any:
    if not isinstance(row.get(key), (int, str)):
        raise InputError(f"{path}: an entry of {where!r} has no {key}; export it anew.")
    return row[key]


def _refuse_doubled(path: Path, ids: Sequence[Any], where: str) -> None:
    """Raise InputError for an id of two rows: which of them an annotation means, cannot be told."""
    doubled = [one for one, count in Counter(one for one in ids if isinstance(one, (int, str))).items() if count > 1]
    if doubled:
        raise InputError(f"{path}: the id {doubled[0]!r} is given twice in {where!r}; export it anew.")


def _split(file: str) -> str:
    """By the first word of the file's name that means a split, else by its folder."""
    words = re.split(r"[^a-z0-9]+", PurePosixPath(file).stem.lower())
    return next((name for word in words if (name := split_name(word))), "") or split_in(file)
