"""Groups given by the user: a serial number, board, lot or shot in the paths of the images."""

import re
from collections.abc import Sequence

from pipeline.errors import InputError


def groups_by_path(paths: Sequence[str], pattern: str) -> tuple[list[str], list[str]]:
    """The group that ``pattern`` finds in each path, "" where it finds none, and notes on that.

    ``pattern`` is a regular expression searched anywhere in the path (``re.search``); what counts is its group named
    ``group``, else its only one. Raises InputError when it fits no path at all.
    """
    expression = re.compile(pattern)
    wanted: str | int = "group" if "group" in expression.groupindex else 1
    matches = [expression.search(path) for path in paths]
    groups = [(match[wanted] or "") if match else "" for match in matches]
    alone = [path for path, group in zip(paths, groups, strict=True) if not group]
    if len(alone) == len(paths):
        raise InputError(
            f"data.group_pattern = {pattern!r} fits none of the {len(paths)} paths, such as {paths[0]!r}; mend it."
        )
    notes = [f"data.group_pattern made {len(set(groups) - {''})} group(s) of {len(paths) - len(alone)} image(s)."]
    if alone:
        notes.append(f"{len(alone)} image(s), such as {alone[0]!r}, do not fit data.group_pattern; each is on its own.")
    return groups, notes
