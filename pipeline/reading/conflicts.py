"""Duplicates and the user's groups across classes and splits: what stops a run, and what is reported."""

from collections.abc import Sequence

import pandas as pd

from pipeline.errors import InputError
from pipeline.reading.duplicates import THRESHOLD, Duplicates, Pair, find_duplicates
from pipeline.reading.reader import Reading

LISTED = 5  # pairs that a note names
ALIKE = 0.6  # usual correlation above which likely pairs are not reliable


def duplicates_of(reading: Reading, threshold: float = THRESHOLD) -> Duplicates:
    """`find_duplicates` of a data set; where the user has said what belongs together, only certain pairs beside."""
    return find_duplicates(
        reading.images,
        reading.frame["sha256"].tolist(),
        threshold=threshold if reading.groups_by_name or not (reading.frame["group"] != "").any() else 1,
        known=reading.frame["group"].tolist(),
        splits=reading.frame["split"].tolist(),
    )


def label_conflicts(frame: pd.DataFrame, pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs that are certainly one picture, and whose two rows name different classes."""
    labels = frame["label"].tolist()
    return [pair for pair in pairs if pair.certain and labels[pair.first] != labels[pair.second]]


def split_leaks(frame: pd.DataFrame, pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs whose two rows the data set itself put into different splits, certain or not."""
    splits = frame["split"].tolist()
    return [pair for pair in pairs if splits[pair.first] != splits[pair.second]]


def divided_groups(frame: pd.DataFrame) -> list[str]:
    """The user's groups whose images the data set put into different splits."""
    named = frame[frame["group"] != ""]
    counts = named.groupby("group")["split"].nunique()
    return sorted(counts.index[counts > 1])


def split_faults(frame: pd.DataFrame, pairs: Sequence[Pair]) -> list[str]:
    """Why a given split cannot be kept, one sentence each: one picture, or one of the user's groups, on both sides."""
    found = []
    leaks = [pair for pair in split_leaks(frame, pairs) if pair.certain]
    if leaks:
        found.append(f"The same image is in two splits: {named(frame, leaks, 'split')}; move both into one split.")
    divided = divided_groups(frame)
    if divided:
        one = frame[frame["group"] == divided[0]].drop_duplicates("split").head(2)
        where = " and ".join(f"{path!r} ({split})" for path, split in zip(one["path"], one["split"], strict=True))
        more = f"; and {len(divided) - 1} more group(s)" if len(divided) > 1 else ""
        found.append(f"The group {divided[0]!r} is in two splits: {where}{more}; move each group into one split.")
    return found


def require_clean(frame: pd.DataFrame, duplicates: Duplicates) -> None:
    """Raise InputError when one image is in two classes, or on both sides of a given split, or a user's group is."""
    conflicts = label_conflicts(frame, duplicates.pairs)
    if conflicts:
        raise InputError(
            f"The same image is in two classes: {named(frame, conflicts, 'label')}; keep it in the class it belongs to."
        )
    for fault in split_faults(frame, duplicates.pairs):
        raise InputError(fault)


def likely_notes(frame: pd.DataFrame, duplicates: Duplicates) -> list[str]:
    """Notes for the report on likely near-duplicates; empty when there are none and correlation is informative."""
    likely = [pair for pair in duplicates.pairs if not pair.certain]
    across = split_leaks(frame, likely)
    kept = [pair for pair in likely if pair not in across]
    notes = []
    if kept:
        notes.append(
            f"{len(kept)} pair(s) of images look like one part and are kept in one split: "
            f"{named(frame, kept, 'label', LISTED)}. `ganaug inspect --pairs` shows them; data.group_pattern or a "
            "column group says what really belongs together."
        )
    if across:
        notes.append(
            f"{len(across)} pair(s) of images look like one part and are in two of the given splits, which are kept: "
            f"{named(frame, across, 'split', LISTED)}. If they are one part, the figures are too good."
        )
    if duplicates.usual >= ALIKE:
        notes.append(
            f"The images are all alike (correlation {duplicates.usual:.2f} as a rule), so looks hardly tell which show "
            "one part; if parts were photographed more than once, say which with data.group_pattern or a column group."
        )
    return notes


def named(frame: pd.DataFrame, pairs: Sequence[Pair], column: str, show: int = 3) -> str:
    """The first pairs by their paths, each with its value of ``column``, and how many more there are."""
    paths, values = frame["path"].tolist(), frame[column].tolist()
    shown = [
        f"{paths[p.first]!r} ({values[p.first]}) and {paths[p.second]!r} ({values[p.second]})" for p in pairs[:show]
    ]
    return "; ".join(shown) + (f"; and {len(pairs) - show} more pair(s)" if len(pairs) > show else "")
