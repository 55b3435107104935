"""The page of `ganaug inspect --html`: what was read, what is wrong with it, and pictures, in one file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.marked_picture import marked, shrunk
from pipeline.reading import Duplicates, Pair, Reading
from pipeline.reading.account import USES
from pipeline.reading.framing import has_defect
from pipeline.reading.thumbnails import thumbnails
from pipeline.report.data_urls import small
from pipeline.report.environment import as_text, page_environment

EACH = 8  # pictures of a class at most, evenly spread over its files
PICTURES = 240  # of all classes together
CLASSES = 200  # rows of the table, and classes with pictures; more only make the page long
LISTED = 200  # files or sentences of one list
PAIRS = 12  # of a kind
EXTREMES = 6  # of a kind
SIDE, PAIR_SIDE = 112, 176  # pixels of the longer side of a picture, alone and in a pair
BYTES, PAIR_BYTES = 7_000, 14_000  # of the address of such a picture, so that the page stays below 3 MB
ENOUGH = 8  # images of a class, to speak of how its images usually look
LEVELS = 16  # steps of grey whose shares are compared

LAYOUTS = {
    "class_folders": "one folder for each class",
    "split_folders": "a folder for each split, and in it one for each class",
    "mvtec": "the folders of one MVTec AD category",
    "mvtec_loco": "the folders of one MVTec LOCO category",
    "visa": "the folders of one VisA category",
    "dagm": "one texture of DAGM",
    "kolektor": "the items of KolektorSDD",
    "severstal": "Severstal's images and run lengths",
    "coco": "images with COCO annotations",
    "cvat": "images with CVAT annotations",
    "yolo": "images with YOLO labels",
    "voc": "images with Pascal VOC annotations",
    "labelme": "images with LabelMe annotations",
    "image_mask_folders": "a folder of images and one of masks",
    "mask_pairs": "images with their masks beside",
    "csv": "a CSV manifest",
    "flat": "a folder of images without classes",
}


def render_page(record: dict[str, Any], reading: Reading, duplicates: Duplicates) -> str:
    """The record of `inspect` and pictures of its images as one HTML text: no script, no network.

    `reading` and `duplicates` are what the record was made from. Everything a user could have named is escaped,
    secrets are masked; equal data, equal text.
    """
    view = {
        "record": record,
        "state": "errors" if record["errors"] else "warnings" if record["warnings"] else "fine",
        "layout": LAYOUTS.get(record["layout"], record["layout"].replace("_", " ")),
        "instances": sum(map(len, reading.instances)),
        "with_mask": sum(map(has_defect, reading.masks)),
        "classes_shown": list(record["classes"].items())[:CLASSES],
        "uses": {USES[use]: count for use, count in record["files"].items() if use in USES and count},
        "splits": [name for name in ("train", "val", "test") if name in record["splits"]],
        "samples": _samples(reading),
        "kinds_of_pairs": _kinds_of_pairs(reading, duplicates.pairs),
        "extremes": [kind for kind in _extremes(reading) if kind["pictures"]],
        "listed": LISTED,
    }
    environment = page_environment(Path(__file__).parent)
    return as_text(environment.get_template("inspect_page.html.j2").render(view))


def _samples(reading: Reading) -> list[dict[str, Any]]:
    """Classes with some of their images, evenly spread; empty classes are left out."""
    labels = reading.frame["label"].to_numpy()
    present = [name for name in reading.classes if (labels == name).any()][:CLASSES]
    each = min(EACH, max(1, PICTURES // max(1, len(present))))
    found = []
    for name in present:
        rows = np.flatnonzero(labels == name)
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(each, len(rows))).round().astype(int))]
        pictures = [_picture(reading, int(row)) for row in chosen]
        found.append({"name": name, "images": len(rows), "pictures": pictures})
    return found


def _picture(reading: Reading, row: int, said: str = "") -> dict[str, str]:
    picture = marked(reading.images[row], reading.masks[row], reading.instances[row], SIDE)
    return {**_named(reading, row), "src": small(picture, BYTES), "said": said}


def _named(reading: Reading, row: int) -> dict[str, str]:
    its = reading.frame.iloc[row]
    return {"path": its["path"], "label": its["label"], "split": its["split"]}


def _kinds_of_pairs(reading: Reading, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Certain and likely pairs apart, those in two classes or splits first."""
    kinds = {
        "identical": [pair for pair in pairs if pair.identical],
        "stored_again": [pair for pair in pairs if pair.certain and not pair.identical],
        "likely": [pair for pair in pairs if not pair.certain],
    }
    return [
        {"kind": kind, "count": len(found), "pairs": list(_shown(reading, found))}
        for kind, found in kinds.items()
        if found
    ]


