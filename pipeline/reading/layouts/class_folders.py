"""One folder a class, or one folder without classes."""

from collections import Counter
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.header import is_picture
from pipeline.reading.layouts.folder_names import role_of
from pipeline.reading.layouts.masks import orphan_masks, pair_masks
from pipeline.reading.layouts.tree import Layout, Tree
from pipeline.reading.names import check_class_names, one_form

MANY_CLASSES = 20  # folders, from which they are hardly classes
FEW_IMAGES = 8  # if most of them hold no more than this


def class_folders(tree: Tree) -> Layout:
    """Every folder is a class, with all that lies below it; what lies beside the folders is left alone.

    Raises:
        InputError: there is no folder, or the class folders are above or below the root.
    """
    _require_right_level(tree)
    root, classes = tree.root, {one_form(name) for name in tree.below()}
    if not classes:
        raise InputError(f"{root} holds no class folders; make one folder a class and put its images there.")
    inside = [path for path in tree.paths if "/" in path]
    entries = pair_masks(inside, lambda path: (one_form(path.split("/")[0]), ""))
    loose = [path for path in tree.paths if "/" not in path]
    notes = [f"{len(loose)} file(s) outside any class folder were left alone."] if loose else []
    roles = [name for name in tree.below() if role_of(name)]
    if roles:
        notes.append(f"Read as classes in spite of their names: {', '.join(roles)}.")
    notes += _hardly_classes(Counter(entry.label for entry in entries if is_picture(entry.path)))
    left_out = {**orphan_masks(inside), **{path: "outside any class folder" for path in loose if is_picture(path)}}
    return Layout("class_folders", entries, check_class_names(classes, str(root)), notes, left_out=left_out)


def refuse_roles(tree: Tree) -> None:
    """Raise InputError where folders are called after what they hold (images, masks, ...), which no classes are.

    One that is called as masks are, among others that are not, may be a class: of solder masks, for instance.
    """
    tops = tree.below()
    roles = [name for name in tops if role_of(name)]
    if roles and (roles == tops or any(role_of(name) != "masks" for name in roles)):
        raise InputError(
            f"{tree.root}: {', '.join(roles)} {'is the name' if len(roles) == 1 else 'are names'} of a data set's "
            "parts, not of classes, and no layout was recognised; put each class's images in a folder of its own, or "
            "give data.layout=class_folders if they are classes."
        )


def flat(tree: Tree) -> Layout:
    """Every image, as one class without a name."""
    entries = pair_masks(tree.paths, lambda path: ("", ""))
    return Layout("flat", entries, [""], left_out=orphan_masks(tree.paths))


def _require_right_level(tree: Tree) -> None:
    """Raise InputError, naming the folder to give, when the class folders are above or below the root."""
    root, tops = tree.root, tree.below()
    if not tops and _holds_classes(root.parent):
        raise InputError(f"{root} holds no class folders; if it is one class itself, give {root.parent}.")
    filled = {str(PurePosixPath(path).parent) for path in tree.paths if is_picture(path)}
    folder, inside = "", tops
    while len(inside) == 1 and folder not in filled:
        folder = f"{folder}/{inside[0]}".lstrip("/")
        inside = tree.below(folder)
    if folder and folder not in filled and len(inside) > 1:
        raise InputError(f"{root} holds one folder, the class folders are inside it; give {root / folder}.")


def _hardly_classes(images: Counter[str]) -> list[str]:
    few = sum(count <= FEW_IMAGES for count in images.values())
    if len(images) < MANY_CLASSES or few < len(images) / 2:
        return []
    few_images = f"{len(images)} folders, {few} of them with {FEW_IMAGES} images at most, are hardly classes"
    mend = "put the images into class folders and name it by data.group_pattern"
    return [f"{few_images}. If a folder is a part, lot or item, {mend}."]


def _holds_classes(folder: Path) -> bool:
    """Whether several folders stand there that hold files that are named as images."""
    try:
        places = [place for place in folder.iterdir() if place.is_dir() and not place.name.startswith(".")]
        return sum(any(is_picture(file.name) for file in place.iterdir()) for place in places) > 1
    except OSError:
        return False
