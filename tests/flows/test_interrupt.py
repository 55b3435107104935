"""A run that is stopped from outside, as by a shutdown or a scheduler: it ends at once and leaves nobody behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

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


def test_a_deployed_run_ends_when_its_time_is_over(tmp_path: Path) -> None:
    data, out = tiny.write_dataset(tmp_path / "data"), tmp_path / "out"
    lasting = ("runner=process", "workers=2", "gan.scope=per_class", "gan.steps=null", "gan.minutes=10")
    (tmp_path / "job.py").write_text(
        "from flows.server import quiet_prefect\nquiet_prefect()\n"
        "from flows.augment import augment\nfrom tests import tiny\n"
        "if __name__ == '__main__':\n"
        f"    augment({str(data)!r}, {str(out)!r}, tiny.settings(*{lasting!r}, 'serve.timeout_hours=0.003'))\n"
    )
    own = {"PREFECT_API_URL": PREFECT_API_URL.value(), "PREFECT__RUNTIME__DEPLOYMENT__ID": "some"}
    done = subprocess.run(  # ends when nobody holds its output any more: no training is left behind
        [sys.executable, str(tmp_path / "job.py")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=os.environ | own | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 1 and "JobError: The run was ended after 0.003 hours (serve.timeout_hours)" in done.stderr
    events = [event for event in read_log(out / "log.jsonl") if event["event"] == "done" and "generator" in event]
    assert not events
