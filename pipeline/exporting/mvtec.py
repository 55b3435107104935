"""MVTec AD: train/good, test/CLASS, ground_truth/CLASS/STEM_mask.png; lineage.csv beside."""

from collections.abc import Sequence

from pipeline.exporting.names import place, safe
from pipeline.exporting.parts import Part
from pipeline.exporting.tables import write_table
from pipeline.exporting.writing import Target
from pipeline.reading.names import is_good


def write_mvtec(parts: Sequence[Part], target: Target) -> None:
    """Good images of train, or of no split, are train/good; all others are in test/. lineage.csv keeps the split."""
    placed = place(parts, _folder)
    for folder in ("train/good", "test", "ground_truth"):
        (target.root / folder).mkdir(parents=True, exist_ok=True)
    masks = {}
    for part in placed:
        target.image(part)
        if not is_good(part.label) and (mask := part.mask) is not None:
            stem = part.path.removeprefix("test/").rpartition(".")[0]
            masks[part.path] = f"ground_truth/{stem}_mask.png"
            target.png(masks[part.path], mask)
    write_table(target, "lineage.csv", placed, masks)


def _folder(part: Part) -> str:
    if is_good(part.label):
        return "test/good" if part.split in ("val", "test") else "train/good"
    return f"test/{safe(part.label)}"
