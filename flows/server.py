"""Prefect's defaults: its embedded server on loopback, without telemetry, unless the user has configured one."""

import contextlib
import logging
import os
import signal
import sqlite3
import threading
import urllib.request
from pathlib import Path

from pipeline.errors import InputError
from pipeline.masking import mask_secrets

DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # its first start migrates a database
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
RUN_LOGS = ("prefect.flow_runs", "prefect.task_runs")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
PATIENCE = 10  # seconds for a server that is configured to say that it is there


def quiet_prefect(*, tracebacks: bool = False) -> None:
    """Set the defaults that the environment leaves open; call before Prefect is imported.

    The command reports a failure in one line, `log.jsonl` in full. Prefect would also print its traceback once for the
    task and once for the flow: `tracebacks` allows that. Its server gets them either way. SIGTERM becomes a
    KeyboardInterrupt where nobody handles it: at its default, the embedded server would be left behind.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    _bypass_proxies()
    for name in RUN_LOGS:
        logging.getLogger(name).propagate = tracebacks
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _bypass_proxies() -> None:
    """Reach what is on this machine without a proxy: no proxy elsewhere can.

    urllib, httpx, websockets and gRPC read both spellings of the variable, the lower one first.
    """
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in exempt.split(",") if host.strip()]
    if "*" not in hosts:
        hosts += [host for host in LOOPBACK if host not in hosts]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)


def require_server() -> None:
    """Refuse, before any work, a server that does not answer and a database that no server of this Prefect can open.

    Raises:
        InputError: names the setting or the file, and the mend.
    """
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if settings.api.url:
        _require_answer(settings.api.url)
    elif settings.server.database.connection_url:
        _require_known_schema(settings.server.database.connection_url.get_secret_value())


def _require_answer(url: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.context import get_settings_context
    from prefect.settings import PREFECT_API_URL

    profile = get_settings_context().profile
    with get_client(httpx_settings={"timeout": PATIENCE}, sync_client=True) as client:
        failure = client.api_healthcheck()
    if failure is None:
        return
    if "PREFECT_API_URL" in os.environ:
        where, mend = "the environment variable PREFECT_API_URL", "unset that variable"
    elif PREFECT_API_URL in profile.settings:
        where = f"PREFECT_API_URL of Prefect's profile {profile.name!r}"
        mend = "run `prefect config unset PREFECT_API_URL`"
    else:
        where, mend = "the setting PREFECT_API_URL", "remove that setting from prefect.toml, pyproject.toml or .env"
    raise InputError(
        f"Prefect's server at {mask_secrets(url)}, which {where} names, does not answer "
        f"({failure or type(failure).__name__}); start it, or {mend} to use a server of ganaug's own."
    )


def _require_known_schema(connection: str) -> None:
    """SQLite alone: a newer Prefect's file costs the embedded server minutes of vain attempts."""
    import prefect
    from sqlalchemy.engine import make_url

    url = make_url(connection)
    file = Path(url.database or "")
    if url.get_backend_name() != "sqlite" or not file.is_file():
        return
    migrations = Path(prefect.__file__).parent / "server" / "database" / "_migrations" / "versions" / "sqlite"
    known = {migration.stem for migration in migrations.glob("*.py")}  # date_time_revision_name
    for revision in _revisions(file):
        if known and not any(f"_{revision}_" in name for name in known):
            raise InputError(
                f"{file} is the database of another Prefect, most likely a newer one than {prefect.__version__}, which "
                f"does not know its revision {revision}; install that Prefect, or set PREFECT_HOME to another folder, "
                "or move the file away: Prefect keeps there what it knows of earlier runs, not their results."
            )


def _revisions(database: Path) -> list[str]:
    """Alembic's revision of a SQLite file; none where it has no such table yet or cannot be read."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection,
    ):
        return [str(row[0]) for row in connection.execute("select version_num from alembic_version")]
    return []


def answers(url: str) -> bool:
    """Whether a Prefect API is there and healthy."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310 (always http)
            return bool(answer.read() == b"true")
    except OSError:
        return False
