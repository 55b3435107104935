"""The files that a manifest means, where its paths are not written as the files are called."""

import os
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.header import SUFFIXES, is_picture

MOST_FILES = 500_000  # below the manifest's folder, that are looked through for one that is not where its row says


class ListedPaths:
    """Finds listed files below a manifest's folder and counts how it had to."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_name: dict[str, list[str]] | None = None
        self._how: Counter[str] = Counter()
        self._example: dict[str, tuple[str, str]] = {}

    def find(self, where: str, name: str) -> str:
        """The path of a listed file relative to the folder, in its plain form; as listed where there is no such file.

        Tried in turn: as written, without blanks at the ends and with ``\\`` for ``/``, in another case or Unicode
        form, of an absolute path by its end, and of any other the file further down that ends so, without the ending of
        an image too. Raises InputError for a path that is empty or leaves the folder, or where several files end so.
        """
        if not name or "\0" in name or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            raise InputError(_leaves(where, name))
        if not _is_absolute(name) and self._exists(name):
            return str(PurePosixPath(name))
        plain = name.strip(" \t").replace("\\", "/")
        if _is_absolute(plain):
            return self._moved(where, name, plain)
        if not plain.strip("./"):
            raise InputError(_leaves(where, name))
        if self._exists(plain):
            return self._said("with blanks or backslashes", name, str(PurePosixPath(plain)))
        alike = self._alike(str(PurePosixPath(plain)))
        if alike is not None:
            return self._said("in another Unicode form (NFC, NFD) or case", name, alike)
        return self._below(where, name, str(PurePosixPath(plain)))

    def notes(self) -> list[str]:
        """A sentence for each way in which files were found that are not called as they are listed."""
        return [
            f"{count} path(s) are listed {how} and were found: {self._example[how][0]!r} is {self._example[how][1]!r}."
            for how, count in sorted(self._how.items())
        ]

    def _moved(self, where: str, name: str, plain: str) -> str:
        """The file whose path ends as the absolute one does, in the most folders, if there is only one."""
        parts = [part for part in PurePosixPath(plain).parts if part != "/" and not part.endswith(":")]
        candidates = self._index().get(_folded(parts[-1]), []) if parts else []
        lengths = {
            candidate: _common_tail(_folded(candidate).split("/"), [_folded(part) for part in parts])
            for candidate in candidates
        }
        longest = max(lengths.values(), default=0)
        best = [candidate for candidate, length in lengths.items() if length == longest]
        if len(best) > 1:
            raise InputError(
                f"{where}: the path {name!r} is absolute, and both {best[0]!r} and {best[1]!r} end so; write it "
                "relative to the folder of the CSV file."
            )
        if not best:
            raise InputError(
                f"{where}: the path {name!r} leaves the folder of the CSV file, and no file in it is called so; put "
                "the image there, or remove the row."
            )
        return self._said("by absolute paths of another place", name, best[0])

    def _below(self, where: str, name: str, plain: str) -> str:
        """The one file further down whose path, with its ending or without, ends as listed; else as it is listed.

        Where the listed folder is there, the file is missing from it, and another of its name is another image.
        """
        folder = PurePosixPath(plain).parent
        if folder != PurePosixPath() and (self._root / folder).is_dir():
            return plain
        last, end = PurePosixPath(plain).name, f"/{_folded(plain)}"
        whole = is_picture(plain)
        names = [last] if whole else [last + suffix for suffix in sorted(SUFFIXES)]
        files = [path for one in names for path in self._index().get(_folded(one), [])]
        found = [path for path in files if f"/{_folded(path if whole else str(_bare(path)))}".endswith(end)]
        if len(found) > 1:
            raise InputError(
                f"{where}: the path {name!r} is not there, and both {found[0]!r} and {found[1]!r} end so; write which."
            )
        if not found:
            return plain
        how = "without their folder or their ending" if not whole else "without their folder"
        return self._said(how, name, found[0])

    def _alike(self, plain: str) -> str | None:
        found = [
            path
            for path in self._index().get(_folded(PurePosixPath(plain).name), [])
            if _folded(path) == _folded(plain)
        ]
        same_case = [
            path for path in found if unicodedata.normalize("NFC", path) == unicodedata.normalize("NFC", plain)
        ]
        return next((choice[0] for choice in (same_case, found) if len(choice) == 1), None)

    def _said(self, how: str, listed: str, found: str) -> str:
        self._how[how] += 1
        self._example.setdefault(how, (listed, found))
        return found

    def _exists(self, name: str) -> bool:
        try:
            return os.path.lexists(self._root / name)
        except (OSError, ValueError):
            return False

    def _index(self) -> dict[str, list[str]]:
        """Folded name -> files of that name below the folder; links to folders are not followed."""
        if self._by_name is None:
            self._by_name, count = defaultdict(list), 0
            for folder, _, files in os.walk(self._root):
                place = Path(folder).relative_to(self._root).as_posix()
                for file in files:
                    self._by_name[_folded(file)].append(file if place == "." else f"{place}/{file}")
                count += len(files)
                if count > MOST_FILES:
                    break
        return self._by_name


def _is_absolute(name: str) -> bool:
    return name.startswith(("/", "\\")) or (name[:1].isalpha() and name[1:3] in (":\\", ":/"))


def _bare(path: str) -> PurePosixPath:
    return PurePosixPath(path).with_suffix("")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _common_tail(one: list[str], other: list[str]) -> int:
    length = 0
    while length < min(len(one), len(other)) and one[-1 - length] == other[-1 - length]:
        length += 1
    return length


def _leaves(where: str, name: str) -> str:
    return f"{where}: the path {name!r} is empty or leaves the folder of the CSV file; use one inside it."
