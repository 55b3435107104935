"""The memory of this machine."""

import psutil


def available_memory() -> int:
    """Bytes of main memory that can be had without swapping."""
    return int(psutil.virtual_memory().available)
