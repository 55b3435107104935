"""images/ beside masks/ (img and gt, train_images and train_masks, ...), classes or splits above or below."""

from collections import defaultdict
from pathlib import PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.header import is_picture
from pipeline.reading.layouts.class_lists import mask_names
from pipeline.reading.layouts.folder_names import role_of, split_of
from pipeline.reading.layouts.masks import image_stem, stem_of
from pipeline.reading.layouts.tree import DEFECT, GOOD, SPLIT_NAMES, Entry, Layout, Tree
from pipeline.reading.names import check_class_names, one_form

CLASS_BY_MASK = (
    f"There are no class folders, so masks decide: an image whose mask marks anything is of class {DEFECT!r}, one with "
    f"an empty mask or none of class {GOOD!r}."
)


def image_mask_folders(tree: Tree) -> Layout | None:
    """Masks are pictures in a folder beside the images' under the image's name, with or without an ending such as _gt.

    The folder of masks may also lie among the images themselves. A folder above or below that is neither called so nor
    after a split is the class; without one the mask decides, and images where no folder of masks is are unlabelled.

    Raises:
        InputError: no mask has the name of an image, or some images have a class folder and some have none.
    """
    among, beside = _parents(tree)
    if not among and not beside:
        return None
    images, masks = _parts(tree, among, beside)
    if not images or not masks:
        return None
    paired, orphans = _paired(images, masks)
    if not paired and not beside:
        return None
    if not paired:
        raise InputError(
            f"{tree.root}: no picture in {_folder(masks, tree)} has the name of an image in {_folder(images, tree)}; "
            "give a mask the name of its image."
        )
    names, lists = mask_names(tree)
    entries = [_entry(path, images[path], tuple(paired.get(path, ()))) for path in images]
    labelled = {images[path] for path in paired}
    unlabelled = [one.path for one in entries if not one.label and images[one.path] not in labelled]
    entries = [entry for entry in entries if entry.path not in set(unlabelled)]
    bare = [entry.path for entry in entries if not entry.label]
    if bare and len(bare) < len(entries):
        raise InputError(
            f"{tree.root}: {len(bare)} image(s), such as {bare[0]}, lie in no class folder, and the others do; "
            "move each into one, or all into none."
        )
    notes = [CLASS_BY_MASK] if bare else []
    if unlabelled:
        notes.append(
            f"{len(unlabelled)} image(s), such as {unlabelled[0]!r}, have neither masks nor a class folder: they are "
            "unlabelled and take no part."
        )
    return Layout(
        "image_mask_folders",
        entries,
        check_class_names({entry.label for entry in entries if entry.label}, str(tree.root)),
        notes,
        annotations=lists,
        left_out={
            **dict.fromkeys(orphans, "a mask in a folder of masks, but no image has its name"),
            **dict.fromkeys(unlabelled, "without masks or a class folder: unlabelled"),
        },
        mask_names=names,
        class_by_mask=bool(bare),
    )


Place = tuple[str, ...]  # the folders of a file; of the one that says whether it is an image or a mask only the split


def _parents(tree: Tree) -> tuple[set[str], set[str]]:
    """The folders where masks lie among pictures, and those where a folder of masks lies beside one of images.

    Among pictures: a folder of masks beside the pictures themselves, or train_masks beside train.
    """
    filled = {str(parent) for path in tree.paths if is_picture(path) for parent in PurePosixPath(path).parents}
    own = {str(PurePosixPath(path).parent) for path in tree.paths if is_picture(path)}
    children: dict[str, set[str]] = defaultdict(set)
    for folder in filled - {"."}:
        place = PurePosixPath(folder)
        children[str(place.parent)].add(place.name.casefold())
    masks = {parent: {name for name in names if role_of(name) == "masks"} for parent, names in children.items()}
    masked = {parent for parent, names in masks.items() if names}
    of_splits = {parent for parent in masked if children[parent] & {split_of(name) for name in masks[parent]}}
    beside = {parent for parent in masked if any(role_of(name) == "images" for name in children[parent])}
    return masked & own | of_splits, beside


def _parts(tree: Tree, among: set[str], beside: set[str]) -> tuple[dict[str, Place], dict[str, Place]]:
    """The pictures below folders of images, and those below folders of masks.

    Where masks lie among images, pictures in other folders are images as well, if these may be classes.
    """
    images: dict[str, Place] = {}
    masks: dict[str, Place] = {}
    for path in filter(is_picture, tree.paths):
        folders = PurePosixPath(path).parent.parts
        roles = [k for k, name in enumerate(folders) if role_of(name)]
        here = ("/".join(folders[:k]) or "." for k in roles)
        own = (k for k, parent in zip(roles, here, strict=True) if parent in among | beside)
        depth = next(own, next(iter(roles), None))
        if depth is not None:
            role, split = role_of(folders[depth]), split_of(folders[depth])
            place = (*folders[:depth], *([split] if split else []), *folders[depth + 1 :])
            {"images": images, "masks": masks}.get(role, {})[path] = place
        elif among and (folders or "." in among):
            images[path] = folders
    return images, masks


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
    classes = [name for name in place if name.lower() not in SPLIT_NAMES and not role_of(name)]
    return Entry(path, one_form(classes[-1]) if classes else "", splits[0] if splits else "", masks)


def _folder(paths: dict[str, Place], tree: Tree) -> str:
    return str(tree.root / PurePosixPath(next(iter(paths))).parent)
