"""`ganaug serve` as a user starts it: a process with a Prefect server of its own, schedules that fire, and its page."""

import json
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from flows.artifacts import key_of
from flows.serve import deployments
from flows.server import answers
from pipeline.config import parse_overrides
from pipeline.errors import InputError
from pipeline.history import history
from pipeline.workspace import Workspace, add_images
from tests import tiny
from tests.flows import commands

PATIENCE = 300  # tries, or seconds, for what another process is about to do
EVERY_MINUTE = "* * * * *"
QUICK = ("gan.steps=6", "gan.finetune_steps=3", *tiny.TWO_ARMS)
GIVEN = [*tiny.SETTINGS, *QUICK]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--window-size=1400,2400",
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two classes, nothing trained yet."""
    tmp_path = tmp_path_factory.mktemp("served")
    made = Workspace(tmp_path / "line3")
    for name in ("blobs", "grain"):
        add_images(made, name, [tiny.write_dataset(tmp_path / name, {name: 12}) / name], tiny.settings())
    return made


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start(workspace: Workspace, port: int, home: Path, *settings: str) -> subprocess.Popen[str]:
    where = ("--workspace", str(workspace.root), "--port", str(port))
    # as a shell starts what goes on in the background
    return commands.start("serve", *where, *tiny.as_arguments(*settings), home=home, interrupts=signal.SIG_IGN)


def until(condition: Callable[[], Any], *, seconds: float = PATIENCE, needed: bool = True) -> Any:
    """What the condition gives once that is true."""
    end = time.monotonic() + seconds
    while not (result := condition()) and time.monotonic() < end:
        time.sleep(0.5)
    assert result or not needed, "nothing came of it"
    return result


@pytest.fixture(scope="module")
def served(workspace: Workspace, port: int) -> Iterator[subprocess.Popen[str]]:
    process = start(workspace, port, workspace.root.parent / "home", *QUICK, f"serve.train={EVERY_MINUTE}")
    until(lambda: answers(f"http://127.0.0.1:{port}/api"))
    yield process
    process.send_signal(signal.SIGTERM)
    try:
        out, _ = process.communicate(timeout=PATIENCE)  # a run that the schedule has just started may have to end
    finally:
        process.kill()
    assert process.returncode in (0, 130), out
    assert "never awaited" not in out and "Traceback" not in out, out


def ask(port: int, path: str, **body: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )

    def answer() -> Any:
        """In a list, as an answer may be empty; a server whose database is busy says 503 and is asked again."""
        try:
            with urllib.request.urlopen(request, timeout=20) as said:
                return [json.loads(said.read())]
        except urllib.error.HTTPError as busy:
            if busy.code != 503:
                raise
            return []

    return until(answer)[0]


def deployment(port: int, what: str) -> str:
    """Id of the served workspace's deployment, once it is registered."""
    (one,) = until(lambda: [row for row in ask(port, "deployments/filter") if row["name"].endswith(what)])
    return str(one["id"])


def run_of(port: int, run: str) -> dict[str, Any]:
    (found,) = ask(port, "flow_runs/filter", flow_runs={"id": {"any_": [run]}})
    return dict(found)


def test_a_schedule_fires_and_the_run_leaves_its_artifacts(
    served: subprocess.Popen[str], workspace: Workspace, port: int, tmp_path: Path
) -> None:
    assert served.stdout is not None
    told = [served.stdout.readline() for _ in range(4)]  # printed once the server answers
    assert f"http://127.0.0.1:{port}" in told[0], told
    assert re.search(r"train anew +\* \* \* \* \* UTC", "".join(told))
    twice = start(workspace, port, tmp_path / "other home")
    out, _ = twice.communicate(timeout=PATIENCE)
    assert twice.returncode == 2 and f"is being served already: Another run (process {served.pid}" in out

    for line in served.stdout:  # until the run that the schedule has started says where its report is
        if line.startswith("Report: "):
            break
    (run, *_) = ask(port, "flow_runs/filter", sort="EXPECTED_START_TIME_ASC")
    run = until(lambda: (found := run_of(port, run["id"]))["state_type"] != "RUNNING" and found)
    assert run["state_type"] == "COMPLETED", run
    assert run["created_by"]["type"] == "SCHEDULE"
    artifacts = ask(port, "artifacts/filter", flow_runs={"id": {"any_": [run["id"]]}})
    kept = {key_of(workspace.run, what) for what in ("verdict", "arms", "classes", "compare", "progress")}
    assert {artifact["key"] for artifact in artifacts} == kept
    assert workspace.run.report.exists() and history(workspace.run, last=1)
    names = {deployment["name"] for deployment in ask(port, "deployments/filter")}
    assert {name.removeprefix("line3-")[7:] for name in names} == {"evaluate", "train", "judge", "add-class"}


