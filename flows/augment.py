"""The flow `augment`: the whole job, each step of `pipeline.job` as a Prefect task, one training task a generator."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner

from flows.artifacts import publish_results
from pipeline.config import Config, validate_config
from pipeline.job import run_job
from pipeline.store import RunFolder
from pipeline.workers import workers


@flow(name="augment", persist_result=False, validate_parameters=True)
def augment(dataset: str, out: str, config: Config = Config()) -> dict[str, Any]:
    """Train, generate, filter, merge, compare and report; returns the content of `metrics.json`."""
    config = validate_config(config.model_dump(mode="json"))  # the form checks only what a JSON schema can say
    metrics = run_job(RunFolder(Path(out)), config, Path(dataset), step=as_task, fan_out=as_tasks)
    publish_results(metrics, out)
    return metrics


def run_here(flow: Any, config: Config, *arguments: Any) -> dict[str, Any]:
    """Run a flow in this process with as many training tasks at a time as there are workers."""
    runner: Any = ThreadPoolTaskRunner(max_workers=workers(config))  # Any: Prefect's type of runners is invariant
    metrics: dict[str, Any] = flow.with_options(task_runner=runner)(*arguments)
    return metrics


def as_task(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run one step as a task and wait for it."""
    return _task(name, function)(*arguments)


def as_tasks(name: str, function: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
    """Run one task a job, several at a time; raises the first failure once all have ended."""
    futures = [_task(f"{name} {job.name}", function).submit(job) for job in jobs]
    wait(futures)
    return [future.result() for future in futures]


def _task(name: str, function: Callable[..., Any]) -> Any:
    # Results live in the run's folder, under the digest of their inputs; Prefect's cache would only hold them twice.
    return task(name=name, persist_result=False, cache_policy=NO_CACHE)(function)
