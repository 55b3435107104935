"""What folders are called that hold images, their masks, or what is beside them: none of these names is a class."""

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
        "mask", "masks", "label", "labels", "gt", "gts", "ground_truth", "groundtruth", "ground-truth", "annotation",
        "annotations", "annot", "annots", "seg", "segs", "segmentation", "segmentations", "segmentationclass",
        "segmentationclasspng", "target", "targets",
    )
)
OTHER_FOLDERS = frozenset(
    (
        "train_images", "test_images", "val_images", "valid_images", "train_masks", "test_masks", "images_train",
        "images_test", "imagesets", "segmentationobject", "unlabeled", "unlabelled",
    )
)
# fmt: on


def role_of(name: str) -> str:
    """``images``, ``masks`` or ``other`` for a folder whose name says what kind of files it holds, else ``""``."""
    folded = name.casefold()
    if is_good(name):
        return ""
    if folded in IMAGE_FOLDERS:
        return "images"
    if folded in MASK_FOLDERS:
        return "masks"
    return "other" if folded in OTHER_FOLDERS else ""
