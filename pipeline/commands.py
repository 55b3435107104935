"""The command line without Prefect: look at data, list families, run one stage on a run's folder.

Commands import what they need when they run: torch alone takes seconds, which `--help` must not.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.class_commands import classes
from pipeline.classifier_commands import export_classifier_command, predict_command
from pipeline.export_command import export_command
from pipeline.inspect_command import inspect_command
from pipeline.latent_commands import latent

if TYPE_CHECKING:
    pass

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


app.command("inspect")(inspect_command)
app.command("predict")(predict_command)
app.command("export-classifier")(export_classifier_command)
app.command("export")(export_command)


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
