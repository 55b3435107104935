"""`ganaug export`: a run's data set, or any other, in the format of another tool."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.terminal import on_one_line

FormatName = StrEnum("FormatName", ["folder", "coco", "yolo", "voc", "mvtec", "labelme", "csv"])


def export_command(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|DATASET", help="A run's folder, or any data set that `run` takes.")
    ],
    form: Annotated[FormatName, typer.Option("--format", help="The format to write.")],
    out: Annotated[Path, typer.Option("--out", help="The new folder to write.")],
    allow_training_defects: Annotated[
        bool, typer.Option("--allow-training-defects", help="With mvtec: put them into test/, its only place for them.")
    ] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE, a configuration key of data; repeatable.")
    ] = None,
) -> None:
    """Write images, masks, boxes and lineage for other tools; says what the format has no place for."""
    from pipeline.config import load_config
    from pipeline.exporting import export, notes_on_export, read_source

    config = load_config(None, overrides)
    found = read_source(source, config)
    export(found, form.value, out, allow=allow_training_defects)
    for problem in found.problems:
        print(f"left out: {on_one_line(problem.path)} ({problem.detail})", file=sys.stderr)
    for note in [*found.notes, *notes_on_export(found.parts, form.value)]:
        print(f"note: {note}", file=sys.stderr)
    synthetic = sum(part.synthetic for part in found.parts)
    typer.echo(f"{out}: {len(found.parts)} images as {form.value}, {synthetic} of them synthetic.")
