"""Whether other images confirm what a run has said: `python -m benchmarks.confirm --help`.

RUN is the folder of a run with `data.train_per_class`. Its two compared arms are trained anew, with other seeds, and
judged by the images that the run put into no split: nothing has seen them, and no verdict has rested on them. They
answer by the run's thresholds, where it had costs. Their interval redraws each image on its own.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from PIL import Image
from torch import Tensor

from benchmarks.filter_stages import Labelled, images_of, probabilities
from benchmarks.runs import points, ranged, recorded_config, recorded_metrics, table
from classifiers.bootstrap import Interval
from classifiers.comparison import gain
from classifiers.decision_rule import DecisionRule
from classifiers.endpoint import money
from pipeline.manifest import read_manifest
from pipeline.reading import pack
from pipeline.stages.arms import arms
from pipeline.stages.fits import recipe_for
from pipeline.stages.inspection_comparison import endpoint_of
from pipeline.store import RunFolder

FIRST_SEED = 5_000_000  # of classifiers that no run has trained


def accepted(run: RunFolder, classes: list[str], like: Tensor) -> Labelled | None:
    """The synthetic images of the merged set, if it has any."""
    frame = read_manifest(run.manifest)
    made = frame[frame["source"] == "synthetic"]
    if made.empty:
        return None
    pictures = [np.asarray(Image.open(run.dataset / path)) for path in made["path"]]
    return pack(pictures, like.shape[-1], like.shape[1]), torch.tensor([classes.index(name) for name in made["label"]])


def confirmed(run: RunFolder, metrics: dict[str, Any], *, seeds: int, at_once: int) -> Interval:
    """Gain in the run's endpoint (a share, or money a part) on the images that the run has used for nothing.

    Raises:
        SystemExit: the run says of its augmented arm alone how it was trained, and the baseline was trained otherwise.
    """
    said = metrics["gain"]
    if said["baseline"] == "classical" and said["augmented"] == "gan":
        sys.exit(f"{run.out}: its metrics do not say how `classical` augmented, as `gan` does not; nothing to train.")
    config, (train, held_out, names) = recorded_config(run.out), images_of(run)
    ways = arms(said["recipe"]["policy"], said["ratio"], balanced=said["recipe"]["balanced"])
    baseline, augmented = (
        recipe_for(config, len(train[1]), policy=ways[arm].policy, balanced=ways[arm].balanced)
        for arm in (said["baseline"], said["augmented"])
    )
    sides = [(None, baseline), (accepted(run, names, train[0]), augmented)]
    jobs = [(train, held_out, made, recipe, FIRST_SEED + seed) for made, recipe in sides for seed in range(seeds)]
    found = np.stack(Parallel(n_jobs=at_once)(delayed(probabilities)(*job) for job in jobs))
    before, after = (
        rule_of(metrics, said[role], names).answers(of_arm)
        for role, of_arm in (("baseline", found[:seeds]), ("augmented", found[seeds:]))
    )
    truth, alone = held_out[1].numpy(), np.arange(len(held_out[1]))
    endpoint = endpoint_of(config, names, truth)
    won = gain(truth, before, after, alone, classes=len(names), endpoint=endpoint)
    return won.endpoint.interval


def rule_of(metrics: dict[str, Any], arm: str, classes: list[str]) -> DecisionRule:
    """How the run's classifiers answered; those of earlier versions with the likeliest class, whatever the costs."""
    threshold = metrics.get("arms", {}).get(arm, {}).get("pass_threshold")
    good = metrics["inspection"]["good"] if threshold is not None else classes[0]
    return DecisionRule(classes.index(good), threshold)


def cost_written(saved: float) -> str:
    """What is saved a part."""
    return money(saved, "+")


def main() -> None:
    """Judge the runs and print the table as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=2, help="on one core each")
    given = parser.parse_args()
    rows = []
    for folder in given.runs:
        metrics = recorded_metrics(folder)
        found = confirmed(RunFolder(folder), metrics, seeds=given.seeds, at_once=given.at_once)
        said = metrics.get("endpoint") or metrics["gain"]["accuracy"] | {"name": "accuracy"}  # of earlier versions
        written = cost_written if said["name"] == "expected_cost" else points
        figures = (said["delta"], said["ci95"]), (found.mean, (found.lo, found.hi))
        cells = [metrics["verdict"], said["name"], *(ranged(*figure, written) for figure in figures)]
        rows.append([folder.name, *cells])
        print(" | ".join(rows[-1]), flush=True)
    print("\n".join(table(["run", "verdict", "endpoint", "said", "found on unused images"], rows)))


if __name__ == "__main__":
    main()
