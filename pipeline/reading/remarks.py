"""What reading did to the images, in sentences for the report."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.reading.candidate import Decoded


def describe(decoded: Sequence[Decoded], images: Sequence[NDArray[np.uint8]]) -> list[str]:
    """Say what was converted: colour modes, mixed sizes, CMYK. ``images`` are the 8-bit pixels of ``decoded``."""
    notes = []
    grey = sum(image.ndim == 2 for image in images)
    stored_colour = sum(
        image.ndim == 2 and not item.mode.startswith(("L", "I", "1"))
        for item, image in zip(decoded, images, strict=True)
    )
    if stored_colour:
        notes.append(f"{stored_colour} image(s) are stored in colour but show only grey; they are read as grey.")
    if 0 < grey < len(images):
        notes.append(f"{grey} of {len(images)} images are grey and the rest in colour; all become colour.")
    shapes = Counter(image.shape[:2] for image in images)
    if len(shapes) > 1:
        notes.append(f"The images have {len(shapes)} different sizes; each is brought to the working size.")
    cmyk = sum(item.mode.startswith("CMYK") for item in decoded)
    if cmyk:
        notes.append(f"{cmyk} CMYK image(s) were converted to RGB.")
    return notes
