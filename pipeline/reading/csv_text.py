"""CSV as people have it: any encoding that Excel writes, any separator and line end, a header under other names."""

import csv
import io
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import InputError

SEPARATORS = (",", ";", "\t", "|")
COLUMNS: Mapping[str, tuple[str, ...]] = {  # a column's name and what others call it, the likeliest first
    "path": (
        *("path", "filepath", "file_path", "image_path", "img_path", "filename", "file_name", "file", "image"),
        *("image_name", "img", "image_id", "imageid", "name", "id"),
    ),
    "label": (
        *("label", "class", "class_name", "classname", "label_name", "category", "target", "defect_type", "defect"),
        *("type", "labels"),
    ),
    "split": ("split", "subset", "partition", "set"),
    "mask": ("mask", "mask_path", "maskpath", "mask_file", "maskfile"),
    "group": ("group",),
}
BOXES = frozenset({"xmin", "ymin", "xmax", "ymax", "x_min", "y_min", "x_max", "y_max", "bbox", "x1", "y1", "x2", "y2"})
Row = dict[str, str]


def read_rows(path: Path, needed: tuple[str, ...] = ("path", "label")) -> tuple[list[tuple[int, Row]], list[str]]:
    """Every row that is not blank with the number of its line, columns under the names of COLUMNS; and remarks.

    Raises InputError where the file cannot be read as text or lacks a column that is ``needed``.
    """
    text, notes = _text(path)
    first, separator, rest = _dialect(text)
    try:
        reader = csv.reader(io.StringIO(rest, newline=""), delimiter=separator, strict=True)
        written = [name.strip() for name in next(reader, [])]
        header, renamed = _header(written)
        missing = [name for name in needed if name not in header]
        if missing:
            raise InputError(
                f"{path} lacks the column {' and '.join(missing)}; its first line must be "
                f"path,label[,split][,mask][,group], separated by commas{_has(written)}."
            )
        rows = [(number, row) for number, row in enumerate(reader, start=3 if first else 2) if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError(f"{path} is not a well-formed CSV file ({error}); check its quotes.") from error
    if renamed:
        notes.append(f"Columns of {path.name} were read under other names: {', '.join(renamed)}.")
    notes += _unused(path, header)
    return [(number, _named(path, number, row, header)) for number, row in rows], notes


def is_manifest(path: Path) -> bool:
    """Whether the first line of a CSV file names the columns of a manifest, under whichever names."""
    header, _ = _header(header_of(path))
    return {"path", "label"} <= set(header)


def _unused(path: Path, header: list[str]) -> list[str]:
    """What the columns that are not read would say of an image's class or its defects."""
    others = {name for names in (COLUMNS["label"], BOXES) for name in names}
    unused = [name for name in header if name not in COLUMNS and name.casefold().replace(" ", "_") in others]
    return [f"Columns of {path.name} that are not read: {', '.join(unused)}."] if unused else []


def header_of(path: Path) -> list[str]:
    """The names in the first line of a file, as they are written; none where it cannot be read as text."""
    try:
        text = _text(path)[0]
    except InputError:
        return []
    _, separator, rest = _dialect(text)
    return [name.strip().strip('"') for name in (rest.splitlines() or [""])[0].split(separator)]


def _dialect(text: str) -> tuple[bool, str, str]:
    """Whether the first line is Excel's ``sep=``, the separator, and the text from the header on."""
    first, _, rest = text.partition("\n") if text[:4].lower() == "sep=" else ("", "", text)
    return bool(first), (first.strip()[4:5] or "\t") if first else _separator(rest), rest


def _named(path: Path, number: int, row: list[str], header: list[str]) -> Row:
    while len(row) > len(header) and not row[-1].strip():
        row = row[:-1]
    if len(row) != len(header):
        raise InputError(f"{path}: row {number} has {len(row)} fields, not {len(header)}; quote commas.")
    return dict(zip(header, row, strict=True))


def _header(written: list[str]) -> tuple[list[str], list[str]]:
    """The columns under the names that are known, and which were renamed."""
    folded = [name.casefold().replace(" ", "_") for name in written]
    header, renamed = list(written), []
    for column, names in COLUMNS.items():
        found = next((name for name in names if name in folded), None)
        if found is not None:
            place = folded.index(found)
            header[place] = column
            if found != column:
                renamed.append(f"{written[place]!r} as {column}")
    return header, renamed


def _separator(text: str) -> str:
    """The one that splits the header into the most columns whose names are known, or else the most columns."""
    lines = text.splitlines()
    first = lines[0] if lines else ""
    known = {name for names in COLUMNS.values() for name in names}

    def recognised(separator: str) -> tuple[int, int]:
        names = first.split(separator)
        return sum(name.strip(' "').casefold().replace(" ", "_") in known for name in names), len(names)

    return max(SEPARATORS, key=recognised)


def _has(written: list[str]) -> str:
    return f" (it has {', '.join(written[:8])})" if any(written) else ""


def _text(path: Path) -> tuple[str, list[str]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and its permissions.") from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        encoding = (
            "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
        )
        try:
            return data.decode(encoding), [f"{path.name} was read as UTF-16."]
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is damaged UTF-16 text; save it as CSV UTF-8.") from error
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return _korean(path, data)


def _korean(path: Path, data: bytes) -> tuple[str, list[str]]:
    """Text of Korean Windows (cp949), where all that is not ASCII reads as Hangul; anything else is refused.

    Most of it has to be common syllables, those that EUC-KR has in two bytes: Japanese text reads as rare ones.
    """
    try:
        text = data.decode("cp949")
        foreign = [character for character in text if not character.isascii()]
        common = sum(len(character.encode("euc_kr", errors="ignore")) == 2 for character in foreign)
        if all(unicodedata.name(one, "").startswith("HANGUL") for one in foreign) and 2 * common > len(foreign):
            return text, [f"{path.name} was read as Korean text (cp949)."]
    except UnicodeDecodeError:
        pass
    raise InputError(f"{path} is not UTF-8 text (perhaps Latin-1 or another code page); save it as CSV UTF-8.")
