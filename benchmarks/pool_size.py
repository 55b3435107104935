"""How many synthetic images help: `python benchmarks/pool_size.py RUN [--seeds 3] [--policy flips]`.

RUN is the folder of a finished run with `data.train_per_class`: most of its data set was neither trained nor tested
on. Those unused images judge here, which leaves the test images untouched. Compared are the training images alone, all
candidates, the first 40 a class, and the ones accepted at the largest ratio; equal steps, half of the draws synthetic.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from classifiers.training import Recipe, fit, predict
from pipeline.job import recall_job
from pipeline.reading import pack
from pipeline.stages.prepare import framed, read
from pipeline.store import RunFolder, load_tensors, read_json

Labelled = tuple[Tensor, Tensor]


def unused_images(run: RunFolder) -> tuple[Labelled, Labelled]:
    """Training images, and those of the data set that the run put into no split."""
    config, source = recall_job(run)
    reading = read(source, config)
    _, cut, _ = framed(reading, config)
    tensors, metadata = load_tensors(next(run.store.glob("pack-*")))
    used = {row["index"] for row in metadata["rows"]}
    rest = [i for i in range(len(cut)) if i not in used]
    train = tensors["splits"] == 0
    images = pack([cut[i] for i in rest], config.data.image_size, tensors["images"].shape[1])
    labels = torch.tensor([reading.classes.index(reading.frame["label"][i]) for i in rest])
    return (tensors["images"][train], tensors["labels"][train]), (images, labels)


def pools(run: RunFolder) -> dict[str, Labelled | None]:
    """The synthetic images of each option."""
    made: dict[str, list[Labelled]] = {"all candidates": [], "first 40": [], "accepted": []}
    for record in run.store.glob("selection-*.json"):
        one = read_json(record)["value"]
        images = load_tensors(run.store / Path(one["candidates"]).name)[0]["images"]
        accepted = load_tensors(run.store / Path(one["file"]).name)[0]
        ratio = max((key for key in accepted if key.startswith("ratio_")), key=lambda key: int(key.split("_")[1]))
        for name, part in (
            ("all candidates", images),
            ("first 40", images[:40]),
            ("accepted", images[accepted[ratio]]),
        ):
            made[name].append((part, torch.full((len(part),), one["label"])))
    return {"none": None} | {
        name: (torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts]))
        for name, parts in made.items()
    }


def main() -> None:
    """Print a line an option: number of synthetic images, mean accuracy in percent, and each seed's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--policy", default="flips")
    options = parser.parse_args()
    run = RunFolder(options.run)
    (images, labels), (judges, truth) = unused_images(run)
    recipe = Recipe(policy=options.policy, steps=options.steps)
    for name, synthetic in pools(run).items():
        scores = []
        for seed in range(options.seeds):
            model = fit(images, labels, recipe, classes=int(labels.max()) + 1, seed=7000 + seed, synthetic=synthetic)
            scores.append(100 * float((predict(model, judges).argmax(1) == truth).float().mean()))
        count = 0 if synthetic is None else len(synthetic[0])
        print(f"{name:15} {count:5} {sum(scores) / len(scores):5.1f}  {[round(s, 1) for s in scores]}", flush=True)


if __name__ == "__main__":
    main()
