"""How a job runs its steps (by default one after another in this process), and how long they take."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.log import RunLog
from pipeline.store import RunFolder

Step = Callable[..., Any]  # (name, function, *arguments) -> what the function returns
Rescue = Callable[[Any, Exception], Any]  # (job, why it failed) -> what stands for its result
FanOut = Callable[..., list[Any]]  # (name, function of a job, jobs, rescue) -> what it returns for each


def directly(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the function in this process."""
    return function(*arguments)


def give_up(job: Any, error: Exception) -> Any:
    """The default rescue: raise the error."""
    raise error


def one_by_one(name: str, function: Callable[[Any], Any], jobs: Sequence[Any], rescue: Rescue = give_up) -> list[Any]:
    """The jobs one after another in this process."""
    return [attempt(partial(function, job), job, rescue) for job in jobs]


def attempt(work: Callable[[], Any], job: Any, rescue: Rescue) -> Any:
    """The result of the work or, if it raises, that of the rescue."""
    try:
        return work()
    except Exception as error:
        return rescue(job, error)


class Clock:
    """Times each stage and logs its start and end."""

    def __init__(self, log: RunLog) -> None:
        self.log, self.seconds = log, dict[str, float]()

    def __call__(self, stage: str) -> "Clock":
        self._stage = stage
        return self

    def __enter__(self) -> None:
        self._started = time.monotonic()
        self.log.write(self._stage, "start")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.seconds[self._stage] = round(time.monotonic() - self._started, 2)
        if error is None:
            self.log.write(self._stage, "done", seconds=self.seconds[self._stage])
        else:
            trace = traceback.format_exception(error)
            self.log.write(self._stage, "failed", error=f"{kind.__name__}: {error}", traceback="".join(trace))


@dataclass(frozen=True)
class Work:
    """A run in progress: its folder, settings and real images, its last stage, how its steps are run and timed."""

    run: RunFolder
    config: Config
    source: Path
    until: str
    clock: Clock
    step: Step
    fan_out: FanOut
