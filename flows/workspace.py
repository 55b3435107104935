"""The flows of a workspace: record the images of a class, and bring its run up to date with what it holds."""

from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import BaseModel, Field

from flows.artifacts import publish_results
from flows.augment import as_task, as_tasks
from pipeline.job import run_job
from pipeline.workspace import Added, Workspace, add_images

FEWEST_CLASSES = 2  # a classifier tells at least two apart


class NewImages(BaseModel):
    """What joins a workspace."""

    workspace: str = Field(min_length=1, description="Folder of the workspace, on the machine that runs the flow.")
    name: str = Field(min_length=1, max_length=100, description="The class, new or known.")
    paths: list[str] = Field(min_length=1, description="A folder, a ZIP archive, or image files.")
    train: bool = Field(default=True, description="Train and compare now; else only record the images.")


@flow(name="add-class", persist_result=False)
def add_class(images: NewImages, overrides: list[str] | None = None) -> dict[str, Any]:
    """Returns the content of `metrics.json`, or an empty dict where nothing could be or was to be trained."""
    workspace = Workspace(Path(images.workspace))
    sources = [Path(path) for path in images.paths]
    added: Added = as_task(
        f"record {images.name}", add_images, workspace, images.name, sources, workspace.settings(overrides)
    )
    print(said(images.name, added))
    return _brought_up_to_date(workspace, overrides) if images.train else {}


@flow(name="update", persist_result=False)
def update(workspace: str, overrides: list[str] | None = None) -> dict[str, Any]:
    """Train what the images of a workspace lack, filter, compare and report; returns as `add_class`."""
    return _brought_up_to_date(Workspace(Path(workspace)), overrides)


def _brought_up_to_date(workspace: Workspace, overrides: list[str] | None) -> dict[str, Any]:
    if len({row.label for row in workspace.rows()}) < FEWEST_CLASSES:
        return {}
    config = workspace.settings(overrides)
    metrics = run_job(workspace.run, config, workspace.images, step=as_task, fan_out=as_tasks)
    workspace.keep_base(config)
    publish_results(metrics, str(workspace.run.out))
    return metrics


def said(name: str, added: Added) -> str:
    """One line on what was recorded."""
    counts = ", ".join(f"{count} for {split}" for split, count in sorted(added.counts.items(), reverse=True))
    parts = [f"{name}: {sum(added.counts.values())} new image(s)" + (f" ({counts})" if counts else "")]
    parts += [f"{added.known} known already"] if added.known else []
    parts += [f"{len(added.problems)} unreadable, such as {added.problems[0].path}"] if added.problems else []
    return "; ".join(parts)
