"""The command line without Prefect: look at data, list families, run one stage on a run's folder.

Commands import what they need when they run: torch alone takes seconds, which `--help` must not.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.class_commands import classes
from pipeline.classifier_commands import export_classifier_command, predict_command
from pipeline.errors import InputError
from pipeline.latent_commands import latent

if TYPE_CHECKING:
    from pipeline.config import Config

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(latent, name="latent")
app.add_typer(classes, name="class")

Out = Annotated[Path, typer.Option("--out", help="The run's folder.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML file with configuration keys.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, any configuration key; repeatable.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


@app.callback()
def main(debug: Debug = False) -> None:
    """Augment a defect image set with conditional GANs, and say whether that helped."""


@app.command("inspect")
def inspect_command(
    dataset: Path,
    as_json: AsJson = False,
    pairs: Annotated[
        Path | None, typer.Option(help="New folder for pictures of the pairs that look alike, side by side.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="New file for a page with pictures, which opens offline.")] = None,
    overrides: Overrides = None,
) -> None:
    """Show what is in DATASET and what is wrong with it; status 2 if a run would stop. Changes nothing in it."""
    from pipeline.config import load_config
    from pipeline.reading import render

    config = load_config(None, overrides)
    found = inspect_dataset(dataset, config, pairs, html)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else render(found))
    if found["errors"]:
        raise InputError(f"{dataset}: a run would stop for {len(found['errors'])} reason(s), see errors above.")


def inspect_dataset(
    dataset: Path, config: "Config", pairs: Path | None = None, html: Path | None = None
) -> dict[str, Any]:
    """What `ganaug inspect` reports, JSON-able; pictures of likely pairs go to the folder `pairs`, a page to `html`.

    Raises InputError, before anything is read, where `html` exists or lies in the data set.
    """
    from pipeline.reading import duplicates_of, inspect, load, write_pairs

    if html is not None:
        _require_new_file(html, dataset)
    data = config.data
    reading = load(dataset, max_megapixels=data.max_megapixels, group_pattern=data.group_pattern)
    duplicates = duplicates_of(reading, data.near_duplicate_correlation)
    if pairs is not None:
        write_pairs(reading, [pair for pair in duplicates.pairs if not pair.certain], pairs)
    found = inspect(
        reading,
        max_bad_fraction=data.max_bad_fraction,
        duplicates=duplicates,
        test_fraction=data.test_fraction,
    )
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


@app.command()
def families(as_json: AsJson = False) -> None:
    """List every GAN family with its paper and its defaults."""
    from ganaug.families import FAMILIES

    if as_json:
        rows = [
            {"name": f.name, "paper": f.paper, "summary": f.summary, "defaults": asdict(f.defaults)}
            for f in FAMILIES.values()
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    for family in FAMILIES.values():
        typer.echo(
            f"{family.name}\n  {family.summary}\n  {family.paper}\n  defaults: {_brief(asdict(family.defaults))}"
        )


app.command("predict")(predict_command)
app.command("export-classifier")(export_classifier_command)


@app.command("score")
def score_command(
    real: Annotated[Path, typer.Argument(help="Real images: class folders, a flat folder or a CSV manifest.")],
    generated: Annotated[Path, typer.Argument(help="Generated images, likewise.")],
    features: Annotated[str, typer.Option(help="scattering (the project's own) or inception.")] = "scattering",
    weights: Annotated[
        str | None, typer.Option(help="With inception: a .safetensors or .pth file of torchvision's, or download.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Resize all images to this side: 32, 64, 128 or 256.")] = None,
    as_json: AsJson = False,
) -> None:
    """Score GENERATED images against REAL ones; reads only."""
    from pipeline.score_command import render_scores, score

    record = score(real, generated, features=features, weights=weights, size=size)
    typer.echo(json.dumps(record, indent=2, ensure_ascii=False) if as_json else render_scores(record))


def _brief(options: dict[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())


def _stage_command(stage: str, does: str) -> None:
    def command(out: Out = Path("out"), overrides: Overrides = None) -> None:
        from pipeline.config import load_config
        from pipeline.job import recall_job, recall_origin, run_job
        from pipeline.store import RunFolder

        run = RunFolder(out)
        config, source = recall_job(run)
        if overrides:
            config = load_config(run.config, overrides)
        run_job(run, config, source, origin=recall_origin(run), until=stage)
        typer.echo(f"{stage}: done, see {out}")

    command.__doc__ = does + " Earlier stages run only where the folder lacks their results."
    app.command(stage)(command)


for _stage, _does in {
    "train": "Train the generators of a run's folder.",
    "generate": "Draw the candidates.",
    "filter": "Filter the candidates.",
    "merge": "Choose the ratio and write the merged data set.",
    "evaluate": "Compare the arms and write metrics.json.",
    "report": "Write report.html.",
}.items():
    _stage_command(_stage, _does)
