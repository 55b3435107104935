"""What synthetic images bring at few training images a class, or at all there are: `python -m benchmarks.gain --help`.

Each split is a `ganaug run` of its own, with the split's number as its seed; a finished one is not repeated, even if
the code has changed since. A pooled gain is the mean over the splits. Its interval is the wider of two: what the
splits' own intervals come to (in quadrature), which knows of test images, the classifier's seeds and, with more than
one of --repeats, the generators, and Student's t of the splits' gains, which knows how much the training images matter
too. Both take the splits for independent; they share images, so it is still a little too narrow. What the gain is
worth, where it is more than chance, is the median over the splits, in further labelled images of each class.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from math import hypot
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from scipy.stats import t

from benchmarks.runs import points, ranged, recorded_metrics, run_job, table

Metrics = Mapping[str, Any]
SIDES = ("baseline", "augmented")
RATES = {"defects missed": "miss_rate", "good parts rejected": "false_reject_rate"}
ALL = "all"  # images as they are, classes of unequal size


def main() -> None:
    """Run the splits and print the tables as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--per-class", nargs="+", default=["5", "10", "20", "50"], help="real training images, or: all")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3, help="trainings of each split's generators (gan.repeats)")
    parser.add_argument("--first", type=int, default=0, help="number of the first split")
    parser.add_argument("--out", type=Path, default=Path("out/gain"))
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_args()
    found: dict[str, dict[int, Metrics]] = {}
    for images in options.per_class:
        for split in range(options.first, options.first + options.splits):
            out = options.out / options.dataset.name / images / f"split-{split}"
            settings = [f"seed={split}", f"gan.repeats={options.repeats}", *few(images), *options.overrides]
            if status := run_job(options.dataset, out, settings, config=options.config):
                sys.exit(status)
            found.setdefault(images, {})[split] = recorded_metrics(out)
    print("\n".join(overview(found)))
    for images, runs in found.items():
        print("\n".join(["", f"### {images} images a class", *arms(runs), "", *gains(runs)]))


def few(images: str) -> list[str]:
    """The setting that leaves so many real training images a class."""
    return [] if images == ALL else [f"data.train_per_class={images}"]


def overview(found: Mapping[str, Mapping[int, Metrics]]) -> list[str]:
    """A line for each number of images: the arms that were chosen for comparison, and the pooled gain."""
    sides = ["best real-only arm", "best synthetic arm"]
    header = ["images a class", "splits", *sides, "gain, points", "worth", *RATES, "verdicts"]
    return table(header, ([images, *_pooled(list(runs.values()))] for images, runs in found.items()))


def _pooled(runs: Sequence[Metrics]) -> list[str]:
    mean, half = _change([_decides(run) for run in runs])
    verdicts = Counter(run["verdict"] for run in runs)
    return [
        str(len(runs)),
        *(_percent(fmean(run["arms"][run["gain"][side]]["accuracy"]["mean"] for run in runs)) for side in SIDES),
        f"**{points(mean)}** ({points(mean - half)} to {points(mean + half)})",
        _worth(runs) if mean > half else "",
        *(_rate(runs, rate) for rate in RATES.values()),
        ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()),
    ]


def _decides(run: Metrics) -> Metrics:
    """Balanced accuracy; accuracy where costs decide, which are no points, and in runs of earlier versions."""
    endpoint: Metrics = run.get("endpoint", {})
    return endpoint if endpoint.get("name") == "balanced_accuracy" else run["gain"]["accuracy"]


def pooled_gain(deltas: Sequence[float], intervals: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean over the splits, and half the width of its interval."""
    n = len(deltas)
    within = hypot(*((hi - lo) / 2 for lo, hi in intervals)) / n
    between = float(t.ppf(0.975, n - 1)) * stdev(deltas) / n**0.5 if n > 1 else 0.0
    return fmean(deltas), max(within, between)


def _change(estimates: Sequence[Metrics]) -> tuple[float, float]:
    """`pooled_gain` of estimates as `metrics.json` has them."""
    return pooled_gain([one["delta"] for one in estimates], [one["ci95"] for one in estimates])


def _worth(runs: Sequence[Metrics]) -> str:
    """Empty where no curve was measured: with few images a class, or none accepted."""
    curves = [run["worth"] for run in runs if run["worth"] and run["worth"]["share"]]
    found = [curve["share"]["mean"] * curve["images_per_class"] for curve in curves if curve["images_per_class"]]
    return f"{round(median(found))} images" if found else ""


def _rate(runs: Sequence[Metrics], rate: str) -> str:
    """Before and after, mean over the splits; empty where no class holds the good parts or none of a kind is tested."""
    if any(run["inspection"]["good"] is None or not run["inspection"].get("baseline", {}).get(rate) for run in runs):
        return ""
    before, after = (fmean(run["inspection"][side][rate]["mean"] for run in runs) for side in SIDES)
    changes = [run["inspection"]["change"][rate] for run in runs]
    if None in changes:  # too few of a kind in a split for an interval
        return f"{_percent(before)} → {_percent(after)} %"
    mean, half = _change(changes)
    return f"{_percent(before)} → {_percent(after)} %: {ranged(mean, (mean - half, mean + half))}"


def arms(runs: Mapping[int, Metrics]) -> list[str]:
    """Accuracy of every arm in every split."""
    header, compared = ["arm", *(f"split {split}" for split in runs), "mean"], next(iter(runs.values()))["arms"]
    return table(header, (_row_of(arm, [run["arms"][arm]["accuracy"] for run in runs.values()]) for arm in compared))


def _row_of(arm: str, scores: Sequence[Metrics]) -> list[str]:
    cells = [ranged(score["mean"], score["ci95"], _percent) for score in scores]
    return [f"`{arm}`", *cells, f"**{_percent(fmean(score['mean'] for score in scores))}**"]


def gains(runs: Mapping[int, Metrics]) -> list[str]:
    """The gain that each split's verdict rests on."""
    return [f"- split {split}: {_gain(run)}: {run['verdict']}" for split, run in runs.items()]


def _gain(run: Metrics) -> str:
    found, won = run["gain"], ranged(_decides(run)["delta"], _decides(run)["ci95"])
    return f"`{found['augmented']}` over `{found['baseline']}` {won} points, McNemar p = {found['mcnemar_p']:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


if __name__ == "__main__":
    main()
