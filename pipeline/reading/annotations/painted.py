"""Masks that annotations keep as PNG: the numbers at their pixels."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.reading.annotations.files import BadAnnotation


def values_of_png(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The numbers at the pixels of a PNG of `size` (width, height), uint8 [H, W]: grey levels, or a palette's indices.

    Raises BadAnnotation for another size, before anything is decoded, for other kinds of pixels and for damage.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.size != size:
                raise BadAnnotation(f"a mask is {image.width} x {image.height}, not {size[0]} x {size[1]}")
            if image.mode not in ("1", "L", "P"):
                raise BadAnnotation(f"a mask has pixels of kind {image.mode}, not one number each")
            return np.asarray(image).astype(np.uint8)
    except BadAnnotation:
        raise
    except Exception:  # Pillow's parsers raise nearly anything on damage
        raise BadAnnotation("a mask is no PNG, or it is damaged") from None
