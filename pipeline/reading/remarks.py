"""What reading did to the images, in sentences for the report."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.reading.candidate import Decoded
from pipeline.reading.file_listing import printable


def describe(decoded: Sequence[Decoded], images: Sequence[NDArray[np.uint8]]) -> list[str]:
    """Say what was converted: colour modes, sizes, CMYK, transparency. ``images`` are ``decoded`` in 8 bits."""
    notes = []
    grey = sum(image.ndim == 2 for image in images)
    stored_colour = sum(
        image.ndim == 2 and not item.picture.mode.startswith(("L", "I", "1", "F"))
        for item, image in zip(decoded, images, strict=True)
    )
    if stored_colour:
        notes.append(f"{stored_colour} image(s) are stored in colour but show only grey; they are read as grey.")
    if 0 < grey < len(images):
        notes.append(f"{grey} of {len(images)} images are grey and the rest in colour; all become colour.")
    shapes = Counter(image.shape[:2] for image in images)
    if len(shapes) > 1:
        notes.append(f"The images have {len(shapes)} different sizes; each is brought to the working size.")
    cmyk = sum(item.picture.mode.startswith("CMYK") for item in decoded)
    if cmyk:
        notes.append(f"{cmyk} CMYK image(s) were converted to RGB.")
    revealed = [item for item in decoded if item.picture.revealed]
    if revealed:
        notes.append(
            f"{len(revealed)} image(s), such as {printable(revealed[0].entry.path)!r}, are wholly transparent "
            "(alpha is 0 everywhere); their colours were used."
        )
    return notes
