"""What the benchmarks share: a `ganaug run` of its own for each row, and tables in markdown."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import yaml

from pipeline.config import Config, load_config, validate_config
from pipeline.config.reading import RENAMED
from pipeline.store import RunFolder


def run_job(
    dataset: Path,
    out: Path,
    settings: Iterable[str],
    environment: Mapping[str, str] | None = None,
    config: Path | None = None,
) -> int:
    """Run the whole job in a process of its own, unless `out` holds its metrics already; returns its exit status.

    Raises:
        SystemExit: `out` holds the metrics of other settings.
    """
    settings = list(settings)
    if (out / "metrics.json").exists():
        if recorded_config(out) != load_config(config, settings):
            sys.exit(f"{out} holds a run with other settings; remove it, or give another --out.")
        return 0
    words = [word for setting in settings for word in ("--set", setting)]
    if config is not None:
        words += ["--config", str(config)]
    command = [sys.executable, "-m", "flows.cli", "run", str(dataset), "--out", str(out), *words]
    return subprocess.run(command, env={**os.environ, **(environment or {})}).returncode  # noqa: S603 (our own command)


def recorded_config(out: Path) -> Config:
    """The configuration of a run of this version or an earlier one."""
    return validate_config(_as_now(yaml.safe_load((out / "config.yaml").read_text(encoding="utf-8"))))


def recorded_metrics(out: Path) -> dict[str, Any]:
    """The content of `metrics.json` of a run of this version or an earlier one."""
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return _as_now(metrics)


def _as_now(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """A record with the names that its keys have now: what was measured is kept as it was written."""
    names = {old.rpartition(".")[2]: new.rpartition(".")[2] for old, new in RENAMED.items()}
    sections = {name: _as_now(part) if isinstance(part, dict) else part for name, part in recorded.items()}
    return {names.get(name, name): part for name, part in sections.items()}


def stored(run: RunFolder, kind: str) -> list[Path]:
    """Files of a kind in a run's store, the newest last: there are several where settings or code have changed."""
    return sorted(run.store.glob(f"{kind}-*.safetensors"), key=lambda file: file.stat().st_mtime_ns)


def seed_error(cases: Sequence[Sequence[float]]) -> float:
    """Standard error, by seeds alone, of the mean over cases of equally many seeds; NaN for a single seed."""
    if len(cases[0]) < 2:
        return float("nan")
    return fmean(stdev(seeds) for seeds in cases) / sum(map(len, cases)) ** 0.5


def points(share: float) -> str:
    """A change of a share, in percentage points with its sign."""
    return f"{100 * share:+.1f}"


def ranged(middle: float, ends: Sequence[float], written: Callable[[float], str] = points) -> str:
    """A figure and the ends of its interval."""
    low, high = ends
    return f"{written(middle)} ({written(low)} to {written(high)})"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a markdown table."""
    titles = list(header)
    return [row(titles), row(["---"] * len(titles)), *map(row, rows)]


def row(cells: Iterable[str]) -> str:
    """One line of a markdown table."""
    return f"| {' | '.join(cells)} |"
