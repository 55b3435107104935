"""Which pixels of a mask picture are a defect, whatever the tool that drew it meant by its values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.reading.instances import Mask
from pipeline.reading.problems import BadFile

Pixels = NDArray[Any]  # uint8 or uint16, [H, W] or [H, W, 3] RGB
Colour = tuple[int, int, int]

CLEAR_SHARE = 0.95  # of a mask's pixels lie near its background or its brightest value; the rest may be soft edges
MOST_LABELS = 40  # distinct values or colours; more are shades of a picture
FEW_LABELS = 8  # so few are labels even where none but the background forms an area
NOISE = 0.1  # of the brightest value: a value that forms no area and is as near to one that does means the same
FLAT_SHARE = 0.8  # of a mask of labels lies in areas of one value
SMALL_LABEL = 64  # values below are numbers of classes, above they may be shades of grey
WEAK = 0.25  # of the brightest value: what is brighter and apart from all that is bright is a defect of its own
SMALLEST_PART = 4  # pixels of such a defect; less is noise of a JPEG


@dataclass(frozen=True)
class MaskNames:
    """What a class list calls the values and the colours (RGB) of masks; those of the background are ``""``."""

    values: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[Colour, str] = field(default_factory=dict)


NO_NAMES = MaskNames()


def read_marks(pixels: Pixels, names: MaskNames = NO_NAMES, *, lossy: bool = False) -> dict[str, Mask]:
    """The defect pixels of a mask by the names that ``names`` gives their values, ``""`` for all others.

    Masks are uint8 ``[H, W]`` of 0 and 255, none of them empty. A few flat values or colours are labels: all but the
    background are defects. Else, and where a ``lossy`` format (JPEG) kept no value as it was, a defect is what is
    brighter than half of the mask's brightest pixel, which cuts soft edges. Raises BadFile (mask_grey) for a picture.
    """
    grey = pixels.ndim == 2
    codes = pixels if grey else _codes(pixels)
    levels, counts = np.unique(codes, return_counts=True)
    flat = _flat_levels(codes, levels)
    if _are_labels(levels, flat, counts, grey=grey, lossy=lossy):
        colours = {_code(colour): name for colour, name in names.colours.items()} if pixels.dtype == np.uint8 else {}
        meant = _meant(levels, flat, counts, 16 if pixels.dtype == np.uint16 else 8)
        return _labelled(codes, meant, counts, names.values if grey else colours, grey=grey)
    background = _background_colour(pixels) if pixels.ndim == 3 else np.zeros(1)
    distance = np.abs(pixels.astype(np.int32) - background.astype(np.int32))
    mask = _by_brightness(distance.max(axis=2) if pixels.ndim == 3 else distance)
    return {"": mask} if mask.any() else {}


def to_mask(pixels: Pixels, *, lossy: bool = False) -> Mask:
    """All defect pixels of a mask, uint8 ``[H, W]`` of 0 and 255. Raises BadFile (mask_grey)."""
    return np.maximum.reduce([np.zeros(pixels.shape[:2], np.uint8), *read_marks(pixels, lossy=lossy).values()])


def fitted(mask: Pixels, shape: tuple[int, int]) -> Pixels | None:
    """A mask of another size in the image's, nearest pixels; None where the sides differ in proportion."""
    height, width = mask.shape[:2]
    scale = max(shape[0] / height, shape[1] / width)
    if abs(height * scale - shape[0]) > max(1, scale) or abs(width * scale - shape[1]) > max(1, scale):
        return None
    return np.asarray(cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST_EXACT))


def _codes(pixels: Pixels) -> Pixels:
    """One number a colour: red, green and blue behind each other, uint32, or uint64 of 16-bit channels."""
    bits, kind = (8, np.dtype(np.uint32)) if pixels.dtype == np.uint8 else (16, np.dtype(np.uint64))
    codes = np.zeros(pixels.shape[:2], kind)
    for channel in range(3):
        codes = (codes << kind.type(bits)) | pixels[..., channel].astype(kind)
    return codes


def _code(colour: Colour) -> int:
    return (colour[0] << 16) | (colour[1] << 8) | colour[2]


def _flat_levels(codes: Pixels, levels: Pixels) -> dict[int, int]:
    """Value -> how many of its pixels lie in squares of 2 x 2; empty where there are too many values for labels."""
    if len(levels) > MOST_LABELS:
        return {}
    square = np.ones((2, 2), np.uint8)
    areas = ((int(level), (codes == level).astype(np.uint8)) for level in levels)
    return {level: int(np.count_nonzero(cv2.morphologyEx(area, cv2.MORPH_OPEN, square))) for level, area in areas}


