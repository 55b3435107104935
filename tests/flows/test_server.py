"""Which server a run talks to, and what is said before any work where it cannot."""

import http.server
import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    get_current_settings,
    temporary_settings,
)

from flows.server import quiet_prefect, require_server
from pipeline.errors import InputError


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listening() -> Iterator[str]:
    """The address of a server on loopback."""
    with http.server.HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


@pytest.fixture
def dead() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/api"


@pytest.mark.parametrize("spelling", ["no_proxy", "NO_PROXY"])
def test_loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, listening: str, dead: str, spelling: str) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "")  # so that it is as it was afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("http_proxy", dead)
    monkeypatch.setenv(spelling, "intranet.example")
    with pytest.raises(httpx.ConnectError):
        httpx.get(listening)
    for _ in range(2):
        quiet_prefect()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "intranet.example,127.0.0.1,localhost,::1"
    assert httpx.get(listening).text == httpx.get(listening.replace("127.0.0.1", "localhost")).text == "true"
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://elsewhere.example/")


def test_a_termination_ends_the_server_too(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        quiet_prefect()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        quiet_prefect()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN  # the script's own choice
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, dead: str, listening: str) -> None:
    with temporary_settings({PREFECT_API_URL: listening}):
        require_server()
    with temporary_settings({PREFECT_API_URL: dead}):
        monkeypatch.setenv("PREFECT_API_URL", dead)
        with pytest.raises(InputError, match=f"{dead}, which the environment variable PREFECT_API_URL names.*unset"):
            require_server()
        monkeypatch.delenv("PREFECT_API_URL")
        with pytest.raises(InputError, match=f"{dead}, which .*PREFECT_API_URL.* names, does not answer"):
            require_server()


def test_a_database_of_a_newer_prefect_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "prefect.db"
    connection = f"sqlite+aiosqlite:///{file}"
    own_server = temporary_settings(
        {PREFECT_SERVER_DATABASE_CONNECTION_URL: connection}, restore_defaults={PREFECT_API_URL}
    )
    with own_server:
        require_server()  # none yet
        assert not file.exists()
        with sqlite3.connect(file) as database:
            database.execute("create table alembic_version (version_num varchar(32) not null)")
            database.execute("insert into alembic_version values ('ffffffffffff')")
        database.close()
        before = file.read_bytes()
        with pytest.raises(
            InputError, match=rf"^{file} is the database of another Prefect.*ffffffffffff.*PREFECT_HOME"
        ):
            require_server()
        assert file.read_bytes() == before


def test_the_database_of_this_prefect_is_taken() -> None:
    assert get_current_settings().server.database.connection_url is not None  # of the session's server
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        require_server()
