"""Which image an annotation is of, by the names it gives."""

import posixpath
import re
from collections import defaultdict
from pathlib import PurePosixPath

from pipeline.errors import InputError
from pipeline.reading.annotations.files import BadAnnotation
from pipeline.reading.header import is_picture
from pipeline.reading.layouts.tree import SPLIT_NAMES, Tree
from pipeline.reading.names import one_form

# Folders that say what kind of file they hold; they are no class.
IMAGES = {"images", "image", "imgs", "img", "jpegimages", "data"}
IMAGES |= {"obj_train_data", "obj_valid_data", "obj_test_data"}  # of CVAT's YOLO 1.1
MASKS = {"masks", "mask", "segmentationclass", "segmentationobject", "ground_truth", "gt"}
ANNOTATIONS = {"labels", "label", "annotations", "annotation", "ann", "json", "xml", "txt"}
KINDS_OF_FILE = IMAGES | MASKS | ANNOTATIONS


class Images:
    """The images of a data set, those in folders of masks apart, to be found by path, by its end, or by stem."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        every = [path for path in tree.paths if is_picture(path)]
        self.paths = [path for path in every if not _among(path, MASKS)] or every
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            name = PurePosixPath(path).name
            for key in dict.fromkeys((name, folded(name))):
                self._by_name[key].append(path)
            for key in dict.fromkeys((_stem(name), folded(_stem(name)))):
                self._by_stem[key].append(path)
        self._known = set(self.paths)

    def find(self, name: str, near: str = "", split: str = "") -> str | None:
        """The image called `name`, a path or a path without its suffix, by an annotation in folder `near`; or None.

        A path that leads there is taken; else the image that has the most of the name's end, is of the same `split`,
        lies in a folder of images, and nearest to the annotation; in another case or Unicode form where none is called
        so. Raises BadAnnotation where several do, and InputError where none does and the name leads out of the data
        set.
        """
        plain = name.replace("\\", "/")
        direct = posixpath.normpath(posixpath.join(near, plain))
        for path in (direct, posixpath.normpath(plain)):
            if path in self._known:
                return path
        parts = [part for part in plain.split("/") if part not in ("", ".", "..")]
        if not parts:
            return None
        last = parts[-1]
        stem = _stem(last) if is_picture(last) else last
        same = self._by_name.get(last) or self._by_stem.get(stem, [])
        same = same or self._by_name.get(folded(last)) or self._by_stem.get(folded(stem), [])
        if not same:
            if direct.startswith("../") and not self.tree.annotations:
                raise InputError(
                    f"{self.tree.root}: the annotations name {name!r}, which is outside the data set; copy the image "
                    "into it, or give the folder above."
                )
            return None
        ranks = {
            path: (_tail(path, parts), _same_split(path, split), _among(path, IMAGES), _head(path, near))
            for path in same
        }
        best = [path for path in same if ranks[path] == max(ranks.values())]
        if len(best) > 1:
            raise BadAnnotation(f"{name!r} could be {best[0]!r} or {best[1]!r}")
        return best[0]


def folded(name: str) -> str:
    """The name in one case and one Unicode form."""
    return one_form(name).casefold()


def split_in(path: str) -> str:
    """The split that a folder of the path names, train2017 too, or nothing."""
    names = (split_name(part) for part in PurePosixPath(path).parts[:-1])
    return next((name for name in names if name), "")


def split_name(folder: str) -> str:
    """The split that a folder's name means, or nothing."""
    return SPLIT_NAMES.get(re.sub(r"\d+$", "", folder.lower()), "")


def folder_class(path: str) -> str:
    """The first folder of the path that is neither a split nor named by a kind of file, or nothing."""
    folders = PurePosixPath(path).parts[:-1]
    return next((part for part in folders if not split_name(part) and part.lower() not in KINDS_OF_FILE), "")


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _tail(path: str, parts: list[str]) -> int:
    """How many folders in front of their names agree."""
    own, given = folded(path).split("/")[:-1], [folded(part) for part in parts[:-1]]
    folders = zip(reversed(own), reversed(given), strict=False)
    return next((k for k, (a, b) in enumerate(folders) if a != b), min(path.count("/"), len(parts) - 1))


def _head(path: str, near: str) -> int:
    """How many folders from the root on are common."""
    folders = list(zip(path.split("/")[:-1], near.split("/"), strict=False))
    return next((k for k, (a, b) in enumerate(folders) if a != b), len(folders))


def _among(path: str, folders: set[str]) -> bool:
    return any(part.lower() in folders for part in path.split("/")[:-1])


def _same_split(path: str, split: str) -> bool:
    return bool(split) and split_in(path) == split
