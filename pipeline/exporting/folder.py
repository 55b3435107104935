"""Class folders: SPLIT/CLASS/NAME, masks in masks/SPLIT/CLASS/NAME.png, all the rest in manifest.csv.

Any image-folder loader reads a split; `ganaug` reads the manifest.
"""

from collections.abc import Sequence

from pipeline.exporting.coco import document
from pipeline.exporting.names import place, safe
from pipeline.exporting.parts import Part
from pipeline.exporting.tables import write_table
from pipeline.exporting.writing import Target
from pipeline.reading.coco_file import NAME


def write_folder(parts: Sequence[Part], target: Target) -> None:
    """Without a split the images lie in train/, and manifest.csv leaves the column empty."""
    write_with_manifest(place(parts, lambda part: f"{part.split_or_train}/{safe(part.label)}"), target)


def write_with_manifest(placed: Sequence[Part], target: Target) -> None:
    """Images where they were placed, masks in the same order below masks/, manifest.csv, and instances.json (COCO).

    That file has the images of which is known what is marked on them; a mask alone does not tell defects apart.
    """
    masks = {}
    for part in placed:
        target.image(part)
        if (mask := part.mask) is not None:
            masks[part.path] = f"masks/{part.path.rpartition('.')[0]}.png"
            target.png(masks[part.path], mask)
    write_table(target, "manifest.csv", placed, masks)
    known = [part for part in placed if part.instances or part.pixels is not None]
    if known:
        target.json(NAME, document(known))
