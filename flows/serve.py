"""`ganaug serve`: the flows of a workspace on their schedules, on this machine, until it is stopped."""

import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prefect import serve
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.schedules import Cron
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from flows.artifacts import mark_of
from flows.workspace import add_class, collect, retrain, update
from pipeline.config import Config
from pipeline.errors import BusyError, InputError, JobError
from pipeline.store import hold
from pipeline.workspace import Workspace

STARTUP = 120  # seconds; the first start makes a database


def serve_workspace(workspace: Workspace, config: Config, overrides: list[str] | None, port: int) -> None:
    """Serve until interrupted, one run at a time, by the Prefect server that is configured or listens, else by its own.

    Raises:
        InputError: no workspace, a schedule that is none, or another process that serves it already.
    """
    workspace.require()
    served = deployments(workspace, config, overrides)
    mark = workspace.root / ".serving"
    mark.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold(mark))
        except BusyError as busy:
            raise InputError(f"{workspace.root} is being served already: {busy} Stop that one first.") from None
        url = stack.enter_context(_server(port, mark / "server.log"))
        stack.enter_context(temporary_settings({PREFECT_API_URL: url}))
        print(_announcement(workspace, config, url), flush=True)
        serve(*served, limit=1, print_starting_message=False)


def deployments(workspace: Workspace, config: Config, overrides: list[str] | None) -> list[RunnerDeployment]:
    """The scheduled flows of a workspace, and `add-class` to be started by hand from Prefect's page."""
    root, when = workspace.root.resolve(), config.serve
    name = f"{root.name}-{mark_of(root)}"
    common: dict[str, Any] = {"workspace": str(root), "overrides": overrides}
    watched = {"watch": str(Path(when.watch).resolve())} if when.watch else {}
    plans: list[tuple[Any, str, str | None, dict[str, Any]]] = [
        (retrain, "evaluate", when.evaluate, common),
        (update, "train", when.train, common | {"fresh": True}),
        (collect, "watch_every", when.watch_every if when.watch else None, common | watched),
    ]
    made = [
        flow.to_deployment(
            f"{name}-{key}",
            schedule=_cron(key, cron, when.timezone),
            parameters=parameters,
            paused=False,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for flow, key, cron, parameters in plans
        if cron
    ]
    by_hand = add_class.to_deployment(
        f"{name}-add-class", parameters={"overrides": overrides}, entrypoint_type=EntrypointType.MODULE_PATH
    )
    return [*made, by_hand]


def _cron(key: str, cron: str, timezone: str) -> Any:
    try:
        ZoneInfo(timezone)
        return Cron(cron, timezone=timezone)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise InputError(
            f"serve.{key} = {cron!r} in {timezone!r} is no schedule ({error}); give five fields, such as 0 1 * * *."
        ) from None


def _announcement(workspace: Workspace, config: Config, url: str) -> str:
    when, page = config.serve, url.removesuffix("/api")
    lines = [f"Serving {workspace.root}; runs, forms and schedules: {page}"]
    lines += [f"  compare anew       {when.evaluate} {when.timezone}"] if when.evaluate else []
    lines += [f"  train anew         {when.train} {when.timezone}"] if when.train else []
    lines += [f"  look into {when.watch}   {when.watch_every}"] if when.watch else []
    return "\n".join([*lines, "Stop with Ctrl-C; what falls due while it is stopped is left out."])


@contextlib.contextmanager
def _server(port: int, log: Path) -> Iterator[str]:
    """The API of the server that is configured, or listens on the port; else of one that lives as long as this."""
    configured = get_current_settings().api.url
    if configured:
        yield configured
        return
    url = f"http://127.0.0.1:{port}/api"
    if _answers(url):
        yield url
        return
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (
        log.open("wb") as out,
        # in a session of its own, as it must outlive a Ctrl-C until the schedules are paused
        subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True) as process,  # noqa: S603 (our own)
    ):
        try:
            deadline = time.monotonic() + STARTUP
            while not _answers(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise JobError(
                        f"Prefect's server did not start on port {port}; see {log}, or choose another with --port."
                    )
                time.sleep(0.5)
            yield url
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310 (always http)
            return bool(answer.read() == b"true")
    except OSError:
        return False
