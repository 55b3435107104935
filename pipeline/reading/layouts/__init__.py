"""The layouts of data sets: from files and folders to each image's class, split, masks and instances."""

from collections.abc import Callable

from pipeline.errors import InputError
from pipeline.reading.annotations import FORMATS
from pipeline.reading.layouts.class_folders import class_folders, flat
from pipeline.reading.layouts.mvtec import mvtec
from pipeline.reading.layouts.split_folders import split_folders
from pipeline.reading.layouts.tree import SPLIT_NAMES, Entry, Layout, Tree

__all__ = ["LAYOUTS", "SPLIT_NAMES", "Entry", "Layout", "Tree", "find_layout", "flat"]

# Tried in this order: the first that recognises its structure reads the data set. None: it is not of this layout.
LAYOUTS: dict[str, Callable[[Tree], Layout | None]] = {
    "mvtec": mvtec,
    **FORMATS,
    "split_folders": split_folders,
    "class_folders": class_folders,
}


def find_layout(tree: Tree) -> Layout:
    """The first of LAYOUTS that recognises the data set, or of FORMATS where annotations are kept elsewhere.

    Raises InputError when none does.
    """
    if tree.annotations is not None:
        found = next((layout for read in FORMATS.values() if (layout := read(tree)) is not None), None)
        if found is None:
            raise InputError(f"{tree.annotations.root} holds no annotations as {', '.join(FORMATS)} write them.")
        return found
    return next(layout for read in LAYOUTS.values() if (layout := read(tree)) is not None)
