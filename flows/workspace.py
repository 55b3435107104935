"""The flows of a workspace: record the images of a class, and bring its run up to date with what it holds."""

from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import BaseModel, Field

from flows.tasks import as_task, run_as_tasks
from pipeline.errors import BusyError, InputError
from pipeline.exchange import Exchange
from pipeline.reading.checks import FEWEST_CLASSES
from pipeline.store import prune
from pipeline.workspace import Added, Workspace, add_images
from pipeline.workspace.watch import arrivals, mark


class NewImages(BaseModel):
    """What joins a workspace."""

    workspace: str = Field(min_length=1, description="Folder of the workspace, on the machine that runs the flow.")
    name: str = Field(min_length=1, max_length=100, description="The class, new or known.")
    paths: list[str] = Field(min_length=1, description="A folder, a ZIP archive, or image files.")
    train: bool = Field(default=True, description="Train and compare now; else only record the images.")


@flow(name="add-class", persist_result=False)
def add_class(images: NewImages, overrides: list[str] | None = None) -> dict[str, Any]:
    """Record images and train what they make necessary.

    Returns the content of `metrics.json`, or an empty dict where nothing could be or was to be trained.

    Args:
        images: What joins the workspace.
        overrides: Settings KEY=VALUE for this run alone, such as gan.minutes=30.
    """
    workspace = Workspace(Path(images.workspace))
    sources = [Path(path) for path in images.paths]
    added: Added = as_task(
        f"record {images.name}", add_images, workspace, images.name, sources, workspace.settings(overrides)
    )
    print(said(images.name, added))
    return _brought_up_to_date(workspace, overrides) if images.train else {}


@flow(name="update", persist_result=False)
def update(workspace: str, overrides: list[str] | None = None, fresh: bool = False) -> dict[str, Any]:
    """Train what the images of a workspace lack, filter, compare and report; returns as `add_class`.

    Args:
        workspace: Folder of the workspace, on the machine that runs the flow.
        overrides: Settings KEY=VALUE for this run alone, such as gan.minutes=30.
        fresh: Train the base that the classes share anew too, on the images of all of them.
    """
    place = Workspace(Path(workspace))
    place.require()
    return _brought_up_to_date(place, overrides, fresh=fresh)


@flow(name="retrain", persist_result=False)
def retrain(workspace: str, overrides: list[str] | None = None) -> dict[str, Any]:
    """Compare anew on the images there are now, with the generators there are; trains classifiers only.

    Args:
        workspace: Folder of the workspace, on the machine that runs the flow.
        overrides: Settings KEY=VALUE for this run alone, such as evaluate.seeds=10.
    """
    place = Workspace(Path(workspace))
    place.require()
    with place.lock():
        return run_as_tasks(place.run, place.settings(overrides), place.images, train=False)


@flow(name="collect", persist_result=False)
def collect(workspace: str, watch: str, overrides: list[str] | None = None) -> dict[str, Any]:
    """Add the images that have arrived in a watched folder and bring the run up to date; does nothing without any.

    A class whose images are refused is reported once, after the others have been added.

    Args:
        workspace: Folder of the workspace, on the machine that runs the flow.
        watch: Folder with one sub-folder a class.
        overrides: Settings KEY=VALUE for this run alone.
    """
    place = Workspace(Path(workspace))
    config, refused = place.settings(overrides), []
    for name, files in arrivals(place, Path(watch)).items():
        try:
            print(said(name, as_task(f"record {name}", add_images, place, name, list(files), config)))
        except BusyError:
            raise  # nothing was looked at: the next time will do
        except InputError as error:
            refused.append(f"{name}: {error}")
        mark(place, files)
    metrics = {} if place.is_current() else _brought_up_to_date(place, overrides)
    if refused:
        raise InputError(" ".join(refused))
    return metrics


def _brought_up_to_date(workspace: Workspace, overrides: list[str] | None, *, fresh: bool = False) -> dict[str, Any]:
    if len({row.label for row in workspace.rows()}) < FEWEST_CLASSES:
        return {}
    with workspace.lock():  # what a run has read must stay as it is until it ends
        config = workspace.settings(overrides, fresh=fresh)
        metrics = run_as_tasks(workspace.run, config, workspace.images)
        workspace.keep_base(config)
        workspace.mark_current()
        prune(workspace.run.store, days=config.serve.keep_days)
        if config.exchange:
            Exchange(config.exchange, workspace.run.out).prune(days=config.serve.keep_days)
    return metrics


def said(name: str, added: Added) -> str:
    """One line on what was recorded."""
    counts = ", ".join(f"{count} for {split}" for split, count in sorted(added.counts.items(), reverse=True))
    parts = [f"{name}: {sum(added.counts.values())} new image(s)" + (f" ({counts})" if counts else "")]
    parts += [f"{added.known} known already"] if added.known else []
    if added.problems:
        first = added.problems[0]
        parts.append(f"{len(added.problems)} left out, such as {first.path} ({first.detail})")
    parts += [f"{added.ignored} file(s) of other formats ignored"] if added.ignored else []
    return "; ".join(parts)
