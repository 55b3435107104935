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


def read_marks(pixels: Pixels, names: MaskNames = NO_NAMES) -> dict[str, Mask]:
    """The defect pixels of a mask by the names that ``names`` gives their values, ``""`` for all others.

    Masks are uint8 ``[H, W]`` of 0 and 255, none of them empty. A few flat values or colours are labels: all but the
    background are defects. Else a defect is what is brighter than half of the mask's brightest pixel, which cuts soft
    and JPEG's edges. Raises BadFile (mask_grey) for a picture.
    """
    codes = pixels.astype(np.int64) if pixels.ndim == 2 else _codes(pixels)
    levels, counts = np.unique(codes, return_counts=True)
    if _are_labels(codes, levels, grey=pixels.ndim == 2):
        named = names.values if pixels.ndim == 2 else {_code(colour): name for colour, name in names.colours.items()}
        return _labelled(codes, levels, counts, named)
    background = _background_colour(pixels) if pixels.ndim == 3 else np.zeros(1)
    distance = np.abs(pixels.astype(np.int32) - background.astype(np.int32))
    mask = _by_brightness(distance.max(axis=2) if pixels.ndim == 3 else distance)
    return {"": mask} if mask.any() else {}


def to_mask(pixels: Pixels) -> Mask:
    """All defect pixels of a mask, uint8 ``[H, W]`` of 0 and 255. Raises BadFile (mask_grey)."""
    return np.maximum.reduce([np.zeros(pixels.shape[:2], np.uint8), *read_marks(pixels).values()])


def fitted(mask: Pixels, shape: tuple[int, int]) -> Pixels | None:
    """A mask of another size in the image's, nearest pixels; None where the sides differ in proportion."""
    height, width = mask.shape[:2]
    scale = max(shape[0] / height, shape[1] / width)
    if abs(height * scale - shape[0]) > max(1, scale) or abs(width * scale - shape[1]) > max(1, scale):
        return None
    return np.asarray(cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST_EXACT))


def _codes(pixels: Pixels) -> NDArray[np.int64]:
    """One number a colour."""
    red, green, blue = (pixels[..., k].astype(np.int64) for k in range(3))
    return (red << 32) | (green << 16) | blue


def _code(colour: Colour) -> int:
    return (colour[0] << 32) | (colour[1] << 16) | colour[2]


def _are_labels(codes: NDArray[np.int64], levels: NDArray[np.int64], *, grey: bool) -> bool:
    """Whether the values are labels; soft edges between two values are none, as they form no areas."""
    if len(levels) <= 2:
        return True
    if len(levels) > MOST_LABELS:
        return False
    flat = {int(level): _flat(codes == level) for level in levels}
    if sum(flat.values()) < FLAT_SHARE * codes.size:
        return False
    between = levels[1:-1]
    areas = [2 * flat[int(level)] >= np.count_nonzero(codes == level) for level in between]
    return (grey and int(levels[-1]) < SMALL_LABEL) or any(areas)


def _flat(area: NDArray[np.bool_]) -> int:
    """How many pixels of an area lie in squares of 2 x 2."""
    return int(np.count_nonzero(cv2.morphologyEx(area.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))))


def _labelled(
    codes: NDArray[np.int64], levels: NDArray[np.int64], counts: NDArray[np.int64], named: Mapping[int, str]
) -> dict[str, Mask]:
    """Black is the background where there is any, or the darkest grey; else the colour of most pixels."""
    told = [level for level in levels.tolist() if named.get(level) == ""]
    grey = int(levels[-1]) < 1 << 16
    if told:
        background = told
    elif len(levels) == 1:
        background = [0]
    else:
        background = [int(levels[0] if grey or levels[0] == 0 else levels[np.argmax(counts)])]
    marks: dict[str, Mask] = {}
    for level in levels.tolist():
        if level not in background:
            name, area = named.get(level, ""), np.where(codes == level, 255, 0).astype(np.uint8)
            marks[name] = np.maximum(marks[name], area) if name in marks else area
    return marks


def _background_colour(pixels: Pixels) -> NDArray[np.int64]:
    """Black where at least a hundredth is nearly black, else the colour of most pixels, roughly."""
    full = np.iinfo(pixels.dtype).max
    if (pixels.max(axis=2) <= full // 16).mean() >= 0.01:
        return np.zeros(3, np.int64)
    rough = _codes(pixels // (full // 15))
    values, counts = np.unique(rough, return_counts=True)
    return np.median(pixels[rough == values[np.argmax(counts)]], axis=0).astype(np.int64)


def _by_brightness(grey: NDArray[np.int32]) -> Mask:
    brightest = int(grey.max())
    inside = grey > brightest / 2
    clear = np.where(inside, grey >= 0.9 * brightest, grey <= 0.1 * brightest)
    if clear.mean() < CLEAR_SHARE:
        raise BadFile("mask_grey", "it is not black and white; a picture of its own needs a stem of its own")
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
