"""YOLO: one text file an image, a line a defect: class number, then a box or a polygon in shares of the image."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.errors import InputError
from pipeline.reading.annotations.assemble import Sheet, assemble, broken, sources
from pipeline.reading.annotations.files import BadAnnotation, contains, read_text, read_yaml, required
from pipeline.reading.annotations.matching import Images, folded, split_in
from pipeline.reading.annotations.shapes import box, number, polygons
from pipeline.reading.instances import Instance
from pipeline.reading.layouts.tree import Layout, Tree
from pipeline.reading.problems import Problem

LINE = re.compile(r"\s*\d+(\s+[-+.\deE]+){4,}\s*")
NAMES_FILES = ("classes.txt", "obj.names")
SPLITS = {"train": "train", "val": "val", "valid": "val", "test": "test"}  # keys of data.yaml
ABSENT = "A split that the YAML file names has no folder here ({} time(s))."
AGAIN = "A split that the YAML file names holds the images of an earlier one alone and is left out ({} time(s))."
UNNAMED = "No file names the classes ({} time(s)): they are called class_0, class_1, ..."
FARTHEST = 2.0  # a share of the image beyond it is a number of pixels


def yolo(tree: Tree) -> Layout | None:
    """Boxes and polygons of text files with the stem of an image; names and splits of a YAML file where there is one.

    Otherwise names are of classes.txt or obj.names, and splits of the folders. An image without a text file has no
    defect.
    """
    source = sources(tree)
    images = Images(tree)
    texts = _label_files(source, images)
    known = any(LINE.fullmatch(line) for path in texts for line in _first_line(source, path))
    if not known and not (texts and _names_classes(source)):
        return None
    remarks = Counter[str]()
    names, splits, files = _description(source, images, remarks)
    if names is None:
        remarks[UNNAMED] += 1
    problems: list[Problem] = []
    sheets: dict[str, Sheet] = {}
    doubled: list[Sheet] = []
    for file in texts:
        try:
            near = "" if tree.annotations else _folder(file)
            path = images.find(str(PurePosixPath(file).with_suffix("")), near, split_in(file))
        except BadAnnotation as bad:
            problems.append(Problem(file, "annotation", f"{file}: {bad}"))
            continue
        if path and (splits is None or path in splits):
            sheet = _sheet(source, file, path, names, (splits or {}).get(path, ""))
            doubled += [sheet] if path in sheets else []
            sheets.setdefault(path, sheet)
    bare = [path for path in (images.paths if splits is None else sorted(splits)) if path not in sheets]
    rest = [Sheet("", (path,), lambda _width, _height: [], split=(splits or {}).get(path, "")) for path in bare]
    every = [*sheets.values(), *doubled, *rest]
    declared = set((names or {}).values())
    return assemble(tree, "yolo", every, [*texts, *files], declared=declared, remarks=remarks, problems=problems)


def _label_files(source: Tree, images: Images) -> list[str]:
    stems = {folded(PurePosixPath(path).stem) for path in images.paths}
    return [
        path
        for path in source.paths
        if path.lower().endswith(".txt")
        and folded(PurePosixPath(path).stem) in stems
        and PurePosixPath(path).name not in NAMES_FILES
    ]


def _names_classes(source: Tree) -> bool:
    return any(
        PurePosixPath(path).name in NAMES_FILES or _described(source.root / path) is not None for path in source.paths
    )


def _first_line(source: Tree, path: str) -> Iterator[str]:
    try:
        lines = read_text(source.root / path).splitlines()
    except BadAnnotation:
        return
    yield from [line for line in lines if line.strip()][:1]


def _sheet(source: Tree, file: str, path: str, names: dict[int, str] | None, split: str) -> Sheet:
    try:
        lines = list(enumerate(read_text(source.root / file).splitlines(), start=1))
    except BadAnnotation as bad:
        return broken(file, (path,), bad)
    return Sheet(file, (path,), _marks([line for line in lines if line[1].strip()], names), split=split)


def _marks(lines: list[tuple[int, str]], names: dict[int, str] | None) -> Callable[[int, int], Sequence[Instance]]:
    def marks(width: int, height: int) -> Sequence[Instance]:
        found = []
        for row, line in lines:
            try:
                found.append(_instance(line.split(), names, width, height))
            except BadAnnotation as bad:
                raise BadAnnotation(f"line {row}: {bad}") from None
        return found

    return marks


def _instance(words: list[str], names: dict[int, str] | None, width: int, height: int) -> Instance:
    if not (words[0].isascii() and words[0].isdigit() and len(words[0]) < 6):
        raise BadAnnotation(f"the class number is {words[0][:40]!r}")
    number_ = int(words[0])
    label = f"class_{number_}" if names is None else names.get(number_)
    if label is None:
        raise BadAnnotation(f"class {number_} has no name")
    shares = [number(word, "a share of the image") for word in words[1:]]
    far = next((share for share in shares if abs(share) > FARTHEST), None)
    if far is not None:
        raise BadAnnotation(f"{far:g} is no share of the image's width or height")
    if len(shares) == 4:
        x, y, across, down = (share * side for share, side in zip(shares, (width, height) * 2, strict=True))
        return box(label, *map(_exact, (x - across / 2, y - down / 2, across, down)))
    if len(shares) < 6 or len(shares) % 2:
        raise BadAnnotation(f"{len(shares)} numbers follow the class, neither a box (4) nor a polygon (6, 8, ...)")
    corners = zip(shares[::2], shares[1::2], strict=True)
    return polygons(label, [tuple((_exact(x * width), _exact(y * height)) for x, y in corners)])


def _exact(pixels: float) -> float:
    """Without the rounding of shares, which are written with far fewer digits than these nine behind the point."""
    return round(pixels, 9)


def _description(
    source: Tree, images: Images, remarks: Counter[str]
) -> tuple[dict[int, str] | None, dict[str, str] | None, list[str]]:
    """Names of the classes, splits of the images where a YAML file lists any, and the files that say so."""
    described = {path: data for path in source.paths if (data := _described(source.root / path)) is not None}
    if described:
        path, data = next(iter(described.items()))
        file = str(source.root / path)
        other = next((name for name, one in described.items() if one["names"] != data["names"]), None)
        if other:
            raise InputError(f"{source.root}: {path} and {other} name the classes differently; keep one.")
        if "kpt_shape" in data:
            raise InputError(f"{file} describes key points; give labels of boxes or polygons.")
        return (
            _names(file, data["names"]),
            _splits(file, data, source, images, remarks),
            [*described, *_lists(data, source)],
        )
    lists = {path: required(read_text, source.root / path) for path in source.paths if path.endswith(NAMES_FILES)}
    if len(set(lists.values())) > 1:
        first, second = sorted(lists)[:2]
        raise InputError(f"{source.root}: {first} and {second} name the classes differently; keep one.")
    lines = [line.strip() for line in next(iter(lists.values()), "").splitlines()]
    names = dict(enumerate(line for line in lines if line)) if lists else None
    given = {path: _settings(source.root / path) for path in source.paths if path.endswith("obj.data")}
    for path, settings in given.items():
        said = Counter[str]()
        splits = _splits(str(source.root / path), settings, source, images, said)
        if splits and len(set(splits.values())) > 1:  # one list alone is of all images
            remarks += said
            return names, splits, [*sorted(lists), path, *_lists(settings, source)]
    return names, None, sorted(lists)


def _settings(path: Path) -> dict[Any, Any]:
    """Keys and values of Darknet's obj.data, which CVAT writes."""
    pairs = [line.partition("=") for line in required(read_text, path).splitlines()]
    return {key.strip(): value.strip() for key, sign, value in pairs if sign}


