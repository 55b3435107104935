"""MVTec AD and MVTec LOCO: train/good, test/CLASS and ground_truth/CLASS, in any case; BTAD's train/ok as well."""

from pathlib import PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.header import is_picture
from pipeline.reading.layouts.masks import stem_of
from pipeline.reading.layouts.tree import Entry, Layout, Tree
from pipeline.reading.names import check_class_names, is_good, one_form

SPLIT_ANEW = "its train folder holds no defects, so the images were split anew."
TRUTH = "ground_truth"
SPLITS = ("train", "validation", "test")


def mvtec(tree: Tree) -> Layout | None:
    """One category; the mask of test/CLASS/STEM.png is ground_truth/CLASS/STEM_mask.png, or STEM.png.

    Raises:
        InputError: a folder of several categories, with those to choose from.
    """
    if not _is_category(tree):
        _refuse_several(tree)
        return None
    by_stem = {stem_of(path): path for path in _masks(tree)}

    def masks_of(label: str, stem: str) -> tuple[str, ...]:
        own = one_form(f"{TRUTH}/{label}/{stem}").casefold()
        return tuple(by_stem[choice] for choice in (f"{own}_mask", own) if choice in by_stem)[:1]

    entries = [
        Entry(path, one_form(parts[1]), "", masks_of(parts[1], PurePosixPath(path).stem))
        for path, parts in _pictures(tree)
    ]
    return _layout("mvtec", "MVTec AD", tree, entries)


def mvtec_loco(tree: Tree) -> Layout | None:
    """One category; the masks of test/CLASS/STEM.png are ground_truth/CLASS/STEM/000.png, 001.png, ..."""
    if not _is_category(tree):
        return None
    masks: dict[str, list[str]] = {}
    for path in _masks(tree):
        if path.count("/") == 3:
            masks.setdefault(_inside(PurePosixPath(path).parent), []).append(path)
    if not masks:
        return None
    entries = [
        Entry(path, one_form(parts[1]), "", tuple(masks.get(_inside(PurePosixPath(path).with_suffix("")), ())))
        for path, parts in _pictures(tree)
    ]
    return _layout("mvtec_loco", "MVTec LOCO", tree, entries)


def _is_category(tree: Tree, folder: str = "") -> bool:
    """Whether test stands there beside train, whose only folder is called as good parts are."""
    tops = {name.lower(): f"{folder}/{name}" if folder else name for name in tree.below(folder)}
    inside = tree.below(tops["train"]) if "train" in tops else []
    return "test" in tops and len(inside) == 1 and is_good(inside[0])


def _refuse_several(tree: Tree) -> None:
    categories = [top for top in tree.below() if _is_category(tree, top)]
    if categories:
        raise InputError(
            f"{tree.root} holds several MVTec AD categories ({', '.join(categories)}); give one, such as "
            f"{tree.root / categories[0]}."
            if len(categories) > 1
            else f"{tree.root} holds one MVTec AD category; give {tree.root / categories[0]}."
        )


def _pictures(tree: Tree) -> list[tuple[str, tuple[str, ...]]]:
    split = [(path, PurePosixPath(path).parts) for path in tree.paths]
    return [(path, parts) for path, parts in split if len(parts) >= 3 and parts[0].lower() in SPLITS]


def _masks(tree: Tree) -> list[str]:
    return [path for path in tree.paths if path.lower().startswith(f"{TRUTH}/") and is_picture(path)]


def _inside(path: PurePosixPath) -> str:
    """The path below its first folder, in one case and one Unicode form."""
    return one_form("/".join(path.parts[1:])).casefold()


def _layout(name: str, title: str, tree: Tree, entries: list[Entry]) -> Layout:
    tops = [top for top in tree.below() if top.lower() in SPLITS]
    used = {mask for entry in entries for mask in entry.masks}
    return Layout(
        name,
        entries,
        check_class_names({one_form(label) for top in tops for label in tree.below(top)}, str(tree.root)),
        [f"{title} layout: {SPLIT_ANEW}"],
        left_out={
            path: "a mask in ground_truth, but no image has its name" for path in _masks(tree) if path not in used
        },
    )
