"""Whether the size of an exported image tells its origin, and what that does to a classifier trained on the export.

`python -m benchmarks.merged_size DATASET [--case 10:4] [--seeds 3] [--set KEY=VALUE]`. The images at data.image_size
are the native ones, a generator makes half of that side, and a loader brings all to the native side. Images of the data
set that the case neither trains nor tests on, shrunk, stand for those of a perfect generator; the others of them judge.
Real and synthetic images are drawn alike, as a loader of image folders does, which the comparison of a run does not.
"""

import argparse
from pathlib import Path
from statistics import fmean

import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmarks.filter_stages import Labelled, images_of, predicted, prepared
from benchmarks.runs import row, seed_error, table
from classifiers.fitting import Recipe
from pipeline.config import load_config
from pipeline.stages.fits import recipe_for

DRAWN = 30  # stand-ins for synthetic images, a class


def at_generators_size(images: Tensor) -> Tensor:
    """Shrunk by two as a generator has them, then enlarged as a loader does: `uint8 [N, C, S, S]`."""
    small = F.avg_pool2d(images.float(), 2).round()
    return F.interpolate(small, images.shape[-1], mode="bilinear").round().to(torch.uint8)


def sharpness(images: Tensor) -> Tensor:
    """Energy of what a 3 x 3 mean leaves of each image, `float32 [N]`."""
    pixels = images.float()
    detail = pixels - F.avg_pool2d(pixels, 3, 1, 1, count_include_pad=False)
    return detail.square().mean((1, 2, 3)).log1p()


def told_by_sharpness(real: Tensor, synthetic: Tensor) -> float:
    """Area under the ROC curve of telling the two apart by nothing but sharpness, 0.5 to 1."""
    truth = torch.cat([torch.zeros(len(real)), torch.ones(len(synthetic))])
    area = float(roc_auc_score(truth, torch.cat([sharpness(real), sharpness(synthetic)])))
    return max(area, 1 - area)


def balanced(train: Labelled, held_out: Labelled, recipe: Recipe, seed: int) -> float:
    """Balanced accuracy in percent on the images that judge."""
    found = predicted(train, held_out, None, recipe, 7000 + seed) == held_out[1]
    return 100 * fmean(float(found[held_out[1] == label].float().mean()) for label in held_out[1].unique())


def main() -> None:
    """Print a line for each way: balanced accuracy, its standard error by seeds, and what sharpness alone tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--case", default="10:4", metavar="IMAGES:SPLIT")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    given = parser.parse_args()
    with prepared(given.dataset, given.case, given.overrides) as run:
        (images, labels), (rest, of), names = images_of(run)
    recipe = recipe_for(load_config(None, given.overrides), len(labels), policy="flips", balanced=True)
    order = [torch.nonzero(of == label).squeeze(1) for label in range(len(names))]
    drawn, judging = torch.cat([o[:DRAWN] for o in order]), torch.cat([o[DRAWN:] for o in order])
    made = at_generators_size(rest[drawn])
    some = of[drawn] % 2 == 0  # synthetic images of every other class alone
    print("\n".join(table(["export", "synthetic images of", "balanced accuracy, %", "sharpness tells, AUC"], [])))
    for export, windows in (("native", lambda x: x), ("generator", at_generators_size)):
        held_out = windows(rest[judging]), of[judging]
        for which, taken in (("no class", some & ~some), ("every other class", some), ("every class", some | ~some)):
            train = torch.cat([windows(images), made[taken]]), torch.cat([labels, of[drawn][taken]])
            found = [balanced(train, held_out, recipe, seed) for seed in range(given.seeds)]
            tells = f"{told_by_sharpness(held_out[0], made):.2f}" if taken.any() else ""
            print(row([export, which, f"{fmean(found):.1f} ± {seed_error([found]):.1f}", tells]), flush=True)


if __name__ == "__main__":
    main()
