"""How far a classifier gets on real images alone: `python -m benchmarks.classifier --help`.

A case is `IMAGES:SPLIT`: so many training images a class, drawn with that seed. Every augmentation policy under every
recipe is judged on the images of the data set that are neither trained nor tested on: the test images stay untouched.
"""

import argparse
import time
from pathlib import Path
from statistics import fmean

from joblib import Parallel, delayed

from benchmarks.filter_stages import Labelled, accuracy, images_of, prepared
from benchmarks.runs import row, seed_error, table
from classifiers.fitting import Recipe
from classifiers.policies import POLICIES
from pipeline.config import load_config
from pipeline.stages.fits import recipe_for

Case = tuple[Labelled, Labelled]  # training images, and those that judge


def case(dataset: Path, word: str, overrides: list[str]) -> Case:
    """The images of one `IMAGES:SPLIT`."""
    with prepared(dataset, word, overrides) as run:
        train, held_out, _ = images_of(run)
    return train, held_out


def timed(case: Case, recipe: Recipe, seed: int) -> tuple[float, float]:
    """Accuracy in percent, and seconds of processor time."""
    started = time.process_time()
    return accuracy(*case, None, recipe, 7000 + seed), time.process_time() - started


def main() -> None:
    """Print a line for each recipe and policy: accuracy of every case, mean, standard error by seeds, seconds a fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--cases", nargs="+", default=["10:4", "10:5"], metavar="IMAGES:SPLIT")
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=list(POLICIES))
    parser.add_argument(
        "--recipes", nargs="+", default=[""], help='each `"steps=500 batch=32"` or the like, `""` the defaults'
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=-1)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    given = parser.parse_args()
    cases = [case(given.dataset, word, given.overrides) for word in given.cases]
    print("\n".join(table(["recipe", "policy", *given.cases, "mean", "seconds"], [])), flush=True)
    for words in given.recipes:
        config = load_config(None, [*given.overrides, *(f"evaluate.{word}" for word in words.split())])
        for policy in given.policies:
            fits = Parallel(n_jobs=given.at_once)(
                delayed(timed)(one, recipe_for(config, len(one[0][1]), policy=policy), seed)
                for one in cases
                for seed in range(given.seeds)
            )
            reached = [[right for right, _ in fits[i : i + given.seeds]] for i in range(0, len(fits), given.seeds)]
            mean, seconds = (fmean(column) for column in zip(*fits, strict=True))
            means = (f"{fmean(of):.1f}" for of in reached)
            print(
                row([words or "default", policy, *means, f"{mean:.1f} ± {seed_error(reached):.1f}", f"{seconds:.0f}"]),
                flush=True,
            )


if __name__ == "__main__":
    main()
