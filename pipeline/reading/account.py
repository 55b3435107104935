"""What became of every file of a data set: each has one use, and the counts add up."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.reading.file_listing import Listing, printable
from pipeline.reading.header import is_picture
from pipeline.reading.layouts import Entry, Layout
from pipeline.reading.leftovers import (
    annotation_format,
    is_rubbish,
    picture_format,
)
from pipeline.reading.problems import Problem

USES: dict[str, str] = {
    "image": "images that are read",
    "mask": "masks of images",
    "annotation": "annotations that are read",
    "unreadable": "cannot be read",
    "left_out": "left out",
    "other_format": "pictures of formats that are not read",
    "unused_annotation": "annotations that are not used",
    "rubbish": "hidden files and those of the operating system",
    "other": "other files",
}

IGNORED = ("other_format", "unused_annotation", "rubbish", "other")
UNLISTED = "not listed in the manifest"
NAMED = ("mask", UNLISTED, "outside what")  # in the reasons that the layouts do not tell themselves


@dataclass(frozen=True)
class FileUse:
    """One file: its path relative to the root, its use (a key of USES), and what or why."""

    path: str
    use: str
    reason: str = ""


def account(
    root: Path, listing: Listing, layout: Layout, read: Iterable[Entry], problems: Sequence[Problem]
) -> list[FileUse]:
    """The use of every file in ``listing``, sorted by path; ``read`` are the entries that became images."""
    uses: dict[str, FileUse] = {}
    for entry in layout.entries:
        for mask in entry.masks:
            uses.setdefault(mask, FileUse(mask, "mask", f"of {entry.path}"))
    uses |= {path: FileUse(path, "left_out", reason) for path, reason in layout.left_out.items()}
    uses |= {path: FileUse(path, "annotation", layout.name) for path in layout.annotations}
    uses |= {entry.path: FileUse(entry.path, "image") for entry in read}
    uses |= {problem.path: FileUse(problem.path, "unreadable", problem.detail) for problem in problems}
    uses |= {path: FileUse(path, "rubbish") for path in listing.hidden}
    uses |= {path: FileUse(path, "other", "no regular file") for path in listing.special}
    there = [*listing.paths, *listing.hidden, *listing.special, *(problem.path for problem in listing.problems)]
    return [
        uses.get(path) or uses.get(printable(path)) or _leftover(root, path, layout.name) for path in sorted(set(there))
    ]


def _leftover(root: Path, path: str, layout: str) -> FileUse:
    if is_rubbish(PurePosixPath(path).name):
        return FileUse(path, "rubbish")
    if kind := picture_format(root, path):
        return FileUse(path, "other_format", kind)
    if is_picture(path):
        return FileUse(path, "left_out", UNLISTED if layout == "csv" else f"outside what the layout {layout} reads")
    if kind := annotation_format(root, path):
        why = "give the file itself to read it" if kind == "CSV" else f"the layout {layout} does not use it"
        return FileUse(path, "unused_annotation", f"{kind}: {why}")
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in (".json", ".xml"):
        return FileUse(path, "unused_annotation", f"{suffix[1:].upper()}: its content is no annotation that is known")
    return FileUse(path, "other")


def reasons(uses: Sequence[FileUse]) -> dict[tuple[str, str], int]:
    """Use and reason -> number of files, in the order of USES; the reason is left out where each file has its own."""
    own = ("mask", "unreadable", "annotation")
    counts = Counter((one.use, "" if one.use in own else one.reason) for one in uses)
    return {key: counts[key] for key in sorted(counts, key=lambda key: (list(USES).index(key[0]), key[1]))}


def counted(uses: Sequence[FileUse]) -> dict[str, int]:
    """Use -> number of files, in the order of USES, without those that do not occur."""
    counts = Counter(one.use for one in uses)
    return {use: counts[use] for use in USES if counts[use]}


def account_notes(uses: Sequence[FileUse], *, count_others: bool = True) -> list[str]:
    """Sentences on pictures of other formats, on masks without an image, and on annotations that are not used.

    With ``count_others`` also on how many other files there are.
    """
    notes = []
    formats = Counter(one.reason for one in uses if one.use == "other_format")
    if formats:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in sorted(formats.items()))
        pictures = formats.total() + sum(one.use in ("image", "unreadable") for one in uses)
        notes.append(f"{formats.total()} of {pictures} pictures are {kinds}, which are not read; convert them to PNG.")
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in uses:
        if one.use == "unused_annotation" or (one.use == "left_out" and any(word in one.reason for word in NAMED)):
            reasons[one.use, one.reason].append(one.path)
    for (use, reason), paths in sorted(reasons.items()):
        such = f"{len(paths)} file(s), such as {paths[0]!r}"
        if use == "left_out":
            notes.append(f"{such}, were left out: {reason}.")
        else:
            kind, _, why = reason.partition(": ")
            notes.append(f"{len(paths)} {kind} file(s), such as {paths[0]!r}, were not used: {why}.")
    others = sum(one.use in ("rubbish", "other") for one in uses)
    if others and count_others:
        notes.append(f"{others} hidden file(s) or file(s) of other formats were ignored.")
    return notes
