"""What each stage of the filter adds: `python -m benchmarks.filter_stages RUN [RUN ...] [--seeds 5] [--policy flips]`.

RUN is the folder of a finished run with `data.train_per_class`: most of its data set was neither trained nor tested
on. Those unused images judge here, which leaves the test images untouched. Of each class's generator 1,000 candidates
are drawn; every seed of the classifier sees another half of them, cut down in different ways, so that the error by
seeds covers the luck of the draw too. Equal steps, at most half of a class's draws synthetic.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from joblib import Parallel, delayed
from torch import Tensor

from benchmarks.features import EXTRACTORS, Features, standardised
from benchmarks.runs import seed_error, stored
from classifiers.fitting import Recipe, fit, predict
from ganaug.checkpoint import prefixed
from ganaug.copies import SLACK, CopyRule
from ganaug.metrics.neighbours import distances
from ganaug.sampling import BATCH, to_float
from ganaug.selection import frechet_subset
from ganaug.symmetries import correlation
from pipeline.config import load_config
from pipeline.job import recall_job, run_job
from pipeline.latent_model import Model, load_model
from pipeline.reading import pack
from pipeline.stages.filter import load_scorer
from pipeline.stages.fits import recipe_for
from pipeline.stages.prepare import framed, near_duplicates, read
from pipeline.stages.records import FittedScorer
from pipeline.store import RunFolder, load_tensors

CANDIDATES, FIRST_SEED = 1000, 10**9  # seeds that no run has drawn
ALL = torch.arange(CANDIDATES // 2)
Labelled = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Drawn:
    """Candidates of one class: images, features, confidence, the class's real features, what is copied or repeated,
    and the logits of the generator's own discriminator."""

    images: Tensor
    features: Tensor
    confidence: Tensor
    real: Tensor
    copied: Tensor
    repeated: Tensor
    logits: Tensor

    def half(self, seed: int) -> "Drawn":
        """A random half of them, in random order."""
        index = torch.randperm(CANDIDATES, generator=torch.Generator().manual_seed(seed))[: CANDIDATES // 2]
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "real"})

    def rejection_sampled(self, size: int) -> Tensor:
        """Drawn with the discriminator's odds of real against fake, which for an optimal one are the densities' ratio
        (Azadi et al. 2019, arXiv 1810.06758): Gumbel's trick, without replacement."""
        uniform = torch.rand(len(self.logits), generator=torch.Generator().manual_seed(0))
        return (self.logits - torch.log(-torch.log(uniform))).topk(size).indices

    def nearest(self, among: Tensor, size: int) -> Tensor:
        """The FID-driven subset of candidates `among`, all of them where they are no more than `size`."""
        index = torch.nonzero(among).squeeze(1)
        if len(index) <= size:
            return index
        return index[frechet_subset(self.features[index], self.real, size, seed=0)]


OPTIONS: dict[str, Callable[[Drawn], Tensor]] = {
    "none": lambda drawn: ALL[:0],
    "first 10": lambda drawn: ALL[:10],
    "first 40": lambda drawn: ALL[:40],
    "first 200": lambda drawn: ALL[:200],
    "all 500": lambda drawn: ALL,
    "no copies, 40": lambda drawn: ALL[~drawn.copied][:40],
    "no repeats, 40": lambda drawn: ALL[~drawn.repeated][:40],
    "confidence 0.05, 40": lambda drawn: ALL[drawn.confidence >= 0.05][:40],
    "confidence 0.1, 40": lambda drawn: ALL[drawn.confidence >= 0.1][:40],
    "confidence 0.2, 40": lambda drawn: ALL[drawn.confidence >= 0.2][:40],
    "confidence 0.5, 40": lambda drawn: ALL[drawn.confidence >= 0.5][:40],
    "confidence 0.8, 40": lambda drawn: ALL[drawn.confidence >= 0.8][:40],
    "confidence 0.2 to 0.8, 40": lambda drawn: ALL[(drawn.confidence >= 0.2) & (drawn.confidence < 0.8)][:40],
    "discriminator's odds, 40": lambda drawn: drawn.rejection_sampled(40),
    "most real to the discriminator, 40": lambda drawn: drawn.logits.topk(40).indices,
    "FID, 40": lambda drawn: drawn.nearest(ALL >= 0, 40),
    "FID, 200": lambda drawn: drawn.nearest(ALL >= 0, 200),
    "confidence 0.2, FID, 40": lambda drawn: drawn.nearest(drawn.confidence >= 0.2, 40),
    "confidence 0.2, no repeats, FID, 40": lambda drawn: drawn.nearest((drawn.confidence >= 0.2) & ~drawn.repeated, 40),
}


def draw(run: RunFolder, names: list[str], train: Labelled, extractor: Features | None = None) -> list[Drawn]:
    """Candidates of every class with what the filter measures of them, on its own features or others."""
    own, scorer, _ = load_scorer(FittedScorer(str(stored(run, "scorer")[-1]), ""))
    extractor = extractor or own
    real = extractor(train[0])
    made, rule = [], CopyRule()
    for label, name in enumerate(names):
        model, mine = load_model(run, name), train[1] == label
        images = model.pictures(model.latents(range(FIRST_SEED, FIRST_SEED + CANDIDATES)))
        features, confidence = extractor(images), scorer.score(images)[:, label]
        likeness = rule.likeness(train[0][mine], real[mine])
        taken = rule.copies(correlation(images, train[0][mine], slack=SLACK), distances(features, real[mine]), likeness)
        same = rule.repeats(correlation(images, images), distances(features, features), likeness)
        repeated = torch.tril(same, diagonal=-1).any(1)
        logits = _logits(run, model, images)
        made.append(Drawn(images, features, confidence, real[mine], taken.any(1), repeated, logits))
    return made


