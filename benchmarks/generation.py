"""What each way of training a generator is worth to the classifier: `python -m benchmarks.generation --help`.

Each setting is trained on `--per-class` images a class of every split. Its unfiltered candidates, `--images` a class,
join the training images, and the images that were neither trained nor tested on judge the classifier, which leaves the
test images untouched. Finished trainings and fits are not repeated. FID, KID and spread are those of the last look in
training, against the training images.
"""

import argparse
from contextlib import redirect_stderr
from os import devnull
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
import torch
from joblib import Memory, Parallel, delayed

from benchmarks.extractors import candidates_of
from benchmarks.filter_stages import Labelled, accuracy, images_of
from benchmarks.runs import seed_error, table
from classifiers.fitting import Recipe
from pipeline.config import load_config
from pipeline.job import run_job
from pipeline.stages.fits import recipe_for
from pipeline.store import RunFolder

SETTINGS: dict[str, tuple[str, ...]] = {
    "default": (),
    "lecam 0.1": ("gan.lecam=0.1",),
    "delayed labels": ("gan.delay_condition=0.2",),
    "consistency 1": ("gan.consistency=1",),
    "consistency 10": ("gan.consistency=10",),
    "no colour": ("gan.diffaugment=translation,cutout",),
    "no cutout": ("gan.diffaugment=brightness,contrast,translation",),
    "no DiffAugment": ("gan.diffaugment=none",),
    "width 8": ("gan.width=8",),
    "width 32": ("gan.width=32",),
    "R1 0.2": ("gan.r1_weight=0.2",),
    "R1 0.01": ("gan.r1_weight=0.01",),
    "spectral": ("gan.critic_norm=spectral",),
    "EMA 0.99": ("gan.ema=0.99",),
    "EMA 0.9995": ("gan.ema=0.9995",),
    "1,250 steps": ("gan.steps=1250",),
    "2,500 steps": ("gan.steps=2500",),
    "5,000 steps": ("gan.steps=5000",),
    "resize": ("gan.variant=resize",),
    # 6,000 steps in all with six classes
    "shared": ("gan.steps=6000",),
    "per class": ("gan.scope=per_class", "gan.steps=1000"),
    "specialise": ("gan.scope=specialise", "gan.steps=3000", "gan.finetune_steps=500"),
}
MEASURES = ("fid", "kid", "spread")
Arrays = tuple[np.ndarray, np.ndarray]


def main() -> None:
    """Train and judge, some at a time, and print the table as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--per-class", type=int, default=10, help="real training images")
    parser.add_argument("--images", type=int, default=40, help="candidates a class")
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1], help="numbers of the splits")
    parser.add_argument("--policies", nargs="+", default=["flips", "flips_shift"])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--at-once", type=int, default=2, help="on one core each")
    parser.add_argument("--out", type=Path, default=Path("out/generation"))
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    given = parser.parse_args()
    remembered = Memory(given.out / "fits", verbose=0).cache(reached)
    at_once = Parallel(n_jobs=given.at_once)

    def accuracies(case: Labelled, held_out: Labelled, made: Labelled | None) -> list[float]:
        """Accuracies: of every policy, of every seed."""
        config = load_config(None, given.overrides)
        recipes = [recipe_for(config, len(case[1]), policy=policy) for policy in given.policies]
        data = arrays(case), arrays(held_out), made and arrays(made)
        jobs = [(*data, recipe, 7000 + seed) for recipe in recipes for seed in range(given.seeds)]
        return list(at_once(delayed(remembered)(*job) for job in jobs))

    shared = (f"data.train_per_class={given.per_class}", f"generate.per_class={given.images}", *given.overrides)
    plain: dict[int, list[float]] = {}
    rows = []
    for name in given.settings:
        folders = {split: given.out / name.replace(" ", "-") / f"split-{split}" for split in given.splits}
        settings = {split: (f"seed={split}", *shared, *SETTINGS[name]) for split in given.splits}
        measurements = at_once(delayed(train)(given.dataset, folders[split], settings[split]) for split in given.splits)
        gains = []
        for split, folder in folders.items():
            case, held_out, classes = images_of(RunFolder(folder))
            if split not in plain:
                plain[split] = accuracies(case, held_out, None)
            joined = accuracies(case, held_out, candidates_of(RunFolder(folder), classes, given.images))
            gains.append([a - b for a, b in zip(joined, plain[split], strict=True)])
        rows.append(_row(name, measurements, gains))
        print(" | ".join(rows[-1]), flush=True)
    header = [
        "setting",
        *(measurement.upper() for measurement in MEASURES),
        *(f"split {split}" for split in given.splits),
        "gain",
    ]
    print("\n".join(table(header, rows)))
    print(f"\nWithout synthetic images: {', '.join(f'{fmean(of):.1f} %' for of in plain.values())}.")


def arrays(labelled: Labelled) -> Arrays:
    """For `reached`: the digest of a tensor differs from process to process, and no fit would be found again."""
    images, labels = labelled
    return images.numpy(), labels.numpy()


def reached(train: Arrays, held_out: Arrays, made: Arrays | None, recipe: Recipe, seed: int) -> float:
    """`accuracy` of arrays."""
    return accuracy(_tensors(train), _tensors(held_out), made and _tensors(made), recipe, seed)


def _tensors(labelled: Arrays) -> Labelled:
    images, labels = labelled
    return torch.tensor(images), torch.tensor(labels)  # copies: a worker is handed arrays it may not write to


def train(dataset: Path, folder: Path, settings: tuple[str, ...]) -> list[float]:
    """Train and draw; returns FID, KID and spread, means over the generators."""
    config = load_config(None, ["workers=1", "device=cpu", "runner=local", *settings])
    run = RunFolder(folder)
    with Path(devnull).open("w") as silent, redirect_stderr(silent):
        run_job(run, config, dataset, until="generate")
    histories = [pd.read_csv(file).dropna(subset="fid") for file in run.out.glob("training/*/history.csv")]
    return [fmean(history[measurement].iloc[-1] for history in histories) for measurement in MEASURES]


def _row(name: str, measurements: list[list[float]], gains: list[list[float]]) -> list[str]:
    found = [gain for of_split in gains for gain in of_split]
    means = (f"{fmean(of_split):+.1f}" for of_split in gains)
    return [
        name,
        *(f"{fmean(measurement):.3g}" for measurement in zip(*measurements, strict=True)),
        *means,
        f"{fmean(found):+.2f} ± {seed_error(gains):.2f}",
    ]


if __name__ == "__main__":
    main()
