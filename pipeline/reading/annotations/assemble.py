"""From what annotations say of single images to the layout of the data set."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.annotations.files import BadAnnotation, contains
from pipeline.reading.annotations.matching import Images, folder_class, split_in
from pipeline.reading.annotations.shapes import CLIPPED, FLAT, OUTSIDE, area, clipped
from pipeline.reading.header import is_picture, own_pixel_cap, read_header
from pipeline.reading.instances import Instance
from pipeline.reading.layouts.masks import pair_masks
from pipeline.reading.layouts.tree import Entry, Layout, Tree
from pipeline.reading.names import BACKGROUND, check_class_names, is_good
from pipeline.reading.problems import BadFile, ForeignFormat, Problem

UNBOUNDED = 1 << 62  # pixels; only headers are read here, the reader refuses what is too large
TURNED = 5  # EXIF orientations from here on exchange width and height
BARE = "no annotation is of it"
NO_SPLIT = "it is in none of the splits"
LOOSE = "it lies beside the class folders"
SYNTHETIC = "its annotation says that it is synthetic, which is no image to learn from anew or to test on"
FOREIGN = "it is of a format that is not read"
MASK = "it lies in a folder of masks, which are not read beside annotations"

WORDS = {
    CLIPPED: "{} defect(s) reach beyond their image and were clipped to it.",
    OUTSIDE: "{} defect(s) lie wholly outside their image and were left out.",
    FLAT: "{} defect(s) have no area and were left out.",
    "good": "{} mark(s) of a class of good parts or of the background are no defects and were left out.",
    "several": "{} image(s) have defects of several classes; all are kept.",
    "bare": "{} image(s) have no file of annotations, which means in YOLO that they have no defect.",
    "without": "{} image(s) without a marked defect are of class {!r}.",
    "elsewhere": "{} annotation(s) are of images that are not in this data set.",
}


@dataclass(frozen=True)
class Sheet:
    """What an annotation says of one image.

    `names` are tried in turn to find the image (`Images.find`), `source` is the file that says it ("" where none does).
    `marks` makes the defects from width and height of the image as it is shown, and may raise BadAnnotation. `size`
    (width, height) and `split` are as declared; `tag` is the class of the whole image where one is given;
    `synthetic`: a generator drew the image, as exports of ours say.
    """

    source: str
    names: tuple[str, ...]
    marks: Callable[[int, int], Sequence[Instance]]
    size: tuple[int, int] | None = None
    split: str = ""
    tag: str = ""
    synthetic: bool = False


def broken(source: str, names: tuple[str, ...], error: BadAnnotation) -> Sheet:
    """The sheet of an image whose annotation cannot be read."""

    def marks(_width: int, _height: int) -> Sequence[Instance]:
        raise error

    return Sheet(source, names, marks)


def files_with(source: Tree, suffix: str, *patterns: bytes) -> list[str]:
    """The files of that suffix in which all of `patterns` are found, as `contains` looks for them."""
    return [path for path in source.paths if path.lower().endswith(suffix) and contains(source.root / path, *patterns)]


def sources(tree: Tree) -> Tree:
    """Where the files of annotations are looked for: where the user says, or in the data set itself."""
    return tree.annotations or tree


def assemble(
    tree: Tree,
    name: str,
    sheets: Iterable[Sheet],
    files: Iterable[str],
    *,
    declared: Iterable[str] = (),
    remarks: Counter[str] | None = None,
    problems: Iterable[Problem] = (),
) -> Layout | None:
    """The layout of format `name` that `sheets`, read from `files`, make of the images; None if folders say more.

    `declared` are the classes that the format lists, `remarks` sentences with a place for their count. Images that lie
    in class folders are of their folder's class, and annotations say where the defects are; folders are classes where
    one of them is called as an annotated class, or as good parts are, or where most images have no annotation.
    Otherwise an image's class is that of its largest defect, without any "good" or what `declared` calls it, and
    images without an annotation are left out. Raises InputError for class names that cannot be used.
    """
    images, found, counts = Images(tree), _Found(), Counter[str]()
    for problem in problems:
        found.problem(problem)
    matched = _match(images, sheets, found, counts)
    said = sum(1 for sheet in matched.values() if sheet.source)
    synthetic = {path for path, sheet in matched.items() if sheet.synthetic}
    if len(synthetic) == len(images.paths) > 0:
        raise InputError(f"{tree.root} holds synthetic images alone, as their annotations say; give real ones, too.")
    matched = {path: sheet for path, sheet in matched.items() if path not in synthetic}
    marked: dict[str, tuple[Sheet, list[Instance]]] = {}
    with own_pixel_cap():
        for path, sheet in matched.items():
            instances = _defects(tree, path, sheet, found, counts)
            if instances is not None:
                marked[path] = (sheet, instances)
    good = next(filter(is_good, sorted(declared)), "good")
    annotated = {one.label for _, instances in marked.values() for one in instances}
    counts["several"] = sum(len({one.label for one in instances}) > 1 for _, instances in marked.values())
    named = annotated | {sheet.tag for sheet, _ in marked.values() if sheet.tag}
    inside = [path for path in images.paths if folder_class(path)]
    folders = {folder_class(path) for path in inside}
    in_folders = len(folders) > 1 and len(inside) > len(images.paths) / 2
    by_folder = in_folders and _are_classes(folders, named, said, len(images.paths))
    if by_folder:
        if not (tree.annotations or said or found.problems):
            return None
        entries = _by_folder(inside, marked, set(matched) - set(marked) | found.paths | synthetic)
        notes = ["Images lie in class folders: the folder is an image's class, annotations say where its defects are."]
    else:
        entries = [_entry(path, *marked[path], good, counts) for path in sorted(marked)]
        counts["bare"] = sum(not sheet.source for sheet, _ in marked.values())
        notes = ["The class of an image is that of its largest defect."] if counts["several"] else []
    left_out = dict.fromkeys(set(images.paths) - set(inside), LOOSE) if by_folder else {}
    if len({bool(entry.split) for entry in entries}) > 1:
        left_out |= {entry.path: NO_SPLIT for entry in entries if not entry.split}
        entries = [entry for entry in entries if entry.split]
    left_out |= dict.fromkeys(synthetic, SYNTHETIC)
    used = tuple(_spelt(tree, file) for file in files)
    left_out = _left_out(images, entries, found, used) | {p: why for p, why in left_out.items() if p not in found.paths}
    classes = {entry.label for entry in entries} | (folders if by_folder else set())
    check_class_names(classes | named | set(declared), str(tree.root))
    notes += [WORDS[key].format(count, good) for key, count in sorted(counts.items()) if count]
    notes += [sentence.format(count) for sentence, count in sorted((remarks or {}).items())]
    notes += _about(left_out, sorted(set(declared) - classes))
    return Layout(name, entries, sorted(classes), notes, used, left_out, tuple(found.problems))


def _spelt(tree: Tree, file: str) -> str:
    """A file of annotations relative to the data set, or whole where it lies elsewhere."""
    path = sources(tree).root / file
    return path.relative_to(tree.root).as_posix() if path.is_relative_to(tree.root) else str(path)


class _Found:
    """Problems so far, one a file, and images of other formats than their names say."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.paths: set[str] = set()
        self.foreign: set[str] = set()

    def problem(self, problem: Problem) -> None:
        if problem.path not in self.paths:
            self.paths.add(problem.path)
            self.problems.append(replace(problem, path=problem.path.encode(errors="replace").decode()))


