"""Groups in the paths of the images: a serial number, board, lot or shot, or the picture that versions were made of."""

import re
from collections import Counter
from collections.abc import Sequence

from pipeline.errors import InputError

AUGMENTED = re.compile(r"(?P<picture>.+)\.rf\.[0-9A-Za-z]{16,}\.\w+")  # PICTURE_jpg.rf.HASH.jpg, an augmented export


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


def groups_of_versions(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The picture that each path is an augmented version of, by its name, "" for others, and notes on that.

    Only pictures of which there are several versions in one folder count.
    """
    matches = [AUGMENTED.fullmatch(path) for path in paths]
    pictures = [match["picture"] if match else "" for match in matches]
    versions = Counter(pictures)
    groups = [picture if versions[picture] > 1 else "" for picture in pictures]
    found = set(groups) - {""}
    if not found:
        return groups, []
    count = sum(bool(group) for group in groups)
    note = f"{count} images are versions of {len(found)} pictures by their names (.rf.): those of one form a group."
    return groups, [note]
