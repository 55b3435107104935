"""`ganaug serve`: the flows of a workspace on their schedules, on this machine, until it is stopped."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from flows.artifacts import mark_of
from flows.judge import judge_images
from flows.server import answers
from flows.workspace import add_class, collect, retrain, update
from pipeline.config import Config, parse_overrides
from pipeline.errors import BusyError, InputError, JobError
from pipeline.store import hold
from pipeline.workspace import Workspace

STARTUP = 120  # seconds; the first start makes a database
ONE_RUN_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


def serve_workspace(workspace: Workspace, config: Config, overrides: list[str] | None, port: int) -> None:
    """Serve until interrupted, by the Prefect server that is configured or listens, else by its own.

    Runs work one at a time (`flows/deployed.py`); one of each schedule may wait, later ones are cancelled.

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
        runner = _Runner(pause_on_shutdown=True, limit=None)  # they take turns by themselves
        for deployment in served:
            runner.add_deployment(deployment)
        with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(runner.serve())


class _Runner(Runner):
    """A runner that SIGTERM stops as Ctrl-C does; by itself it would leave its clean-up half done.

    Nor would SIGINT do: a shell lets the commands that it starts in the background ignore it.
    """

    async def serve(self) -> None:
        """Run until cancelled, by Ctrl-C (`asyncio.run`) or by SIGTERM."""
        self._serving = asyncio.current_task()
        await self.start()

    def handle_sigterm(self, *_: Any) -> None:
        if self._serving is not None:
            self._serving.get_loop().call_soon_threadsafe(self._serving.cancel)  # which wakes the loop, too


def deployments(workspace: Workspace, config: Config, overrides: list[str] | None) -> list[RunnerDeployment]:
    """The scheduled flows of a workspace, and `judge` and `add-class` to be started by hand from Prefect's page."""
    root, when = workspace.root.resolve(), config.serve
    name = f"{root.name}-{mark_of(root)}"
    common: dict[str, Any] = {"workspace": str(root), "settings": parse_overrides(overrides)}
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
            concurrency_limit=ONE_RUN_AT_A_TIME,
        )
        for flow, key, cron, parameters in plans
        if cron
    ]
    by_hand = add_class.to_deployment(
        f"{name}-add-class", parameters=common, entrypoint_type=EntrypointType.MODULE_PATH
    )
    judging = judge_images.to_deployment(f"{name}-judge", parameters=common, entrypoint_type=EntrypointType.MODULE_PATH)
    return [*made, judging, by_hand]


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
    if answers(url):
        yield url
        return
    # its page runs in a browser and asks the API at the address that the server tells it
    own = {"PREFECT_SERVER_UI_API_URL": url} | os.environ
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (
        log.open("wb") as out,
        # in a session of its own, as it must outlive a Ctrl-C until the schedules are paused
        subprocess.Popen(command, env=own, stdout=out, stderr=out, start_new_session=True) as process,  # noqa: S603 (our own)
    ):
        try:
            deadline = time.monotonic() + STARTUP
            while not answers(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise JobError(
                        f"Prefect's server did not start on port {port}; see {log}, or choose another with --port."
                    )
                time.sleep(0.5)
            yield url
        finally:
            process.terminate()
