"""Memory of the decoded images, compared with the free memory before anything is decoded."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError

BYTES_PER_PIXEL = 3  # three channels decoded, and grey images leave room for their masks
SHARE = 0.8  # of the memory that is free: the rest of the run needs some too


def available_memory() -> int | None:
    """Bytes of memory that can be had without swapping, or None where the system does not say (not Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return kilobytes[0] * 1024 if kilobytes else None


def require_memory(path: Path, pixels: Sequence[int], available: int | None = None) -> None:
    """Raise InputError with both figures when images of so many ``pixels`` cannot be held decoded."""
    free = available_memory() if available is None else available
    needed = BYTES_PER_PIXEL * sum(pixels)
    if free is not None and needed > SHARE * free:
        raise InputError(
            f"{path}: decoded, its {len(pixels)} images need {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are "
            "free; use fewer or smaller images."
        )
