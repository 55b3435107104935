"""Sheets of pictures from a generator's latent space (interpolation, arithmetic, traversal), in `RUN/latent/CLASS/`."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from ganaug import latent_space
from ganaug.metrics import nearest
from ganaug.smoothness import Smoothness, smoothness
from pipeline.errors import InputError
from pipeline.latent_model import Model
from pipeline.report.labelled import Row, save_sheet
from pipeline.store import read_json, write_json

PATHS = 64  # between random latents, for the smoothness
BASES = 4  # latents at which the directions of largest effect are averaged
REACH = 2.5  # standard deviations that a direction is followed either way
VARIATIONS, VARIATION = 4, 0.25  # of an arithmetic's result, uniform in +-0.25: Radford et al. 2015, figure 7


def interpolate(model: Model, seeds: Sequence[int], steps: int) -> tuple[Path, Smoothness]:
    """Walk from each seed to the next in `steps` pictures; measure how smooth such walks are."""
    if len(seeds) < 2:
        raise InputError("--seeds: name at least two, from the first of which to the next the pictures go.")
    t = torch.linspace(0, 1, steps, dtype=torch.float64)
    real = model.real_features
    rows, walks = [], []
    for (a, from_seed), (b, to_seed) in pairwise(zip(model.latents(seeds), seeds, strict=True)):
        images = model.pictures(latent_space.interpolate(a.expand(steps, -1), b.expand(steps, -1), t, model.layout))
        distance, index = nearest(model.extractor(images), real)
        closest = [model.pack.rows[i]["path"] for i in model.real[index].tolist()]
        rows.append(Row(f"seed {from_seed} to {to_seed}", images, [f"{d:.2f}" for d in distance.tolist()]))
        walks.append({"from": from_seed, "to": to_seed, "nearest_real": closest, "distance": distance})
    starts, ends = torch.chunk(model.latents(range(2 * PATHS)), 2)
    figures = smoothness(
        model.draw, model.features, starts, ends, model.layout, real, model.pack.groups[model.real], seed=0
    )
    found = asdict(figures) | {"ratio": figures.ratio, "verdict": figures.verdict, "features": model.extractor.name}
    columns = [f"{at:.2f}" for at in t.tolist()]
    return _save(model, "interpolate", rows, columns, {"t": t, "walks": walks, "smoothness": found}), figures


def traverse(model: Model, seeds: Sequence[int], steps: int, count: int) -> Path:
    """Follow every code of the family, or else the `count` directions of largest effect, from each seed."""
    places = torch.linspace(-REACH, REACH, steps) * (1.0 if model.spec.noise == "normal" else 3**-0.5)
    rows: list[Row] = []
    facts: dict[str, Any] = {"seeds": list(seeds)}
    if model.family.codes:
        walks = [latent_space.traverse_codes(z, model.layout, steps) for z in model.latents(seeds)]
        facts["codes"] = model.family.codes._asdict()
        columns = []  # a category is a choice, a continuous code goes from -1 to 1
        values = {name: _values(name, len(z)) for name, z in walks[0].items()}
    else:
        count = min(count, model.layout.noise)
        found = latent_space.directions(model.draw, model.features, model.latents(range(BASES)), model.layout, count)
        names = [f"direction {i + 1} ({share:.0%})" for i, share in enumerate(found.shares.tolist())]
        walks = [
            {
                name: latent_space.traverse_direction(z, direction, places, model.layout)
                for name, direction in zip(names, found.vectors, strict=True)
            }
            for z in model.latents(seeds)
        ]
        facts["directions"] = {"shares": found.shares, "places": places, "vectors": found.vectors}
        columns, values = [_signed(place) for place in places.tolist()], {}
    for name in walks[0]:
        rows += [
            Row(f"{name}, seed {seed}", model.pictures(walk[name]), values.get(name, ()))
            for seed, walk in zip(seeds, walks, strict=True)
        ]
    return _save(model, "traverse", rows, columns, facts)


def _values(name: str, count: int) -> list[str]:
    if name == "category":
        return [str(i + 1) for i in range(count)]
    return [_signed(value) for value in torch.linspace(-1, 1, count).tolist()]


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # no negative zero


def arithmetic(model: Model, plus: Sequence[int], minus: Sequence[int], target: Sequence[int]) -> Path:
    """Show mean(with) - mean(without) + mean(target), its neighbourhood, and it as every class of the generator."""
    groups = {"with": plus, "without": minus, "target": target}
    drawn = {name: model.latents(seeds) for name, seeds in groups.items()}
    rows = [
        Row(
            name,
            model.pictures(
                torch.cat([drawn[name], latent_space.settle(drawn[name].mean(0, keepdim=True), model.layout)])
            ),
            [*(f"seed {seed}" for seed in seeds), "mean"],
        )
        for name, seeds in groups.items()
    ]
    result = latent_space.arithmetic(drawn["with"], drawn["without"], drawn["target"], model.layout)
    around = result.repeat(VARIATIONS, 1)
    wobble = torch.rand(VARIATIONS, model.layout.noise, generator=torch.Generator().manual_seed(0)) * 2 - 1
    around[:, : model.layout.noise] += VARIATION * wobble
    rows.append(
        Row(
            "with - without + target",
            model.pictures(torch.cat([result[None], around])),
            ["result", *["near it"] * VARIATIONS],
        )
    )
    others = _of_the_same_generator(model)
    if others:
        images = [model.pictures(result[None], condition) for condition in others.values()]
        rows.append(Row("the same as", torch.cat(images), list(others)))
    return _save(model, "arithmetic", rows, [], {"groups": {k: list(v) for k, v in groups.items()}, "latent": result})


def _of_the_same_generator(model: Model) -> dict[str, int]:
    """The other classes that the generator draws, and the condition of each."""
    cards = [read_json(file) for file in sorted(model.run.generator("any").parent.glob("*/card.json"))]
    return {
        card["class"]: card["conditions"][0]
        for card in cards
        if card["generator"] == model.card["generator"] and card["class"] != model.name
    }


def _save(model: Model, walk: str, rows: Sequence[Row], columns: Sequence[str], facts: dict[str, Any]) -> Path:
    picture = model.run.out / "latent" / model.name / f"{walk}.png"
    save_sheet(picture, rows, columns)
    about = {
        "class": model.name,
        "generator": model.card["generator"],
        "family": model.family.name,
        "condition": model.condition,
    }
    write_json(picture.with_suffix(".json"), about | facts)
    return picture
