"""Pascal VOC: one XML file an image, found by its stem."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from pipeline.errors import InputError
from pipeline.reading.annotations.assemble import Sheet, assemble, broken, sources
from pipeline.reading.annotations.files import BadAnnotation, contains, read_text, read_xml, required
from pipeline.reading.annotations.matching import split_name
from pipeline.reading.annotations.shapes import box, declared_size, number
from pipeline.reading.instances import Instance
from pipeline.reading.layouts.tree import Layout, Tree


def voc(tree: Tree) -> Layout | None:
    """Boxes of every XML file with the root element `annotation`; splits of `ImageSets/Main`.

    VOC counts pixels from 1 and both ends belong to the box: left = xmin - 1, width = xmax - xmin + 1. Tools that count
    from 0 write boxes that begin at 0; these begin one pixel outside the image and are clipped to it, which is said.
    """
    source = sources(tree)
    files = [path for path in source.paths if path.lower().endswith(".xml") and _is_voc(source, path)]
    if not files:
        return None
    splits, lists = _splits(source)
    return assemble(tree, "voc", [_sheet(source, file, splits) for file in files], [*files, *lists])


def _is_voc(source: Tree, path: str) -> bool:
    return contains(source.root / path, rb"<annotation[\s>]")


def _sheet(source: Tree, file: str, splits: dict[str, str]) -> Sheet:
    stem = str(PurePosixPath(file).with_suffix(""))
    names: tuple[str, ...] = (stem,)
    try:
        root = read_xml(source.root / file)
        named = (root.findtext("filename") or "").strip()
        names = (*names, named) if named else names
        size = declared_size(root.findtext("size/width"), root.findtext("size/height"))
    except BadAnnotation as bad:
        return broken(file, names, bad)
    return Sheet(file, names, _marks(root), size, splits.get(PurePosixPath(file).stem, ""))


def _marks(root: Element) -> Callable[[int, int], Sequence[Instance]]:
    return lambda _width, _height: [_box(found) for found in root.iter("object")]


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
