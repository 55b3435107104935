"""The folder layout of a data set, and from it each file's class, split and mask."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.header import SUFFIXES
from pipeline.reading.names import check_class_names

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
MASK_SUFFIX = "_mask"


@dataclass(frozen=True)
class Entry:
    """One candidate image: path relative to the root and class; split as given, mask path and group, or ""."""

    path: str
    label: str
    split: str = ""
    mask: str = ""
    group: str = ""


@dataclass(frozen=True)
class Layout:
    """What the folders say: the layout's name, its candidates, every class named (empty ones too) and remarks."""

    name: str
    entries: list[Entry]
    classes: list[str]
    notes: list[str] = field(default_factory=list)


def find_layout(root: Path, paths: list[str], folders: list[str]) -> Layout:
    """Recognise MVTec AD, train/val/test folders or plain class folders.

    ``paths`` and ``folders`` are relative to ``root``, as ``list_files`` gives them. Raises InputError when no class
    folder is there or a class name is unusable.
    """
    present = set(folders)
    if "train/good" in present and "test" in present and _below(present, "train") == ["good"]:
        return _mvtec(root, paths, present)
    categories = [top for top in _below(present, "") if f"{top}/train/good" in present]
    if categories:
        choices = ", ".join(categories)
        raise InputError(
            f"{root} holds several MVTec AD categories ({choices}); give one, such as {root / categories[0]}."
        )
    if any(SPLIT_NAMES.get(top.lower()) == "train" for top in _below(present, "")):
        return _split_folders(root, paths, present)
    _require_right_level(root, paths, present)
    return _class_folders(root, paths, present)


def flat_folder(root: Path, paths: list[str]) -> Layout:
    """Every image of a folder without class folders, as one class without a name."""
    return Layout("flat", _pair_masks(paths, lambda path: ("", "")), [""])


def _below(folders: set[str], parent: str) -> list[str]:
    wanted = PurePosixPath(parent)
    return sorted(PurePosixPath(name).name for name in folders if PurePosixPath(name).parent == wanted)


def _require_right_level(root: Path, paths: list[str], folders: set[str]) -> None:
    """Raise InputError, naming the folder to give, when the class folders are above or below ``root``."""
    tops = _below(folders, "")
    if not tops and _holds_classes(root.parent):
        raise InputError(f"{root} holds no class folders; if it is one class itself, give {root.parent}.")
    splits = [top for top in tops if top.lower() in SPLIT_NAMES and _below(folders, top)]
    if splits and splits == tops:
        raise InputError(
            f"{root} holds {' and '.join(splits)} but no folder train; call the folder of the training images so."
        )
    inside = [top for top in tops if any(SPLIT_NAMES.get(name.lower()) == "train" for name in _below(folders, top))]
    if inside:
        raise InputError(
            f"{root} holds no class folders, the splits are inside {', '.join(inside)}; give {root / inside[0]}"
            f"{' or another of them' if len(inside) > 1 else ''}."
        )
    own = {str(PurePosixPath(path).parent) for path in paths}
    if len(tops) == 1 and tops[0] not in own and len(_below(folders, tops[0])) > 1:
        raise InputError(f"{root} holds one folder, the class folders are inside it; give {root / tops[0]}.")


def _holds_classes(folder: Path) -> bool:
    """Whether several folders stand there that hold files that are named as images."""
    try:
        places = [place for place in folder.iterdir() if place.is_dir() and not place.name.startswith(".")]
        return sum(any(file.suffix.lower() in SUFFIXES for file in place.iterdir()) for place in places) > 1
    except OSError:
        return False


def _mvtec(root: Path, paths: list[str], folders: set[str]) -> Layout:
    classes = sorted({"good", *_below(folders, "test")})
    known = set(paths)

    def mask_of(label: str, name: PurePosixPath) -> str:
        choices = (f"ground_truth/{label}/{name.stem}{MASK_SUFFIX}.png", f"ground_truth/{label}/{name.stem}.png")
        return next((choice for choice in choices if choice in known), "")

    entries = []
    for path in paths:
        parts = PurePosixPath(path).parts
        if len(parts) >= 3 and parts[0] in ("train", "test"):
            entries.append(Entry(path, parts[1], "", mask_of(parts[1], PurePosixPath(path))))
    note = "MVTec AD layout: its train folder holds no defects, so the images were split anew."
    return Layout("mvtec", entries, check_class_names(classes, str(root)), [note])


def _split_folders(root: Path, paths: list[str], folders: set[str]) -> Layout:
    tops = _below(folders, "")
    named = {top: SPLIT_NAMES[top.lower()] for top in tops if top.lower() in SPLIT_NAMES}
    doubled = [top for top in named if list(named.values()).count(named[top]) > 1]
    if doubled:
        raise InputError(
            f"{root} holds {' and '.join(doubled)}, which mean the same split; merge them into one folder."
        )
    classes = {name for top in named for name in _below(folders, top)}
    if not classes:
        raise InputError(
            f"{root / next(iter(named))} holds no class folders; put each class's images in one of its own."
        )
    inside = [path for path in paths if path.count("/") >= 2 and path.split("/")[0] in named]
    entries = _pair_masks(inside, lambda path: (path.split("/")[1], named[path.split("/")[0]]))
    others = [top for top in tops if top not in named]
    notes = [f"Left alone beside the split folders: {', '.join(others)}."] if others else []
    return Layout("split_folders", entries, check_class_names(classes, str(root)), notes)


def _class_folders(root: Path, paths: list[str], folders: set[str]) -> Layout:
    classes = _below(folders, "")
    if not classes:
        raise InputError(f"{root} holds no class folders; make one folder a class and put its images there.")
    inside = [path for path in paths if "/" in path]
    entries = _pair_masks(inside, lambda path: (path.split("/")[0], ""))
    loose = len(paths) - len(inside)
    notes = [f"{loose} file(s) outside any class folder were left alone."] if loose else []
    return Layout("class_folders", entries, check_class_names(classes, str(root)), notes)


def _pair_masks(paths: list[str], describe: Callable[[str], tuple[str, str]]) -> list[Entry]:
    """Attach ``stem.png`` beside ``stem.jpg`` (or another format), or ``stem_mask.png`` beside ``stem.*``."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_stem[_stem(path)].append(path)
    masks: dict[str, str] = {}
    for stem, same in by_stem.items():
        pngs = [path for path in same if _is_png(path)]
        pictures = [path for path in same if _is_picture(path) and not _is_png(path)]
        if len(pngs) == 1 and pictures:
            masks |= dict.fromkeys(pictures, pngs[0])
        elif stem.endswith(MASK_SUFFIX) and len(pngs) == 1:
            masks |= dict.fromkeys(by_stem.get(stem.removesuffix(MASK_SUFFIX), []), pngs[0])
    used = set(masks.values())
    return [Entry(path, *describe(path), masks.get(path, "")) for path in paths if path not in used]


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _is_png(path: str) -> bool:
    return path.lower().endswith(".png")


def _is_picture(path: str) -> bool:
    return path.lower().endswith((".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"))
