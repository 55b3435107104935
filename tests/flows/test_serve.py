"""`ganaug serve` as a user starts it: a process with a Prefect server of its own, and schedules that fire."""

import json
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.artifacts import key_of
from flows.serve import deployments
from pipeline.errors import InputError
from pipeline.history import history
from pipeline.workspace import Workspace, add_images
from tests import tiny
from tests.flows import commands

PATIENCE = 300  # tries, or seconds, for what another process is about to do
EVERY_MINUTE = "* * * * *"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two classes, nothing trained yet."""
    made = Workspace(tmp_path / "line3")
    for name in ("blobs", "grain"):
        add_images(made, name, [tiny.write_dataset(tmp_path / name, {name: 12}) / name], tiny.settings())
    return made


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start(workspace: Workspace, port: int, home: Path, *settings: str) -> subprocess.Popen[str]:
    where = ("--workspace", str(workspace.root), "--port", str(port))
    return commands.start("serve", *where, *tiny.as_arguments(*settings), home=home)


@pytest.fixture
def served(workspace: Workspace, port: int, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    settings = ("gan.steps=12", "gan.finetune_steps=6", "evaluate.seeds=1", "inspection.learning_curve=false")
    process = start(workspace, port, tmp_path / "home", *settings, f"serve.train={EVERY_MINUTE}")
    yield process
    process.send_signal(signal.SIGINT)
    try:
        out, _ = process.communicate(timeout=PATIENCE)  # a run that the schedule has just started may have to end
    finally:
        process.kill()
    assert process.returncode in (0, 130), out


def ask(port: int, path: str, **body: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


def test_a_schedule_fires_and_the_run_leaves_its_artifacts(
    served: subprocess.Popen[str], workspace: Workspace, port: int, tmp_path: Path
) -> None:
    assert served.stdout is not None
    told = [served.stdout.readline() for _ in range(4)]  # printed once the server answers
    assert f"http://127.0.0.1:{port}" in told[0], told
    assert re.search(r"train anew +\* \* \* \* \* UTC", "".join(told))
    twice = start(workspace, port, tmp_path / "home")
    out, _ = twice.communicate(timeout=PATIENCE)
    assert twice.returncode == 2 and f"is being served already: Another run (process {served.pid}" in out

    for line in served.stdout:  # until the run that the schedule has started says where its report is
        if line.startswith("Report: "):
            break
    (run, *_) = ask(port, "flow_runs/filter", sort="EXPECTED_START_TIME_ASC")
    for _ in range(PATIENCE):
        if run["state_type"] != "RUNNING":
            break
        (run,) = ask(port, "flow_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    assert run["state_type"] == "COMPLETED", run
    assert run["created_by"]["type"] == "SCHEDULE"
    artifacts = ask(port, "artifacts/filter", flow_runs={"id": {"any_": [run["id"]]}})
    kept = {key_of(workspace.run, what) for what in ("verdict", "arms", "classes", "compare", "progress")}
    assert {artifact["key"] for artifact in artifacts} == kept
    assert workspace.run.report.exists() and history(workspace.run, last=1)
    names = {deployment["name"] for deployment in ask(port, "deployments/filter")}
    assert {name.removeprefix("line3-")[7:] for name in names} == {"evaluate", "train", "add-class"}


def test_the_form_of_a_class_has_descriptions_and_bounds(workspace: Workspace) -> None:
    *_, by_hand = deployments(workspace, tiny.settings(), None)
    form = by_hand._parameter_openapi_schema.model_dump()["definitions"]["NewImages"]["properties"]
    assert form["name"]["maxLength"] == 100 and form["paths"]["minItems"] == 1
    assert all(field["description"] for field in form.values())


@pytest.mark.parametrize("key", ["evaluate", "train", "watch_every"])
def test_a_schedule_that_is_none_is_refused(workspace: Workspace, key: str) -> None:
    config = tiny.settings(f"serve.{key}=99 99 * * *", "serve.watch=incoming")
    with pytest.raises(InputError, match=rf"serve\.{key} = '99 99 \* \* \*' .* is no schedule"):
        deployments(workspace, config, None)
