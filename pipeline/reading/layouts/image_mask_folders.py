"""images/ beside masks/ (img and gt, JPEGImages and SegmentationClass, ...), classes or splits above or below."""

from collections import defaultdict
from pathlib import PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.layouts.class_lists import mask_names
from pipeline.reading.layouts.folder_names import IMAGE_FOLDERS, MASK_FOLDERS, role_of
from pipeline.reading.layouts.masks import image_stem, is_picture, stem_of
from pipeline.reading.layouts.tree import DEFECT, GOOD, SPLIT_NAMES, Entry, Layout, Tree
from pipeline.reading.names import check_class_names, one_form

CLASS_BY_MASK = (
    f"There are no class folders, so masks decide: an image whose mask marks anything is of class {DEFECT!r}, one with "
    f"an empty mask or none of class {GOOD!r}."
)


def image_mask_folders(tree: Tree) -> Layout | None:
    """Masks are pictures in a folder beside the images' under the image's name, with or without an ending such as _gt.

    The folder directly in images/ that is no split, or the one above it, is the class; without either the mask decides.

    Raises:
        InputError: no mask has the name of an image, or some images have a class folder and some have none.
    """
    images, masks = _parts(tree)
    if not images or not masks:
        return None
    paired, orphans = _paired(images, masks)
    if not paired:
        raise InputError(
            f"{tree.root}: no picture in {_folders(masks, tree)} has the name of an image in {_folders(images, tree)}; "
            "give a mask the name of its image."
        )
    names, lists = mask_names(tree)
    entries = [_entry(path, images[path], tuple(paired.get(path, ()))) for path in images]
    bare = [entry.path for entry in entries if not entry.label]
    if bare and len(bare) < len(entries):
        raise InputError(
            f"{tree.root}: {len(bare)} image(s), such as {bare[0]}, lie in no class folder, and the others do; "
            "move each into one, or all into none."
        )
    classes = {entry.label for entry in entries} if not bare else ()
    return Layout(
        "image_mask_folders",
        entries,
        check_class_names(classes, str(tree.root)),
        [CLASS_BY_MASK] if bare else [],
        annotations=lists,
        left_out=dict.fromkeys(orphans, "a mask in a folder of masks, but no image has its name"),
        mask_names=names,
        class_by_mask=bool(bare),
    )


Place = tuple[str, ...]  # the folders of a file without the one that says whether it is an image or a mask


def _parts(tree: Tree) -> tuple[dict[str, Place], dict[str, Place]]:
    """The pictures below folders of images that have a folder of masks beside them, and those below these."""
    beside: dict[str, set[str]] = defaultdict(set)
    for folder in tree.folders:
        place = PurePosixPath(folder)
        beside[str(place.parent)].add(place.name.casefold())
    parents = {parent for parent, names in beside.items() if names & IMAGE_FOLDERS and names & MASK_FOLDERS}
    images: dict[str, Place] = {}
    masks: dict[str, Place] = {}
    for path in tree.paths:
        folders = PurePosixPath(path).parent.parts
        depth = next((k for k in range(len(folders)) if _joined(folders[:k]) in parents), None)
        if depth is None or not is_picture(path):
            continue
        role = role_of(folders[depth])
        if role:
            {"images": images, "masks": masks}.get(role, {})[path] = (*folders[:depth], *folders[depth + 1 :])
    return images, masks


def _joined(parts: tuple[str, ...]) -> str:
    return "/".join(parts) or "."


def _paired(images: dict[str, Place], masks: dict[str, Place]) -> tuple[dict[str, list[str]], list[str]]:
    """Image -> its masks, which lie in the same sub-folders, or else anywhere if only one image has that name."""
    there: dict[tuple[Place, str], list[str]] = defaultdict(list)
    anywhere: dict[str, list[str]] = defaultdict(list)
    for path, place in images.items():
        there[place, _stem(path)].append(path)
        anywhere[_stem(path)].append(path)
    paired: dict[str, list[str]] = defaultdict(list)
    orphans = []
    for path, place in masks.items():
        stems = (_stem(path), image_stem(_stem(path)))
        found = next((there[place, stem] for stem in stems if (place, stem) in there), [])
        if not found:
            found = next((anywhere[stem] for stem in stems if len(anywhere.get(stem, ())) == 1), [])
        for image in found:
            paired[image].append(path)
        if not found:
            orphans.append(path)
    return paired, orphans


def _stem(path: str) -> str:
    return stem_of(PurePosixPath(path).name)


def _entry(path: str, place: Place, masks: tuple[str, ...]) -> Entry:
    splits = [SPLIT_NAMES[name.lower()] for name in place if name.lower() in SPLIT_NAMES]
    classes = [name for name in place if name.lower() not in SPLIT_NAMES]
    return Entry(path, one_form(classes[-1]) if classes else "", splits[0] if splits else "", masks)


def _folders(paths: dict[str, Place], tree: Tree) -> str:
    return str(tree.root / PurePosixPath(next(iter(paths))).parent)