def test_what_falls_due_while_a_run_of_its_kind_works_or_waits_is_cancelled(
    served: subprocess.Popen[str], port: int
) -> None:
    compare = deployment(port, "evaluate")
    runs = [ask(port, f"deployments/{compare}/create_flow_run")["id"] for _ in range(3)]
    ends = until(lambda: (found := states_of(port, runs)) and not {*found} - {"COMPLETED", "CANCELLED"} and found)
    assert sorted(ends) == ["CANCELLED", "CANCELLED", "COMPLETED"]


def states_of(port: int, runs: list[str]) -> list[str]:
    return [run_of(port, run)["state_type"] for run in runs]


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chrome]:
    for name in ("SE_OFFLINE", "SE_AVOID_STATS"):
        monkeypatch.setenv(name, "true")
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in FLAGS:
        options.add_argument(flag)
    with Chrome(options=options, service=Service(DRIVER)) as driver:
        driver.implicitly_wait(30)
        yield driver


@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="no Chromium with its driver here")
def test_the_page_of_the_served_workspace_adds_a_class(
    served: subprocess.Popen[str], workspace: Workspace, port: int, browser: Chrome, tmp_path: Path
) -> None:
    images = tiny.write_dataset(tmp_path / "lines", {"lines": 12}) / "lines"

    def field(label: str) -> WebElement:
        where = f"//label[starts-with(normalize-space(.), '{label}')]/following::*[self::input or self::textarea][1]"
        return browser.find_element(By.XPATH, where)

    def press(text: str) -> None:
        browser.find_element(By.XPATH, f"//button[normalize-space(.)='{text}']").click()

    def text() -> str:
        return browser.find_element(By.TAG_NAME, "body").text

    def adding() -> Any:
        return ask(port, "flow_runs/filter", flows={"name": {"any_": ["add-class"]}})

    form = f"http://127.0.0.1:{port}/v2/deployments/deployment/{deployment(port, 'add-class')}/run"
    browser.get(form)
    assert field("workspace").get_attribute("value") == str(workspace.root.resolve())
    assert "Can't connect" not in text()
    field("name").send_keys("lines")
    press("Add item")
    field("paths").send_keys(str(images))
    steps = field("Steps")
    assert steps.get_attribute("value") == "6" and "Training steps of a generator." in text()
    steps.send_keys("0.5")  # 60.5
    press("Submit")
    assert browser.current_url == form and not adding()
    steps.clear()
    steps.send_keys("14")
    press("Submit")
    if not until(adding, seconds=30, needed=False):
        press("Submit")  # the message about 60.5 went as the field was left, and the button moved away from the pointer
    (run,) = until(adding)
    until(lambda: run_of(port, run["id"])["state_type"] == "COMPLETED")
    browser.get(f"http://127.0.0.1:{port}/v2/runs/flow-run/{run['id']}?tab=Artifacts")
    keys = {key_of(workspace.run, what) for what in ("verdict", "arms", "classes", "compare")}
    WebDriverWait(browser, 30).until(lambda _: all(key in text() for key in keys), text())
    gan = run_of(port, run["id"])["parameters"]["settings"]["gan"]
    assert gan == parse_overrides(GIVEN)["gan"] | {"steps": 14}  # the form has added nothing
    assert {row.label for row in workspace.rows()} == {"blobs", "grain", "lines"}


def test_the_form_of_a_class_is_typed_and_knows_its_workspace(workspace: Workspace) -> None:
    *_, by_hand = deployments(workspace, tiny.settings(), ["gan.minutes=30"])
    assert by_hand.parameters == {"workspace": str(workspace.root.resolve()), "settings": {"gan": {"minutes": 30}}}
    schema = by_hand._parameter_openapi_schema.model_dump()
    fields = schema["properties"]
    assert fields["name"]["maxLength"] == 100 and fields["paths"]["minItems"] == 1
    assert all(field["description"] for field in fields.values())
    steps = schema["definitions"]["GanSettings"]["properties"]["steps"]
    assert steps["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 1_000_000} and steps["description"]
    assert "default" not in steps  # a form would overrule the workspace's own setting with it


@pytest.mark.parametrize("key", ["evaluate", "train", "watch_every"])
def test_a_schedule_that_is_none_is_refused(workspace: Workspace, key: str) -> None:
    config = tiny.settings(f"serve.{key}=99 99 * * *", "serve.watch=incoming")
    with pytest.raises(InputError, match=rf"serve\.{key} = '99 99 \* \* \*' .* is no schedule"):
        deployments(workspace, config, None)
