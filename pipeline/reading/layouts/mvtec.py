"""MVTec AD: train/good, test/CLASS and ground_truth/CLASS."""

from pathlib import PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.layouts.masks import MASK_SUFFIX
from pipeline.reading.layouts.tree import Entry, Layout, Tree
from pipeline.reading.names import check_class_names


def mvtec(tree: Tree) -> Layout | None:
    """One category; a folder of several is refused with those to choose from."""
    if "train/good" in tree.folders and "test" in tree.folders and tree.below("train") == ["good"]:
        return _category(tree)
    categories = [top for top in tree.below() if f"{top}/train/good" in tree.folders]
    if categories:
        choices = ", ".join(categories)
        raise InputError(
            f"{tree.root} holds several MVTec AD categories ({choices}); give one, such as {tree.root / categories[0]}."
        )
    return None


def _category(tree: Tree) -> Layout:
    classes = sorted({"good", *tree.below("test")})
    known = set(tree.paths)

    def mask_of(label: str, name: PurePosixPath) -> tuple[str, ...]:
        choices = (f"ground_truth/{label}/{name.stem}{MASK_SUFFIX}.png", f"ground_truth/{label}/{name.stem}.png")
        return tuple(choice for choice in choices if choice in known)[:1]

    entries = []
    for path in tree.paths:
        parts = PurePosixPath(path).parts
        if len(parts) >= 3 and parts[0] in ("train", "test"):
            entries.append(Entry(path, parts[1], "", mask_of(parts[1], PurePosixPath(path))))
    note = "MVTec AD layout: its train folder holds no defects, so the images were split anew."
    return Layout("mvtec", entries, check_class_names(classes, str(tree.root)), [note])
