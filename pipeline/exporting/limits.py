"""What formats cannot say, counted in the images at hand: told on the terminal, never dropped in silence."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from pipeline.exporting.names import safe
from pipeline.exporting.outlines import outlines_of
from pipeline.exporting.parts import Part
from pipeline.reading.instances import Instance
from pipeline.reading.names import is_good


def _overlaps(part: Part) -> bool:
    masks = [mask for one in part.instances if (mask := part.mask_of(one)) is not None]
    return int(sum(map(np.count_nonzero, masks))) > int(np.count_nonzero(np.maximum.reduce(masks, initial=0)))


def _has_holes(part: Part) -> bool:
    masks = (part.mask_of(one) for one in part.instances if one.rle)
    return any(outlines_of(mask)[1] for mask in masks if mask is not None)


def _in_parts(part: Part) -> bool:
    if any(len(one.polygons) > 1 for one in part.instances):
        return True
    masks = (part.mask_of(one) for one in part.instances if one.rle)
    return any(len(outlines_of(mask)[0]) > 1 for mask in masks if mask is not None)


def _leaves_the_image(part: Part) -> bool:
    return any(
        left < 0 or top < 0 or left + width > part.width or top + height > part.height
        for left, top, width, height in (one.box for one in part.instances)
    )


def _size(part: Part, instance: Instance) -> float:
    mask = part.mask_of(instance)
    return instance.box[2] * instance.box[3] if mask is None else float(np.count_nonzero(mask))


def _not_its_largest(part: Part) -> bool:
    """Whether the image is of another class than its largest defect, by which readers tell it."""
    others = {one.label for one in part.instances} != {part.label}
    return bool(part.instances) and others and max(part.instances, key=partial(_size, part)).label != part.label


# What an image may have that some format has no place for.
ASPECTS: dict[str, Callable[[Part], bool]] = {
    "no split": lambda part: not part.split,
    "unmarked": lambda part: part.is_unmarked,
    "other classes": lambda part: any(one.label != part.label for one in part.instances),
    "not its largest defect": _not_its_largest,
    "boxes alone": lambda part: any(one.is_box for one in part.instances),
    "polygons": lambda part: any(one.polygons for one in part.instances),
    "overlaps": _overlaps,
    "holes": _has_holes,
    "in parts": _in_parts,
    "over the edge": _leaves_the_image,
    "good by another name": lambda part: is_good(part.label) and part.label != "good",
    "training defects": lambda part: part.split == "train" and not is_good(part.label),
    "validation": lambda part: part.split == "val",
    "group": lambda part: bool(part.group),
    "deep": lambda part: part.deep,
    "not JPEG": lambda part: part.kind != "JPEG",
    "TIFF": lambda part: part.kind == "TIFF",
    "turned": lambda part: part.turned,
    "other class name": lambda part: safe(part.label) != part.label,
}


def notes_on(parts: Sequence[Part], lacks: Mapping[str, str]) -> list[str]:
    """A line for each aspect among the keys of `lacks` that some image has: how many, and what becomes of it."""
    counts = {aspect: sum(map(ASPECTS[aspect], parts)) for aspect in lacks}
    return [f"{count} image(s) {lacks[aspect]}." for aspect, count in counts.items() if count]
