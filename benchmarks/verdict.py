"""How often the whole decision is right where the truth is known: `python -m benchmarks.verdict --help`.

Every repetition draws a small data set of its own from rendered images (`data/render.py`), puts images of a known kind
in the place of what a generator would have drawn, and runs filter, choice, comparison and verdict on them as a run
does; classes are of equal size, unequal, or unequal with costs that decide. Right is "merge" for images that help, and
anything but "merge" for the others, unless these help too: after a "merge" both arms are trained anew and judged, by
the endpoint, on images that nothing has seen. Where the filter accepts nothing there is nothing to merge, whatever the
classifiers would say, so none is trained. Gains are in points: hundredths of what the endpoint can be at most, which
for balanced accuracy are percentage points. Finished repetitions are not repeated, unless settings or code have changed
since.
"""

import argparse
import json
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
import torch
from joblib import Memory, Parallel, delayed
from statsmodels.stats.proportion import proportion_confint
from torch import Tensor

from benchmarks.runs import table
from data.render import DEFECTS, render
from pipeline.config import Config, load_config
from pipeline.stages.arms import arms, fit_of
from pipeline.stages.choose import choose
from pipeline.stages.evaluate import evaluate
from pipeline.stages.filter import filter_candidates, fit_scorer
from pipeline.stages.fits import run_fits
from pipeline.stages.held_out import decision_rules, held_out_fits, held_out_splits
from pipeline.stages.inspection_comparison import endpoint_of
from pipeline.stages.prepare import prepare
from pipeline.stages.records import Candidates, Choices, Prepared, Selected, load_pack
from pipeline.store import RunFolder, digest, save_tensors

SIDE, POPULATION, DRAWN = 32, 1000, 60  # pixels; images a class
CONFIRMING = 3  # classifiers of either arm that judge a merge
OTHER = "patch"  # the class that the data sets lack
CLASSES = sorted(set(DEFECTS) - {OTHER})
Sizes = Mapping[str, tuple[int, int]]  # class -> images to train and to test on
EQUAL = dict.fromkeys(CLASSES, (8, 120))
UNEQUAL = EQUAL | dict(zip(CLASSES, [(8, 120), (8, 60), (6, 40), (4, 30)], strict=False)) | {"good": (16, 240)}
# At which neither to pass nor to reject every part is cheap: 1.50 or 1.43 a part. With misses ten times as dear
# classifiers of so few images are hardly better than to reject all (benchmarks/decision_rule.md), whoever trained them.
PRICES = ("inspection.cost_miss=30", "inspection.cost_false_reject=1.5", "inspection.prevalence=0.05")
CASES: dict[str, tuple[Sizes, tuple[str, ...]]] = {
    "equal": (EQUAL, ()),
    "unequal": (UNEQUAL, ()),
    "costs": (UNEQUAL, PRICES),
}
USED = max(map(sum, UNEQUAL.values()))  # images of a class that any case trains or tests on
SETTINGS = (
    f"data.image_size={SIDE}",
    "workers=1",
    "device=cpu",
    "evaluate.arms=[classical,classical_gan]",
    "evaluate.policies=[flips,flips_light]",
    "evaluate.ratios=[2,4]",
    "evaluate.folds=2",
    "evaluate.repeats=1",
    "evaluate.seeds=5",
    "evaluate.steps=240",
    "inspection.learning_curve=false",
)


def population(label: str) -> Tensor:
    """All images of a class that there are: `uint8 [POPULATION, 1, S, S]`."""
    pictures = (render(label, "train", i, 0) for i in range(POPULATION))
    small = [cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for picture in pictures]
    return torch.from_numpy(np.stack(small))[:, None]


def further(images: Tensor) -> Tensor:
    """Images of a class that are neither trained nor tested on, as photographs of further parts would show it."""
    return images[USED:][:DRAWN]


def copies(images: Tensor, seed: int) -> Tensor:
    """The training images themselves, with the noise of a camera."""
    rng = torch.Generator().manual_seed(seed)
    chosen = images[torch.arange(DRAWN) % len(images)].float()
    return (chosen + 4 * torch.randn(chosen.shape, generator=rng)).clamp(0, 255).to(torch.uint8)


