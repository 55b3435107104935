"""`ganaug score`: every score of two folders of images, beside that of real against real."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganaug.metrics.yardstick import half_size
from pipeline.errors import InputError
from pipeline.log import progress
from pipeline.reading import Reading, channels_of, load, pack
from pipeline.score_table import EXTRACTORS, Features, measure

LEAST = 4  # images on each side: two real sets that share no image hold two each
FEW = 20  # real images below which every figure is rough
LARGEST_SET = 1000
SIZES = (32, 64, 128, 256)
BETTER = {
    "fid": "lower",
    "kid": "lower",
    "precision": "higher",
    "recall": "higher",
    "density": "near 1",
    "coverage": "higher",
    "authenticity": "like real",
    "swd": "lower",
    "inception_score": "like real",
}


def score(real: Path, generated: Path, *, features: str, weights: str | None, size: int | None) -> dict[str, Any]:
    """Measure the images of one folder against those of another, as a record for `json.dumps`.

    Raises InputError: a folder is missing or holds fewer than LEAST images, sizes differ and no `size` is given, one
    side is grey and the other in colour, or features and weights do not fit.
    """
    _check_options(features, weights, size)
    sides = [_read(real), _read(generated)]
    size = size or _common_size(sides)
    channels = _common_channels(sides)
    pictures = [pack(side.images, size, channels) for side in sides]
    count = min(half_size(len(pictures[0]), len(pictures[1])), LARGEST_SET)
    counts = {"real": len(pictures[0]), "generated": len(pictures[1])}
    with progress("score", 2) as bar:
        found = EXTRACTORS[features](pictures[0], pictures[1], _labels(sides[0]), weights or "")
        bar.advance(note="features")
        rows = measure(found, pictures[0], pictures[1], size=count)
        bar.advance(note="figures")
    return {
        "real": {"path": str(real), "images": counts["real"]},
        "generated": {"path": str(generated), "images": counts["generated"]},
        "image_size": size,
        "channels": channels,
        "features": found.name,
        "scores": {name: {**row, "better": BETTER[name], "images": counts} for name, row in rows.items()},
        "notes": _notes(sides, found),
    }


def _check_options(features: str, weights: str | None, size: int | None) -> None:
    if features not in EXTRACTORS:
        raise InputError(f"--features {features} is unknown; use {' or '.join(EXTRACTORS)}.")
    if (features == "inception") != (weights is not None):
        raise InputError(
            "--features inception needs --weights: the path of torchvision's inception_v3 weights, or download."
            if weights is None
            else "--weights belongs to --features inception; leave it out."
        )
    if size is not None and size not in SIZES:
        raise InputError(f"--size {size} is not possible; use {', '.join(map(str, SIZES))}.")


def _read(folder: Path) -> Reading:
    reading = load(folder, allow_flat=True)
    if len(reading.images) < LEAST:
        raise InputError(f"{folder} holds {len(reading.images)} readable image(s); {LEAST} are the least to score.")
    return reading


def _common_size(sides: list[Reading]) -> int:
    shapes = [sorted({(image.shape[1], image.shape[0]) for image in side.images}) for side in sides]
    smallest = min(min(shape) for side in shapes for shape in side)
    size = max((s for s in SIZES if s <= smallest), default=SIZES[0])
    if len({shape for side in shapes for shape in side}) > 1:
        sizes = [
            f"{side.root} holds {found[0][0]} x {found[0][1]}"
            + (f" to {found[-1][0]} x {found[-1][1]}" * (len(found) > 1))
            for side, found in zip(sides, shapes, strict=True)
        ]
        raise InputError(f"The images differ in size: {', '.join(sizes)}; give --size {size} to resize all of them.")
    return size


def _common_channels(sides: list[Reading]) -> int:
    channels = [channels_of(side.images) for side in sides]
    if channels[0] != channels[1]:
        said = ["grey" if depth == 1 else "colour" for depth in channels]
        raise InputError(
            f"{sides[0].root} holds {said[0]} images, {sides[1].root} {said[1]} ones; convert one of the two, "
            "or colour alone will tell them apart."
        )
    return channels[0]


def _labels(side: Reading) -> Tensor | None:
    """Class indices int64 [N], or None where there are not two classes of two images each."""
    names = sorted(set(side.frame["label"]))
    labels = torch.tensor([names.index(label) for label in side.frame["label"]])
    return labels if len(names) >= 2 and labels.bincount().min() >= 2 else None


def _notes(sides: list[Reading], found: Features) -> list[str]:
    notes = [f"Left out: {side.root / problem.path} ({problem.detail})." for side in sides for problem in side.problems]
    if len(sides[0].images) < FEW:
        notes.append(f"{len(sides[0].images)} real images are few: read every figure as rough.")
    if found.classes is None:
        notes.append("No Inception Score: the real images are not in folders of two classes or more, two images each.")
    absent = sorted(set(sides[0].frame["label"]) - set(sides[1].frame["label"]))
    if absent and "flat" not in (sides[0].layout, sides[1].layout):
        notes.append(f"Not among the generated images: {', '.join(absent)}.")
    return notes


def render_scores(record: dict[str, Any]) -> str:
    """The record of `score` as text for a terminal."""
    real, generated = record["real"], record["generated"]
    images = f"{generated['images']} / {real['images']}"
    rows = [("score", "all images", "sets", "real against real", "sets of", "better", "images", "features")] + [
        (
            name.replace("_", " "),
            f"{row['all']:.4g}",
            _both(row["sets"]),
            _both(row["real_vs_real"]),
            str(row["set_size"]),
            row["better"],
            images,
            row["features"],
        )
        for name, row in record["scores"].items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    side = record["image_size"]
    return "\n".join(
        [
            f"real       {real['path']}, {real['images']} images",
            f"generated  {generated['path']}, {generated['images']} images",
            f"compared   at {side} x {side}, {'grey' if record['channels'] == 1 else 'colour'}",
            "",
            *("  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows),
            "",
            "sets: mean ± deviation over random sets of that many images from each side.",
            "real against real: the same between sets of real images; no generator can be expected to beat it.",
            "images: generated / real. docs/scores.md says what each score is good for.",
            *(f"note: {note}" for note in record["notes"]),
        ]
    )


def _both(spread: dict[str, float]) -> str:
    return f"{spread['mean']:.4g} ± {spread['std']:.2g}"
