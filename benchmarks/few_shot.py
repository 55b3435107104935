"""All arms at few training images a class, over several random splits: `python benchmarks/few_shot.py --help`.

Each split is a `ganaug run` of its own, with the split's number as its seed; a finished one is not repeated. The pooled
gain is the mean over the splits; its interval adds the splits' half-widths in quadrature and divides by their number,
which takes the splits for independent (they share images, so it is a little too narrow).
"""

import argparse
import json
import subprocess
import sys
from math import hypot
from pathlib import Path
from typing import Any


def main() -> None:
    """Run the splits and print the table as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--per-class", type=int, default=10, help="real training images a class")
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="number of the first split")
    parser.add_argument("--out", type=Path, default=Path("out/few-shot"))
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_args()
    folders = [options.out / f"split-{split}" for split in range(options.first, options.first + options.splits)]
    for split, folder in zip(range(options.first, options.first + options.splits), folders, strict=True):
        if not (folder / "report.html").exists():
            chosen = [f"seed={split}", f"data.train_per_class={options.per_class}", *options.overrides]
            words = [word for override in chosen for word in ("--set", override)]
            command = [sys.executable, "-m", "flows.cli", "run", options.dataset, "--out", folder, *words]
            subprocess.run(command, check=True)  # noqa: S603 (our own command)
    print(table([json.loads((folder / "metrics.json").read_text()) for folder in folders]))


def table(runs: list[dict[str, Any]]) -> str:
    """Accuracy of every arm in every split, and the gain that each split's verdict rests on."""
    header = ["arm", *(f"split {i}" for i in range(len(runs))), "mean"]
    lines = [_row(header), _row(["---"] * len(header))]
    for arm in runs[0]["arms"]:
        scores = [run["arms"][arm]["accuracy"] for run in runs]
        cells = [f"{_percent(s['mean'])} ({_percent(s['ci95'][0])} to {_percent(s['ci95'][1])})" for s in scores]
        lines.append(_row([f"`{arm}`", *cells, f"**{_percent(sum(s['mean'] for s in scores) / len(runs))}**"]))
    gains = [run["gain"] for run in runs]
    lines.append("")
    for i, (gain, run) in enumerate(zip(gains, runs, strict=True)):
        low, high = gain["accuracy"]["ci95"]
        lines.append(
            f"- split {i}: `{gain['augmented']}` over `{gain['baseline']}` {_points(gain['accuracy']['delta'])} points "
            f"({_points(low)} to {_points(high)}), McNemar p = {gain['mcnemar_p']:.3g}: {run['verdict']}"
        )
    mean = sum(g["accuracy"]["delta"] for g in gains) / len(gains)
    half = hypot(*((g["accuracy"]["ci95"][1] - g["accuracy"]["ci95"][0]) / 2 for g in gains)) / len(gains)
    lines.append(f"- pooled: {_points(mean)} points ({_points(mean - half)} to {_points(mean + half)})")
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(delta: float) -> str:
    return f"{100 * delta:+.1f}"


if __name__ == "__main__":
    main()
