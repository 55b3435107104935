"""The command line without Prefect: look at data, list families, run one stage on a run's folder."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ganaug.families import FAMILIES
from pipeline.class_commands import classes
from pipeline.config import Config, load_config
from pipeline.job import recall_job, run_job
from pipeline.latent_commands import latent
from pipeline.reading import inspect, load, render
from pipeline.score_command import score_command
from pipeline.store import RunFolder

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
def inspect_command(dataset: Path, as_json: AsJson = False, overrides: Overrides = None) -> None:
    """Show what is in DATASET and what is wrong with it; reads only."""
    config = load_config(None, overrides)
    found = inspect_dataset(dataset, config)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else render(found))


def inspect_dataset(dataset: Path, config: Config) -> dict[str, object]:
    """What `ganaug inspect` reports, JSON-able."""
    reading = load(dataset, max_megapixels=config.data.max_megapixels)
    return dict(inspect(reading, near_duplicate_correlation=config.data.near_duplicate_correlation))


@app.command()
def families(as_json: AsJson = False) -> None:
    """List every GAN family with its paper and its defaults."""
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


app.command("score")(score_command)


def _brief(options: dict[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())


def _stage_command(stage: str, does: str) -> None:
    def command(out: Out = Path("out"), overrides: Overrides = None) -> None:
        run = RunFolder(out)
        config, source = recall_job(run)
        if overrides:
            config = load_config(run.config, overrides)
        run_job(run, config, source, until=stage)
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