def _shown(reading: Reading, pairs: Sequence[Pair]) -> Iterator[dict[str, Any]]:
    labels, splits = reading.frame["label"].tolist(), reading.frame["split"].tolist()

    def across(pair: Pair) -> tuple[bool, bool]:
        return labels[pair.first] != labels[pair.second], splits[pair.first] != splits[pair.second]

    for pair in sorted(pairs, key=lambda pair: not any(across(pair)))[:PAIRS]:
        sides = [
            {**_named(reading, row), "src": small(shrunk(reading.images[row], PAIR_SIDE), PAIR_BYTES)}
            for row in (pair.first, pair.second)
        ]
        two_classes, two_splits = across(pair)
        yield {
            "sides": sides,
            "correlation": pair.correlation,
            "two_classes": two_classes,
            "two_splits": two_splits,
        }


def _extremes(reading: Reading) -> Iterator[dict[str, Any]]:
    """Images at the ends of brightness and size, and those whose grey levels are least like their class's."""
    tiny = thumbnails(reading.images)
    brightness = tiny.mean(axis=(1, 2))
    order = np.argsort(brightness, kind="stable")
    few = min(EXTREMES, len(order) // 2)
    said = [f"mean grey level {value:.0f} of 255" for value in brightness]
    yield {"kind": "darkest", "pictures": _pictures(reading, order[:few], said)}
    yield {"kind": "brightest", "pictures": _pictures(reading, order[::-1][:few], said)}
    width, height = reading.frame["width"].to_numpy(), reading.frame["height"].to_numpy()
    size = width * height
    if size.min() < size.max():
        said = [f"{w} x {h} pixels" for w, h in zip(width, height, strict=True)]
        yield {"kind": "smallest", "pictures": _pictures(reading, np.argsort(size, kind="stable")[:few], said)}
    unlike = _unlikeness(tiny, reading.frame["label"].to_numpy())
    said = [f"{100 * value:.0f} % of its grey levels are others" for value in unlike]
    least = np.argsort(-unlike, kind="stable")[:EXTREMES]
    yield {"kind": "unlike", "pictures": _pictures(reading, least[unlike[least] > 0], said)}


def _pictures(reading: Reading, rows: NDArray[np.int64], said: Sequence[str]) -> list[dict[str, str]]:
    return [_picture(reading, int(row), said[row]) for row in rows]


def _unlikeness(tiny: NDArray[np.float32], labels: NDArray[np.object_]) -> NDArray[np.float64]:
    """Total variation, in [0, 1], between an image's grey levels and its class's mean; 0 in a small class; ``[N]``."""
    steps = (tiny.reshape(len(tiny), -1) * (LEVELS / 256)).astype(np.uint8)
    shares = np.stack([(steps == level).mean(axis=1) for level in range(LEVELS)], axis=1)
    found = np.zeros(len(tiny))
    for name in np.unique(labels):
        rows = np.flatnonzero(labels == name)
        if len(rows) >= ENOUGH:
            found[rows] = np.abs(shares[rows] - shares[rows].mean(axis=0)).sum(axis=1) / 2
    return found
