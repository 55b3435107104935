"""Descriptions that the user wrote: a CSV file `path,description`, paths as in the data set."""

import csv
import difflib
import io
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError


def read_descriptions(file: Path) -> dict[str, str]:
    """Image path -> description, without the rows whose description is empty.

    Raises:
        InputError: the file cannot be read, lacks a column, or names an image twice; says which row.
    """
    try:
        reader = csv.reader(io.StringIO(file.read_bytes().decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        rows = [(line, row) for line, row in enumerate(reader, start=2) if row]
    except UnicodeDecodeError:
        raise InputError(f"data.descriptions: {file} is not UTF-8 text; save it as CSV UTF-8.") from None
    except OSError as error:
        raise InputError(f"data.descriptions: {file} cannot be read ({error.strerror}); check the path.") from None
    except csv.Error as error:
        raise InputError(f"data.descriptions: {file} is not a well-formed CSV file ({error}).") from None
    missing = [name for name in ("path", "description") if name not in header]
    if missing:
        raise InputError(
            f"data.descriptions: {file} lacks the column {' and '.join(missing)}; "
            "its first line must be path,description."
        )
    found: dict[str, str] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(
                f"data.descriptions: {file}, row {line} has {len(row)} fields, not {len(header)}; quote commas."
            )
        path = str(PurePosixPath(row[header.index("path")].strip()))
        if path in found:
            raise InputError(f"data.descriptions: {file}, row {line} lists {path!r} once more; keep one.")
        found[path] = " ".join(row[header.index("description")].split())
    return {path: description for path, description in found.items() if description}


def check_paths(described: Iterable[str], known: Iterable[str], file: Path) -> None:
    """Raise InputError if an image is described that the data set does not have."""
    have = set(known)
    unknown = [path for path in described if path not in have]
    if unknown:
        near = difflib.get_close_matches(unknown[0], sorted(have), 1)
        hint = f"; did you mean {near[0]!r}" if near else ""
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise InputError(
            f"data.descriptions: {file} describes {unknown[0]!r}{more}, which the data set does not have{hint}? "
            "Paths are relative to the data set's folder."
        )
