"""The flows of a workspace: record the images of a class, and bring its run up to date with what it holds."""

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from flows.deployed import turn
from flows.tasks import Place, as_task, run_as_tasks
from pipeline.config import Config, Settings, overrides_of
from pipeline.errors import BusyError, InputError, JobError
from pipeline.exchange import Exchange
from pipeline.origins import Generators
from pipeline.reading.faults import FEWEST_CLASSES
from pipeline.store import prune
from pipeline.workspace import Added, Workspace, add_images
from pipeline.workspace.classes import DamagedError
from pipeline.workspace.watch import State, arrivals, halves, mark

ATTEMPTS = 50  # to record the files of a class that were refused together
MOST_NAMED = 5  # of the images that were refused

ClassName = Annotated[str, Field(min_length=1, max_length=100)]
Paths = Annotated[list[str], Field(min_length=1)]


@flow(name="add-class", persist_result=False)
def add_class(
    workspace: Place, name: ClassName, paths: Paths, train: bool = True, settings: Settings | None = None
) -> dict[str, Any]:
    """Record images and train what they make necessary.

    Returns the content of `metrics.json`, or an empty dict where nothing could be or was to be trained.

    Args:
        workspace: Folder of the workspace, on the machine that runs the flow.
        name: The class, new or known.
        paths: A folder, a ZIP archive, or image files.
        train: Train and compare now; else only record the images.
        settings: For this run alone; what is left out is as the workspace's own settings say.
    """
    place, overrides = Workspace(Path(workspace)), overrides_of(settings)
    config = place.settings(overrides)
    with turn(place, config):
        sources = [Path(path) for path in paths]
        added: Added = as_task(f"record {name}", add_images, place, name, sources, config)
        print(said(name, added))
        return _brought_up_to_date(place, overrides) if train else {}


@flow(name="update", persist_result=False)
def update(workspace: Place, fresh: bool = False, settings: Settings | None = None) -> dict[str, Any]:
    """Train what the images of a workspace lack, filter, compare and report; returns as `add_class`.

    Args:
        workspace: Folder of the workspace, on the machine that runs the flow.
        fresh: Train the base that the classes share anew too, on the images of all of them.
        settings: For this run alone; what is left out is as the workspace's own settings say.
    """
    place, overrides = Workspace(Path(workspace)), overrides_of(settings)
    place.require()
    with turn(place, place.settings(overrides)):
        return _brought_up_to_date(place, overrides, fresh=fresh)


@flow(name="retrain", persist_result=False)
def retrain(workspace: Place, settings: Settings | None = None) -> dict[str, Any]:
    """Compare anew on the images there are now, with the generators there are; trains classifiers only.

    Args:
        workspace: Folder of the workspace, on the machine that runs the flow.
        settings: For this run alone; what is left out is as the workspace's own settings say.
    """
    place = Workspace(Path(workspace))
    place.require()
    config = place.settings(overrides_of(settings))
    with turn(place, config), place.lock():
        return run_as_tasks(place.run, config, place.images, origin=Generators(train=False))


@flow(name="collect", persist_result=False)
def collect(workspace: Place, watch: Place, settings: Settings | None = None) -> dict[str, Any]:
    """Add the images that have arrived in a watched folder and bring the run up to date; does nothing without any.

    Images that are refused are reported once, after the others have been added.

    Args:
        workspace: Folder of the workspace, on the machine that runs the flow.
        watch: Folder with one sub-folder a class.
        settings: For this run alone; what is left out is as the workspace's own settings say.
    """
    place, overrides = Workspace(Path(workspace)), overrides_of(settings)
    # bad files are left out, and reported at the end
    config = place.settings([*overrides, "data.max_bad_fraction=1"])
    with turn(place, config):
        return _arrived(place, Path(watch), config, overrides)


def _arrived(place: Workspace, watch: Path, config: Config, overrides: list[str]) -> dict[str, Any]:
    refused: list[str] = []
    for name, files in arrivals(place, watch).items():
        refused += _collected(place, name, files, config)
        mark(place, files)
    metrics: dict[str, Any] = {}
    if not place.is_current() and not place.has_failed():
        try:
            metrics = _brought_up_to_date(place, overrides)
        except BusyError:
            raise  # the next time will do
        except (InputError, JobError):
            place.mark_failed()  # or the same training would fail again a few minutes later
            raise
    if refused:
        more = f" And {len(refused) - MOST_NAMED} more." if len(refused) > MOST_NAMED else ""
        raise InputError(" ".join(refused[:MOST_NAMED]) + more)
    return metrics


def _collected(place: Workspace, name: str, files: dict[Path, State], config: Config) -> list[str]:
    """Record what can be recorded of the files of a class; what is wrong with the others.

    Files that are refused together are tried in halves, so that one does not keep the others out.
    """
    batches, wrong, attempts = [files], list[str](), 0
    while batches:
        batch, attempts = batches.pop(0), attempts + 1
        try:
            added: Added = as_task(f"record {name}", add_images, place, name, list(batch), config)
        except (BusyError, DamagedError):
            raise  # nothing was looked at: the next time will do
        except InputError as error:
            parts = halves(batch)
            if len(parts) == 1 or attempts + len(batches) + len(parts) > ATTEMPTS:
                wrong.append(f"{name}: {error}")
            else:
                batches += parts
        else:
            print(said(name, added))
            wrong += [f"{name}: {problem.path} ({problem.detail})." for problem in added.problems]
    return wrong


def _brought_up_to_date(workspace: Workspace, overrides: list[str], *, fresh: bool = False) -> dict[str, Any]:
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
