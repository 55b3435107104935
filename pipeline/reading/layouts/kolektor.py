"""KolektorSDD: a folder an item, kos01/Part0.jpg with kos01/Part0_label.bmp."""

import re
from dataclasses import replace

from pipeline.reading.layouts.image_mask_folders import CLASS_BY_MASK
from pipeline.reading.layouts.masks import masks_beside, orphan_masks, pair_masks
from pipeline.reading.layouts.tree import Layout, Tree

ITEM = re.compile(r"kos\d+", re.IGNORECASE)


def kolektor(tree: Tree) -> Layout | None:
    """Items are groups: the images of one stay in one split. The masks decide the class."""
    tops = tree.below()
    inside = [path for path in tree.paths if path.count("/") == 1 and ITEM.fullmatch(path.split("/")[0])]
    if not tops or not all(ITEM.fullmatch(top) for top in tops) or not masks_beside(inside):
        return None
    entries = [replace(entry, group=entry.path.split("/")[0]) for entry in pair_masks(inside, lambda path: ("", ""))]
    notes = ["KolektorSDD layout: each folder is one item, whose images stay in one split.", CLASS_BY_MASK]
    return Layout("kolektor", entries, [], notes, left_out=orphan_masks(inside), class_by_mask=True)
