"""Which files a folder really holds: links resolved, loops and exits refused, hidden files left alone."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.problems import BadFile, Problem

SYSTEM_FOLDERS = frozenset({"$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle"})


@dataclass
class Listing:
    """Regular files and folders relative to the root, sorted; refused files; hidden ones, and pipes and devices.

    A hidden folder, or one of an operating system or a file server, is one of `hidden`, whatever it holds.
    """

    paths: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)

    @property
    def ignored(self) -> int:
        """How many files were hidden or special."""
        return len(self.hidden) + len(self.special)


def list_files(root: Path) -> Listing:
    """List every regular file under ``root``, never following a link to a folder.

    A link to a file is followed only inside the data set. Raises InputError for a link to a folder, since a whole
    class could hide behind it, and for a folder that may not be read.
    """
    listing = Listing()
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(f"{root / folder} cannot be read ({error.strerror}); check its permissions.") from error
        for entry in entries:
            relative = f"{folder}/{entry.name}" if folder else entry.name
            if _is_hidden(entry.name):
                listing.hidden.append(relative)
            elif entry.is_dir(follow_symlinks=False):
                pending.append(relative)
                listing.folders.append(relative)
            else:
                _add(listing, root, relative)
    listing.paths.sort()
    return listing


def list_beside(root: Path, paths: Sequence[str]) -> Listing:
    """The files in ``root`` and in the folders of ``paths``, which a manifest lists; others below are not looked at."""
    listing = Listing()
    for folder in sorted({"", *(str(PurePosixPath(path).parent).removeprefix(".") for path in paths)}):
        try:
            if not (root / folder).resolve().is_relative_to(root):
                continue
            files = [entry for entry in os.scandir(root / folder) if not entry.is_dir()]
        except (OSError, RuntimeError, ValueError):
            continue  # the reader says of each listed file what is wrong
        for entry in files:
            relative = f"{folder}/{entry.name}" if folder else entry.name
            (listing.hidden if _is_hidden(entry.name) else listing.paths).append(relative)
    listing.paths.sort()
    return listing


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or name.lower() in SYSTEM_FOLDERS


def _add(listing: Listing, root: Path, relative: str) -> None:
    try:
        regular = check_file(root, relative)
    except BadFile as bad:
        listing.problems.append(Problem(printable(relative), bad.kind, str(bad)))
        return
    if regular:
        listing.paths.append(relative)
    else:
        listing.special.append(relative)


def check_file(root: Path, relative: str) -> bool:
    """Whether ``relative`` is a regular file that stays inside ``root``; ``root`` is already resolved.

    False for pipes, sockets and devices. Raises BadFile (link_outside, link_loop, missing, unreadable, name) and
    InputError for a link to a folder.
    """
    if printable(relative) != relative:
        raise BadFile("name")
    path = root / relative
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
    except FileNotFoundError:
        raise BadFile("link_loop" if path.is_symlink() else "missing") from None
    except RuntimeError:  # Path.resolve reports a loop of links so, before Python 3.13
        raise BadFile("link_loop") from None
    except OSError as error:
        raise BadFile("link_loop" if path.is_symlink() else "unreadable", str(error.strerror)) from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a link to a folder; put the folder itself there, or remove the link.")
    if not target.is_relative_to(root):
        raise BadFile("link_outside", f"the link leads to {target}; copy the file into the data set")
    return stat.S_ISREG(mode)


def printable(name: str) -> str:
    """``name`` with bytes that are not UTF-8 replaced, so that it can be shown and written."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
