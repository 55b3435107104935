"""`ganaug inspect`: what is in a data set, what is wrong with it, and what a run could find out."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.config import Config


def inspect_command(
    dataset: Path,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    pairs: Annotated[
        Path | None, typer.Option(help="New folder for pictures of the pairs that look alike, side by side.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="New file for a page with pictures, which opens offline.")] = None,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Make a few training steps, and say how long a run takes here.")
    ] = False,
    layout: Annotated[
        str | None, typer.Option(help="How to read the folder, as data.layout; auto recognises it.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Folder or file of annotations that are kept elsewhere (data.annotations).")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE, any configuration key; repeatable.")
    ] = None,
) -> None:
    """Show what is in DATASET, what is wrong with it and what a run could find out; status 2 if a run would stop.

    Changes nothing in it.
    """
    from pipeline.config import load_config
    from pipeline.reading import render

    chosen = [f"data.layout={layout}"] if layout else []
    chosen += [f"data.annotations={annotations}"] if annotations else []
    config = load_config(None, [*(overrides or []), *chosen])
    found = inspect_dataset(dataset, config, pairs=pairs, html=html, rehearse=rehearse)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else render(found))
    if found["errors"]:
        raise InputError(f"{dataset}: a run would stop for {len(found['errors'])} reason(s), see errors above.")


def inspect_dataset(
    dataset: Path, config: "Config", *, pairs: Path | None = None, html: Path | None = None, rehearse: bool = False
) -> dict[str, Any]:
    """What `ganaug inspect` reports, JSON-able; pictures of likely pairs go to the folder `pairs`, a page to `html`.

    Raises InputError, before anything is read, where `html` exists or lies in the data set.
    """
    from pipeline.forecast import forecast
    from pipeline.reading import duplicates_of, inspect, load, write_pairs

    if html is not None:
        _require_new_file(html, dataset)
    data = config.data
    reading = load(
        dataset,
        max_megapixels=data.max_megapixels,
        group_pattern=data.group_pattern,
        layout=data.layout,
        annotations=data.annotations,
    )
    duplicates = duplicates_of(reading, data.near_duplicate_correlation)
    if pairs is not None:
        write_pairs(reading, [pair for pair in duplicates.pairs if not pair.certain], pairs)
    found = inspect(
        reading, max_bad_fraction=data.max_bad_fraction, duplicates=duplicates, test_fraction=data.test_fraction
    )
    found["forecast"] = forecast(reading, duplicates.groups, config)
    if rehearse and not found["errors"]:
        from pipeline.rehearsal import rehearse as rehearsed

        measured = rehearsed(dataset, config)
        said = [*found["forecast"].get("said", []), measured.said]
        found["forecast"] |= asdict(measured) | {"said": said}
    if html is not None:
        from pipeline.inspect_page import render_page
        from pipeline.store.atomic_files import write_atomically

        write_atomically(html, render_page(found, reading, duplicates).encode())
    return found


def _require_new_file(html: Path, dataset: Path) -> None:
    root = (dataset.parent if dataset.is_file() else dataset).resolve()
    if html.resolve().is_relative_to(root):
        raise InputError(f"--html {html} is inside the data set; give a file elsewhere.")
    if html.exists() or html.is_symlink():
        raise InputError(f"--html {html} exists already; give the name of a new file.")
    if not html.resolve().parent.is_dir():
        raise InputError(f"--html {html}: its folder does not exist; make it, or give another file.")