def _match(images: Images, sheets: Iterable[Sheet], found: _Found, counts: Counter[str]) -> dict[str, Sheet]:
    """The sheet of each image; images that two describe and annotations without an image become problems."""
    matched: dict[str, Sheet] = {}
    doubled: set[str] = set()
    for sheet in sheets:
        near = "" if images.tree.annotations else str(PurePosixPath(sheet.source).parent)
        near = "" if near == "." else near
        try:
            path = _image(images, sheet, near)
        except BadAnnotation as bad:
            found.problem(Problem(_who(sheet), "annotation", f"{sheet.source}: {bad}"))
            continue
        if path is None and images.tree.annotations:
            counts["elsewhere"] += 1
        elif path is None:
            detail = f"{sheet.source} is of an image {sheet.names[-1]!r}, which is not in the data set"
            found.problem(Problem(_who(sheet), "missing", detail))
        elif path in matched:
            doubled.add(path)
            both = " and ".join(sorted({matched[path].source, sheet.source}))
            found.problem(Problem(path, "annotation", f"it is annotated twice, in {both}; keep one"))
        else:
            matched[path] = sheet
    return {path: sheet for path, sheet in matched.items() if path not in doubled}


def _image(images: Images, sheet: Sheet, near: str) -> str | None:
    """The image that the first of the sheet's names finds. Raises BadAnnotation where names fit several alone."""
    doubt = None
    for name in sheet.names:
        try:
            if path := images.find(name, near, sheet.split or split_in(sheet.source)):
                return path
        except BadAnnotation as bad:
            doubt = doubt or bad
    if doubt:
        raise doubt
    return None


