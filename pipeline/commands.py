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
    layout: Annotated[
        str | None, typer.Option(help="How to read the folder, as data.layout; auto recognises it.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Show what is in DATASET and what is wrong with it; status 2 if a run would stop. Changes nothing in it."""
    from pipeline.config import load_config
    from pipeline.reading import render

    chosen = [f"data.layout={layout}"] if layout else []
    config = load_config(None, [*(overrides or []), *chosen])
    found = inspect_dataset(dataset, config, pairs)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else render(found))
    if found["errors"]:
        raise InputError(f"{dataset}: a run would stop for {len(found['errors'])} reason(s), see errors above.")


def inspect_dataset(dataset: Path, config: "Config", pairs: Path | None = None) -> dict[str, Any]:
    """What `ganaug inspect` reports, JSON-able; pictures of the likely pairs go to the folder `pairs`."""
    from pipeline.reading import duplicates_of, inspect, load, write_pairs

    data = config.data
    reading = load(dataset, max_megapixels=data.max_megapixels, group_pattern=data.group_pattern, layout=data.layout)
    duplicates = duplicates_of(reading, data.near_duplicate_correlation)
    if pairs is not None:
        write_pairs(reading, [pair for pair in duplicates.pairs if not pair.certain], pairs)
    return inspect(reading, max_bad_fraction=data.max_bad_fraction, duplicates=duplicates)


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
