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
from typing import cast

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.filter_stages import Labelled, accuracy, images_of
from benchmarks.runs import stored, table
from classifiers.models import SmallResNet, to_input
from classifiers.policies import Augmenter
from classifiers.scattering import Scattering
from classifiers.training import Recipe, fit
from ganaug.metrics.frechet import frechet_distance
from ganaug.metrics.kernel import kernel_distance
from pipeline.config import Config
from pipeline.stages.fits import recipe_for
from pipeline.stages.guides import shrunk
from pipeline.store import RunFolder, load_tensors

DIMENSIONS = 64
STEPS, BATCH, TEMPERATURE = 400, 64, 0.5  # of the contrastive training
Features = Callable[[Tensor], Tensor]


def scattering(images: Tensor, _labels: Tensor) -> Features:
    """The project's own: no training."""
    return Scattering.fit(images)


def pixels(images: Tensor, _labels: Tensor) -> Features:
    """Principal components of 16x16 pixels."""

    def flat(x: Tensor) -> NDArray[np.float32]:
        return shrunk(x, 16).flatten(1).numpy()

    found = PCA(min(DIMENSIONS, len(images) - 1), whiten=True, random_state=0).fit(flat(images))
    return lambda x: torch.from_numpy(found.transform(flat(x)))


def untrained(images: Tensor, _labels: Tensor) -> Features:
    """A classifier's body as it is drawn: Naeem et al. 2020, arXiv 2002.09797, section 4.3."""
    torch.manual_seed(0)
    return _pooled(SmallResNet(2, images.shape[1]).eval())


def classifier(images: Tensor, labels: Tensor) -> Features:
    """The body of the very classifier that is to gain."""
    trained = fit(images, labels, _recipe(len(images)), classes=int(labels.max()) + 1, seed=0)
    return _pooled(cast(SmallResNet, trained))


def contrastive(images: Tensor, _labels: Tensor) -> Features:
    """The same body taught without labels to tell images apart (SimCLR: Chen et al. 2020, arXiv 2002.05709)."""
    torch.manual_seed(0)
    body, head = SmallResNet(2, images.shape[1]), nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32))
    optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], lr=2e-3, weight_decay=0.05)
    augment = Augmenter("flips_shift_light", images.shape[-1], 0)
    for _ in range(STEPS):
        chosen = images[torch.randperm(len(images))[:BATCH]]
        seen = to_input(torch.cat([augment(chosen), augment(chosen)]))
        z = F.normalize(head(body.features(seen)), dim=1)
        alike = (z @ z.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        loss = F.cross_entropy(alike, torch.arange(len(z)).roll(len(chosen)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return _pooled(body.eval())


EXTRACTORS: dict[str, Callable[[Tensor, Tensor], Features]] = {
    "scattering": scattering,
    "pixels": pixels,
    "untrained": untrained,
    "contrastive": contrastive,
    "classifier": classifier,
}
DISTANCES: dict[str, Callable[[Tensor, Tensor], float]] = {"FID": frechet_distance, "KID": kernel_distance}


def _recipe(images: int) -> Recipe:
    return recipe_for(Config(), images, policy="flips")


def _pooled(network: SmallResNet) -> Features:
    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        return torch.cat([network.features(to_input(part)) for part in torch.split(images, 256)])

    return features


def candidates_of(run: RunFolder, classes: list[str], images: int) -> Labelled:
    """The first candidates of every class, unfiltered."""
    loaded = [load_tensors(file) for file in stored(run, "candidates")]
    found = {record["class"]: tensors["images"] for tensors, record in loaded}
    parts = [found[name][:images] for name in classes]
    return torch.cat(parts), torch.arange(len(parts)).repeat_interleave(images)


def apart(extractor: str, train: Labelled, made: list[Labelled]) -> list[dict[str, float]]:
    """Mean distance over the classes of each set of generated images, by the name of the distance."""
    torch.set_num_threads(1)
    features = EXTRACTORS[extractor](*train)
    real = features(train[0]).double()
    scale = real.std(0).clamp(min=1e-9)

    def distances(images: Tensor, labels: Tensor) -> dict[str, float]:
        ours = features(images).double() / scale
        of_class = [(ours[labels == k], (real / scale)[train[1] == k]) for k in labels.unique()]
        return {name: fmean(distance(a, b) for a, b in of_class) for name, distance in DISTANCES.items()}

    return [distances(*one) for one in made]


def worths(train: Labelled, judges: Labelled, made: list[Labelled], seeds: int) -> tuple[float, list[float]]:
    """Accuracy without synthetic images, and what each set of them adds, in percentage points."""
    cases, recipe = [None, *made], _recipe(len(train[0]))
    jobs = [delayed(accuracy)(train, judges, case, recipe, seed) for case in cases for seed in range(seeds)]
    found = Parallel(n_jobs=-1)(jobs)
    plain, *reached = (fmean(found[i * seeds : (i + 1) * seeds]) for i in range(len(cases)))
    return plain, [one - plain for one in reached]


def main() -> None:
    """Print what each generator is worth and how each extractor ranks them, as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="of one data set, with the same training images")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=40, help="candidates a class")
    given = parser.parse_args()
    train, judges, classes = images_of(RunFolder(given.runs[0]))
    made = [candidates_of(RunFolder(folder), classes, given.images) for folder in given.runs]
    plain, gains = worths(train, judges, made, given.seeds)
    found = Parallel(n_jobs=-1)(delayed(apart)(name, train, made) for name in EXTRACTORS)
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
