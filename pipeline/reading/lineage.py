"""`lineage.csv` of an export of ours: gives back what its format cannot hold of an image."""

from dataclasses import replace
from pathlib import Path

from pipeline.errors import InputError
from pipeline.reading.csv_text import header_of, read_rows
from pipeline.reading.layouts import Layout
from pipeline.reading.layouts.mvtec import SPLIT_ANEW
from pipeline.reading.names import check_class_names

NAME = "lineage.csv"
OURS = {"path", "label", "split", "source", "synthetic", "group", "original"}
SYNTHETIC = f"{NAME} says that it is synthetic, which is no image to learn from anew or to test on"


def with_lineage(root: Path, layout: Layout) -> Layout:
    """The layout with the classes, splits and groups of `lineage.csv` in `root`, and without synthetic images.

    The layout itself where no such file is there. Raises InputError where all images are synthetic.
    """
    file = root / NAME
    if layout.name == "csv" or not file.is_file() or not set(header_of(file)) >= OURS:
        return layout
    rows = {row["path"]: row for _, row in read_rows(file)[0]}
    synthetic = {path for path, row in rows.items() if row["source"] == "synthetic"}
    entries = [
        replace(entry, label=row["label"], split=row["split"] or entry.split, group=row["group"] or entry.group)
        if (row := rows.get(entry.path))
        else entry
        for entry in layout.entries
        if entry.path not in synthetic
    ]
    dropped = {entry.path for entry in layout.entries} & synthetic
    if dropped and not entries:
        raise InputError(f"{root} holds synthetic images alone, as {file} says; give real ones, too.")
    given = any(entry.split for entry in entries)
    notes = [note for note in layout.notes if not (given and note.endswith(SPLIT_ANEW))]
    notes.append(f"Classes, splits and groups are those of {NAME}, which `ganaug export` wrote.")
    if dropped:
        notes.append(f"{len(dropped)} synthetic image(s) are left out, as {NAME} says.")
    classes = check_class_names({entry.label for entry in entries}, str(root)) if entries else layout.classes
    left_out = {**layout.left_out, **dict.fromkeys(dropped, SYNTHETIC)}
    annotations = (*layout.annotations, NAME) if NAME not in layout.annotations else layout.annotations
    return replace(layout, entries=entries, classes=classes, notes=notes, annotations=annotations, left_out=left_out)
