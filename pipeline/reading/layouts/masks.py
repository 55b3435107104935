"""Which files are masks of which images, by their names."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from pipeline.reading.header import is_picture
from pipeline.reading.layouts.tree import Entry
from pipeline.reading.names import one_form

MASK_SUFFIX = "_mask"
MASK_NAME = re.compile(
    r"(?P<image>.+?)[ _.-](?P<word>masks?|labels?|gt|ground_?truth|seg|segmentation|annotation)(?:[ _.-]?\d+)?",
    re.IGNORECASE,
)
ORPHAN = "a mask by its name, but its image is not there"


def pair_masks(paths: Sequence[str], describe: Callable[[str], tuple[str, str]]) -> list[Entry]:
    """Every image with its masks, which stand beside it under other names (`masks_beside`).

    ``describe`` says of an image's path its class and its split.
    """
    masks = masks_beside(paths)
    used = {mask for found in masks.values() for mask in found} | set(_orphans(paths, masks))
    return [Entry(path, *describe(path), masks.get(path, ())) for path in paths if path not in used]


def masks_beside(paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Image -> its masks in the same folder.

    A mask is ``STEM_mask``, ``STEM-label``, ``STEM_GT_1`` and the like of a picture ``STEM``, in any format and case,
    or the only ``STEM.png`` beside ``STEM.jpg`` (or another format), in the same case.
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    folded: dict[str, list[str]] = defaultdict(list)
    for path in filter(is_picture, paths):
        by_stem[_stem(path)].append(path)
        folded[stem_of(path)].append(path)
    masks: dict[str, list[str]] = defaultdict(list)
    for stem, same in by_stem.items():
        image = image_stem(stem)
        if image != stem:
            for found in by_stem.get(image) or folded.get(one_form(image).casefold(), []):
                masks[found] += same
    named = {mask for found in masks.values() for mask in found}
    for same in by_stem.values():
        pngs = [path for path in same if path.lower().endswith(".png")]
        if len(pngs) == 1 and len(same) > 1 and not named & set(same) and not masks.keys() & set(same):
            masks |= {image: pngs for image in same if image not in pngs}
    hidden = {mask for found in masks.values() for mask in found}  # no mask has masks of its own
    return {image: tuple(sorted(found)) for image, found in masks.items() if image not in hidden}


def orphan_masks(paths: Sequence[str]) -> dict[str, str]:
    """Files named as masks without an image, with the reason, where others of that ending are masks of images."""
    return _orphans(paths, masks_beside(paths))


def _orphans(paths: Sequence[str], masks: Mapping[str, Sequence[str]]) -> dict[str, str]:
    used = {mask for found in masks.values() for mask in found}
    words = {word_of(path) for path in used} - {""}
    return {
        path: ORPHAN
        for path in paths
        if is_picture(path) and path not in used and path not in masks and word_of(path) in words
    }


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def stem_of(path: str) -> str:
    """The path without its ending, in one case and one Unicode form."""
    return one_form(_stem(path)).casefold()


def image_stem(stem: str) -> str:
    """The stem of the image that a mask of this stem belongs to; the same where the name says nothing of masks."""
    folder, _, name = stem.rpartition("/")
    match = MASK_NAME.fullmatch(name)
    return stem if match is None else f"{folder}/{match['image']}" if folder else match["image"]


def word_of(path: str) -> str:
    """What ends a mask's name, such as ``gt``; ``""`` where it is not named as a mask."""
    match = MASK_NAME.fullmatch(PurePosixPath(path).stem)
    return match["word"].casefold() if match else ""
