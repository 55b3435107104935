"""Data sets from disk to memory: layouts, safe decoding, duplicates, splits, framing."""

from pathlib import Path

from pipeline.reading.conflicts import duplicates_of, likely_notes, require_clean
from pipeline.reading.copies import View, find_copies
from pipeline.reading.duplicates import Duplicates, Pair, find_duplicates
from pipeline.reading.faults import faults, require_usable, without_empty_classes
from pipeline.reading.framing import (
    channels_of,
    choose_framing,
    cut,
    frame_images,
    pack,
    pack_masks,
    square,
    windows,
)
from pipeline.reading.instances import Instance, redrawn
from pipeline.reading.names import check_class_name, check_class_names, is_good
from pipeline.reading.pictures import write_pairs
from pipeline.reading.problems import Problem
from pipeline.reading.reader import Reading, load
from pipeline.reading.splits import assign_splits
from pipeline.reading.summary import inspect, render

__all__ = [
    "Duplicates",
    "Instance",
    "Pair",
    "Problem",
    "Reading",
    "View",
    "assign_splits",
    "channels_of",
    "check_class_name",
    "check_class_names",
    "choose_framing",
    "cut",
    "duplicates_of",
    "faults",
    "find_copies",
    "find_duplicates",
    "frame_images",
    "inspect",
    "is_good",
    "likely_notes",
    "load",
    "pack",
    "pack_masks",
    "read_dataset",
    "redrawn",
    "render",
    "require_clean",
    "square",
    "windows",
    "write_pairs",
]


def read_dataset(
    path: Path,
    *,
    max_megapixels: float = 64,
    max_bad_fraction: float = 0.1,
    background: tuple[int, int, int] = (255, 255, 255),
    skip_empty_classes: bool = False,
    group_pattern: str | None = None,
    layout: str = "auto",
    annotations: str | Path | None = None,
) -> Reading:
    """Read a data set that is fit for a run: a folder of one of LAYOUTS, which ``layout`` may name, or a CSV manifest.

    Bad files are quarantined in ``problems``. Raises InputError when there is nothing to read, more than
    ``max_bad_fraction`` of the files are bad, a class is empty (unless skipped), fewer than two classes remain, or the
    same image is in two classes. What else duplicates stop is ``require_clean``'s to find.
    """
    reading = load(
        path,
        max_megapixels=max_megapixels,
        background=background,
        group_pattern=group_pattern,
        layout=layout,
        annotations=annotations,
    )
    if skip_empty_classes:
        reading = without_empty_classes(reading)
    require_usable(reading, max_bad_fraction=max_bad_fraction)
    return reading
