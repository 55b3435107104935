"""A run that is stopped from outside, as by a shutdown or a scheduler: it ends at once and leaves nobody behind."""

import os
import signal
from pathlib import Path

import pytest

from pipeline.log import read_log
from tests import tiny
from tests.flows.commands import start

PATIENCE = 120  # seconds


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's, so that its database is made once."""
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("runner", ["process", "local"])
def test_a_run_that_is_terminated_takes_its_processes_along(tmp_path: Path, home: Path, runner: str) -> None:
    data, out = tiny.write_dataset(tmp_path / "data"), tmp_path / "out"
    lasting = ("gan.scope=per_class", "gan.steps=null", "gan.minutes=1")
    settings = tiny.as_arguments(f"runner={runner}", "workers=2", *lasting)
    run = start("run", str(data), "--out", str(out), *settings, home=home)
    assert run.stdout is not None
    try:
        for line in run.stdout:  # until a generator is being trained
            if "steps/s" in line:
                break
        run.send_signal(signal.SIGTERM)  # to it alone, not to the processes that it has started
        # until nobody holds the pipe any more: neither a training nor Prefect's server
        told, _ = run.communicate(timeout=PATIENCE)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == 130 and "Interrupted; the same command goes on" in told
    assert not [event for event in read_log(out / "log.jsonl") if event["event"] == "done" and "generator" in event]
