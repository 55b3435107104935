"""MVTec AD and MVTec LOCO: train/good, test/CLASS and ground_truth/CLASS."""

from pathlib import PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.layouts.masks import is_picture
from pipeline.reading.layouts.tree import Entry, Layout, Tree
from pipeline.reading.names import check_class_names, one_form

SPLIT_ANEW = "its train folder holds no defects, so the images were split anew."
TRUTH = "ground_truth"


def mvtec(tree: Tree) -> Layout | None:
    """One category; the mask of test/CLASS/STEM.png is ground_truth/CLASS/STEM_mask.png, or STEM.png.

    Raises:
        InputError: a folder of several categories, with those to choose from.
    """
    if not _is_category(tree):
        _refuse_several(tree)
        return None
    by_stem = {str(PurePosixPath(path).with_suffix("")): path for path in tree.paths if path.startswith(f"{TRUTH}/")}

    def masks_of(label: str, stem: str) -> tuple[str, ...]:
        choices = (f"{TRUTH}/{label}/{stem}_mask", f"{TRUTH}/{label}/{stem}")
        return tuple(by_stem[choice] for choice in choices if choice in by_stem)[:1]

    entries = [
        Entry(path, one_form(parts[1]), "", masks_of(parts[1], PurePosixPath(path).stem))
        for path, parts in _pictures(tree)
    ]
    return _layout("mvtec", "MVTec AD", tree, entries)


def mvtec_loco(tree: Tree) -> Layout | None:
    """One category; the masks of test/CLASS/STEM.png are ground_truth/CLASS/STEM/000.png, 001.png, ..."""
    if not _is_category(tree) or not any(tree.below(f"{TRUTH}/{name}") for name in tree.below(TRUTH)):
        return None
    masks: dict[str, list[str]] = {}
    for path in tree.paths:
        parts = PurePosixPath(path).parts
        if parts[0] == TRUTH and len(parts) == 4 and is_picture(path):
            masks.setdefault(f"{parts[1]}/{parts[2]}", []).append(path)
    entries = [
        Entry(path, one_form(parts[1]), "", tuple(masks.get(f"{parts[1]}/{PurePosixPath(path).stem}", ())))
        for path, parts in _pictures(tree)
    ]
    return _layout("mvtec_loco", "MVTec LOCO", tree, entries)


def _is_category(tree: Tree) -> bool:
    return tree.below("train") == ["good"] and "test" in tree.folders


def _refuse_several(tree: Tree) -> None:
    categories = [top for top in tree.below() if f"{top}/train/good" in tree.folders]
    categories = [top for top in categories if tree.below(f"{top}/train") == ["good"]]
    if categories:
        raise InputError(
            f"{tree.root} holds several MVTec AD categories ({', '.join(categories)}); give one, such as "
            f"{tree.root / categories[0]}."
            if len(categories) > 1
            else f"{tree.root} holds one MVTec AD category; give {tree.root / categories[0]}."
        )


def _pictures(tree: Tree) -> list[tuple[str, tuple[str, ...]]]:
    split = [(path, PurePosixPath(path).parts) for path in tree.paths]
    return [(path, parts) for path, parts in split if len(parts) >= 3 and parts[0] in ("train", "validation", "test")]


def _layout(name: str, title: str, tree: Tree, entries: list[Entry]) -> Layout:
    classes = {one_form(label) for label in ("good", *tree.below("test"))}
    used = {mask for entry in entries for mask in entry.masks}
    orphans = [path for path in tree.paths if path.startswith(f"{TRUTH}/") and is_picture(path) and path not in used]
    return Layout(
        name,
        entries,
        check_class_names(classes, str(tree.root)),
        [f"{title} layout: {SPLIT_ANEW}"],
        left_out=dict.fromkeys(orphans, "a mask in ground_truth, but no image has its name"),
    )
