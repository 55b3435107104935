"""File names that every system takes, and from which the original can be told again."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from pipeline.exporting.parts import Part
from pipeline.reading.header import SUFFIXES as KNOWN

UNSAFE = frozenset('<>:"/\\|?*')  # what Windows refuses
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # devices of Windows, whatever follows
LOOKS_ESCAPED = re.compile(r"%(?=[0-9a-fA-F]{2})")
LONGEST = 180  # bytes in UTF-8; systems take 255, and endings such as "_mask.png" come behind
SUFFIXES = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}


def safe(name: str, *, one_word: bool = False) -> str:
    """`name` as one component of a path: what a system would refuse is percent-encoded (`urllib.parse.unquote`).

    With `one_word` blanks are, too. Longer names than LONGEST are cut and get a part of their digest.
    """
    text = "".join(
        _encoded(c) if _refused(c) or (one_word and c.isspace()) else c for c in LOOKS_ESCAPED.sub("%25", name)
    )
    if RESERVED.match(text) or text[:1] == "." or text[:1].isspace():
        text = _encoded(text[0]) + text[1:]
    if text[-1:] == "." or text[-1:].isspace():
        text = text[:-1] + _encoded(text[-1])
    raw = text.encode("utf-8")
    if len(raw) <= LONGEST:
        return text
    return f"{raw[: LONGEST - 9].decode('utf-8', 'ignore')}-{hashlib.sha256(raw).hexdigest()[:8]}"


def place(
    parts: Sequence[Part],
    folder_of: Callable[[Part], str],
    *,
    endings: Mapping[str, tuple[str, ...]] = SUFFIXES,
    one_word: bool = False,
) -> list[Part]:
    """The parts with the path that each gets in the export, in `folder_of(part)`; `nearest_real` is named likewise.

    Stems are distinct within a folder, compared without case and Unicode form, as some disks and most formats do; the
    ending is one of `endings` for the file's content. With `one_word` no stem has blanks.
    """
    counts: dict[str, int] = {}
    taken: set[str] = set()
    placed = []
    for part in parts:
        stem, suffix = _stem_and_suffix(part, endings[part.kind])
        first = f"{folder_of(part)}/{safe(stem, one_word=one_word)}".removeprefix("/")
        name, n = first, counts.get(_folded(first), 1)
        while _folded(name) in taken:
            n += 1
            name = f"{first}-{n}"
        counts[_folded(first)] = n
        taken.add(_folded(name))
        placed.append(replace(part, path=name + suffix))
    now: dict[object, str] = {one.original: one.path for one in placed}
    return [replace(one, lineage=_renamed(one.lineage, now)) for one in placed]


def _renamed(lineage: dict[str, object], now: dict[object, str]) -> dict[str, object]:
    nearest = lineage.get("nearest_real")
    return lineage | {"nearest_real": now[nearest]} if nearest in now else lineage


def _stem_and_suffix(part: Part, endings: tuple[str, ...]) -> tuple[str, str]:
    path = PurePosixPath(part.original)
    if path.suffix.lower() in endings:
        return path.stem, path.suffix
    return path.stem if path.suffix.lower() in KNOWN else path.name, endings[0]


def _refused(character: str) -> bool:
    return character in UNSAFE or unicodedata.category(character) in ("Cc", "Zl", "Zp")


def _encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8"))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