def noise(seed: int) -> Tensor:
    """Grey noise."""
    return torch.randint(0, 256, (DRAWN, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


# kind -> (all images in the repetition's order, the class, how many train it, seed) to what stands in for a generator
KINDS: dict[str, Callable[[dict[str, Tensor], str, int, int], Tensor]] = {
    "helps": lambda images, label, train, seed: further(images[label]),
    "copies": lambda images, label, train, seed: copies(images[label][:train], seed),
    "wrong label": lambda images, label, train, seed: further(images[CLASSES[CLASSES.index(label) - 1]]),
    "noise": lambda images, label, train, seed: noise(seed * 100 + CLASSES.index(label)),
    "another defect": lambda images, label, train, seed: images[OTHER][DRAWN * CLASSES.index(label) :][:DRAWN],
}


def main() -> None:
    """Run the repetitions and print the table as markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=200, help="of all kinds together")
    parser.add_argument("--first", type=int, default=0, help="number of the first repetition, to divide them up")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/verdict"))
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    own = [Path(file).read_text(encoding="utf-8") for file in (__file__, render.__code__.co_filename)]
    key = digest(own, options.overrides, code="pipeline.job")[:16]
    rows = options.out / f"{key}.jsonl"
    done = {row["seed"] for row in _rows(rows)} if rows.exists() else set()
    images = Memory(options.out / key, verbose=0).cache(population)
    from benchmarks.verdict import repetition as by_name  # that of `__main__` would be pickled with all of torch

    job = delayed(partial(by_name, {label: images(label) for label in DEFECTS}, options.overrides))
    results = Parallel(n_jobs=options.at_once, return_as="generator_unordered")(
        job(seed) for seed in range(options.first, options.first + options.repetitions) if seed not in done
    )
    with rows.open("a", encoding="utf-8") as file:
        for row in results:
            file.write(json.dumps(row) + "\n")
            file.flush()
    print(summary(list(_rows(rows))))


def repetition(population: dict[str, Tensor], overrides: list[str], seed: int) -> dict[str, Any]:
    """One data set, one kind of images, one verdict."""
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(seed)
    images = {label: of_class[torch.randperm(POPULATION, generator=rng)] for label, of_class in population.items()}
    kind, case = list(KINDS)[seed % len(KINDS)], list(CASES)[seed // len(KINDS) % len(CASES)]
    sizes, prices = CASES[case]
    config = load_config(None, [*SETTINGS, *prices, f"seed={seed}", *overrides])
    row: dict[str, Any] = {"seed": seed, "kind": kind, "case": case, "confirmed": None}
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as silent, redirect_stderr(silent):
        _write_data(Path(folder) / "data", images, sizes)
        run = RunFolder(Path(folder) / "run")
        run.prepare()
        prepared = prepare(run, config, Path(folder) / "data")
        candidates = list(_stand_in(run, prepared, images, sizes, kind, seed))
        fitted_scorer = fit_scorer(run, config, prepared)
        selected = filter_candidates(run, config, prepared, fitted_scorer, candidates)
        row["accepted"] = sum(one.accepted for one in selected)
        if not row["accepted"]:
            return row | {"verdict": "do_not_merge", "gain": None, "reason": "nothing accepted"}
        choices = choose(run, config, prepared, selected)
        metrics = evaluate(run, config, prepared, fitted_scorer, [selected], choices)
        if metrics["verdict"] == "merge":
            unseen = {name: images[name][USED + DRAWN :] for name in prepared.classes}
            row["confirmed"] = true_gain(run, config, prepared, selected, choices, unseen)
        pack = load_pack(prepared.pack)
        most = endpoint_of(config, prepared.classes, pack.labels[pack.of("test")].numpy()).most
    return row | {
        "verdict": metrics["verdict"],
        "gain": metrics["endpoint"]["delta"] / most,
        "reason": metrics["reason"],
    }


def true_gain(
    run: RunFolder,
    config: Config,
    prepared: Prepared,
    selected: Sequence[Selected],
    choices: Choices,
    unseen: Mapping[str, Tensor],
) -> float:
    """Gain in the endpoint, as a share of the most, of the compared arms on `unseen` images, from other seeds."""
    pack, file = load_pack(prepared.pack), run.store / "pack-unseen.safetensors"
    images = torch.cat([pack.images, *unseen.values()])
    labels = torch.cat([pack.labels, *(torch.full((len(of),), k) for k, of in enumerate(unseen.values()))])
    nothing = torch.zeros_like(labels)
    save_tensors(file, {"images": images, "labels": labels, "groups": nothing, "splits": nothing}, {"rows": []})
    train, held_out = tuple(pack.of("train").tolist()), tuple(range(len(pack.images), len(images)))
    options, score = arms(choices.policy, choices.ratio, balanced=choices.balanced), {}
    truth = labels[list(held_out)].numpy()
    endpoint = endpoint_of(config, prepared.classes, truth)
    splits = held_out_splits(config, prepared, pack)
    compared = (choices.baseline, choices.augmented)
    held_out_jobs = {arm: held_out_fits(config, prepared, selected, options[arm], splits) for arm in compared}
    rules = decision_rules(run, config, pack, held_out_jobs, endpoint)
    for arm in compared:
        jobs = [
            replace(fit_of(config, prepared, selected, options[arm], train, held_out, seed), pack=str(file))
            for seed in range(CONFIRMING)
        ]
        score[arm] = endpoint.score(truth, rules[arm].answers(run_fits(run, config, "confirm", jobs)))
    return (score[choices.augmented] - score[choices.baseline]) / endpoint.most


def _write_data(folder: Path, images: dict[str, Tensor], sizes: Sizes) -> None:
    for label in CLASSES:
        train, test = images[label][: sum(sizes[label])].split(sizes[label])
        for split, of_split in (("train", train), ("test", test)):
            place = folder / split / label
            place.mkdir(parents=True)
            for i, image in enumerate(of_split):
                (place / f"{i:03d}.png").write_bytes(cv2.imencode(".png", image[0].numpy())[1].tobytes())


def _stand_in(
    run: RunFolder, prepared: Prepared, images: dict[str, Tensor], sizes: Sizes, kind: str, seed: int
) -> Iterator[Candidates]:
    for label, name in enumerate(prepared.classes):
        made = KINDS[kind](images, name, sizes[name][0], seed)
        file = run.store / f"candidates-{label}.safetensors"
        save_tensors(file, {"images": made}, {})
        yield Candidates(label, name, str(file), kind, len(made))


def summary(rows: list[dict[str, Any]]) -> str:
    """Verdicts by kind, and the two figures that are asked for, with Wilson intervals."""
    header = ["images", "repetitions", "merge", "inconclusive", "do not merge", "mean gain, points", "accepted"]
    by_kind = defaultdict(list)
    for row in rows:
        by_kind[row["kind"]].append(row)
    lines = [*table(header, (_cells(kind, by_kind[kind]) for kind in KINDS if by_kind[kind])), ""]
    by_case = Counter(row["case"] for row in rows)
    wrong = Counter(row["case"] for row in rows if _is_wrong(row))
    merged = [row for row in rows if row["verdict"] == "merge"]
    others = [row for row in rows if row["kind"] != "helps"]
    missed = sum(row["kind"] == "helps" and _is_wrong(row) for row in rows)
    surprises = [row for row in merged if row["kind"] != "helps"]
    harm = sum(map(_is_wrong, surprises))
    useless = len(others) - len(surprises) + harm
    lines += [
        f"- right: {_share(len(rows) - missed - harm, len(rows))}",
        f"- right by case: {', '.join(f'{case} {of - wrong[case]} of {of}' for case, of in by_case.items())}",
        f"- merged though not meant to help: {_share(len(surprises), len(others))}",
        f"- merged of those that showed no gain on unseen images or were not tried there: {_share(harm, useless)}",
    ]
    if merged:
        reported, found = (100 * fmean(gains) for gains in zip(*map(_gains, merged), strict=True))
        better = _share(sum(row["confirmed"] > 0 for row in merged), len(merged))
        lines.append(
            f"- merged and better on unseen images: {better}; {reported:+.1f} points were said, {found:+.1f} found"
        )
    return "\n".join(lines)


def _is_wrong(row: Mapping[str, Any]) -> bool:
    if row["kind"] == "helps":
        return bool(row["verdict"] != "merge")
    return row["verdict"] == "merge" and bool(row["confirmed"] <= 0)


def _cells(kind: str, rows: list[dict[str, Any]]) -> list[str]:
    said = Counter(row["verdict"] for row in rows)
    counts = [str(said[verdict]) for verdict in ("merge", "inconclusive", "do_not_merge")]
    gains, accepted = [row["gain"] for row in rows if row["gain"] is not None], fmean(row["accepted"] for row in rows)
    gain = f"{100 * fmean(gains):+.1f}" if gains else ""
    return [kind, str(len(rows)), *counts, gain, f"{accepted:.0f} of {len(CLASSES) * DRAWN}"]


def _gains(row: dict[str, Any]) -> tuple[float, float]:
    return row["gain"], row["confirmed"]


def _share(count: int, of: int) -> str:
    if not of:
        return "none"
    low, high = proportion_confint(count, of, method="wilson")
    return f"{count} of {of}, {100 * count / of:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f})"


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    yield from map(json.loads, file.read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    main()
