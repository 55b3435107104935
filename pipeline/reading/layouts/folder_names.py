"""What folders are called that hold images, their masks, or what is beside them: none of these names is a class."""

import re

from pipeline.reading.layouts.tree import SPLIT_NAMES
from pipeline.reading.names import is_good

# fmt: off
IMAGE_FOLDERS = frozenset(
    (
        "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "jpegimages", "jpgimages",
        "pngimages", "rgb", "input", "inputs",
    )
)
MASK_FOLDERS = frozenset(
    (
        "mask", "masks", "label", "labels", "gt", "gts", "groundtruth", "annotation", "annotations", "annot",
        "annots", "ann", "anns", "seg", "segs", "segmentation", "segmentations", "segmentationclass",
        "segmentationclasspng", "target", "targets",
    )
)
OTHER_FOLDERS = frozenset(("imagesets", "segmentationobject", "unlabeled", "unlabelled"))
FORM_WORDS = frozenset(
    ("png", "jpg", "jpeg", "bmp", "tif", "tiff", "dir", "binary", "bw", "color", "colour", "machine")
)
# fmt: on


def role_of(name: str) -> str:
    """``images``, ``masks`` or ``other`` for a folder whose name says what kind of files it holds, else ``""``.

    A name of several words, such as train_masks or label_png, says so if every word is such a name, a split or a form.
    """
    if is_good(name):
        return ""
    if name.casefold() in OTHER_FOLDERS:
        return "other"
    roles = {_role_of_word(word) for word in _words(name) if word not in SPLIT_NAMES and word not in FORM_WORDS}
    if not roles or "" in roles:
        return ""
    return "masks" if "masks" in roles else "images"


def split_of(name: str) -> str:
    """The word of a folder's name that is called as a split is, such as train of train_masks; ``""`` without one."""
    return next((word for word in _words(name) if word in SPLIT_NAMES), "")


def _role_of_word(word: str) -> str:
    return "masks" if word in MASK_FOLDERS else "images" if word in IMAGE_FOLDERS else ""


def _words(name: str) -> list[str]:
    whole = re.sub(r"ground[ _-]truth", "groundtruth", name.casefold())
    return [word for word in re.split(r"[ _.-]+", whole) if word]
