"""`pipeline.job` as Prefect tasks: each step one, each generator one, and a progress bar on the flow run's page."""

import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from pydantic import Field

from flows.artifacts import key_of, publish_results
from flows.runners import task_runner
from pipeline.config import Config
from pipeline.exchange import work_away
from pipeline.job import run_job
from pipeline.origins import Generators, Origin
from pipeline.stages.keep import recommended_arm
from pipeline.steps import Rescue, attempt, give_up
from pipeline.store import RunFolder
from pipeline.workers import no_survivors

Place = Annotated[str, Field(min_length=1)]  # of a file or folder: an empty one would be the working directory

# Per cent of a run's time, about, that is over after each step, and from where to where the fan-outs take it.
REACHED = {
    "prepare": 2,
    "publish generators": 50,
    "generate": 52,
    "read synthetic": 10,
    "fit scorer": 54,
    "filter": 56,
    "choose": 78,
    "merge": 79,
    "evaluate": 99,
    "report": 100,
}
SPANS = {"train": (2, 40), "fine-tune": (40, 50), "generate": (50, 52)}


def run_as_tasks(run: RunFolder, config: Config, source: Path, *, origin: Origin = Generators()) -> dict[str, Any]:
    """`run_job` inside a flow run, with its artifacts; returns the content of `metrics.json`."""
    with task_runner(config) as runner, no_survivors():
        bar = _Bar(runner, run)
        fan_out = partial(bar.fan_out_away, config, run) if config.exchange else bar.fan_out
        metrics = run_job(run, config, source, origin=origin, step=bar.step, fan_out=fan_out)
    _tell(publish_results, metrics, run)
    verdict = metrics["verdict"].replace("_", " ").upper()
    classifier = run.classifier(recommended_arm(metrics)).parent
    use = f"use `ganaug predict {shlex.quote(str(run.out))} IMAGES`"
    print(f"\n{verdict}: {metrics['reason']}\nReport: {run.report}\nClassifier: {classifier} ({use})", flush=True)
    return metrics


def as_task(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run one function as a task and wait for it."""
    return _task(name, function)(*arguments)


def as_tasks(
    name: str,
    function: Callable[[Any], Any],
    jobs: Sequence[Any],
    runner: Any,
    *,
    rescue: Rescue = give_up,
    done: Callable[[int], None] = lambda count: None,
) -> list[Any]:
    """Run one task a job, several at a time; then `rescue` replaces the results of those that failed."""
    futures = [runner.submit(_task(f"{name} {job.name}", function), {"job": job}) for job in jobs]
    for count, _ in enumerate(as_completed(futures), start=1):
        done(count)
    return [attempt(future.result, job, rescue) for job, future in zip(jobs, futures, strict=True)]


class _Bar:
    """Runs steps and tells the flow run's page how far it is."""

    def __init__(self, runner: Any, run: RunFolder) -> None:
        self.runner = runner
        key, description = key_of(run, "progress"), "How far this run is"
        self.artifact: Any = _tell(create_progress_artifact, 0.0, key=key, description=description)

    def _reach(self, per_cent: float) -> None:
        if self.artifact and _tell(update_progress_artifact, self.artifact, float(per_cent)) is None:
            self.artifact = None  # every further attempt would wait for the server as long

    def step(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        result = as_task(name, function, *arguments)
        if name in REACHED:
            self._reach(REACHED[name])
        return result

    def fan_out(
        self, name: str, function: Callable[[Any], Any], jobs: Sequence[Any], rescue: Rescue = give_up
    ) -> list[Any]:
        start, end = SPANS[name]

        def done(count: int) -> None:
            self._reach(start + (end - start) * count / len(jobs))

        return as_tasks(name, function, jobs, self.runner, rescue=rescue, done=done)

    def fan_out_away(
        self,
        config: Config,
        run: RunFolder,
        name: str,
        function: Callable[[Any], Any],
        jobs: Sequence[Any],
        rescue: Rescue = give_up,
    ) -> list[Any]:
        """`fan_out` to machines that do not see the run's folder."""

        def share(work: Callable[[Any], Any], todo: Sequence[Any]) -> list[Any]:
            return self.fan_out(name, work, todo, rescue)

        run, days = RunFolder(run.out.resolve()), config.serve.keep_days
        return work_away(str(config.exchange), run, function, jobs, share, days=days)


def _tell(what: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Report to Prefect. A server that does not answer must not end a run: its results are in the run's folder."""
    try:
        return what(*arguments, **named)
    except Exception as error:
        print(f"Prefect could not be reached ({what.__name__}): {error}", file=sys.stderr)
        return None


def _task(name: str, function: Callable[..., Any]) -> Any:
    # Results live in the run's folder, under the digest of their inputs; Prefect's cache would only hold them twice.
    return task(name=name, persist_result=False, cache_policy=NO_CACHE)(function)