def _who(sheet: Sheet) -> str:
    """The name under which an annotation without an image is listed: its own file, or the image's as it is written."""
    own = PurePosixPath(sheet.source).stem in {PurePosixPath(name).stem for name in sheet.names}
    return sheet.source if own else sheet.names[-1] or sheet.source


def _defects(tree: Tree, path: str, sheet: Sheet, found: _Found, counts: Counter[str]) -> list[Instance] | None:
    """The defects on an image; None if the image or its annotation cannot be read."""
    try:
        size, orientation = _shown(tree.root / path)
    except BadFile as bad:
        found.problem(Problem(path, bad.kind, str(bad)))
        return None
    except ForeignFormat:
        found.foreign.add(path)
        return None
    if sheet.size not in (None, size):
        declared = " x ".join(map(str, sheet.size or ()))
        detail = f"the image is {size[0]} x {size[1]}, its annotation in {sheet.source} is of {declared}"
        if orientation >= TURNED and sheet.size == size[::-1]:
            detail += ", as it was before its EXIF orientation; save the image turned and annotate that"
        found.problem(Problem(path, "annotation_size", detail))
        return None
    instances = []
    try:
        for one in sheet.marks(*size):
            kept, word = (None, "good") if _is_no_defect(one.label) else clipped(one, size)
            if word:
                counts[word] += 1
            if kept is not None:
                instances.append(kept)
    except BadAnnotation as bad:
        found.problem(Problem(path, "annotation", f"{sheet.source}: {bad}"))
        return None
    return instances


def _is_no_defect(label: str) -> bool:
    return is_good(label) or label.casefold() in BACKGROUND


def _shown(path: Path) -> tuple[tuple[int, int], int]:
    """Width and height of an image as it is shown, and its EXIF orientation. Raises BadFile and ForeignFormat."""
    header = read_header(path, UNBOUNDED)
    size = (header.width, header.height)
    return size[::-1] if header.orientation >= TURNED else size, header.orientation


def _are_classes(folders: set[str], named: set[str], annotated: int, images: int) -> bool:
    return bool(folders & named) or any(map(is_good, folders)) or annotated < images / 2


def _by_folder(paths: list[str], marked: dict[str, tuple[Sheet, list[Instance]]], refused: set[str]) -> list[Entry]:
    entries = []
    for entry in pair_masks(paths, lambda path: (folder_class(path), split_in(path))):
        sheet, instances = marked.get(entry.path, (None, []))
        if sheet is not None and sheet.source:  # of a mask and an annotation, the annotation counts
            split = sheet.split or entry.split
            entries.append(replace(entry, masks=(), split=split, instances=tuple(instances), size=sheet.size))
        elif entry.path not in refused:
            entries.append(entry)
    return entries


def _entry(path: str, sheet: Sheet, instances: list[Instance], good: str, counts: Counter[str]) -> Entry:
    """An image of the class of its tag, or of its largest defect."""
    split = sheet.split or split_in(path)
    if not instances and sheet.tag and not is_good(sheet.tag):
        return Entry(path, sheet.tag, split, size=sheet.size)  # a defect that is not marked
    if not instances:
        counts["without"] += 1
    largest = max(instances, key=area).label if instances else good
    return Entry(path, sheet.tag or largest, split, instances=tuple(instances), size=sheet.size)


def _left_out(images: Images, entries: list[Entry], found: _Found, files: tuple[str, ...]) -> dict[str, str]:
    """Files named as images that are read neither as an image, a mask nor an annotation, with the reason."""
    used = found.paths | {name for entry in entries for name in (entry.path, *entry.masks)}
    used |= set(files)
    bare = {path: MASK for path in images.tree.paths if is_picture(path) and path not in used}
    bare |= {path: BARE for path in images.paths if path not in used}
    return bare | dict.fromkeys(found.foreign, FOREIGN)


def _about(left_out: dict[str, str], unused: list[str]) -> list[str]:
    notes = []
    for reason in (BARE, NO_SPLIT, LOOSE, SYNTHETIC):
        paths = [path for path, why in left_out.items() if why == reason]
        if paths:
            notes.append(f"{len(paths)} image(s) are left out, such as {paths[0]!r}: {reason}.")
    if unused:
        notes.append(f"Listed classes that are no image's class: {', '.join(unused)}.")
    return notes
