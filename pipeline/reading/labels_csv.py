"""A CSV manifest as a data set: ``path,label[,split][,mask][,group]``, paths relative to the file's own folder.

``group`` says what belongs together (a part, board, lot or shot): images of one group stay in one split, and no
near-duplicates are looked for.
"""

from dataclasses import replace
from pathlib import Path

from pipeline.errors import InputError
from pipeline.reading.annotations.coco import read_instances
from pipeline.reading.coco_file import NAME
from pipeline.reading.csv_text import Row, read_rows
from pipeline.reading.layouts import SPLIT_NAMES, Entry, Layout
from pipeline.reading.listed_paths import ListedPaths
from pipeline.reading.names import check_class_name, check_class_names, one_form

__all__ = ["read_rows", "read_table"]


def read_table(path: Path, *, source: str = "real") -> Layout:
    """Read and check every row before any image is touched.

    Of a manifest that a run wrote, rows of the other ``source``, real or synthetic, are left out with a note. Rows of
    one image that agree in all but the mask are one. Raises InputError naming the row: missing columns, empty paths,
    two rows of one image that disagree, paths that leave the folder, bad labels, unknown splits, or a split given for
    some rows only.
    """
    rows, notes = read_rows(path)
    if rows and "spot" in rows[0][1]:
        raise InputError(f"{path}: the column spot is called group now; rename it in the first line.")
    other = "synthetic" if source == "real" else "real"
    chosen = [(line, row) for line, row in rows if row.get("source", "") != other]
    paths = ListedPaths(path.parent.resolve())
    entries: dict[str, tuple[int, Entry]] = {}
    for line, row in chosen:
        entry = _entry(path, line, row, paths)
        first = entries.get(entry.path)
        entries[entry.path] = (line, entry) if first is None else (first[0], _merged(path, first, line, entry))
    if not entries:
        which = f"{source} images" if rows else "images"
        raise InputError(f"{path} lists no {which}; give one row an image under the header path,label.")
    found = [entry for _, entry in entries.values()]
    if len({bool(entry.split) for entry in found}) > 1:
        raise InputError(f"{path}: some rows name a split and some do not; name one for every row or for none.")
    if len(found) < len(chosen):
        notes.append(f"{len(chosen) - len(found)} row(s) list an image again and say the same.")
    left_out = {row["path"]: f"a {other} image" for line, row in rows if row.get("source", "") == other}
    if left_out:
        notes.append(f"{len(rows) - len(chosen)} {other} row(s) were left out: only {source} images are read.")
    beside = path.with_name(NAME)
    annotations: tuple[str, ...] = (path.name,)
    if rows and "sha256" in rows[0][1] and beside.is_file():  # a run wrote both
        marked = read_instances(beside)
        found = [replace(entry, instances=marked.get(entry.path)) for entry in found]
        annotations = (path.name, NAME)
    return Layout(
        "csv",
        found,
        check_class_names({entry.label for entry in found}, str(path)),
        [*notes, *paths.notes()],
        annotations=annotations,
        left_out=left_out,
    )


def _merged(path: Path, first: tuple[int, Entry], line: int, again: Entry) -> Entry:
    """The entry of two rows of one image, with the masks of both. Raises InputError where they disagree."""
    entry = first[1]
    if replace(again, masks=()) != replace(entry, masks=()):
        raise InputError(f"{path}: rows {first[0]} and {line} both list {entry.path!r}; keep one.")
    return replace(entry, masks=tuple(dict.fromkeys([*entry.masks, *again.masks])))


def _entry(path: Path, line: int, row: Row, paths: ListedPaths) -> Entry:
    where = f"{path}, row {line}"
    split = row.get("split", "").strip()
    if split and split.lower() not in SPLIT_NAMES:
        raise InputError(f"{where}: split {split!r} is unknown; use train, val or test.")
    label = check_class_name(one_form(row["label"].strip(" \t")), where)
    mask = row.get("mask", "")
    return Entry(
        paths.find(where, row["path"]),
        label,
        SPLIT_NAMES.get(split.lower(), ""),
        (paths.find(where, mask),) if mask.strip() else (),
        row.get("group", "").strip(),
    )