def _lists(data: dict[Any, Any], source: Tree) -> list[str]:
    """The text files of `source` that a description's splits name."""
    given = [data.get(key) for key in SPLITS]
    values = [one for value in given for one in (value if isinstance(value, list) else [value])]
    names = {PurePosixPath(value.replace("\\", "/")).name for value in values if isinstance(value, str)}
    return [path for path in source.paths if path.endswith(".txt") and PurePosixPath(path).name in names]


def _described(path: Path) -> dict[Any, Any] | None:
    """The content of a YAML file that names classes; None of any other."""
    if path.suffix.lower() not in (".yaml", ".yml") or not contains(path, b"names"):
        return None
    data = required(read_yaml, path)
    return data if isinstance(data, dict) and "names" in data else None


def _names(file: str, names: Any) -> dict[int, str]:
    pairs = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(pairs, dict) or not all(type(key) is int for key in pairs):
        raise InputError(f"{file}: names is neither a list nor numbers with names; mend it.")
    if not all(isinstance(name, (str, int)) for name in pairs.values()):
        raise InputError(f"{file}: a class name is no text; mend names.")
    return {key: str(name) for key, name in pairs.items()}


def _splits(
    file: str, data: dict[Any, Any], place: Tree, images: Images, remarks: Counter[str]
) -> dict[str, str] | None:
    """The split of each image that the YAML file's train, val and test hold; None where it lists none that is here."""
    found: dict[str, str] = {}
    for key, split in SPLITS.items():
        values = data.get(key)
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) or not value.strip():
                continue
            members = _members(value.strip(), place, images)
            if not members:
                remarks[ABSENT] += 1
            elif all(found.get(path, split) != split for path in members):
                remarks[AGAIN] += 1  # Ultralytics asks for val where there is none
                continue
            for path in members:
                if found.setdefault(path, split) != split:
                    raise InputError(f"{file}: {path!r} is in {found[path]} and in {split}; keep one.")
    return found or None


def _members(value: str, place: Tree, images: Images) -> list[str]:
    """The images of a folder, or of a text file that lists them, by as much of the end of its path as is here."""
    parts = [part for part in value.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        end = "/".join(parts[start:])
        if end.endswith(".txt") and end in place.paths:
            lines = required(read_text, place.root / end).splitlines()
            found = [_listed(line.strip(), place, end, images) for line in lines if line.strip()]
            return [path for path in found if path]
        inside = [path for path in images.paths if f"/{path}".startswith(f"/{end}/")]
        if inside:
            return inside
    return images.paths if not parts else []


def _listed(name: str, place: Tree, file: str, images: Images) -> str | None:
    try:
        return images.find(name, _folder(file))
    except BadAnnotation as bad:
        raise InputError(f"{place.root / file}: {bad}; write the path from the data set's folder on.") from None


def _folder(file: str) -> str:
    folder = str(PurePosixPath(file).parent)
    return "" if folder == "." else folder