def _are_labels(levels: Pixels, flat: Mapping[int, int], counts: NDArray[np.int64], *, grey: bool, lossy: bool) -> bool:
    """Whether the values are labels: few, most of the mask in areas of one value, no soft edges between two."""
    if len(levels) <= 2:
        return True
    if lossy or not flat or sum(flat.values()) < FLAT_SHARE * counts.sum():
        return False
    small = grey and int(levels[-1]) < SMALL_LABEL
    areas = [2 * flat[int(level)] >= count for level, count in zip(levels, counts, strict=True)]
    return small or len(levels) <= FEW_LABELS or any(areas[1:-1])


def _meant(levels: Pixels, flat: Mapping[int, int], counts: NDArray[np.int64], bits: int) -> dict[int, int]:
    """Value -> the value that it means: itself, or that of an area which it differs from as noise does."""
    meant = {int(level): int(level) for level in levels}
    parts = np.array([[int(level) >> (k * bits) & ((1 << bits) - 1) for k in range(3)] for level in levels])
    noise = NOISE * parts.max()
    if len(levels) <= 2 or parts.max() < SMALL_LABEL:
        return meant
    areas: list[int] = []
    for k in np.argsort(-counts, kind="stable").tolist():  # the largest area first
        distance = np.abs(parts[areas] - parts[k]).max(axis=1) if areas else np.array([np.inf])
        is_area = 2 * flat[int(levels[k])] >= counts[k]
        if distance.min() <= (noise if not is_area else noise / 4 if len(levels) > FEW_LABELS else 0):
            meant[int(levels[k])] = int(levels[areas[int(distance.argmin())]])
        elif is_area:
            areas.append(k)
    return meant


def _labelled(
    codes: Pixels, meant: Mapping[int, int], counts: NDArray[np.int64], named: Mapping[int, str], *, grey: bool
) -> dict[str, Mask]:
    """Black is the background where there is any, or the darkest grey; else the colour of most pixels."""
    levels = list(meant)
    darkest = meant[levels[0]]
    background = [level for level in levels if named.get(level) == ""]
    if not background and len(levels) == 1:
        background = [0]
    elif not background:
        background = [darkest if grey or darkest == 0 else meant[levels[int(np.argmax(counts))]]]
    marks: dict[str, Mask] = {}
    for level, value in meant.items():
        if value not in background:
            name, area = named.get(value, ""), np.where(codes == level, 255, 0).astype(np.uint8)
            marks[name] = np.maximum(marks[name], area) if name in marks else area
    return marks


def _background_colour(pixels: Pixels) -> NDArray[np.int64]:
    """Black where at least a hundredth is nearly black, else the colour of most pixels, roughly."""
    full = np.iinfo(pixels.dtype).max
    if (pixels.max(axis=2) <= full // 16).mean() >= 0.01:
        return np.zeros(3, np.int64)
    rough = _codes(pixels // (full // 15))
    values, counts = np.unique(rough, return_counts=True)
    return np.asarray(np.median(pixels[rough == values[np.argmax(counts)]], axis=0), np.int64)


def _by_brightness(grey: NDArray[np.int32]) -> Mask:
    brightest = int(grey.max())
    inside = grey > brightest / 2
    clear = np.where(inside, grey >= 0.9 * brightest, grey <= 0.1 * brightest)
    if clear.mean() < CLEAR_SHARE:
        why = "it is not black and white, nor of a few values or colours"
        raise BadFile("mask_grey", f"{why}; save a mask as PNG, give a picture of its own another stem")
    return np.where(inside | _weak_parts(grey > WEAK * brightest, inside), 255, 0).astype(np.uint8)


def _weak_parts(weak: NDArray[np.bool_], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected parts of ``weak`` that touch nothing ``inside`` and are more than noise."""
    count, parts = cv2.connectedComponents(weak.astype(np.uint8), connectivity=8)
    sizes = np.bincount(parts.ravel(), minlength=count)
    bright = np.bincount(parts[inside], minlength=count)
    own = (bright == 0) & (sizes >= SMALLEST_PART)
    own[0] = False
    chosen: NDArray[np.bool_] = own[parts]
    return chosen
