"""`ganaug run` as a user calls it: a process of its own, on Prefect's embedded server with a fresh database."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.log import read_log
from pipeline.manifest import read_manifest
from tests import tiny

ROOT = Path(__file__).resolve().parents[2]
Ganaug = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def ganaug(tmp_path_factory: pytest.TempPathFactory) -> Ganaug:
    """Run the command with these words."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")), "PYTHONPATH": str(ROOT)}

    def call(*words: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "flows.cli", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, check=False)

    return call


def test_run_ends_with_the_verdict(ganaug: Ganaug, tmp_path: Path) -> None:
    """Relative paths, and a folder name that needs care."""
    source = tiny.write_dataset(tmp_path / "größe 1", {"blobs": 8, "grain": 8})
    before = tiny.contents(source)
    out = tmp_path / "out dir"
    arguments = tiny.as_arguments(*tiny.TWO_ARMS)
    done = ganaug("run", "größe 1", "--out", "out dir", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert f"{metrics['verdict'].replace('_', ' ').upper()}: {metrics['reason']}" in done.stdout
    assert "Report: out dir/report.html" in done.stdout and len(done.stdout.strip().splitlines()) == 3
    (classifier,) = re.findall(r"Classifier: (.+) \(use `ganaug predict 'out dir' IMAGES`\)", done.stdout)
    assert json.loads((tmp_path / classifier / "card.json").read_text(encoding="utf-8"))["recommended"]
    assert "train all classes: 40/40" in done.stderr and "Traceback" not in done.stderr
    assert list(metrics["arms"]) == ["real", "gan"] and (out / "report.html").exists()
    assert set(read_manifest(out / "dataset" / "manifest.csv")["label"]) == {"blobs", "grain"}
    assert tiny.contents(source) == before


def test_a_fault_found_inside_the_flow_is_one_line(ganaug: Ganaug, tmp_path: Path) -> None:
    source = tiny.write_dataset(tmp_path / "data", {"blobs": 4, "grain": 0})
    for i in range(2):
        (source / "grain" / f"{i}.png").write_text("this is no picture")
    arguments = ["run", str(source), "--out", str(tmp_path / "out"), *tiny.as_arguments()]
    done = ganaug(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"ganaug: {source}: 2 of 6 files are bad") and len(done.stderr.splitlines()) == 1
    (failed,) = [event for event in read_log(tmp_path / "out" / "log.jsonl") if event["event"] == "failed"]
    assert "Traceback" in failed["traceback"]
