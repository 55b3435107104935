"""Which rule on the scorer's probabilities keeps images of the class and rejects those of another one.

`python -m benchmarks.confidence DATASET [--cases 10:4 20:5] [--set KEY=VALUE]`. A case is `IMAGES:SPLIT`: so many
training images a class, drawn with that seed. The scorer is fitted on them as the filter does it: on all classes, and
on every two and three that follow each other in their list. Real images that the case neither trains nor tests on stand
for candidates: under their own label, and under each of the other ones.
"""

import argparse
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from benchmarks.filter_stages import Labelled, images_of, prepared
from benchmarks.runs import table
from classifiers.crossfit import cross_fit
from pipeline.config import Config, load_config
from pipeline.stages.filter import SCORER_POLICY, lowest_confidence
from pipeline.stages.fits import recipe_for

JUDGED = 50  # images a class
Rule = Callable[[Tensor, Tensor], Tensor]  # probabilities [N, K], asked class [N] -> accepted, bool [N]


def _asked(probabilities: Tensor, asked: Tensor) -> Tensor:
    return probabilities.gather(1, asked[:, None]).squeeze(1)


RULES: dict[str, Rule] = {
    "0.2 and more": lambda p, asked: _asked(p, asked) >= 0.2,
    "0.2 and more, and likeliest": lambda p, asked: (_asked(p, asked) >= 0.2) & (p.argmax(1) == asked),
    "0.2 and more, and half of the likeliest": lambda p, asked: (
        (_asked(p, asked) >= 0.2) & (_asked(p, asked) >= p.amax(1) / 2)
    ),
    "0.2 and 1 / K and more": lambda p, asked: _asked(p, asked) >= lowest_confidence(0.2, p.shape[1]),
    "1.2 / K and more": lambda p, asked: _asked(p, asked) >= 1.2 / p.shape[1],
    "0.5 and more": lambda p, asked: _asked(p, asked) >= 0.5,
}


def measure(train: Labelled, held_out: Labelled, config: Config, seed: int) -> dict[str, tuple[float, float]]:
    """Rule -> share of images accepted under their own label, and under another one."""
    torch.set_num_threads(1)
    classes = int(train[1].max()) + 1
    recipe = recipe_for(config, len(train[1]), policy=SCORER_POLICY)
    groups = torch.arange(len(train[1]))
    scorer = cross_fit(*train, groups, recipe, classes=classes, splits=config.evaluate.folds, seed=seed)
    probabilities = scorer.score(held_out[0])
    found = {}
    for name, rule in RULES.items():
        under = torch.stack([rule(probabilities, torch.full_like(held_out[1], label)) for label in range(classes)], 1)
        own = torch.nn.functional.one_hot(held_out[1], classes).bool()
        found[name] = float(under[own].float().mean()), float(under[~own].float().mean())
    return found


def of_classes(images: Labelled, labels: tuple[int, ...], most: int | None = None) -> Labelled:
    """The images of these classes, relabelled from 0; `most` of each."""
    index = [torch.nonzero(images[1] == label).squeeze(1)[:most] for label in labels]
    made = torch.cat([torch.full((len(part),), k) for k, part in enumerate(index)])
    return images[0][torch.cat(index)], made


def main() -> None:
    """Print a line for each rule: share accepted under the own label and under another, by the number of classes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--cases", nargs="+", default=["10:4", "20:5"], metavar="IMAGES:SPLIT")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    given = parser.parse_args()
    config = load_config(None, given.overrides)
    rows: dict[str, list[tuple[str, dict[str, tuple[float, float]]]]] = {}
    for word in given.cases:
        with prepared(given.dataset, word, given.overrides) as run:
            train, held_out, names = images_of(run)
        everything = tuple(range(len(names)))
        seed = int(word.split(":")[1])
        for labels in (
            everything,
            *pairwise(everything),
            *zip(everything, everything[1:], everything[2:], strict=False),
        ):
            found = measure(of_classes(train, labels), of_classes(held_out, labels, JUDGED), config, seed)
            rows.setdefault(f"{word}, {len(labels)} classes", []).append((word, found))
    header = ["accepted under the own / another label, %", *rows]
    lines = []
    for name in RULES:
        cells = [[found[name] for _, found in of_case] for of_case in rows.values()]
        means = [tuple(100 * fmean(column) for column in zip(*cell, strict=True)) for cell in cells]
        lines.append([name, *(f"{own:.1f} / {other:.1f}" for own, other in means)])
    print("\n".join(table(header, lines)))


if __name__ == "__main__":
    main()
