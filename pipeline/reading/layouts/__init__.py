"""The layouts of data sets: from files and folders to each image's class, split, masks and instances."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.annotations import FORMATS
from pipeline.reading.csv_text import is_manifest
from pipeline.reading.layouts.class_folders import class_folders, flat, refuse_roles
from pipeline.reading.layouts.dagm import dagm
from pipeline.reading.layouts.image_mask_folders import image_mask_folders
from pipeline.reading.layouts.kolektor import kolektor
from pipeline.reading.layouts.mask_pairs import mask_pairs
from pipeline.reading.layouts.mvtec import mvtec, mvtec_loco
from pipeline.reading.layouts.severstal import severstal
from pipeline.reading.layouts.split_folders import split_folders
from pipeline.reading.layouts.tree import DEFECT, GOOD, SPLIT_NAMES, Entry, Layout, Tree
from pipeline.reading.layouts.visa import visa

__all__ = ["DEFECT", "GOOD", "LAYOUTS", "SPLIT_NAMES", "Entry", "Layout", "Tree", "find_layout", "flat"]

# Tried in this order: the first that recognises its structure reads the data set. None: it is not of this layout.
LAYOUTS: dict[str, Callable[[Tree], Layout | None]] = {
    "mvtec_loco": mvtec_loco,
    "mvtec": mvtec,
    "visa": visa,
    "dagm": dagm,
    "kolektor": kolektor,
    "severstal": severstal,
    **FORMATS,
    "image_mask_folders": image_mask_folders,
    "mask_pairs": mask_pairs,
    "split_folders": split_folders,
    "class_folders": class_folders,
}


def find_layout(tree: Tree, wanted: str = "auto") -> Layout:
    """The layout that is ``wanted``, or the first of LAYOUTS that recognises the data set.

    Where annotations are kept elsewhere, it is one of FORMATS. Raises InputError when none recognises it, or when the
    wanted one does not.
    """
    if wanted != "auto":
        layout = LAYOUTS[wanted](tree)
        if layout is None:
            raise InputError(f"{tree.root} is not of the layout {wanted} (data.layout); give another, or auto.")
        return _told(tree, layout)
    try:
        for name, read in (LAYOUTS if tree.annotations is None else FORMATS).items():
            if name == "class_folders":
                refuse_roles(tree)
            layout = read(tree)
            if layout is not None:
                return _told(tree, layout)
    except InputError as error:
        tables = [path for path in tree.paths if path.lower().endswith(".csv") and is_manifest(tree.root / path)]
        if not tables:
            raise
        raise InputError(f"{error} Or give {tree.root / tables[0]}, which lists images and their classes.") from error
    if tree.annotations is not None:
        raise InputError(f"{tree.annotations.root} holds no annotations as {', '.join(FORMATS)} write them.")
    raise InputError(f"{tree.root} is of no layout that is known; see docs/data.md.")


def _told(tree: Tree, layout: Layout) -> Layout:
    """The layout with a note where folders differ in Unicode's form alone, which makes them one class."""
    forms: dict[str, set[str]] = defaultdict(set)
    for folder in tree.folders:
        name = PurePosixPath(folder).name
        forms[unicodedata.normalize("NFC", name)].add(name)
    merged = sorted(name for name, written in forms.items() if len(written) > 1)
    if not merged:
        return layout
    note = f"Folders whose names differ in Unicode's form alone (NFC, NFD) were read as one: {', '.join(merged)}."
    return replace(layout, notes=[*layout.notes, note])
