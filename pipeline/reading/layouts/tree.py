"""What a layout is recognised from, the files and folders of a data set, and what it says of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.reading.instances import Instance
from pipeline.reading.mask_pixels import NO_NAMES, MaskNames
from pipeline.reading.problems import Problem

GOOD, DEFECT = "good", "defect"  # the classes of a data set that has masks and no class folders
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Tree:
    """The files and folders below `root`, paths relative to it with forward slashes, sorted.

    `annotations` is where annotations lie that are kept elsewhere.
    """

    root: Path
    paths: list[str]
    folders: list[str]
    annotations: "Tree | None" = None

    def below(self, parent: str = "") -> list[str]:
        """Names of the folders directly in `parent`."""
        wanted = PurePosixPath(parent)
        return sorted(PurePosixPath(name).name for name in self.folders if PurePosixPath(name).parent == wanted)


@dataclass(frozen=True)
class Entry:
    """One candidate image: its path relative to the root and its class; split, masks and group as given, or empty.

    `instances` are the defects that an annotation marks on it, () if it says that there are none and None without any
    annotation; `size` (width, height) is what it says of the image. Defects that masks mark are found when these are
    decoded. The class of an image with defects of several classes is that of the largest.
    """

    path: str
    label: str
    split: str = ""
    masks: tuple[str, ...] = ()
    group: str = ""
    instances: tuple[Instance, ...] | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Layout:
    """What files and folders say: the layout's name, its candidates, every class named (empty ones too) and remarks.

    `annotations` are files that say what is on the images, `left_out` other files with the reason why they are not
    read, `problems` images whose annotation cannot be used. `mask_names` are what a class list calls the values of
    masks. With `class_by_mask` an entry without a class gets it from its mask: `DEFECT` (or what `mask_names` says)
    where that marks anything, else `GOOD`.
    """

    name: str
    entries: list[Entry]
    classes: list[str]
    notes: list[str] = field(default_factory=list)
    annotations: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    mask_names: MaskNames = NO_NAMES
    class_by_mask: bool = False
