"""train, val and test, with class folders in each."""

from pipeline.errors import InputError
from pipeline.reading.layouts.masks import pair_masks
from pipeline.reading.layouts.tree import SPLIT_NAMES, Layout, Tree
from pipeline.reading.names import check_class_names


def split_folders(tree: Tree) -> Layout | None:
    """Split folders are known by their names (SPLIT_NAMES); one of them holds the training images."""
    root, tops = tree.root, tree.below()
    if not any(SPLIT_NAMES.get(top.lower()) == "train" for top in tops):
        return None
    named = {top: SPLIT_NAMES[top.lower()] for top in tops if top.lower() in SPLIT_NAMES}
    doubled = [top for top in named if list(named.values()).count(named[top]) > 1]
    if doubled:
        raise InputError(
            f"{root} holds {' and '.join(doubled)}, which mean the same split; merge them into one folder."
        )
    classes = {name for top in named for name in tree.below(top)}
    if not classes:
        raise InputError(
            f"{root / next(iter(named))} holds no class folders; put each class's images in one of its own."
        )
    inside = [path for path in tree.paths if path.count("/") >= 2 and path.split("/")[0] in named]
    entries = pair_masks(inside, lambda path: (path.split("/")[1], named[path.split("/")[0]]))
    others = [top for top in tops if top not in named]
    notes = [f"Left alone beside the split folders: {', '.join(others)}."] if others else []
    return Layout("split_folders", entries, check_class_names(classes, str(root)), notes)
