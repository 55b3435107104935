"""The `ganaug` command: pipeline's commands, and `run`, which is a Prefect flow run."""

import shlex
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from httpx import TransportError

from flows.server import quiet_prefect
from pipeline.class_commands import Where, classes
from pipeline.commands import SAMPLE, ConfigFile, Out, Overrides, app
from pipeline.config import load_config
from pipeline.errors import InputError, JobError
from pipeline.job import check_names
from pipeline.masking import mask_secrets
from pipeline.store import RunFolder
from pipeline.workspace import Workspace, remove_class

# What a wrong option raises: click's exception in older releases of typer, a copy of its own in newer ones.
UsageError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
INTERRUPTED = 130
Dataset = Annotated[
    Path, typer.Argument(help="Image folder, MVTec AD folder or CSV manifest.", show_default="data/sample")
]


Train = Annotated[bool, typer.Option(help="Train what is missing and compare now, or only record it.")]


@app.command()
def run(
    dataset: Dataset = SAMPLE, out: Out = Path("out"), config: ConfigFile = None, overrides: Overrides = None
) -> None:
    """Do the whole job: train, generate, filter, merge, compare, report."""
    settings = load_config(config, overrides)
    check_names(settings)
    if not dataset.exists():
        raise InputError(f"{dataset} does not exist; give a folder with one sub-folder a class, or a CSV manifest.")
    RunFolder(out).prepare()
    from flows.augment import augment  # after quiet_prefect in main: Prefect reads its settings at import

    augment(str(dataset), str(out), settings)


@classes.command("add")
def add_class_command(
    name: str,
    paths: Annotated[list[Path], typer.Argument(help="A folder, a ZIP archive, or image files.")],
    workspace: Where = Path("workspace"),
    train: Train = True,
    overrides: Overrides = None,
) -> None:
    """Add images to class NAME, new or known, and train only what they make necessary."""
    settings = Workspace(workspace).settings(overrides)
    check_names(settings)
    from flows.workspace import NewImages, add_class  # after quiet_prefect in main, as above

    images = NewImages(workspace=str(workspace), name=name, paths=[str(path) for path in paths], train=train)
    try:
        metrics = add_class(images, overrides)
    except KeyboardInterrupt:
        _end_interrupted(f"the same command, or {_update_command(workspace, overrides)} once its images are recorded,")
    _say_if_nothing_ran(metrics, workspace, train)


@classes.command("remove")
def remove_class_command(
    name: str, workspace: Where = Path("workspace"), train: Train = True, overrides: Overrides = None
) -> None:
    """Take class NAME out; its images are moved to a folder of the workspace, none is deleted."""
    settings = Workspace(workspace).settings(overrides)
    check_names(settings)
    typer.echo(f"{name}: taken out; its images are in {remove_class(Workspace(workspace), name)}.")
    if train:
        _bring_up_to_date(workspace, overrides)


@classes.command("update")
def update_classes_command(workspace: Where = Path("workspace"), overrides: Overrides = None) -> None:
    """Bring the run up to date with the workspace's images and settings, as an interrupted `add` or `remove` would."""
    place = Workspace(workspace)
    place.require()
    settings = place.settings(overrides)
    check_names(settings)
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
    settings = Workspace(workspace).settings(overrides)
    check_names(settings)
    from flows.serve import serve_workspace  # after quiet_prefect in main, as above

    serve_workspace(Workspace(workspace), settings, overrides, port)


def _bring_up_to_date(workspace: Path, overrides: list[str] | None) -> None:
    from flows.workspace import update  # after quiet_prefect in main, as above

    command = _update_command(workspace, overrides)
    try:
        metrics = update(str(workspace), overrides)
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


def main() -> None:
    """Entry point; exit status 0 done, 1 the job failed, 2 the input or the configuration is wrong."""
    debug = "--debug" in sys.argv
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # at its default, Prefect's server would be left behind
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    quiet_prefect(tracebacks=debug)
    try:
        if app(arguments, prog_name="ganaug", standalone_mode=False) == INTERRUPTED:  # so say newer releases of typer
            raise KeyboardInterrupt
    except UsageError as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        _end_interrupted()
    except Exception as error:
        if debug:
            traceback.print_exception(error)
        notes = getattr(error, "__notes__", [])
        if isinstance(error, TransportError):
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
