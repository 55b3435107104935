"""The command, run in this process; and a copy of a finished run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flows import cli
from pipeline.store import RunFolder
from tests.conftest import Finished

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


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> RunFolder:
    """A finished run of its own, to be run again with other settings."""
    shutil.copytree(finished.run.out, tmp_path / "copied")
    return RunFolder(tmp_path / "copied")
