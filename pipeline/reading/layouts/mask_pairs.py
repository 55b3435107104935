"""Images and masks side by side, without class folders: 001.png and 001_GT.png, as in KolektorSDD2."""

from pipeline.errors import InputError
from pipeline.reading.header import is_picture
from pipeline.reading.layouts.class_lists import mask_names
from pipeline.reading.layouts.image_mask_folders import CLASS_BY_MASK
from pipeline.reading.layouts.masks import masks_beside, orphan_masks, pair_masks
from pipeline.reading.layouts.tree import SPLIT_NAMES, Layout, Tree


def mask_pairs(tree: Tree) -> Layout | None:
    """All images lie in the root, or all in split folders, and at least half of them have a mask beside them."""
    tops = tree.below()
    splits = [top for top in tops if top.lower() in SPLIT_NAMES]
    if tops != splits or any(tree.below(top) for top in tops):
        return None
    pictures = [path for path in tree.paths if is_picture(path) and path.count("/") == (1 if splits else 0)]
    masks = masks_beside(pictures)
    entries = pair_masks(pictures, lambda path: ("", SPLIT_NAMES.get(path.split("/")[0].lower(), "")))
    if not entries or len(masks) < len(entries) / 2:
        return None
    if splits and not any(entry.split == "train" for entry in entries):
        raise InputError(
            f"{tree.root} holds {' and '.join(splits)} but no folder train; call the folder of the training images so."
        )
    names, lists = mask_names(tree)
    return Layout(
        "mask_pairs",
        entries,
        [],
        [CLASS_BY_MASK],
        annotations=lists,
        left_out=orphan_masks(pictures),
        mask_names=names,
        class_by_mask=True,
    )
