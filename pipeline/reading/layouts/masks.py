"""Which files are masks of which images, by their names."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from pipeline.reading.layouts.tree import Entry

MASK_SUFFIX = "_mask"


def pair_masks(paths: Sequence[str], describe: Callable[[str], tuple[str, str]]) -> list[Entry]:
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
    return [Entry(path, *describe(path), (masks[path],) if path in masks else ()) for path in paths if path not in used]


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _is_png(path: str) -> bool:
    return path.lower().endswith(".png")


def _is_picture(path: str) -> bool:
    return path.lower().endswith((".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"))
