"""Which extractor ranks generators by what their images are worth: `python -m benchmarks.extractors --help`.

RUN is the folder of a finished run with `data.train_per_class`; give many, of good and of bad generators, as
`benchmarks.families` leaves them. The worth of a generator: what `--images` unfiltered candidates a class add to the
accuracy on the images that were neither trained nor tested on. An extractor is good where a small distance goes with
a large gain: rank correlation towards -1.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import torch
from joblib import Parallel, delayed
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.features import EXTRACTORS, standardised
from benchmarks.filter_stages import Labelled, accuracy, images_of
from benchmarks.runs import stored, table
from ganaug.metrics.frechet import frechet_distance
from ganaug.metrics.kernel import kernel_distance
from pipeline.config import Config
from pipeline.stages.fits import recipe_for
from pipeline.store import RunFolder, load_tensors

DISTANCES: dict[str, Callable[[Tensor, Tensor], float]] = {"FID": frechet_distance, "KID": kernel_distance}


def candidates_of(run: RunFolder, classes: list[str], images: int) -> Labelled:
    """The first candidates of every class, unfiltered."""
    loaded = [load_tensors(file) for file in stored(run, "candidates")]
    found = {record["class"]: tensors["images"] for tensors, record in loaded}
    parts = [found[name][:images] for name in classes]
    return torch.cat(parts), torch.arange(len(parts)).repeat_interleave(images)


def extractor_distances(extractor: str, train: Labelled, made: list[Labelled]) -> list[dict[str, float]]:
    """Mean distance over the classes of each set of generated images, by the name of the distance."""
    torch.set_num_threads(1)
    features = standardised(extractor, *train)
    real = features(train[0])

    def distances(images: Tensor, labels: Tensor) -> dict[str, float]:
        ours = features(images)
        of_class = [(ours[labels == k], real[train[1] == k]) for k in labels.unique()]
        return {name: fmean(distance(a, b) for a, b in of_class) for name, distance in DISTANCES.items()}

    return [distances(*one) for one in made]


def worths(
    train: Labelled, held_out: Labelled, made: list[Labelled], *, seeds: int, policy: str
) -> tuple[float, list[float]]:
    """Accuracy without synthetic images, and what each set of them adds, in percentage points."""
    cases, recipe = [None, *made], recipe_for(Config(), len(train[0]), policy=policy)
    jobs = [delayed(accuracy)(train, held_out, case, recipe, seed) for case in cases for seed in range(seeds)]
    found = Parallel(n_jobs=-1)(jobs)
    plain, *reached = (fmean(found[i * seeds : (i + 1) * seeds]) for i in range(len(cases)))
    return plain, [one - plain for one in reached]


def main() -> None:
    """Print what each generator is worth and how each extractor ranks them, as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="of one data set, with the same training images")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=40, help="candidates a class")
    parser.add_argument("--policy", default="flips", help="augmentation of the classifier that is to gain")
    given = parser.parse_args()
    train, held_out, classes = images_of(RunFolder(given.runs[0]))
    made = [candidates_of(RunFolder(folder), classes, given.images) for folder in given.runs]
    plain, gains = worths(train, held_out, made, seeds=given.seeds, policy=given.policy)
    found = Parallel(n_jobs=-1)(delayed(extractor_distances)(name, train, made) for name in EXTRACTORS)
    measured = dict(zip(EXTRACTORS, found, strict=True))
    columns = [(name, distance) for name in EXTRACTORS for distance in DISTANCES]

    def of_run(i: int) -> list[str]:
        distances = (f"{measured[name][i][distance]:.3g}" for name, distance in columns)
        return [f"`{given.runs[i].name}`", f"{gains[i]:+.1f}", *distances]

    def rank(name: str) -> list[str]:
        ranks = (spearmanr([row[distance] for row in measured[name]], gains) for distance in DISTANCES)
        return [name, *(f"{rho:+.2f} (p = {p:.2g})" for rho, p in ranks)]

    print("\n".join(table(["generator", "gain, points", *map(" ".join, columns)], map(of_run, range(len(made))))))
    print(f"\nWithout synthetic images {plain:.1f} %.\n")
    print("\n".join(table(["extractor", *DISTANCES], map(rank, EXTRACTORS))))


if __name__ == "__main__":
    main()
