"""The flows on a data set: `augment`, the whole job, and `report`, the page of a run anew."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.tasks import run_as_tasks
from pipeline.config import Config, validate_config
from pipeline.job import recall_job
from pipeline.store import RunFolder
from pipeline.workers import usable_cores, workers

CORES: Any = ThreadPoolTaskRunner(max_workers=usable_cores())  # Any: Prefect's type of runners is invariant


@flow(name="augment", task_runner=CORES, persist_result=False, validate_parameters=True)
def augment(dataset: str, out: str, config: Config = Config()) -> dict[str, Any]:
    """Train, generate, filter, merge, compare and report; returns the content of `metrics.json`."""
    config = validate_config(config.model_dump(mode="json"))  # the form checks only what a JSON schema can say
    return run_as_tasks(RunFolder(Path(out)), config, Path(dataset))


@flow(name="report", task_runner=CORES, persist_result=False)
def report(out: str) -> dict[str, Any]:
    """Write the report of a finished run anew, with the generators it has; returns as `augment`."""
    run = RunFolder(Path(out))
    config, source = recall_job(run)
    return run_as_tasks(run, config, source, train=False)


def run_here(flow: Any, config: Config, *arguments: Any) -> dict[str, Any]:
    """Run a flow in this process with as many training tasks at a time as there are workers."""
    runner: Any = ThreadPoolTaskRunner(max_workers=workers(config))
    metrics: dict[str, Any] = flow.with_options(task_runner=runner)(*arguments)
    return metrics
