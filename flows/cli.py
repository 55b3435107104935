"""The `ganaug` command: pipeline's commands, and `run`, which is a Prefect flow run.

Commands import what they need when they run, as in `pipeline/commands.py`; Prefect reads its settings at import, so
that `quiet_prefect` comes before.
"""

import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from flows.server import quiet_prefect, require_server
from pipeline.class_commands import Where, classes
from pipeline.commands import SAMPLE, ConfigFile, Out, Overrides, app
from pipeline.errors import InputError, JobError
from pipeline.masking import mask_secrets

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.workspace import Workspace

# What a wrong option raises: click's exception in older releases of typer, a copy of its own in newer ones.
UsageError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
INTERRUPTED = 130
STARTS_ANEW = {"inspect", "export", "predict", "export-classifier", "score", "families"}  # they leave nothing half done
Dataset = Annotated[
    Path, typer.Argument(help="Image folder, MVTec AD folder or CSV manifest.", show_default="data/sample")
]


Train = Annotated[bool, typer.Option(help="Train what is missing and compare now, or only record it.")]


@app.command()
def run(
    dataset: Dataset = SAMPLE, out: Out = Path("out"), config: ConfigFile = None, overrides: Overrides = None
) -> None:
    """Do the whole job: train, generate, filter, merge, compare, report."""
    from pipeline.config import load_config
    from pipeline.job import check_names, require_apart
    from pipeline.store import RunFolder

    settings = load_config(config, overrides)
    check_names(settings)
    if not dataset.exists():
        raise InputError(f"{dataset} does not exist; give a folder with one sub-folder a class, or a CSV manifest.")
    require_apart(out.resolve(), dataset.resolve())
    RunFolder(out).prepare()
    require_server()
    from flows.augment import augment

    augment(str(dataset), str(out), settings)


