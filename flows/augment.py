"""The flows on a data set: `augment`, the whole job, and `report`, the page of a run anew."""

from pathlib import Path
from typing import Any

from prefect import flow

from flows.deployed import time_limit
from flows.tasks import Place, run_as_tasks
from pipeline.config import Config, validate_config
from pipeline.job import recall_job, recall_origin
from pipeline.store import RunFolder


@flow(name="augment", persist_result=False, validate_parameters=True)
def augment(dataset: Place, out: Place, config: Config = Config()) -> dict[str, Any]:
    """Train, generate, filter, merge, compare and report; returns the content of `metrics.json`.

    Args:
        dataset: Image folder, MVTec AD folder or CSV manifest, on the machine that runs the flow.
        out: The run's folder; what it holds of an earlier run is not computed again.
        config: All settings; each has a description and bounds.
    """
    config = validate_config(config.model_dump(mode="json"))  # the form checks only what a JSON schema can say
    with time_limit(config):
        return run_as_tasks(RunFolder(Path(out)), config, Path(dataset))


@flow(name="report", persist_result=False)
def report(out: Place) -> dict[str, Any]:
    """Write the report of a finished run anew, with the generators or the given images it has; returns as `augment`.

    Args:
        out: The run's folder.
    """
    run = RunFolder(Path(out))
    config, source = recall_job(run)
    with time_limit(config):
        return run_as_tasks(run, config, source, origin=recall_origin(run, train=False))
