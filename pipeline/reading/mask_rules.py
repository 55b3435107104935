"""What only the masks of a whole set tell: whether they are inverted, which class an image has, what they cover."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from pipeline.errors import InputError
from pipeline.reading.candidate import Decoded
from pipeline.reading.instances import area, parts_of_mask
from pipeline.reading.layouts import DEFECT, GOOD
from pipeline.reading.names import is_good

FEWEST = 3  # masks, from which a set of them can be told to be inverted
BETWEEN_WORDS = re.compile(r"[ _.-]")
FEW_LEVELS = 4  # of grey or of a colour, which no photograph has
INVERTED_SHARE = 0.9  # of the masks mark more than half of their image


def refuse_masks_as_images(decoded: Sequence[Decoded]) -> None:
    """Raise InputError where images are masks of other images by content and name, whatever their folders are called.

    By content: they have FEW_LEVELS. By name: they have the stem of a photograph in another folder, or one of the two
    has a word more.
    """
    flat = {item.entry.path for item in decoded if not item.entry.masks and _levels(item) <= FEW_LEVELS}
    photographs = {_stem(item.entry.path): item.entry.path for item in decoded if item.entry.path not in flat}
    begun = {stem: path for path in photographs.values() for stem in _beginnings(_stem(path))}
    own = {
        path: next((photographs[stem] for stem in _stems(path) if stem in photographs), begun.get(_stem(path), ""))
        for path in sorted(flat)
    }
    masks = [item.entry.path for item in decoded if own.get(item.entry.path) and _levels(item) > 1]
    if len(masks) >= FEWEST:
        raise InputError(
            f"{len(masks)} pictures, such as {masks[0]!r}, have a few grey levels and the names of photographs, such "
            f"as {own[masks[0]]!r}: they are masks, not images. Put the images into a folder images and the masks "
            "beside it into masks, or name a mask as its image with _mask behind it (see docs/data.md)."
        )


def _levels(item: Decoded) -> int:
    """How many different values the picture has, counted up to FEW_LEVELS and one more."""
    pixels = item.picture.pixels
    few = np.unique(pixels[::8, ::8])  # enough to tell nearly every photograph
    return FEW_LEVELS + 1 if len(few) > FEW_LEVELS else min(len(np.unique(pixels)), FEW_LEVELS + 1)


def _stem(path: str) -> str:
    return PurePosixPath(path).stem.casefold()


def _stems(path: str) -> list[str]:
    """The stem itself, then what is left of it without the words before or behind a blank, dot, dash or underscore."""
    stem = _stem(path)
    return [stem, *_beginnings(stem), *(stem[match.end() :] for match in BETWEEN_WORDS.finditer(stem))]


def _beginnings(stem: str) -> list[str]:
    return [stem[: match.start()] for match in reversed(list(BETWEEN_WORDS.finditer(stem)))]


def upright_masks(decoded: Sequence[Decoded]) -> tuple[list[Decoded], list[str]]:
    """Invert all masks where nearly all that mark a part of a defect image mark more than half of it.

    Only masks of one value count: labels and annotations cannot be inverted.
    """
    plain = [item for item in decoded if _is_plain(item)]
    shares = [_share(item) for item in plain if not is_good(item.entry.label)]
    partial = [share for share in shares if 0 < share < 1]
    inverted = sum(share > 0.5 for share in partial)
    if len(partial) < FEWEST or inverted < INVERTED_SHARE * len(partial):
        return list(decoded), []
    chosen = set(map(id, plain))
    note = (
        f"The masks are inverted: {inverted} of the {len(partial)} that mark a part of a defect image mark most of it. "
        "Black was taken for the defect."
    )
    return [_inverted(item) if id(item) in chosen else item for item in decoded], [note]


def classes_by_mask(decoded: Sequence[Decoded]) -> tuple[list[Decoded], list[str]]:
    """Give images without a class that of their largest defect, `DEFECT` where it has no name, or else `GOOD`."""
    named = [_with_class(item) if not item.entry.label else item for item in decoded]
    blank = sum(item.mask is None for item in named if item.entry.label == GOOD)
    counts = sum(item.entry.label != GOOD for item in named), sum(item.entry.label == GOOD for item in named)
    bare = f" ({blank} of them without a mask)" if blank else ""
    return named, [f"By their masks {counts[0]} image(s) have a defect, {counts[1]} are {GOOD!r}{bare}."]


def about_masks(decoded: Sequence[Decoded]) -> list[str]:
    """Sentences on masks that were resized, that mark nothing on a defect image, and that mark all of an image."""
    notes = []
    resized = [item.entry.path for item in decoded if item.resized]
    if resized:
        notes.append(f"{_such_as('mask(s)', resized)}, were of another size and were brought to the image's.")
    masked = [item for item in decoded if item.entry.masks]
    empty = [item.entry.path for item in masked if not is_good(item.entry.label) and not _share(item)]
    if empty:
        notes.append(f"{_such_as('mask(s) of defect images', empty)}, mark nothing.")
    whole = [item.entry.path for item in masked if _share(item) == 1]
    if whole:
        notes.append(f"{_such_as('mask(s)', whole)}, mark the whole image.")
    marked_good = [item.entry.path for item in masked if is_good(item.entry.label) and _share(item)]
    if marked_good:
        notes.append(f"{_such_as('mask(s) of images of a good class', marked_good)}, mark a defect.")
    return notes


def _such_as(what: str, images: Sequence[str]) -> str:
    return f"{len(images)} {what}, such as that of {images[0]!r}"


def _is_plain(item: Decoded) -> bool:
    own = {instance.label for instance in item.instances} <= {item.entry.label}
    return bool(item.entry.masks) and item.entry.instances is None and own


def _share(item: Decoded) -> float:
    return 0.0 if item.mask is None else float(np.count_nonzero(item.mask)) / item.mask.size


def _inverted(item: Decoded) -> Decoded:
    if item.mask is None:
        return item
    mask = np.subtract(255, item.mask, dtype=np.uint8)
    return replace(item, mask=mask, instances=parts_of_mask(item.entry.label, mask))


def _with_class(item: Decoded) -> Decoded:
    named = tuple(replace(one, label=one.label or DEFECT) for one in item.instances)
    label = max(named, key=lambda one: area(one, *item.picture.pixels.shape[:2])).label if named else GOOD
    return replace(item, entry=replace(item.entry, label=label), instances=named)
