"""A workspace through the command: classes come and go, and only what they need is trained."""

import json
import os
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from prefect.client.schemas.objects import State
from pytest import CaptureFixture, MonkeyPatch

from flows.deployed import turn
from flows.workspace import add_class, collect, retrain, update
from pipeline.config import Settings, parse_overrides
from pipeline.errors import InputError, JobError
from pipeline.log import read_log
from pipeline.store import read_json
from pipeline.workspace import Workspace
from pipeline.workspace.watch import arrivals
from tests import tiny
from tests.flows.test_augment import call

QUICK = ("gan.steps=6", "gan.finetune_steps=3", *tiny.TWO_ARMS)
SETTINGS, OVERRIDES = tiny.as_arguments(*QUICK), [*tiny.SETTINGS, *QUICK]
CHOSEN = Settings.model_validate(parse_overrides(OVERRIDES))


def trained(workspace: Workspace) -> list[str]:
    done = [e for e in read_log(workspace.run.log) if (e["stage"], e["event"]) == ("train", "done")]
    return [event["generator"] for event in done if "generator" in event]


def drawn(workspace: Workspace) -> dict[str, int]:
    """Generators, also as they are published, and candidates with their times."""
    kinds = ("store/generator-*", "store/candidates-*", "generators/*/model.safetensors")
    return {name: time for name, time in tiny.times(workspace.run.out).items() if any(map(Path(name).match, kinds))}


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose run is finished, and the folders its two classes came from; not to be changed."""
    root = tmp_path_factory.mktemp("two")
    for name in ("blobs", "grain"):
        folder = tiny.write_dataset(root / name, {name: 12}) / name
        metrics = add_class(str(root / "workspace"), name, [str(folder)], settings=CHOSEN)
    assert metrics["dataset"]["classes"] == ["blobs", "grain"]
    return root


@pytest.fixture
def workspace(finished_once: Path, tmp_path: Path) -> Workspace:
    """A workspace of its own whose run is finished; the images came from `tmp_path`."""
    shutil.copytree(finished_once, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path / "workspace")


def listed(monkeypatch: MonkeyPatch, capfd: CaptureFixture[str], workspace: Workspace) -> dict[str, dict[str, object]]:
    capfd.readouterr()
    assert call(monkeypatch, "class", "list", "--workspace", str(workspace.root), "--json") == 0
    return {row["name"]: row for row in json.loads(capfd.readouterr().out)}


def test_classes_come_and_go(tmp_path: Path, monkeypatch: MonkeyPatch, capfd: CaptureFixture[str]) -> None:
    workspace = Workspace(tmp_path / "workspace")
    where = ("--workspace", str(workspace.root))

    def add(name: str, *more: str, count: int = 12, first_seed: int = 0) -> int:
        folder = tiny.write_dataset(tmp_path / f"{name}-{first_seed}", {name: count}, first_seed=first_seed) / name
        return call(monkeypatch, "class", "add", name, str(folder), *where, *SETTINGS, *more)

    assert add("blobs") == 0
    told = capfd.readouterr().out
    assert "blobs: 12 new image(s) (8 for train, 4 for test)" in told and "Add a second class" in told
    assert not workspace.run.out.exists()

    assert add("grain") == 0
    assert "Report: " in capfd.readouterr().out
    assert sorted(trained(workspace)) == ["all classes", "blobs", "grain"]
    base = read_json(workspace.base)["file"]

    before, made = trained(workspace), drawn(workspace)
    (workspace.run.store / "left-behind").write_bytes(b"by a run of long ago")
    os.utime(workspace.run.store / "left-behind", (1e9, 1e9))
    assert add("lines") == 0
    assert not (workspace.run.store / "left-behind").exists()
    assert trained(workspace)[len(before) :] == ["lines"]
    after = drawn(workspace)
    assert (
        after.items() > made.items() and len(after) == len(made) + 3
    )  # one generator, in the store and published, and its candidates
    assert read_json(workspace.base)["file"] == base
    metrics = read_json(workspace.run.metrics)
    assert metrics["dataset"]["classes"] == ["blobs", "grain", "lines"]
    assert "lines" in workspace.run.report.read_text(encoding="utf-8")
    rows = listed(monkeypatch, capfd, workspace)
    assert {name: row["generator"] for name, row in rows.items()} == dict.fromkeys(tiny.TEXTURES, "trained")
    assert all(row["gain"] is not None and row["train"] == 8 and row["test"] == 4 for row in rows.values())

    assert add("grain", "--no-train", count=3, first_seed=40) == 0
    assert listed(monkeypatch, capfd, workspace)["grain"]["generator"] == "outdated"
    before = trained(workspace)
    assert call(monkeypatch, "class", "remove", "blobs", *where, *SETTINGS) == 0
    assert trained(workspace)[len(before) :] == ["grain"]
    assert listed(monkeypatch, capfd, workspace).keys() == {"grain", "lines"}
    assert {path.name for path in (workspace.run.out / "generators").iterdir()} == {"grain", "lines"}


def test_comparing_anew_trains_no_generator(tmp_path: Path, workspace: Workspace, monkeypatch: MonkeyPatch) -> None:
    models = drawn(workspace)
    more = tiny.write_dataset(tmp_path / "more", {"grain": 6}, first_seed=60) / "grain"
    assert call(monkeypatch, "class", "add", "grain", str(more), "--no-train", "--workspace", str(workspace.root)) == 0
    images = read_json(workspace.run.metrics)["dataset"]["counts"]["test"]["grain"]
    metrics = retrain(str(workspace.root), CHOSEN)
    assert metrics["dataset"]["counts"]["test"]["grain"] > images
    assert drawn(workspace) == models


def test_what_arrives_in_a_watched_folder_is_added(tmp_path: Path, workspace: Workspace) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    assert collect(str(workspace.root), str(incoming), CHOSEN) == {}
    tiny.write_dataset(incoming, {"lines": 12})
    tiny.write_dataset(incoming, {"blobs": 5}, first_seed=80)
    shutil.copy(tmp_path / "grain" / "grain" / "grain-00.png", incoming / "blobs")
    (incoming / "lines" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for file in incoming.rglob("*.png"):
        os.utime(file, (1e9, 1e9))
    state: State[Any] = collect(str(workspace.root), str(incoming), CHOSEN, return_state=True)
    told = str(state.message)
    assert state.is_failed() and "is in class 'grain' already" in told and "lines: broken.png" in told
    assert Counter(row.label for row in workspace.rows()) == {"blobs": 17, "grain": 12, "lines": 12}
    assert "lines" in read_json(workspace.run.metrics)["dataset"]["classes"]
    assert collect(str(workspace.root), str(incoming), CHOSEN) == {}  # each file is looked at once


def test_what_arrives_waits_while_the_workspace_is_damaged(tmp_path: Path, workspace: Workspace) -> None:
    incoming = tmp_path / "incoming"
    arrived = tiny.write_dataset(incoming, {"lines": 2}) / "lines"
    for file in arrived.iterdir():
        os.utime(file, (1e9, 1e9))
    lost = next((workspace.images / "grain").glob("*.png"))
    kept = lost.rename(tmp_path / "kept.png")
    for _ in range(2):
        with pytest.raises(InputError, match=f"{lost.name} is missing or not the file that was recorded"):
            collect(str(workspace.root), str(incoming), CHOSEN)
    kept.rename(lost)
    assert arrivals(workspace, incoming).keys() == {"lines"}


def test_a_run_that_failed_is_not_repeated_until_something_arrives(tmp_path: Path, workspace: Workspace) -> None:
    incoming = tmp_path / "incoming"
    wrong = Settings.model_validate(parse_overrides([*OVERRIDES, "inspection.good=none"]))
    for seed in (80, 90):
        folder = tiny.write_dataset(tmp_path / str(seed), {"blobs": 3}, first_seed=seed) / "blobs"
        shutil.copytree(folder, incoming / "blobs", dirs_exist_ok=True)
        for file in incoming.rglob("*.png"):
            os.utime(file, (1e9, 1e9))
        with pytest.raises(InputError, match=r"inspection\.good = 'none' is no class"):
            collect(str(workspace.root), str(incoming), wrong)
        assert collect(str(workspace.root), str(incoming), wrong) == {}
    assert update(str(workspace.root), settings=CHOSEN)["dataset"]["counts"]["train"]["blobs"] > 8


@pytest.mark.parametrize("words", [("class", "list"), ("class", "remove", "grain")])
def test_no_workspace_is_said_so(
    tmp_path: Path, monkeypatch: MonkeyPatch, capfd: CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert call(monkeypatch, *words, "--workspace", str(tmp_path / "none")) == 2
    assert "is no workspace" in capfd.readouterr().err and not (tmp_path / "none").exists()


def test_another_setting_of_the_base_trains_a_new_one(workspace: Workspace) -> None:
    assert workspace.settings(OVERRIDES).gan.init_from is not None
    assert workspace.settings([*OVERRIDES, "gan.finetune_steps=9"]).gan.init_from is not None
    assert workspace.settings([*OVERRIDES, "gan.steps=9"]).gan.init_from is None
    assert workspace.settings([*OVERRIDES, "gan.scope=per_class"]).gan.init_from is None


def test_images_cannot_join_or_leave_while_a_run_reads_them(
    tmp_path: Path, workspace: Workspace, monkeypatch: MonkeyPatch
) -> None:
    images = tiny.write_dataset(tmp_path / "lines", {"lines": 4}) / "lines"
    seen: list[int] = []

    def run(*_: object, **__: object) -> dict[str, object]:
        where = ("--workspace", str(workspace.root))
        seen.append(call(monkeypatch, "class", "add", "lines", str(images), "--no-train", *where))
        seen.append(call(monkeypatch, "class", "remove", "grain", "--no-train", *where))
        return {}

    monkeypatch.setattr("flows.workspace.run_as_tasks", run)
    retrain(str(workspace.root), CHOSEN)
    assert seen == [2, 2]
    assert {row.label for row in workspace.rows()} == {"blobs", "grain"}


def test_a_deployed_run_waits_for_its_turn_no_longer_than_it_may_work(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    workspace = Workspace(tmp_path)
    workspace.write([])
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "some")
    config = workspace.settings(["serve.timeout_hours=0.0001"])
    with ThreadPoolExecutor(1) as another:
        lock = another.submit(FileLock(workspace.root / ".turn", thread_local=False).acquire).result().lock
        with (
            pytest.raises(JobError, match=r"ended after 0\.0001 hours \(serve\.timeout_hours\)"),
            turn(workspace, config),
        ):
            raise AssertionError("the turn was another run's")
        another.submit(lock.release).result()
