"""The flows that judge external synthetic images, on a data set or on a workspace."""

from pathlib import Path
from typing import Any

from prefect import flow

from flows.deployed import time_limit, turn
from flows.tasks import Place, run_as_tasks
from pipeline.config import Config, Settings, overrides_of, validate_config
from pipeline.origins import Foreign
from pipeline.store import RunFolder
from pipeline.workspace import Workspace


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
def judge_images(workspace: Place, synthetic: Place, settings: Settings | None = None) -> dict[str, Any]:
    """Judge synthetic images by the real ones of a workspace, in its folder `judged/NAME/`; returns as `judge`.

    Args:
        workspace: Folder of the workspace, on the machine that runs the flow.
        synthetic: Class folders, or a CSV file, of the synthetic images, on the same machine; NAME is the folder's.
        settings: For this run alone; what is left out is as the workspace's own settings say.
    """
    place, images = Workspace(Path(workspace)), Path(synthetic).resolve()
    place.require()
    config = place.settings(overrides_of(settings))
    out = place.judged / (images.parent if images.is_file() else images).name
    with turn(place, config), place.lock():  # what is compared with must stay as it is until it ends
        return run_as_tasks(RunFolder(out), config, place.images, origin=Foreign(images))
