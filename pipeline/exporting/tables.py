"""The table of an export: a manifest as `pipeline/reading/labels_csv.py` reads it, with all that is known."""

from collections.abc import Mapping, Sequence

from pipeline.exporting.parts import Part
from pipeline.exporting.writing import Target
from pipeline.manifest import COLUMNS

ALL_COLUMNS = [*COLUMNS[:4], "synthetic", *COLUMNS[4:], "original"]
LINEAGE = ("generator", "seed", "confidence", "realism", "nearest_real", "nearest_real_distance", "decision")


def write_table(target: Target, name: str, parts: Sequence[Part], masks: Mapping[str, str] | None = None) -> None:
    """One row an image, empty fields where nothing is known; `masks` maps an image's path to its mask's."""
    target.table(name, ALL_COLUMNS, [_row(part, (masks or {}).get(part.path, "")) for part in parts])


def _row(part: Part, mask: str) -> dict[str, object]:
    return {
        "path": part.path,
        "label": part.label,
        "split": part.split,
        "source": part.source,
        "synthetic": "true" if part.synthetic else "false",
        "sha256": part.sha256,
        "group": part.group,
        "width": part.width,
        "height": part.height,
        "mask": mask,
        "original": part.original,
        **{key: part.lineage.get(key, "") for key in LINEAGE},
    }