@app.command()
def judge(
    real: Annotated[Path, typer.Argument(help="Real images: an image folder, MVTec AD folder or CSV manifest.")],
    synthetic: Annotated[Path, typer.Argument(help="Synthetic images: class folders, a CSV file, or a run's folder.")],
    out: Out = Path("judged"),
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Say whether synthetic images from anywhere help: filter, compare, report; only classifiers are trained."""
    from pipeline.config import load_config
    from pipeline.job import check_names, require_apart
    from pipeline.store import RunFolder

    settings = load_config(config, overrides)
    check_names(settings)
    for place in (real, synthetic):
        if not place.exists():
            raise InputError(f"{place} does not exist; give a folder with one sub-folder a class, or a CSV manifest.")
        require_apart(out.resolve(), place.resolve())
    RunFolder(out).prepare()
    require_server()
    from flows.judge import judge as flow

    flow(str(real), str(synthetic), str(out), settings)


@classes.command("add")
def add_class_command(
    name: str,
    paths: Annotated[list[Path], typer.Argument(help="A folder, a ZIP archive, or image files.")],
    workspace: Where = Path("workspace"),
    train: Train = True,
    overrides: Overrides = None,
) -> None:
    """Add images to class NAME, new or known, and train only what they make necessary."""
    _workspace(workspace, overrides)
    require_server()
    from flows.workspace import add_class

    settings = _parameter(overrides)
    try:
        metrics = add_class(str(workspace), name, [str(path) for path in paths], train, settings)
    except KeyboardInterrupt:
        _end_interrupted(f"the same command, or {_update_command(workspace, overrides)} once its images are recorded,")
    _say_if_nothing_ran(metrics, workspace, train)


@classes.command("remove")
def remove_class_command(
    name: str, workspace: Where = Path("workspace"), train: Train = True, overrides: Overrides = None
) -> None:
    """Take class NAME out; its images are moved to a folder of the workspace, none is deleted."""
    from pipeline.workspace import remove_class

    place, _ = _workspace(workspace, overrides)
    if train:
        require_server()
    typer.echo(f"{name}: taken out; its images are in {remove_class(place, name)}.")
    if train:
        _bring_up_to_date(workspace, overrides)


@classes.command("update")
def update_classes_command(workspace: Where = Path("workspace"), overrides: Overrides = None) -> None:
    """Bring the run up to date with the workspace's images and settings, as an interrupted `add` or `remove` would."""
    place, settings = _workspace(workspace, overrides)
    place.require()
    if place.is_up_to_date(settings):
        typer.echo(f"{workspace} is up to date already; see {place.run.report}.")
        return
    _bring_up_to_date(workspace, overrides)


@app.command()
def serve(
    workspace: Where = Path("workspace"),
    port: Annotated[int, typer.Option(help="Of Prefect's server, if one has to be started.", min=1, max=65535)] = 4200,
    overrides: Overrides = None,
) -> None:
    """Run the flows of a workspace on their schedules (settings `serve.*`) until stopped."""
    place, settings = _workspace(workspace, overrides)
    place.require()
    require_server()
    from flows.serve import serve_workspace

    serve_workspace(place, settings, overrides, port)


def _workspace(root: Path, overrides: list[str] | None) -> "tuple[Workspace, Config]":
    """A workspace and its settings, which are all possible."""
    from pipeline.job import check_names
    from pipeline.workspace import Workspace

    place = Workspace(root)
    settings = place.settings(overrides)
    check_names(settings)
    return place, settings


def _parameter(overrides: list[str] | None) -> Any:
    """Overrides as the flows take them; the flow makes a model of the mapping."""
    from pipeline.config import parse_overrides

    return parse_overrides(overrides)


def _bring_up_to_date(workspace: Path, overrides: list[str] | None) -> None:
    require_server()
    from flows.workspace import update

    command = _update_command(workspace, overrides)
    try:
        metrics = update(str(workspace), settings=_parameter(overrides))
    except KeyboardInterrupt:
        _end_interrupted(command)
    except Exception as error:
        error.add_note(f"{command} goes on from where it was.")
        raise
    _say_if_nothing_ran(metrics, workspace, train=True)


def _update_command(workspace: Path, overrides: list[str] | None) -> str:
    """The command that goes on where an `add` or a `remove` stopped; with its settings, which are no others then."""
    settings = [word for setting in overrides or [] for word in ("--set", setting)]
    return f"`{shlex.join(['ganaug', 'class', 'update', '--workspace', str(workspace), *settings])}`"


def _end_interrupted(command: str = "the same command") -> NoReturn:
    print(f"Interrupted; {mask_secrets(command)} goes on from where it was.", file=sys.stderr)
    sys.exit(INTERRUPTED)


def _say_if_nothing_ran(metrics: dict[str, Any], workspace: Path, train: bool) -> None:
    if not metrics:
        typer.echo(f"Recorded in {workspace}." + (" Add a second class to train and compare." if train else ""))


def _is_transport(error: Exception) -> bool:
    """Whether a server did not answer; httpx is there if one was asked."""
    httpx = sys.modules.get("httpx")
    return httpx is not None and isinstance(error, httpx.TransportError)


def main() -> None:
    """Entry point; exit status 0 done, 1 the job failed, 2 the input or the configuration is wrong."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    quiet_prefect(tracebacks=debug)
    try:
        if app(arguments, prog_name="ganaug", standalone_mode=False) == INTERRUPTED:  # so say newer releases of typer
            raise KeyboardInterrupt
    except UsageError as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        if set(arguments[:1]) & STARTS_ANEW:
            print("Interrupted; the same command starts anew.", file=sys.stderr)
            sys.exit(INTERRUPTED)
        _end_interrupted()
    except Exception as error:
        if debug:
            traceback.print_exception(error)
        notes = getattr(error, "__notes__", [])
        if _is_transport(error):
            error = JobError(
                f"Prefect's server does not answer ({error}). What was done is in the run's folder; with the server "
                "there again, the same command goes on from it."
            )
        known = isinstance(error, InputError | JobError)
        text = str(error) if known else f"{type(error).__name__}: {error} (--debug shows where)"
        print("ganaug:", mask_secrets("\n".join([text, *notes])), file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)


if __name__ == "__main__":
    main()
