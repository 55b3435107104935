"""What holds for the runs of deployments, which nobody watches: one at a time in a workspace, and none for ever."""

import contextlib
from collections.abc import Iterator

from filelock import FileLock
from prefect.runtime import deployment
from prefect.utilities.timeout import timeout

from pipeline.config import Config
from pipeline.errors import JobError
from pipeline.workspace import Workspace

HOUR = 3600  # seconds
POLL = 1  # seconds


@contextlib.contextmanager
def turn(workspace: Workspace, config: Config) -> Iterator[None]:
    """Wait for the workspace's other deployed runs; a run that a terminal has started is refused instead.

    The wait counts towards the `time_limit`. A deployment's limit of one run, which cancels further ones, keeps a queue
    from growing behind a long training.

    Raises:
        JobError: as `time_limit`.
    """
    if deployment.id is None:
        yield
        return
    workspace.require()
    with time_limit(config), FileLock(workspace.root / ".turn", poll_interval=POLL):
        yield


@contextlib.contextmanager
def time_limit(config: Config) -> Iterator[None]:
    """End a deployed run after `serve.timeout_hours`, also one that waits for other processes; around a flow's body.

    `timeout_seconds` of a flow is fixed where it is defined, and that of a task does not stop a thread that waits.

    Raises:
        JobError: the time is over; names the key.
    """
    hours = config.serve.timeout_hours
    try:
        with timeout(None if deployment.id is None else hours * HOUR, timeout_exc_type=_OverError):
            yield
    except _OverError:
        raise JobError(
            f"The run was ended after {hours:g} hours (serve.timeout_hours); what was done stays, and the next run "
            "goes on from it. Raise that key, or lower gan.minutes, gan.steps or evaluate.seeds."
        ) from None


class _OverError(TimeoutError):
    """The time limit's own, which no connection raises."""
