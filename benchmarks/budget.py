"""How good images get in so many minutes of one core: `python -m benchmarks.budget --help`.

RUN is the folder of a run with `data.train_per_class`. One generator a setting is trained on its training images; now
and then FID and KID of fresh samples are taken against the images that were neither trained nor tested on, which
memorised images do not please, and those images judge a classifier that the samples joined. Minutes are of processor
time.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

import torch
from joblib import Parallel, delayed
from torch import Tensor

from benchmarks.extractors import DISTANCES
from benchmarks.filter_stages import Labelled, accuracy, images_of
from benchmarks.runs import row, table
from classifiers.fitting import Recipe
from classifiers.scattering import Scattering
from ganaug.families import get_family
from ganaug.training_loop import Trainer
from pipeline.config import Config, load_config
from pipeline.stages.fits import recipe_for
from pipeline.stages.jobs import options_for
from pipeline.store import RunFolder

SAMPLES, JOIN = 100, 40  # a class: for the distances, and of those for the classifier


@dataclass(frozen=True)
class Measurement:
    """What one generator was worth after so many steps."""

    steps: int
    fid: float
    kid: float
    reached: list[float]  # accuracy in percent, of every seed of the classifier

    def cell(self, plain: list[float]) -> str:
        gains = [a - b for a, b in zip(self.reached, plain, strict=True)]
        return f"{self.steps}, {self.fid:.1f}, {self.kid:.1f}, {fmean(gains):+.1f}"


def accuracies(train: Labelled, held_out: Labelled, made: Labelled | None, recipe: Recipe, seeds: int) -> list[float]:
    """Accuracy in percent, of every seed."""
    return [accuracy(train, held_out, made, recipe, 7000 + seed) for seed in range(seeds)]


def measurements(
    train: Labelled, held_out: Labelled, config: Config, minutes: list[float], recipe: Recipe, seeds: int
) -> Iterator[Measurement]:
    """One after each of the `minutes`."""
    torch.set_num_threads(1)
    extractor, family = Scattering.fit(train[0]), get_family(config.gan.family)
    labels = torch.arange(int(train[1].max()) + 1)
    options = replace(options_for(config), steps=10**6)
    trainer = Trainer(family, *train, n_conditions=len(labels), options=options, seed=0)
    trainer.minutes = minutes[-1]
    real = extractor(held_out[0]).double()
    for limit in minutes:
        while trainer.seconds < 60 * limit:
            started = time.process_time()
            trainer.train_step()
            trainer.seconds += time.process_time() - started
        made = [trainer.sample(torch.full((SAMPLES,), label), seed=label) for label in labels.tolist()]
        by_class = [distances_of(extractor(made[k]).double(), real[held_out[1] == k]) for k in labels.tolist()]
        joined = torch.cat([images[:JOIN] for images in made]), labels.repeat_interleave(JOIN)
        fid, kid = (fmean(of) for of in zip(*by_class, strict=True))
        yield Measurement(trainer.step, fid, kid, accuracies(train, held_out, joined, recipe, seeds))


def distances_of(made: Tensor, real: Tensor) -> tuple[float, float]:
    """FID and KID of features."""
    return DISTANCES["FID"](made, real), DISTANCES["KID"](made, real)


def main() -> None:
    """Train and print the table as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument(
        "--settings", nargs="+", required=True, help='each `"width=16 consistency=1"` or the like, `""` the defaults'
    )
    parser.add_argument("--minutes", type=float, nargs="+", default=[4, 8, 16])
    parser.add_argument("--policy", default="flips_shift")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--at-once", type=int, default=-1)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    given = parser.parse_args()
    train, held_out, _ = images_of(RunFolder(given.run))
    minutes = sorted(given.minutes)

    recipe = recipe_for(load_config(None, given.overrides), len(train[1]), policy=given.policy)

    def curve(setting: str) -> list[Measurement]:
        config = load_config(None, [*given.overrides, *(f"gan.{word}" for word in setting.split())])
        return list(measurements(train, held_out, config, minutes, recipe, given.seeds))

    plain = accuracies(train, held_out, None, recipe, given.seeds)
    print("\n".join(table(["setting", *(f"{m:g} min: steps, FID, KID, gain" for m in minutes)], [])), flush=True)
    parallel = Parallel(n_jobs=given.at_once, return_as="generator")
    for setting, points in zip(given.settings, parallel(delayed(curve)(one) for one in given.settings), strict=True):
        print(row([setting or "default", *(point.cell(plain) for point in points)]), flush=True)
    print(f"\nWithout synthetic images: {fmean(plain):.1f} % (± {stdev(plain):.1f} by seed).")


if __name__ == "__main__":
    main()
