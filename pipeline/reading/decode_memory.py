"""Memory of the decoded images, compared with the free memory before anything is decoded."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError
from pipeline.memory import available_memory

BYTES_PER_PIXEL = 3  # three channels decoded, and grey images leave room for their masks
SHARE = 0.8  # of the memory that is free: the rest of the run needs some too


def require_memory(path: Path, pixels: Sequence[int], available: int | None = None) -> None:
    """Raise InputError with both figures when images of so many ``pixels`` of 8 bits cannot be held decoded."""
    free = available_memory() if available is None else available
    needed = BYTES_PER_PIXEL * sum(pixels)
    if needed > SHARE * free:
        raise InputError(
            f"{path}: decoded, its {len(pixels)} images need {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are "
            "free; use fewer or smaller images."
        )
