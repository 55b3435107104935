"""All arms at few training images a class, over several random splits: `python -m benchmarks.few_shot --help`.

Each split is a `ganaug run` of its own, with the split's number as its seed; a finished one is not repeated. The pooled
gain is the mean over the splits; its interval adds the splits' half-widths in quadrature and divides by their number,
which takes the splits for independent (they share images, so it is a little too narrow).
"""

import argparse
import json
import sys
from math import hypot
from pathlib import Path
from typing import Any

from benchmarks.runs import run_job, table


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
    splits = range(options.first, options.first + options.splits)
    for split in splits:
        settings = [f"seed={split}", f"data.train_per_class={options.per_class}", *options.overrides]
        if status := run_job(options.dataset, options.out / f"split-{split}", settings):
            sys.exit(status)
    print(summary({split: _metrics(options.out / f"split-{split}") for split in splits}))


def summary(runs: dict[int, dict[str, Any]]) -> str:
    """Accuracy of every arm in every split, and the gain that each split's verdict rests on."""
    rows = []
    for arm in next(iter(runs.values()))["arms"]:
        scores = [run["arms"][arm]["accuracy"] for run in runs.values()]
        cells = [f"{_percent(s['mean'])} ({_percent(s['ci95'][0])} to {_percent(s['ci95'][1])})" for s in scores]
        rows.append([f"`{arm}`", *cells, f"**{_percent(sum(s['mean'] for s in scores) / len(runs))}**"])
    lines = [*table(["arm", *(f"split {split}" for split in runs), "mean"], rows), ""]
    for split, run in runs.items():
        gain = run["gain"]
        low, high = gain["accuracy"]["ci95"]
        lines.append(
            f"- split {split}: `{gain['augmented']}` over `{gain['baseline']}` "
            f"{_points(gain['accuracy']['delta'])} points ({_points(low)} to {_points(high)}), "
            f"McNemar p = {gain['mcnemar_p']:.3g}: {run['verdict']}"
        )
    gains = [run["gain"]["accuracy"] for run in runs.values()]
    mean = sum(gain["delta"] for gain in gains) / len(gains)
    half = hypot(*((gain["ci95"][1] - gain["ci95"][0]) / 2 for gain in gains)) / len(gains)
    lines.append(f"- pooled: {_points(mean)} points ({_points(mean - half)} to {_points(mean + half)})")
    return "\n".join(lines)


def _metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(delta: float) -> str:
    return f"{100 * delta:+.1f}"


if __name__ == "__main__":
    main()
