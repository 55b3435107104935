"""Classify new images with a classifier that a run kept."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.errors import InputError
from pipeline.kept_classifier import KeptClassifier
from pipeline.reading.candidate import decode_entry, open_entry
from pipeline.reading.decode import BACKGROUND
from pipeline.reading.file_listing import list_files, printable
from pipeline.reading.header import own_pixel_cap
from pipeline.reading.layouts import Entry, Tree, flat
from pipeline.reading.problems import BadFile, ForeignFormat, Problem
from pipeline.reading.reader import THREADS
from pipeline.stages.keep import probability_columns
from pipeline.store import write_csv

CHUNK = 256  # images that are read before they are classified together
MASK = "taken for the mask of the image beside it; move it elsewhere to have it classified"


class NewImage(NamedTuple):
    """An image to classify: its path as the user would write it, and `name` in the resolved folder `root`."""

    path: str
    root: Path
    name: str


@dataclass(frozen=True)
class Found:
    """Images to classify, files that are left out for a reason, and how many others there were: hidden ones, pipes."""

    images: list[NewImage]
    problems: list[Problem]
    ignored: int


class Answer(NamedTuple):
    """What the classifier says: float32 `[K]` probabilities, and the class that they come to by its decision rule."""

    probabilities: Tensor
    label: int


@dataclass(frozen=True)
class Prediction:
    """What is said of one image, and what is wrong with it; without an answer that is why it could not be read."""

    path: str
    answer: Answer | None = None
    problem: str = ""


def find_images(places: Sequence[Path]) -> Found:
    """The images among files and in folders with all their sub-folders; files in the order in which they are named.

    In folders hidden files are ignored; masks beside their images and links that lead out are left out, as in reading.

    Raises:
        InputError: a place does not exist, or a folder may not be read.
    """
    images: list[NewImage] = []
    problems: list[Problem] = []
    ignored = 0
    for place in places:
        if not place.exists():
            raise InputError(f"{place} does not exist; give image files, or folders of them.")
        if place.is_file():
            file = place.resolve()
            images.append(NewImage(printable(str(place)), file.parent, file.name))
            continue
        listing = list_files(place.resolve())
        entries = flat(Tree(place, listing.paths, listing.folders)).entries
        images += (NewImage(str(place / entry.path), place.resolve(), entry.path) for entry in entries)
        masks = sorted(set(listing.paths) - {entry.path for entry in entries})
        left_out = (*listing.problems, *(Problem(path, "mask", MASK) for path in masks))
        problems += (replace(one, path=str(place / one.path)) for one in left_out)
        ignored += listing.ignored
    return Found(images, problems, ignored)


def classify(classifier: KeptClassifier, images: Sequence[NewImage]) -> Iterator[Prediction | None]:
    """What the classifier says of each image, in order; None of files of other formats, which are no images here.

    At most `CHUNK` images are in memory, each at the size that the classifier sees, and `THREADS` at their own.
    """
    read, rule = partial(_read, classifier), classifier.rule
    with own_pixel_cap(), ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(images), CHUNK):
            outcomes = list(pool.map(read, images[start : start + CHUNK]))
            pictures = [outcome[0] for outcome in outcomes if outcome is not None and outcome[0] is not None]
            said = (
                classifier.probabilities(torch.stack(pictures)) if pictures else torch.empty(0, len(classifier.classes))
            )
            answers = map(Answer, said, rule.answers(said).tolist())
            for image, outcome in zip(images[start : start + CHUNK], outcomes, strict=True):
                if outcome is None:
                    yield None
                else:
                    picture, problem = outcome
                    yield Prediction(image.path, None if picture is None else next(answers), problem)


def _read(classifier: KeptClassifier, image: NewImage) -> tuple[Tensor | None, str] | None:
    """The image as the classifier sees it, if it can be read, and what is wrong with it; None: of another format."""
    try:
        item = open_entry(image.root, Entry(image.name, ""), int(classifier.preprocessing["max_megapixels"] * 1e6))
        picture = decode_entry(image.root, item, BACKGROUND).picture
        return classifier.prepared(picture), classifier.beyond(picture)
    except ForeignFormat:
        return None
    except BadFile as bad:
        return None, str(bad)


def write_predictions(path: Path, classes: list[str], predictions: Iterable[Prediction]) -> None:
    """Write `path,predicted,p_CLASS...,problem`, one row an image; what could not be read has a problem alone."""

    def row(one: Prediction) -> dict[str, str]:
        said = {} if one.answer is None else probability_columns(classes, *one.answer)
        return {"path": one.path, "problem": one.problem, **said}

    columns = ("path", "predicted", *(f"p_{name}" for name in classes), "problem")
    write_csv(path, columns, map(row, predictions))
