"""Every GAN family on one data set with the same minutes of training: `python -m benchmarks.families --help`.

Each family is a `ganaug run` of its own, on one thread, with the same split, classifier and policy; a finished one is
not repeated. FID, KID, recall and authenticity are means over the classes, of the accepted images, on the project's own
features; the gain is that of the accepted images over the same classifier with classical augmentation alone.
"""

import argparse
import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.runs import run_job, table
from ganaug.families import FAMILIES

SETTINGS = (
    "evaluate.arms=[classical,classical_gan]",
    "evaluate.policies=[flips]",
    "evaluate.ratios=[4]",
    "evaluate.folds=2",
    "evaluate.repeats=1",
    "evaluate.seeds=3",
    "gan.steps=1000000",
    "workers=1",
    "device=cpu",
)
HEADER = ["family", "steps", "FID", "KID", "recall", "authenticity", "accepted", "gain, points", "95 % interval"]


def main() -> None:
    """Run the families, some at a time, and print the table as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--per-class", type=int, default=20, help="real training images a class")
    parser.add_argument("--minutes", type=float, default=3, help="of training, the same for every family")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--at-once", type=int, default=2, help="runs side by side; one core each")
    parser.add_argument("--out", type=Path, default=Path("out/families"))
    parser.add_argument("--grids", type=Path, help="folder that gets the last sample grid of each family")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_args()

    def train(family: str) -> None:
        settings = (
            f"gan.family={family}",
            f"gan.minutes={options.minutes}",
            f"data.train_per_class={options.per_class}",
            *SETTINGS,
            *options.overrides,
        )
        if status := run_job(options.dataset, options.out / family, settings, {"OMP_NUM_THREADS": "1"}):
            print(f"{family}: ended with status {status}", file=sys.stderr)

    with ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(train, options.families))
    done = [family for family in options.families if (options.out / family / "metrics.json").exists()]
    print("\n".join(table(HEADER, (_cells(family, options.out / family) for family in done))))
    if options.grids:
        options.grids.mkdir(parents=True, exist_ok=True)
        for family in done:
            shutil.copyfile(_last_grid(options.out / family), options.grids / f"{family}.png")


def _cells(family: str, folder: Path) -> list[str]:
    metrics = json.loads((folder / "metrics.json").read_text())
    gain = metrics["gain"]["accuracy"]
    low, high = gain["ci95"]
    accepted = sum(row["accepted"] for row in metrics["classes"].values())
    scores = [_mean(metrics, score) for score in ("fid", "kid", "recall", "authenticity")]
    return [
        f"`{family}`",
        str(_steps(folder)),
        *scores,
        str(accepted),
        f"{100 * gain['delta']:+.1f}",
        f"{100 * low:+.1f} to {100 * high:+.1f}",
    ]


def _mean(metrics: dict[str, Any], score: str) -> str:
    found = [row[score] for row in metrics["classes"].values() if row.get(score) is not None]
    return f"{fmean(found):.3g}" if found else "-"


def _steps(folder: Path) -> int:
    cards = [json.loads(card.read_text()) for card in (folder / "generators").glob("*/card.json")]
    return max((int(card["metrics"]["step"]) for card in cards), default=0)


def _last_grid(folder: Path) -> Path:
    return max((folder / "training").glob("*/samples_*.png"), key=lambda path: path.stat().st_mtime)


if __name__ == "__main__":
    main()
