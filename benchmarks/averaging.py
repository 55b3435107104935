"""One training under several averagings, lengths and truncations: `python -m benchmarks.averaging --help`.

A case is `IMAGES:SPLIT`: so many training images a class, drawn with that seed. One generator is trained on them, and
several averages of its weights go along, so that they differ in nothing else. The images that were neither trained nor
tested on judge: by FID and KID of fresh samples, and by a classifier that some of the samples joined. With `--crop`
the generator is shown random windows of so much of the side instead of whole images.
"""

import argparse
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from joblib import Parallel, delayed
from torch import Tensor, nn

from benchmarks.budget import JOIN, SAMPLES, accuracies, distances_of
from benchmarks.filter_stages import Labelled, images_of, prepared
from benchmarks.runs import seed_error, stored, table
from classifiers.scattering import Scattering
from ganaug.batch_norm import update_batch_norm
from ganaug.batches import Batches
from ganaug.families import get_family
from ganaug.sampling import to_uint8
from ganaug.training_loop import Trainer
from pipeline.config import Config, load_config
from pipeline.reading import pack
from pipeline.stages.fits import recipe_for
from pipeline.stages.jobs import options_for
from pipeline.stages.prepare import framed, read
from pipeline.store import RunFolder, load_tensors

Key = tuple[int, float, float]  # steps, decay of the average, truncation
Measurement = tuple[float, float, list[float]]  # FID, KID, gain in points of every seed


class Windows(Batches):
    """Batches of random windows, `side` pixels wide, of larger images."""

    side: int

    def draw(self) -> tuple[Tensor, ...]:
        images, conditions = super().draw()
        corners = torch.randint(images.shape[-1] - self.side + 1, (len(images), 2), generator=self.rng).tolist()
        windows = [
            image[:, y : y + self.side, x : x + self.side] for image, (y, x) in zip(images, corners, strict=True)
        ]
        return torch.stack(windows), conditions


def larger(run: RunFolder, dataset: Path, config: Config, side: int) -> Tensor:
    """The training images of a run at another side, in its order."""
    reading = read(dataset, config)
    cut = framed(reading, config).images
    tensors, metadata = load_tensors(stored(run, "pack")[-1])
    index = [row["index"] for row, split in zip(metadata["rows"], tensors["splits"].tolist(), strict=True) if not split]
    return pack([cut[i] for i in index], side, tensors["images"].shape[1])


def averaged(trainer: Trainer, decays: list[float], steps: list[int]) -> Iterator[tuple[int, float, nn.Module]]:
    """Train, and after each of the `steps` give every average with batch statistics of its own."""
    averages = {decay: deepcopy(trainer.ema) for decay in decays}
    while trainer.step < steps[-1]:
        trainer.train_step()
        for decay, average in averages.items():
            share = 1 - min(decay, (1 + trainer.step) / (10 + trainer.step))
            torch._foreach_lerp_(list(average.parameters()), list(trainer.generator.parameters()), share)
        if trainer.step in steps:
            for decay, average in averages.items():
                update_batch_norm(
                    average, partial(_drawn, average, trainer, torch.Generator().manual_seed(trainer.step))
                )
                yield trainer.step, decay, average


def _drawn(average: nn.Module, trainer: Trainer, rng: torch.Generator) -> Tensor:
    return draw(average, trainer.batches.conditions(trainer.options.batch, rng), rng)


@torch.no_grad()
def draw(average: nn.Module, conditions: Tensor, rng: torch.Generator, truncation: float = 1.0) -> Tensor:
    """Float images; `truncation` scales the noise."""
    z = truncation * torch.randn(len(conditions), average.latent, generator=rng)  # type: ignore[call-overload]
    return average(z, conditions)  # type: ignore[no-any-return]


def images_for(
    dataset: Path, word: str, overrides: list[str], crop: float
) -> tuple[Config, Labelled, Labelled, Tensor]:
    """Configuration, training images and judges of a case, and the training images at the side that windows need."""
    with prepared(dataset, word, overrides) as run:
        config, (train, held_out, _) = load_config(run.config), images_of(run)
        return config, train, held_out, larger(run, dataset, config, round(config.data.image_size / crop))


def measurements(dataset: Path, word: str, given: argparse.Namespace) -> dict[Key, Measurement]:
    """Of one case."""
    torch.set_num_threads(1)
    config, train, held_out, windows = images_for(dataset, word, given.overrides, given.crop)
    labels, options = torch.arange(int(train[1].max()) + 1), options_for(config)
    trainer = Trainer(
        get_family(config.gan.family), *train, n_conditions=len(labels), options=options, seed=config.seed
    )
    windows = Windows(
        windows, train[1], None, size=options.batch, flips=options.flips, rng=trainer.rng, device=trainer.device
    )
    windows.side = config.data.image_size
    trainer.inputs.batches = windows
    extractor, recipe = Scattering.fit(train[0]), recipe_for(config, len(train[1]), policy=given.policy)
    real, plain = extractor(held_out[0]).double(), accuracies(train, held_out, None, recipe, given.seeds)
    seen: dict[Key, Measurement] = {}
    for step, decay, average in averaged(trainer, given.ema, given.steps):  # the same modules, trained on and on
        for truncation in given.truncation:
            rng, key = torch.Generator().manual_seed(0), (step, decay, truncation)
            made = [to_uint8(draw(average, torch.full((SAMPLES,), k), rng, truncation)) for k in labels.tolist()]
            by_class = [distances_of(extractor(of).double(), real[held_out[1] == k]) for k, of in enumerate(made)]
            joined = torch.cat([of[:JOIN] for of in made]), labels.repeat_interleave(JOIN)
            reached = accuracies(train, held_out, joined, recipe, given.seeds)
            fid, kid = (fmean(of) for of in zip(*by_class, strict=True))
            seen[key] = fid, kid, [a - b for a, b in zip(reached, plain, strict=True)]
            print(word, *key, _cell(*seen[key]), flush=True)
    return seen


def main() -> None:
    """Train the cases, some at a time, and print the table as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--cases", nargs="+", default=["10:4", "10:5"], metavar="IMAGES:SPLIT")
    parser.add_argument("--ema", type=float, nargs="+", default=[0.99, 0.999, 0.9995])
    parser.add_argument("--steps", type=int, nargs="+", default=[2500, 5000, 10000])
    parser.add_argument("--truncation", type=float, nargs="+", default=[1.0])
    parser.add_argument("--crop", type=float, default=1.0, help="share of the side that the generator is shown")
    parser.add_argument("--policy", default="flips_shift_light")
    parser.add_argument("--seeds", type=int, default=3, help="of the classifier")
    parser.add_argument("--at-once", type=int, default=2, help="on one core each")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    given = parser.parse_args()
    found = Parallel(n_jobs=given.at_once)(delayed(measurements)(given.dataset, word, given) for word in given.cases)
    header = ["steps", "EMA", "truncation", *(f"{word}: FID, KID, gain" for word in given.cases), "mean gain"]
    print("\n".join(table(header, (_row(key, [of_case[key] for of_case in found]) for key in found[0]))))


def _row(key: Key, cases: list[Measurement]) -> list[str]:
    gains = [gains for _, _, gains in cases]
    return [
        *map(str, key),
        *(_cell(*case) for case in cases),
        f"{fmean(map(fmean, gains)):+.1f} ± {seed_error(gains):.1f}",
    ]


def _cell(fid: float, kid: float, gains: list[float]) -> str:
    return f"{fid:.1f}, {kid:.1f}, {fmean(gains):+.1f}"


if __name__ == "__main__":
    main()
