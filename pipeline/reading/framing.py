"""Which part of a large image the networks see: all of it, or a native-resolution crop around the defect."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.reading.names import is_good

if TYPE_CHECKING:
    from torch import Tensor

Framing = Literal["whole", "mask"]
Aspect = Literal["pad", "crop"]
Image = NDArray[np.uint8]
Window = tuple[int, int, int]  # left, top, side in pixels
MARGIN = 1.5  # side of the crop over the longer side of the defect: shows what surrounds it
REACH = 4  # parts of a defect closer than image_size / REACH pixels count as one


def has_defect(mask: Image | None) -> bool:
    return mask is not None and bool(mask.any())


def choose_framing(policy: str, labels: Sequence[str], masks: Sequence[Image | None]) -> Framing:
    """Resolve ``"auto"``: "mask" when at least half of the images of the defect classes have a mask that is not empty.

    A class whose masks are all empty is defect-free; so is a class without any mask when other classes have some and
    its name says so (`is_good`). Raises InputError when "mask" is asked for and no image has a mask.
    """
    marked = _marked_classes(labels, masks)
    if policy == "mask" and not marked:
        raise InputError(
            "data.framing is 'mask' but no image has a mask that marks anything; use 'whole' or add masks."
        )
    if policy in ("whole", "mask"):
        return "whole" if policy == "whole" else "mask"
    clean = defect_free(labels, masks)
    defects = [has_defect(mask) for label, mask in zip(labels, masks, strict=True) if label not in clean]
    return "mask" if marked and sum(defects) * 2 >= len(defects) else "whole"


def defect_free(labels: Sequence[str], masks: Sequence[Image | None]) -> set[str]:
    """The classes that the masks, or their names, say hold no defect; empty when nothing is marked at all."""
    marked = _marked_classes(labels, masks)
    empty: dict[str, list[bool]] = defaultdict(list)
    for label, mask in zip(labels, masks, strict=True):
        empty[label].append(mask is not None and not mask.any())
    return {
        label for label, flags in empty.items() if marked and label not in marked and (all(flags) or is_good(label))
    }


def _marked_classes(labels: Sequence[str], masks: Sequence[Image | None]) -> set[str]:
    return {label for label, mask in zip(labels, masks, strict=True) if has_defect(mask)}


def frame_images(
    images: Sequence[Image],
    masks: Sequence[Image | None],
    labels: Sequence[str],
    sha256s: Sequence[str],
    *,
    framing: Framing,
    image_size: int,
) -> list[Image]:
    """Crop every image by one policy, at native resolution; each crop depends on its own file and the defects' sizes.

    "whole" returns the images, which ``pack`` makes square. "mask" crops a square around the defect; an image of a
    defect-free class gives a crop of a side drawn from the defects' and of a place drawn at random, both by its sha256,
    so that size tells no class; an unmarked image of a defect class gives its largest central square, since the defect
    may be anywhere.
    """
    shapes = [image.shape[:2] for image in images]
    places = windows(shapes, masks, labels, sha256s, framing=framing, image_size=image_size)
    return [cut(image, window) for image, window in zip(images, places, strict=True)]


def windows(
    shapes: Sequence[tuple[int, ...]],
    masks: Sequence[Image | None],
    labels: Sequence[str],
    sha256s: Sequence[str],
    *,
    framing: Framing,
    image_size: int,
) -> list[Window | None]:
    """Where `frame_images` cuts images of these shapes (H, W); None: nowhere, the image is left whole."""
    if framing == "whole":
        return [None] * len(shapes)
    boxes = [defect_box(mask, image_size) if mask is not None and mask.any() else None for mask in masks]
    sides = sorted(crop_side(box, shape, image_size) for box, shape in zip(boxes, shapes, strict=True) if box)
    clean = defect_free(labels, masks)
    found: list[Window | None] = []
    for shape, box, label, sha256 in zip(shapes, boxes, labels, sha256s, strict=True):
        if box:
            found.append(_about(box, crop_side(box, shape, image_size), shape))
        elif label in clean:
            found.append(_at_random(shape, sides, sha256))
        else:
            found.append(_about((0, 0, shape[1], shape[0]), min(shape), shape))
    return found


def cut(image: Image, window: Window | None) -> Image:
    """The window of an image `[H, W]` or `[H, W, 3]`, or all of it."""
    if window is None:
        return image
    left, top, side = window
    return np.ascontiguousarray(image[top : top + side, left : left + side])


Box = tuple[int, int, int, int]  # left, top, width, height in pixels


def defect_box(mask: Image, image_size: int) -> Box:
    """The bounding box of the mask's largest defect, parts that lie close together taken as one."""
    reach = 2 * (image_size // REACH // 2) + 1
    joined = cv2.dilate(mask, np.ones((reach, reach), np.uint8))
    count, parts = cv2.connectedComponents(joined)
    areas = [int(np.count_nonzero((parts == part) & (mask > 0))) for part in range(1, count)]
    left, top, width, height = cv2.boundingRect(np.where(parts == 1 + int(np.argmax(areas)), mask, 0).astype(np.uint8))
    return int(left), int(top), int(width), int(height)


def crop_side(box: Box, shape: tuple[int, ...], image_size: int) -> int:
    """Side of the crop: the defect with its margin, at least ``image_size`` and at most the image's shorter side."""
    return min(max(round(MARGIN * max(box[2:])), image_size), *shape[:2])


def _about(box: Box, side: int, shape: tuple[int, ...]) -> Window:
    left, top, width, height = box
    return _inside(left + (width - side) // 2, top + (height - side) // 2, side, shape)


def _at_random(shape: tuple[int, ...], sides: Sequence[int], sha256: str) -> Window:
    rng = np.random.default_rng(list(hashlib.sha256(sha256.encode()).digest()))
    side = min(int(rng.choice(sides)), *shape)
    left, top = (int(rng.integers(0, extent - side + 1)) for extent in (shape[1], shape[0]))
    return _inside(left, top, side, shape)


def _inside(left: int, top: int, side: int, shape: tuple[int, ...]) -> Window:
    return min(max(left, 0), shape[1] - side), min(max(top, 0), shape[0] - side), side


def channels_of(images: Sequence[Image]) -> int:
    """1 when every image is grey, else 3."""
    return 1 if all(image.ndim == 2 for image in images) else 3


def square(image: Image, aspect: Aspect) -> Image:
    """Make ``[H, W]`` or ``[H, W, 3]`` square about its centre without stretching it; a square image is returned.

    "pad" extends the shorter side by reflection, so that nothing is lost; "crop" cuts off the ends of the longer one.
    """
    height, width = image.shape[:2]
    if height == width:
        return image
    if aspect == "crop":
        return cut(image, _about((0, 0, width, height), min(height, width), image.shape))
    down, right = max(0, width - height), max(0, height - width)
    borders = (down // 2, down - down // 2, right // 2, right - right // 2)
    return np.asarray(cv2.copyMakeBorder(image, *borders, cv2.BORDER_REFLECT), np.uint8)


def pack_masks(masks: Sequence[Image | None], size: int, aspect: Aspect = "pad") -> "Tensor":
    """Make masks square as their images (`square`) and ``size`` wide: uint8 ``[N, 1, S, S]`` of 0 and 255, 0 for None.

    Nearest neighbour; a defect too thin for that stays wherever it touches a pixel.
    """
    import torch  # not above: most of what reads images needs no tensors

    out = np.zeros((len(masks), 1, size, size), np.uint8)
    for k, mask in enumerate(masks):
        if mask is not None and mask.any():
            mask = square(mask, aspect)
            small = cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
            touched = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) > 0
            out[k, 0] = small if small.any() else np.where(touched, 255, 0)
    return torch.from_numpy(out)


def pack(images: Sequence[Image], size: int, channels: int | None = None, aspect: Aspect = "pad") -> "Tensor":
    """Make images square (`square`), ``size`` wide, and stack: uint8 ``[N, C, S, S]``.

    ``channels`` None takes ``channels_of``. Area averaging where an image shrinks, bilinear where it grows.
    """
    import torch  # not above: most of what reads images needs no tensors

    depth = channels or channels_of(images)
    out = np.empty((len(images), depth, size, size), np.uint8)
    for k, picture in enumerate(images):
        image = square(picture, aspect)
        method = cv2.INTER_AREA if max(image.shape[:2]) > size else cv2.INTER_LINEAR
        small = cv2.resize(image, (size, size), interpolation=method)
        if depth == 1 and small.ndim == 3:
            small = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        out[k] = small if small.ndim == 2 else small.transpose(2, 0, 1)
    return torch.from_numpy(out)
