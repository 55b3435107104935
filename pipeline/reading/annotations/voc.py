"""Pascal VOC: one XML file an image, found by its stem; masks in SegmentationObject where there are any."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.reading.annotations.assemble import Sheet, assemble, broken, files_with, sources
from pipeline.reading.annotations.files import BadAnnotation, read_bytes, read_text, read_xml, required
from pipeline.reading.annotations.matching import split_name
from pipeline.reading.annotations.painted import values_of_png
from pipeline.reading.annotations.shapes import box, declared_size, number
from pipeline.reading.instances import Instance, of_mask
from pipeline.reading.layouts.tree import Layout, Tree

UNDECIDED = 255  # in masks


def voc(tree: Tree) -> Layout | None:
    """Boxes of every XML file with the root element `annotation`; splits of `ImageSets/Main`.

    The pixels of an object are those that have its number in SegmentationObject.

    VOC counts pixels from 1 and both ends belong to the box: left = xmin - 1, width = xmax - xmin + 1. Tools that count
    from 0 write boxes that begin at 0; these begin one pixel outside the image and are clipped to it, which is said.
    """
    source = sources(tree)
    files = files_with(source, ".xml", rb"<annotation[\s>]")
    if not files:
        return None
    splits, lists = _splits(source)
    known = set(source.paths)
    masks = {file: mask for file in files if (mask := _mask_file(file)) in known}
    sheets = [_sheet(source, file, splits, masks.get(file)) for file in files]
    return assemble(tree, "voc", sheets, [*files, *lists, *masks.values()])


def _mask_file(file: str) -> str:
    """Where VOC keeps the mask of an XML file; nowhere if this is not in Annotations."""
    if "Annotations" not in PurePosixPath(file).parts[:-1]:
        return ""
    parts = ["SegmentationObject" if part == "Annotations" else part for part in PurePosixPath(file).parts]
    return PurePosixPath(*parts).with_suffix(".png").as_posix()


def _sheet(source: Tree, file: str, splits: dict[str, str], mask: str | None) -> Sheet:
    stem = str(PurePosixPath(file).with_suffix(""))
    names: tuple[str, ...] = (stem,)
    try:
        root = read_xml(source.root / file)
        named = (root.findtext("filename") or "").strip()
        names = (*names, named) if named else names
        size = declared_size(root.findtext("size/width"), root.findtext("size/height"))
    except BadAnnotation as bad:
        return broken(file, names, bad)
    place = source.root / mask if mask else None
    tag = (root.findtext("lineage/label") or "").strip()  # an export of ours writes it
    split, synthetic = splits.get(PurePosixPath(file).stem, ""), root.findtext("synthetic") == "1"
    return Sheet(file, names, _marks(root, place), size, split, tag, synthetic)


def _marks(root: Element, mask: Path | None) -> Callable[[int, int], Sequence[Instance]]:
    def marks(width: int, height: int) -> Sequence[Instance]:
        found = [_box(one) for one in root.iter("object")]
        if mask is None:
            return found
        numbers = values_of_png(read_bytes(mask), (width, height))
        return [
            _painted(one, (numbers == number) & (numbers != UNDECIDED)) for number, one in enumerate(found, start=1)
        ]

    return marks


def _painted(instance: Instance, pixels: NDArray[np.bool_]) -> Instance:
    """The defect with its pixels, if it has any; there are numbers for 254."""
    return replace(instance, rle=of_mask(instance.label, pixels.astype(np.uint8)).rle) if pixels.any() else instance


def _box(found: Element) -> Instance:
    label = (found.findtext("name") or "").strip()
    left, top, right, bottom = (
        number(found.findtext(f"bndbox/{end}"), end) for end in ("xmin", "ymin", "xmax", "ymax")
    )
    return box(label, left - 1, top - 1, right - left + 1, bottom - top + 1)


def _splits(source: Tree) -> tuple[dict[str, str], list[str]]:
    """The split of each stem that a list under ImageSets names, and these lists. InputError where one is in two."""
    lists: dict[str, list[str]] = defaultdict(list)
    for path in source.paths:
        if path.endswith(".txt") and "ImageSets" in path.split("/") and split_name(PurePosixPath(path).stem):
            lists[str(PurePosixPath(path).parent)].append(path)
    main = sorted(lists, key=lambda folder: (not folder.endswith("Main"), folder))[:1]
    used = [path for folder in main for path in lists[folder]]
    splits: dict[str, str] = {}
    for path in used:
        split = split_name(PurePosixPath(path).stem)
        for line in required(read_text, source.root / path).splitlines():
            stem = line.split(maxsplit=1)[0] if line.strip() else ""
            if stem and splits.setdefault(stem, split) != split:
                raise InputError(f"{source.root / path} lists {stem!r}, which is in {splits[stem]} as well; keep one.")
    return splits, used
