"""`ganaug latent`: look into the latent space of a trained generator."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import InputError

if TYPE_CHECKING:
    from ganaug.smoothness import Smoothness
    from pipeline.latent_model import Model

READS = {
    "generalises": "the images change evenly and are as different from the real ones as these from each other.",
    "memorises": "the images lie much closer to training images than those to each other: it copies.",
    "jumps": "the images stand still and then jump: the latent space is not filled.",
    "strays": "the images are farther from the real ones than these from each other: train longer.",
    "collapsed": "all images are nearly the same, whatever the latent.",
    "unknown": "all training images of the class are near-duplicates, so there is nothing to compare with.",
}

latent = typer.Typer(no_args_is_help=True, help="Look into the latent space of a trained generator.")

Out = Annotated[Path, typer.Option("--out", help="The run's folder.")]
Class = Annotated[str, typer.Option("--class", help="The class whose generator is explored.")]
Condition = Annotated[
    int | None, typer.Option("--condition", help="Appearance mode, with gan.scope=per_class; the first by default.")
]
Steps = Annotated[int, typer.Option("--steps", min=2, max=64, help="Pictures of a walk.")]
Seeds = Annotated[str, typer.Option("--seeds", help="Comma-separated seeds, such as those in manifest.csv.")]


@latent.command()
def interpolate(
    name: Class, out: Out = Path("out"), seeds: Seeds = "0,1,2,3", steps: Steps = 9, condition: Condition = None
) -> None:
    """Walk from seed to seed on the sphere, and say how smooth and how close to real images such walks are."""
    from pipeline import latent_sheets

    named = _seeds("--seeds", seeds)
    model = _load(out, name, condition, named[0])
    picture, figures = latent_sheets.interpolate(model, named, steps)
    typer.echo(f"{_describe(figures, model.extractor.name)}\nPictures: {picture}")


@latent.command()
def arithmetic(
    name: Class,
    plus: Annotated[str, typer.Option("--with", help="Seeds of images that show it.")],
    minus: Annotated[str, typer.Option("--without", help="Seeds of images that do not.")],
    target: Annotated[str, typer.Option("--target", help="Seeds of images that are to show it.")],
    out: Out = Path("out"),
    condition: Condition = None,
) -> None:
    """Draw the mean latent of one group minus that of another plus that of a third."""
    from pipeline import latent_sheets

    groups = (_seeds("--with", plus), _seeds("--without", minus), _seeds("--target", target))
    model = _load(out, name, condition, groups[-1][0])
    typer.echo(f"Pictures: {latent_sheets.arithmetic(model, *groups)}")


@latent.command()
def traverse(
    name: Class,
    out: Out = Path("out"),
    seeds: Seeds = "0,1",
    steps: Steps = 7,
    directions: Annotated[
        int, typer.Option("--directions", min=1, max=32, help="How many, where the family has no codes.")
    ] = 4,
    condition: Condition = None,
) -> None:
    """Show what each code does, or what the directions of largest effect do."""
    from pipeline import latent_sheets

    named = _seeds("--seeds", seeds)
    model = _load(out, name, condition, named[0])
    typer.echo(f"Pictures: {latent_sheets.traverse(model, named, steps, directions)}")


def _load(out: Path, name: str, condition: int | None, conditioning_seed: int) -> "Model":
    from pipeline.latent_model import load_model  # loads torch, which `--help` need not
    from pipeline.store import RunFolder

    return load_model(RunFolder(out), name, condition, conditioning_seed=conditioning_seed)


def _seeds(option: str, text: str) -> list[int]:
    try:
        seeds = [int(word) for word in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or not all(0 <= seed < 2**63 for seed in seeds):
        raise InputError(f"{option} {text}: give whole numbers with commas in between, such as {option} 1,2,3.")
    return seeds


def _describe(figures: "Smoothness", features: str) -> str:
    return (
        f"Perceptual path length {figures.path_length:.3g} on {features}; "
        f"the fastest quarter of a path makes {figures.fastest_quarter:.0%} of its length (25%: an even pace).\n"
        f"In between, the nearest real image is {figures.nearest:.3g} away, real images are {figures.real_nearest:.3g} "
        f"from each other: {figures.ratio:.2f} times as far.\n"
        f"{figures.verdict.capitalize()}: {READS[figures.verdict]}"
    )
