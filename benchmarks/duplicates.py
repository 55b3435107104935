"""How many near-duplicates are found, and how many images are called so that are not, on made-up and real sets.

    .venv/bin/python -m benchmarks.duplicates [NAME=FOLDER ...]

Every set is spoilt with further versions of 40 of its images (`CHANGES`): those are the near-duplicates to be found.
What else is grouped is false where the set is made up, since every board and part is drawn anew; in a real set it is
listed as pairs, for a look with `ganaug inspect --pairs`.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.runs import table
from pipeline.reading import Duplicates, find_duplicates, load

Picture = NDArray[np.uint8]
KINDS = ("copper", "mousebite", "open", "pinhole", "short", "spur")
COPIED = 40  # images of each set that get a second version
SCALE = 4  # boards are drawn this much larger, then shrunk and made black and white


def binary_boards(per_kind: int, seed: int, size: int = 64) -> dict[str, list[Picture]]:
    """Patches around the defects of printed circuits: black tracks on white, 0 or 255, uint8 ``[size, size]``."""
    rng = np.random.default_rng(seed)
    return {kind: [_board(rng, kind, size) for _ in range(per_kind)] for kind in KINDS}


def _board(rng: np.random.Generator, kind: str, size: int) -> Picture:
    side = size * SCALE
    canvas = np.full((side, side), 255, np.uint8)
    angle = np.deg2rad(rng.choice([0, 45, 90, 135]))
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    width = SCALE * int(rng.integers(5, 10))
    pitch = width + SCALE * int(rng.integers(8, 16))
    radius = SCALE * rng.uniform(1.6, 3.5)
    centre = side / 2 + SCALE * rng.uniform(-3, 3, 2)

    def line(start: NDArray[np.float64], end: NDArray[np.float64], grey: int, thickness: float) -> None:
        cv2.line(canvas, *(tuple(int(v) for v in point) for point in (start, end)), grey, int(thickness))

    def blob(at: NDArray[np.float64], grey: int, size: float) -> None:
        axes = [int(size * factor) for factor in rng.uniform(0.7, 1.3, 2)]
        cv2.ellipse(canvas, tuple(int(v) for v in at), axes, rng.uniform(0, 180), 0, 360, grey, -1)

    between = kind in ("copper", "short")  # the defect lies between two tracks, else on one
    if kind != "copper" or rng.random() < 0.5:  # half of the blobs are alone on the board
        first, last = int(rng.integers(-1, 1)) - between, int(rng.integers(1, 3))
        for k in range(first, last):
            middle = centre + across * pitch * (k + between / 2)
            line(middle - 2 * side * along, middle + 2 * side * along, 0, width)
    match kind:
        case "copper":
            blob(centre, 0, radius)
        case "mousebite" | "spur":
            blob(centre + across * width / 2, 255 if kind == "mousebite" else 0, 1.2 * radius)
        case "pinhole":
            blob(centre, 255, min(radius, 0.35 * width))
        case "open":
            line(centre - across * width, centre + across * width, 255, 1.5 * radius)
        case "short":
            line(centre - across * pitch / 2, centre + across * pitch / 2, 0, 2 * radius)
    small = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return np.where(small > 127, 255, 0).astype(np.uint8)


def aligned_parts(count: int, noise: float, seed: int) -> list[Picture]:
    """Parts in a fixture under a fixed camera: all but noise (grey levels), brightness and a small defect is the same.

    Two thirds are good, a fifth is scratched, the others lack a pin; uint8 ``[96, 96]``.
    """
    rng = np.random.default_rng(seed)
    part = np.full((96, 96), 60, np.uint8)
    cv2.rectangle(part, (14, 14), (82, 82), 150, -1)
    cv2.circle(part, (48, 48), 20, 90, -1)
    pins = range(20, 80, 12)
    for x in pins:
        cv2.rectangle(part, (x, 4), (x + 5, 13), 210, -1)
        cv2.rectangle(part, (x, 83), (x + 5, 92), 210, -1)
    cv2.putText(part, "A7", (36, 54), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 230, 2)
    images = []
    for k in range(count):
        image = part.copy()
        if k >= 0.87 * count:
            x = int(rng.choice(pins))
            cv2.rectangle(image, (x, 4), (x + 5, 13), 60, -1)
        elif k >= 0.67 * count:
            start, end = (tuple(int(v) for v in point) for point in rng.integers(16, 80, (2, 2)))
            cv2.line(image, start, end, 240, 1)
        shot = image * rng.uniform(0.95, 1.05) + rng.normal(0, noise, image.shape)
        images.append(np.clip(shot, 0, 255).astype(np.uint8))
    return images


def encoded(image: Picture, kind: str, *options: int) -> Picture:
    """The image after it was stored as a file of that kind and read again."""
    return np.asarray(cv2.imdecode(cv2.imencode(kind, image, options)[1], cv2.IMREAD_UNCHANGED), np.uint8)


def _shifted(image: Picture) -> Picture:
    move = np.array([[1, 0, image.shape[1] / 64], [0, 1, 0]], np.float32)
    return np.asarray(cv2.warpAffine(image, move, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT), np.uint8)


def _noisy(image: Picture) -> Picture:
    return np.clip(image + np.random.default_rng(0).normal(0, 3, image.shape), 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "JPEG, quality 90": lambda image: encoded(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 90),
    "JPEG, quality 75": lambda image: encoded(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 75),
    "JPEG 90, a quarter turn": lambda image: encoded(np.rot90(image).copy(), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 90),
    "darker by 30 %, noise 3": lambda image: _noisy((image * 0.7).astype(np.uint8)),
    "shifted by 1/64": _shifted,
}


def measured(images: Sequence[Picture], change: Callable[[Picture], Picture], seed: int = 0) -> dict[str, float]:
    """Recall of added versions, called certain or grouped at all, and what else was paired."""
    chosen = np.random.default_rng(seed).choice(len(images), min(COPIED, len(images) // 3), replace=False).tolist()
    found = search([*images, *(change(images[i]) for i in chosen)])
    added = {(i, len(images) + k) for k, i in enumerate(chosen)}
    certain = {(pair.first, pair.second) for pair in found.pairs if getattr(pair, "certain", pair.identical)}
    grouped = sum(found.groups[i] == found.groups[j] for i, j in added)
    return {"certain": len(added & certain) / len(added), "grouped": grouped / len(added)}


def search(images: Sequence[Picture]) -> Duplicates:
    """`find_duplicates` of images that are no equal files."""
    return find_duplicates(images, [f"{k:064x}" for k in range(len(images))])


def alone(images: Sequence[Picture]) -> tuple[str, ...]:
    """What is found in a set as it is: certain pairs, likely pairs, groups, images of the largest group."""
    found = search(images)
    certain = sum(getattr(pair, "certain", pair.identical) for pair in found.pairs)
    largest = Counter(found.groups.tolist()).most_common(1)[0][1]
    groups = len(set(found.groups.tolist()))
    return (str(len(images)), str(certain), str(len(found.pairs) - certain), str(groups), str(largest))


def report(sets: Iterable[tuple[str, Sequence[Picture]]]) -> list[str]:
    """Two tables: the sets as they are, and recall of further versions of their images."""
    plain, recalls = [], []
    for name, images in sets:
        plain.append((name, *alone(images)))
        results = {change: measured(images, apply) for change, apply in CHANGES.items()}
        recalls.append((name, *(f"{100 * r['certain']:.0f} / {100 * r['grouped']:.0f}" for r in results.values())))
    return [
        *table(["set", "images", "certain pairs", "likely pairs", "groups", "largest group"], plain),
        "",
        *table(["found of 40, certain / grouped, %", *CHANGES], recalls),
    ]


def main(arguments: Sequence[str]) -> None:
    """Print the tables for the made-up sets and for the folders given as NAME=FOLDER."""
    cv2.setNumThreads(1)
    sets: list[tuple[str, Sequence[Picture]]] = [
        ("black-and-white boards", [image for images in binary_boards(100, seed=0).values() for image in images]),
        *((f"aligned parts, noise {noise:g}", aligned_parts(60, noise, seed=0)) for noise in (0.5, 2, 6)),
    ]
    for argument in arguments:
        name, _, folder = argument.partition("=")
        sets.append((name, load(Path(folder)).images))
    print("\n".join(report(sets)))


if __name__ == "__main__":
    main(sys.argv[1:])
