"""What came of the runs in one folder, one line each: endpoint, FID and misses over the months."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from pipeline.store import RunFolder, write_atomically


def remember(run: RunFolder, metrics: Mapping[str, Any]) -> None:
    """Add a finished run to `history.jsonl`, unless nothing has changed since the last one."""
    found = summary(metrics)
    if any(found == {key: last.get(key) for key in found} for last in history(run, last=1)):
        return
    line = json.dumps(found | {"time": datetime.now(UTC).isoformat(timespec="seconds")})
    before = run.history.read_bytes() if run.history.exists() else b""
    write_atomically(run.history, before + line.encode() + b"\n")


def number_of_comparison(folders: Iterable[RunFolder], digest: str) -> int:
    """The number, from 1, of a comparison among the different ones that folders with common test images remember.

    One that was made before (same images, same answers) keeps its number. All others count, since a class or an image
    that joins the test set leaves nearly all of its images as they were; so do those of versions that did not say what
    was compared.
    """
    rows = [row for folder in folders for row in history(folder)]
    numbers = {row["comparison_digest"]: int(row["comparison_number"]) for row in rows if "comparison_digest" in row}
    unnamed = sum("comparison_digest" not in row for row in rows)
    return numbers.get(digest, 1 + max(len(numbers) + unnamed, *numbers.values(), 0))


def history(run: RunFolder, *, last: int | None = None) -> list[dict[str, Any]]:
    """The `last` runs, or all, the newest first."""
    if not run.history.exists():
        return []
    lines = run.history.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[::-1][:last]]


def summary(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The figures to follow: endpoint and gain in accuracy with their intervals, mean FID, share of defects missed."""
    fids = [row["fid"] for row in metrics["classes"].values() if row["fid"] is not None]
    missed = (metrics.get("inspection") or {}).get("augmented")
    return {
        "comparison_digest": metrics["comparison_digest"],
        "comparison_number": metrics["comparison_number"],
        "verdict": metrics["verdict"],
        "endpoint": {key: metrics["endpoint"][key] for key in ("name", "delta", "ci95")},
        "classes": len(metrics["dataset"]["classes"]),
        "images": sum(metrics["dataset"]["counts"]["train"].values()),
        "gain": metrics["gain"]["accuracy"]["delta"],
        "ci95": list(metrics["gain"]["accuracy"]["ci95"]),
        "fid": fmean(fids) if fids else None,
        "miss_rate": missed["miss_rate"]["mean"] if missed else None,
    }
