"""A CSV manifest as a data set: ``path,label[,split][,mask][,group]``, paths relative to the file's own folder.

``group`` says what belongs together (a part, board, lot or shot): images of one group stay in one split, and no
near-duplicates are looked for.
"""

import csv
import io
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.layouts import SPLIT_NAMES, Entry, Layout
from pipeline.reading.names import check_class_name, check_class_names


def read_table(path: Path, *, source: str = "real") -> Layout:
    """Read and check every row before any image is touched.

    Of a manifest that a run wrote, rows of the other ``source``, real or synthetic, are left out with a note. Raises
    InputError naming the row: missing columns, empty or repeated paths, paths that leave the folder, bad labels,
    unknown splits, or a split given for some rows only.
    """
    rows = read_rows(path)
    other = "synthetic" if source == "real" else "real"
    chosen = [(line, row) for line, row in rows if row.get("source", "") != other]
    entries = [_entry(path, line, row) for line, row in chosen]
    if not entries:
        which = f"{source} images" if rows else "images"
        raise InputError(f"{path} lists no {which}; give one row an image under the header path,label.")
    first: dict[str, int] = {}
    for (line, _), entry in zip(chosen, entries, strict=True):
        if entry.path in first:
            raise InputError(f"{path}: rows {first[entry.path]} and {line} both list {entry.path!r}; keep one.")
        first[entry.path] = line
    if len({bool(entry.split) for entry in entries}) > 1:
        raise InputError(f"{path}: some rows name a split and some do not; name one for every row or for none.")
    dropped = len(rows) - len(chosen)
    notes = [f"{dropped} {other} row(s) were left out: only {source} images are read."] if dropped else []
    return Layout("csv", entries, check_class_names({entry.label for entry in entries}, str(path)), notes)


def read_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Every row with the number of its line; InputError where the file cannot be read or lacks path or label."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in ("path", "label") if name not in header]
        if missing:
            raise InputError(
                f"{path} lacks the column {' and '.join(missing)}; its first line must be "
                "path,label[,split][,mask][,group], separated by commas."
            )
        if "spot" in header:
            raise InputError(f"{path}: the column spot is called group now; rename it in the first line.")
        rows = []
        for number, row in enumerate(reader, start=2):
            if row and len(row) != len(header):
                raise InputError(f"{path}: row {number} has {len(row)} fields, not {len(header)}; quote commas.")
            if row:
                rows.append((number, dict(zip(header, row, strict=True))))
        return rows
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as CSV UTF-8.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and its permissions.") from error
    except csv.Error as error:
        raise InputError(f"{path} is not a well-formed CSV file ({error}); check its quotes.") from error


def _entry(path: Path, line: int, row: dict[str, str]) -> Entry:
    where = f"{path}, row {line}"
    split = row.get("split", "").strip()
    if split and split.lower() not in SPLIT_NAMES:
        raise InputError(f"{where}: split {split!r} is unknown; use train, val or test.")
    image, mask = row["path"], row.get("mask", "")
    return Entry(
        _inside(where, image),
        check_class_name(row["label"], where),
        SPLIT_NAMES.get(split.lower(), ""),
        (_inside(where, mask),) if mask else (),
        row.get("group", "").strip(),
    )


def _inside(where: str, name: str) -> str:
    """``name`` in its plain form; rows must not reach outside the manifest's folder."""
    pure = PurePosixPath(name)
    if not name or "\0" in name or pure.is_absolute() or ".." in pure.parts or name[1:3] == ":\\":
        raise InputError(
            f"{where}: the path {name!r} is empty or leaves the folder of the CSV file; use one inside it."
        )
    return str(pure)
