"""Class lists beside masks: classes.txt names their values (in VOC's palette, too), labelmap.txt their colours."""

import re
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.layouts.tree import Tree
from pipeline.reading.mask_pixels import NO_NAMES, MaskNames
from pipeline.reading.names import BACKGROUND, check_class_name

VALUES = ("classes.txt", "class_names.txt")  # a name a line; the background has value 0
COLOURS = ("labelmap.txt", "label_map.txt")  # CVAT: name:red,green,blue:parts:actions
IGNORED_NAMES = frozenset({"ignore", "__ignore__", "void"})
BACKGROUND_NAMES = BACKGROUND | IGNORED_NAMES
COLOUR = re.compile(r"(?P<name>[^:#]+):(?P<red>\d{1,3}),(?P<green>\d{1,3}),(?P<blue>\d{1,3})(:.*)?")
LONGEST = 1 << 20  # bytes of a class list


def mask_names(tree: Tree) -> tuple[MaskNames, tuple[str, ...]]:
    """The names of mask values and colours, and the files that they come from. Raises InputError for a bad name."""
    found = {PurePosixPath(path).name.lower(): path for path in reversed(tree.paths) if path.count("/") <= 1}
    values = next((found[name] for name in VALUES if name in found), None)
    colours = next((found[name] for name in COLOURS if name in found), None)
    if values is None and colours is None:
        return NO_NAMES, ()
    by_value = _values(tree.root / values) if values else {}
    by_colour = _colours(tree.root / colours) if colours else {}
    by_colour = {palette_colour(value): name for value, name in by_value.items() if value >= 0} | by_colour
    return MaskNames(by_value, by_colour), tuple(file for file in (values, colours) if file)


def palette_colour(value: int) -> tuple[int, int, int]:
    """The colour of a value in Pascal VOC's palette, in which indexed masks are stored: bit by bit, highest first."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (value >> (3 * bit + channel) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]


def _values(file: Path) -> dict[int, str]:
    """The background has value 0 and the lines count on from it; where no line is its, the first one names value 1."""
    lines = _lines(file)
    background = next((k for k, line in enumerate(lines) if line.casefold() in BACKGROUND), -1)
    return {0: ""} | {k - background: _class(line, file) for k, line in enumerate(lines) if k != background}


def _colours(file: Path) -> dict[tuple[int, int, int], str]:
    matches = [match for line in _lines(file) if (match := COLOUR.fullmatch(line))]
    return {(int(m["red"]), int(m["green"]), int(m["blue"])): _class(m["name"].strip(), file) for m in matches}


def _class(name: str, file: Path) -> str:
    return "" if name.casefold() in BACKGROUND_NAMES else check_class_name(name, str(file))


def _lines(file: Path) -> list[str]:
    try:
        with file.open("rb") as stream:
            text = stream.read(LONGEST).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); check its permissions.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text; save it so.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
