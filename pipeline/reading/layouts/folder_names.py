"""What folders are called that hold images, their masks, or what is beside them: none of these names is a class."""

from pipeline.reading.names import is_good

IMAGE_FOLDERS = frozenset(
    "image images img imgs picture pictures photo photos jpegimages jpgimages pngimages rgb input inputs".split()
)
MASK_FOLDERS = frozenset(
    "mask masks label labels gt gts ground_truth groundtruth ground-truth annotation annotations annot annots seg segs "
    "segmentation segmentations segmentationclass segmentationclasspng segmentationobject target targets".split()
)
UNLABELLED_FOLDERS = frozenset("train_images test_images val_images valid_images train_masks test_masks images_test "
                               "images_train imagesets unlabeled unlabelled".split())


def role_of(name: str) -> str:
    """``images``, ``masks`` or ``other`` for a folder whose name says what kind of files it holds, else ``""``."""
    folded = name.casefold()
    if is_good(name):
        return ""
    if folded in IMAGE_FOLDERS:
        return "images"
    if folded in MASK_FOLDERS:
        return "masks"
    return "other" if folded in UNLABELLED_FOLDERS else ""
