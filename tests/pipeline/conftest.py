"""The command, run in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flows import cli

Ganaug = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ganaug(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ganaug:
    """Run the command; returns exit status, standard output and standard error."""

    def call(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["ganaug", *map(str, words)])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
        said = capfd.readouterr()
        return status, said.out, said.err

    return call
