"""train, val and test, with class folders in each."""

from pathlib import PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.header import is_picture
from pipeline.reading.layouts.masks import orphan_masks, pair_masks
from pipeline.reading.layouts.tree import SPLIT_NAMES, Layout, Tree
from pipeline.reading.names import check_class_names, one_form


def split_folders(tree: Tree) -> Layout | None:
    """Split folders are known by their names (SPLIT_NAMES); one of them holds the training images.

    Images directly in a split folder have no class: they are left out.

    Raises:
        InputError: two folders mean one split, there is no folder of training images, the splits are further down, or
            no class folder.
    """
    root, tops = tree.root, tree.below()
    named = {top: SPLIT_NAMES[top.lower()] for top in tops if top.lower() in SPLIT_NAMES}
    if "train" not in named.values():
        _refuse_without_train(tree, named)
        return None
    doubled = [top for top in named if list(named.values()).count(named[top]) > 1]
    if doubled:
        raise InputError(
            f"{root} holds {' and '.join(doubled)}, which mean the same split; merge them into one folder."
        )
    classes = {one_form(name) for top in named for name in tree.below(top)}
    if not classes:
        raise InputError(
            f"{root / next(iter(named))} holds no class folders; put each class's images in one of its own."
        )
    inside = [path for path in tree.paths if path.count("/") >= 2 and path.split("/")[0] in named]
    entries = pair_masks(inside, lambda path: (one_form(path.split("/")[1]), named[path.split("/")[0]]))
    others = [top for top in tops if top not in named]
    notes = [f"Left alone beside the split folders: {', '.join(others)}."] if others else []
    left_out = orphan_masks(inside)
    for top in named:
        bare = [path for path in tree.paths if str(PurePosixPath(path).parent) == top and is_picture(path)]
        if bare:
            left_out |= dict.fromkeys(bare, f"in {top}/ without a class folder: unlabelled")
            notes.append(
                f"{len(bare)} image(s) directly in {top}/, such as {bare[0]!r}, lie in no class folder: they are "
                "unlabelled and take no part."
            )
    return Layout("split_folders", entries, check_class_names(classes, str(root)), notes, left_out=left_out)


def _refuse_without_train(tree: Tree, named: dict[str, str]) -> None:
    """Raise InputError, naming the folder to give or to rename, where there are splits but none for training here."""
    root = tree.root
    splits = [top for top in named if tree.below(top)]
    if splits and splits == tree.below():
        raise InputError(
            f"{root} holds {' and '.join(splits)} but no folder train; call the folder of the training images so."
        )
    inside = sorted(
        {
            str(PurePosixPath(name).parent)
            for name in tree.folders
            if "/" in name and SPLIT_NAMES.get(PurePosixPath(name).name.lower()) == "train"
        }
    )
    if inside and not named:
        raise InputError(
            f"{root} holds no class folders, the splits are inside {', '.join(inside)}; give {root / inside[0]}"
            f"{' or another of them' if len(inside) > 1 else ''}."
        )