@torch.no_grad()
def _logits(run: RunFolder, model: Model, images: Tensor) -> Tensor:
    """What the discriminator of a shared generator says of images of one class."""
    tensors, _ = load_tensors(stored(run, "generator")[-1])
    discriminator = model.family.discriminator(model.spec)
    discriminator.load_state_dict(prefixed(tensors, "discriminator."))
    condition = torch.full((len(images),), model.condition)
    parts = zip(images.split(BATCH), condition.split(BATCH), strict=True)
    return torch.cat([discriminator(to_float(some), conditions).flatten() for some, conditions in parts])


@contextmanager
def prepared(dataset: Path, word: str, overrides: Sequence[str]) -> Iterator[RunFolder]:
    """A run's folder, for the time being, that has read the case `IMAGES:SPLIT`: training images a class, and seed."""
    images, split = word.split(":")
    config = load_config(None, [f"data.train_per_class={images}", f"seed={split}", *overrides])
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        run_job(run, config, dataset, until="prepare")
        yield run


def images_of(run: RunFolder) -> tuple[Labelled, Labelled, list[str]]:
    """Training images, those of the data set that the run put into no split, and the classes.

    Left out are near-duplicates of images that it did put into one.
    """
    config, source = recall_job(run)
    reading = read(source, config)
    cut = framed(reading, config).images
    tensors, metadata = load_tensors(stored(run, "pack")[-1])
    used = [row["index"] for row in metadata["rows"]]
    groups = near_duplicates(reading, config).groups
    rest = np.flatnonzero(~np.isin(groups, groups[used])).tolist()
    train = tensors["splits"] == 0
    images = pack([cut[i] for i in rest], config.data.image_size, tensors["images"].shape[1])
    labels = torch.tensor([reading.classes.index(reading.frame["label"][i]) for i in rest])
    return (tensors["images"][train], tensors["labels"][train]), (images, labels), reading.classes


def score(option: str, seed: int, recipe: Recipe, train: Labelled, held_out: Labelled, drawn: list[Drawn]) -> float:
    """Accuracy in percent on the unused images, with what an option leaves of the candidates."""
    halves = [one.half(seed) for one in drawn]
    parts = [one.images[OPTIONS[option](one)] for one in halves]
    labels = torch.cat([torch.full((len(part),), label) for label, part in enumerate(parts)])
    synthetic = (torch.cat(parts), labels) if len(labels) else None
    return accuracy(train, held_out, synthetic, recipe, 7000 + seed)


def accuracy(train: Labelled, held_out: Labelled, synthetic: Labelled | None, recipe: Recipe, seed: int) -> float:
    """Accuracy in percent on the unused images, of a classifier that has every class in its training images."""
    return 100 * float((predicted(train, held_out, synthetic, recipe, seed) == held_out[1]).float().mean())


def probabilities(train: Labelled, held_out: Labelled, synthetic: Labelled | None, recipe: Recipe, seed: int) -> Tensor:
    """What such a classifier says of each of the unused images, float32 [N, K]."""
    torch.set_num_threads(1)
    model = fit(*train, recipe, classes=int(train[1].max()) + 1, seed=seed, synthetic=synthetic)
    return predict(model, held_out[0])


def predicted(train: Labelled, held_out: Labelled, synthetic: Labelled | None, recipe: Recipe, seed: int) -> Tensor:
    """The likeliest class of each, int64 [N]."""
    return probabilities(train, held_out, synthetic, recipe, seed).argmax(1)


def main() -> None:
    """Print a line an option: mean accuracy of each run in percent, their mean, and its standard error by seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--policy", default="flips")
    parser.add_argument("--features", choices=list(EXTRACTORS), help="scaled alike, in place of the filter's own")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--options", nargs="+", default=list(OPTIONS), choices=list(OPTIONS))
    given = parser.parse_args()
    config, cases = load_config(None, given.overrides), []
    for folder in given.runs:
        train, held_out, names = images_of(RunFolder(folder))
        recipe = recipe_for(config, len(train[1]), policy=given.policy)
        extractor = standardised(given.features, *train) if given.features else None
        cases.append((recipe, train, held_out, draw(RunFolder(folder), names, train, extractor)))
    for option in given.options:
        found = Parallel(n_jobs=-1)(
            delayed(score)(option, seed, *case) for case in cases for seed in range(given.seeds)
        )
        rows = [found[i * given.seeds : (i + 1) * given.seeds] for i in range(len(cases))]
        means = " ".join(f"{fmean(row):5.1f}" for row in rows)
        setting = f"{given.policy} | {given.features or 'own features'} | {option:24}"
        print(f"{setting} | {means} | {fmean(found):5.2f} +- {seed_error(rows):.2f}", flush=True)


if __name__ == "__main__":
    main()
