"""What a data set must satisfy before a run may start; ``inspect`` lists the same faults without stopping."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.errors import InputError
from pipeline.reading.conflicts import require_clean
from pipeline.reading.duplicates import find_identical
from pipeline.reading.reader import Reading

FEWEST_CLASSES = 2


def faults(reading: Reading, *, max_bad_fraction: float, conflicts: bool = True) -> list[str]:
    """Every reason why a run on this data set would stop, one sentence each.

    ``conflicts`` False leaves out the same image in two classes, for callers that list those pairs themselves.
    """
    found = [too_many_bad(reading, max_bad_fraction), *_empty_classes(reading), _too_few_classes(reading)]
    if conflicts:
        found.append(_conflict(reading))
    return [fault for fault in found if fault]


def require_usable(reading: Reading, *, max_bad_fraction: float) -> None:
    """Raise InputError with the first of ``faults``."""
    for fault in faults(reading, max_bad_fraction=max_bad_fraction):
        raise InputError(fault)


def without_empty_classes(reading: Reading) -> Reading:
    """Leave out classes without a readable image and say so in the notes."""
    empty = _without_images(reading)
    if not empty:
        return reading
    note = f"Classes without a readable image were skipped: {', '.join(empty)}."
    return replace(
        reading, classes=[name for name in reading.classes if name not in empty], notes=[*reading.notes, note]
    )


def too_many_bad(reading: Reading, limit: float) -> str:
    """A sentence when more than `limit` of the files could not be read, else nothing."""
    bad = len(reading.problems)
    total = bad + len(reading.images)
    if bad <= limit * total:
        return ""
    first = reading.problems[0]
    return (
        f"{reading.root}: {bad} of {total} files are bad, more than {limit:.0%}; the first is {first.path!r} "
        f"({first.detail}). Repair or remove them, or raise data.max_bad_fraction."
    )


def _without_images(reading: Reading) -> list[str]:
    return sorted(set(reading.classes) - set(reading.frame["label"]))


def _empty_classes(reading: Reading) -> Sequence[str]:
    return [
        f"{reading.root}: class {name!r} holds no readable image; add some or remove its folder."
        for name in _without_images(reading)
    ]


def _too_few_classes(reading: Reading) -> str:
    labels = sorted(set(reading.frame["label"]))
    if len(labels) >= FEWEST_CLASSES:
        return ""
    return (
        f"{reading.root} holds one class, {labels[0]!r}; a classifier needs at least two. "
        "Give the folder that holds one sub-folder a class."
    )


def _conflict(reading: Reading) -> str:
    identical = find_identical(reading.images, reading.frame["sha256"].tolist())
    try:
        require_clean(reading.frame.assign(split="", group=""), identical)
    except InputError as error:
        return str(error)
    return ""
