"""Class names become folder names, table cells and headings, so they are checked before any file is touched."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from pipeline.errors import InputError

GOOD = {"good", "ok", "free", "normal", "pass", "no_defect", "defect_free", "non_defective"}
BACKGROUND = frozenset({"background", "_background_", "__background__", "bg"})  # what is marked so is no defect
LONGEST = 100  # characters; leaves room for the rest of a path component in UTF-8


def is_good(name: str) -> bool:
    """Whether the name says that a class holds parts without a defect."""
    return name.casefold().replace("-", "_").replace(" ", "_") in GOOD


def check_class_name(name: str, where: str = "") -> str:
    """Return ``name`` when it is safe as a single folder name; ``where`` says in the error which file or key holds it.

    Raises InputError for an empty, hidden, absolute or path-like name, control characters (NUL among them), invalid
    Unicode, blanks at either end, or more than 100 characters.
    """
    reason = _fault(name)
    if reason:
        raise InputError(f"{where + ': ' if where else ''}the class name {name!r} {reason}; rename the class.")
    return name


def _fault(name: str) -> str:
    if not name.strip():
        return "is empty"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "holds a control character or invalid Unicode"
    if "/" in name or "\\" in name or name[1:2] == ":":
        return "is a path, not a name"
    if name.startswith("."):
        return "starts with a dot"
    if name != name.strip() or name.endswith("."):
        return "begins or ends with a blank, or ends with a dot"
    if len(name) > LONGEST:
        return f"is longer than {LONGEST} characters"
    return ""


def check_class_names(names: Iterable[str], where: str = "") -> list[str]:
    """Check every name and that no two would share a folder on a disk that ignores case or Unicode form.

    Returns the sorted distinct names. Raises InputError naming each colliding pair.
    """
    distinct = sorted({check_class_name(name, where) for name in names})
    folded: dict[str, list[str]] = defaultdict(list)
    for name in distinct:
        folded[unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())].append(name)
    clashes = [" and ".join(repr(name) for name in same) for same in folded.values() if len(same) > 1]
    if clashes:
        raise InputError(
            f"{where + ': ' if where else ''}class names differ only by case or Unicode form: {'; '.join(clashes)}; "
            "rename one of each pair, or merge them."
        )
    return distinct


def one_form(name: str) -> str:
    """The name in Unicode's composed form (NFC): what a Mac and a Windows machine write of one name becomes one."""
    return unicodedata.normalize("NFC", name)
