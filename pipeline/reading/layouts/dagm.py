"""DAGM 2007: Class1/Train/0576.PNG with Class1/Train/Label/0576_label.PNG, and Test likewise."""

from pathlib import PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.header import is_picture
from pipeline.reading.layouts.image_mask_folders import CLASS_BY_MASK
from pipeline.reading.layouts.masks import image_stem, stem_of
from pipeline.reading.layouts.tree import SPLIT_NAMES, Entry, Layout, Tree


def dagm(tree: Tree) -> Layout | None:
    """One of its textures. Raises InputError for a folder of several, with those to choose from."""
    if not _is_texture(tree, ""):
        textures = [top for top in tree.below() if _is_texture(tree, top)]
        if not textures:
            return None
        several = f"several DAGM textures ({', '.join(textures)}); give one, such as"
        raise InputError(
            f"{tree.root} holds {several if len(textures) > 1 else 'one DAGM texture; give'} {tree.root / textures[0]}."
        )
    images, masks = {}, {}
    for path in tree.paths:
        place = PurePosixPath(path).parts
        if is_picture(path) and place[0].lower() in SPLIT_NAMES:
            if len(place) == 2:
                images[place[0], stem_of(place[1])] = path
            elif len(place) == 3 and place[1].lower() == "label":
                masks[place[0], image_stem(stem_of(place[2]))] = path
    entries = [
        Entry(path, "", SPLIT_NAMES[key[0].lower()], (masks[key],) if key in masks else ())
        for key, path in images.items()
    ]
    orphans = sorted(masks[key] for key in masks.keys() - images.keys())
    lists = [path for path in tree.paths if PurePosixPath(path).name.lower() == "labels.txt"]
    return Layout(
        "dagm",
        entries,
        [],
        ["DAGM layout: one texture.", CLASS_BY_MASK],
        left_out={
            **dict.fromkeys(orphans, "a mask in Label, but no image has its name"),
            **dict.fromkeys(lists, "masks are found by their names"),
        },
        class_by_mask=True,
    )


def _is_texture(tree: Tree, folder: str) -> bool:
    """Whether Train and Test stand there, with the folder Label and no other in one of them at least."""
    splits = [name for name in tree.below(folder) if name.lower() in ("train", "test")]
    inside = [[name.lower() for name in tree.below(f"{folder}/{split}" if folder else split)] for split in splits]
    return len(splits) == 2 and ["label"] in inside and all(names in ([], ["label"]) for names in inside)
