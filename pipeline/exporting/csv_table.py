"""A CSV manifest: images/NAME, masks/images/NAME.png, and manifest.csv with everything else."""

from collections.abc import Sequence

from pipeline.exporting.folder import write_with_manifest
from pipeline.exporting.names import place
from pipeline.exporting.parts import Part
from pipeline.exporting.writing import Target


def write_csv_table(parts: Sequence[Part], target: Target) -> None:
    """The manifest has the columns of a run's, `synthetic` and `original`, the path in the source."""
    write_with_manifest(place(parts, lambda part: "images"), target)
