"""The flows on synthetic images that somebody else made: judge them, on a data set or on a workspace."""

from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import BaseModel, Field

from flows.tasks import Place, run_as_tasks
from pipeline.config import Config, validate_config
from pipeline.origins import Foreign
from pipeline.store import RunFolder
from pipeline.workspace import Workspace

SYNTHETIC = "Class folders, or a CSV file, of the synthetic images, on the machine that runs the flow."


class GivenImages(BaseModel):
    """The images to judge, and the real ones that they are judged by."""

    real: Place = Field(description="Image folder, MVTec AD folder or CSV manifest of the real images.")
    synthetic: Place = Field(description=SYNTHETIC)
    out: Place = Field(description="Folder of the result; what it holds of an earlier one is not computed again.")
    config: Config = Field(default=Config(), description="All settings; each has a description and bounds.")


@flow(name="judge", persist_result=False, validate_parameters=True)
def judge(images: GivenImages) -> dict[str, Any]:
    """Filter synthetic images, compare with and without them, and report; returns the content of `metrics.json`.

    Args:
        images: The images to judge, and the real ones that they are judged by.
    """
    config = validate_config(images.config.model_dump(mode="json"))  # the form checks only what a JSON schema can say
    origin = Foreign(Path(images.synthetic))
    return run_as_tasks(RunFolder(Path(images.out)), config, Path(images.real), origin=origin)


class SyntheticImages(BaseModel):
    """Synthetic images to judge by the real ones of a workspace."""

    synthetic: Place = Field(description=SYNTHETIC)


@flow(name="judge-images", persist_result=False)
def judge_images(images: SyntheticImages, workspace: Place, overrides: list[str] | None = None) -> dict[str, Any]:
    """Judge synthetic images by the real ones of a workspace, in its folder `judged/NAME/`; returns as `judge`.

    Args:
        images: The images to judge; NAME is that of their folder.
        workspace: Folder of the workspace, on the machine that runs the flow.
        overrides: Settings KEY=VALUE for this run alone, such as evaluate.seeds=10.
    """
    place, synthetic = Workspace(Path(workspace)), Path(images.synthetic).resolve()
    place.require()
    out = place.judged / (synthetic.parent if synthetic.is_file() else synthetic).name
    with place.lock():  # what is compared with must stay as it is until it ends
        return run_as_tasks(RunFolder(out), place.settings(overrides), place.images, origin=Foreign(synthetic))
