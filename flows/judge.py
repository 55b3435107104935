"""The flows that judge external synthetic images, on a data set or on a workspace."""

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from flows.artifacts import mark_of
from flows.deployed import time_limit, turn
from flows.tasks import Place, run_as_tasks
from pipeline.config import Config, Settings, overrides_of, validate_config
from pipeline.errors import InputError
from pipeline.job import recall_origin
from pipeline.origins import Foreign
from pipeline.store import RunFolder
from pipeline.workspace import Workspace

Name = Annotated[str, Field(max_length=100, pattern=r"^(\w[\w .-]*)?$")]  # of one folder


@flow(name="judge", persist_result=False, validate_parameters=True)
def judge(real: Place, synthetic: Place, out: Place, config: Config = Config()) -> dict[str, Any]:
    """Filter synthetic images, compare with and without them, and report; returns the content of `metrics.json`.

    Args:
        real: Image folder, MVTec AD folder or CSV manifest of the real images, on the machine that runs the flow.
        synthetic: Class folders, or a CSV file, of the synthetic images, on the same machine.
        out: Folder of the result; what it holds of an earlier one is not computed again.
        config: All settings; each has a description and bounds.
    """
    config = validate_config(config.model_dump(mode="json"))  # the form checks only what a JSON schema can say
    with time_limit(config):
        return run_as_tasks(RunFolder(Path(out)), config, Path(real), origin=Foreign(Path(synthetic)))


@flow(name="judge-images", persist_result=False)
def judge_images(
    workspace: Place, synthetic: Place, name: Name = "", settings: Settings | None = None
) -> dict[str, Any]:
    """Judge synthetic images by the real ones of a workspace, in its folder `judged/NAME/`; returns as `judge`.

    Args:
        workspace: Folder of the workspace, on the machine that runs the flow.
        synthetic: Class folders, or a CSV file, of the synthetic images, on the same machine.
        name: NAME, the folder of the result in `judged/`. Left out, it is that of the images' folder, and a mark
            where other images were judged under that name.
        settings: For this run alone; what is left out is as the workspace's own settings say.
    """
    place, images = Workspace(Path(workspace)), Path(synthetic).resolve()
    place.require()
    config = place.settings(overrides_of(settings))
    with turn(place, config), place.lock():  # what is compared with must stay as it is until it ends
        return run_as_tasks(_result(place, images, name), config, place.images, origin=Foreign(images))


def _result(place: Workspace, images: Path, name: str) -> RunFolder:
    """Where the judgement of the images goes, so that deliveries whose folders have one name do not meet.

    Raises:
        InputError: the name was asked for and is that of other images.
    """
    own = (images.parent if images.is_file() else images).name
    run = RunFolder(place.judged / (name or own))
    before = recall_origin(run)
    if not isinstance(before, Foreign) or before.path == images:
        return run
    if name:
        raise InputError(f"{run.out} holds the judgement of {before.path}; give another name, or leave it out.")
    return RunFolder(place.judged / f"{own}-{mark_of(images)}")
