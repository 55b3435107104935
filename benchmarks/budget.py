"""How good images get in so many minutes of one core: `python -m benchmarks.budget --help`.

RUN is the folder of a run with `data.train_per_class`. Generators of several widths, with and without consistency
regularisation, are trained on its training images; now and then FID and KID of fresh samples are taken against the
images that were neither trained nor tested on, which memorised images do not please. Minutes are of processor time.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import fmean

import torch
from joblib import Parallel, delayed
from torch import Tensor

from benchmarks.extractors import DISTANCES
from benchmarks.filter_stages import Labelled, images_of
from benchmarks.runs import table
from classifiers.scattering import Scattering
from ganaug.families import get_family
from ganaug.training import Trainer
from pipeline.store import RunFolder

SAMPLES = 100  # a class


def looks(
    train: Labelled, judges: Labelled, family: str, minutes: list[float], options: dict[str, float]
) -> Iterator[tuple[int, float, float]]:
    """Steps, FID and KID after each of the `minutes`."""
    torch.set_num_threads(1)
    extractor, row = Scattering.fit(train[0]), get_family(family)
    conditions = torch.arange(int(train[1].max()) + 1)
    trainer = Trainer(
        row, *train, n_conditions=len(conditions), options=replace(row.defaults, steps=10**6, **options), seed=0
    )
    real, spent = extractor(judges[0]).double(), 0.0
    for limit in minutes:
        while spent < 60 * limit:
            started = time.process_time()
            trainer.train_step()
            spent += time.process_time() - started
        apart = [_distances(trainer, extractor, real[judges[1] == k], k) for k in conditions.tolist()]
        yield trainer.step, fmean(fid for fid, _ in apart), fmean(kid for _, kid in apart)


def _distances(trainer: Trainer, extractor: Scattering, real: Tensor, label: int) -> tuple[float, float]:
    made = extractor(trainer.sample(torch.full((SAMPLES,), label), seed=label)).double()
    return DISTANCES["FID"](made, real), DISTANCES["KID"](made, real)


def main() -> None:
    """Train and print the table as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--family", default="dcgan")
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 24, 32])
    parser.add_argument("--consistency", type=float, nargs="+", default=[0.0, 1.0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--at-once", type=int, default=-1)
    given = parser.parse_args()
    train, judges, _ = images_of(RunFolder(given.run))
    settings = [{"width": width, "consistency": weight} for width, weight in product(given.widths, given.consistency)]

    def curve(options: dict[str, float]) -> list[tuple[int, float, float]]:
        return list(looks(train, judges, given.family, sorted(given.minutes), options))

    found = Parallel(n_jobs=given.at_once)(delayed(curve)(options) for options in settings)
    header = ["width", "consistency", *(f"{minutes:g} min: steps, FID, KID" for minutes in sorted(given.minutes))]
    rows = [
        [*(f"{value:g}" for value in options.values()), *(f"{step}, {fid:.1f}, {kid:.1f}" for step, fid, kid in points)]
        for options, points in zip(settings, found, strict=True)
    ]
    print("\n".join(table(header, rows)))


if __name__ == "__main__":
    main()
