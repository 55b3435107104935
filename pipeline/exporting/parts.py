"""What every writer takes: one image with all that is known of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from pipeline.reading.instances import Instance, Mask, mask_of
from pipeline.reading.names import is_good

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Part:
    """One image. Width, height, instances and mask are of the image as it is shown, EXIF orientation applied.

    `file` is the source, whose bytes have the digest `sha256`; `original` its path within the data set and `path` the
    one in the export, set by `place`. `kind` is the content's format (PNG, JPEG, BMP, TIFF, WEBP), `deep` says that it
    has more than 8 bits and `turned` that EXIF turns it. `pixels` are COCO's run lengths of the mask, None where none
    is known. `lineage` holds whatever a manifest says: generator, seed, nearest_real, scores.
    """

    file: Path
    original: str
    label: str
    split: str
    source: str
    sha256: str
    width: int
    height: int
    channels: int
    kind: str
    deep: bool = False
    turned: bool = False
    group: str = ""
    instances: tuple[Instance, ...] = ()
    pixels: str | None = None
    lineage: dict[str, Any] = field(default_factory=dict)
    path: str = ""

    @property
    def mask(self) -> Mask | None:
        """All that is marked, uint8 [H, W] of 0 and 255; None where no pixels are known."""
        if self.pixels is None:
            return None
        packed = {"size": [self.height, self.width], "counts": self.pixels.encode("ascii")}
        return np.ascontiguousarray(coco_mask.decode(packed) * np.uint8(255))

    @property
    def synthetic(self) -> bool:
        return self.source == "synthetic"

    @property
    def is_unmarked(self) -> bool:
        """Whether the image is of a class of defects and nothing says where on it."""
        return not self.instances and not is_good(self.label)

    @property
    def split_or_train(self) -> str:
        return self.split or "train"

    def mask_of(self, instance: Instance) -> Mask | None:
        return mask_of(instance, self.height, self.width)


def run_lengths(mask: Mask) -> str:
    """A mask [H, W] as COCO's compressed run lengths."""
    counts: bytes = coco_mask.encode(np.asfortranarray(mask > 0).astype(np.uint8, order="F"))["counts"]
    return counts.decode("ascii")


def defect_classes(parts: Iterable[Part]) -> list[str]:
    """Every class that is marked or that an unmarked image is of, sorted."""
    classes: set[str] = set()
    for part in parts:
        classes |= {one.label for one in part.instances} | ({part.label} if part.is_unmarked else set())
    return sorted(classes)


def by_split(parts: Sequence[Part]) -> dict[str, list[Part]]:
    """The parts of each split that has any, in the order train, val, test; without a split all are train."""
    found = {split: [part for part in parts if part.split_or_train == split] for split in SPLITS}
    return {split: some for split, some in found.items() if some}


def facts(part: Part) -> dict[str, Any]:
    """What goes beside the image in any format: `synthetic`, class, split, group, path in the source, lineage."""
    known = {"label": part.label, "split": part.split, "group": part.group, "original": part.original}
    return {"synthetic": part.synthetic} | {key: value for key, value in known.items() if value} | part.lineage
