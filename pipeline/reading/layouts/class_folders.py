"""One folder a class, or one folder without classes."""

from pathlib import Path, PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.header import SUFFIXES
from pipeline.reading.layouts.masks import pair_masks
from pipeline.reading.layouts.tree import SPLIT_NAMES, Layout, Tree
from pipeline.reading.names import check_class_names


def class_folders(tree: Tree) -> Layout:
    """Every folder is a class, with all that lies below it; what lies beside the folders is left alone.

    Raises:
        InputError: there is no folder, or the class folders are above or below the root.
    """
    _require_right_level(tree)
    root, classes = tree.root, tree.below()
    if not classes:
        raise InputError(f"{root} holds no class folders; make one folder a class and put its images there.")
    inside = [path for path in tree.paths if "/" in path]
    entries = pair_masks(inside, lambda path: (path.split("/")[0], ""))
    loose = len(tree.paths) - len(inside)
    notes = [f"{loose} file(s) outside any class folder were left alone."] if loose else []
    return Layout("class_folders", entries, check_class_names(classes, str(root)), notes)


def flat(tree: Tree) -> Layout:
    """Every image, as one class without a name."""
    return Layout("flat", pair_masks(tree.paths, lambda path: ("", "")), [""])


def _require_right_level(tree: Tree) -> None:
    """Raise InputError, naming the folder to give, when the class folders are above or below the root."""
    root, tops = tree.root, tree.below()
    if not tops and _holds_classes(root.parent):
        raise InputError(f"{root} holds no class folders; if it is one class itself, give {root.parent}.")
    splits = [top for top in tops if top.lower() in SPLIT_NAMES and tree.below(top)]
    if splits and splits == tops:
        raise InputError(
            f"{root} holds {' and '.join(splits)} but no folder train; call the folder of the training images so."
        )
    inside = [top for top in tops if any(SPLIT_NAMES.get(name.lower()) == "train" for name in tree.below(top))]
    if inside:
        raise InputError(
            f"{root} holds no class folders, the splits are inside {', '.join(inside)}; give {root / inside[0]}"
            f"{' or another of them' if len(inside) > 1 else ''}."
        )
    own = {str(PurePosixPath(path).parent) for path in tree.paths}
    if len(tops) == 1 and tops[0] not in own and len(tree.below(tops[0])) > 1:
        raise InputError(f"{root} holds one folder, the class folders are inside it; give {root / tops[0]}.")


def _holds_classes(folder: Path) -> bool:
    """Whether several folders stand there that hold files that are named as images."""
    try:
        places = [place for place in folder.iterdir() if place.is_dir() and not place.name.startswith(".")]
        return sum(any(file.suffix.lower() in SUFFIXES for file in place.iterdir()) for place in places) > 1
    except OSError:
        return False
