"""External candidates and the test images: copies of them, and generators that were trained on them."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import InputError
from pipeline.log import RunLog
from pipeline.reading import Reading, View, find_copies
from pipeline.stages.records import SPLIT_CODES, Pack, Prepared, as_pixels
from pipeline.stages.seen import identity, require_unseen
from pipeline.store import RunFolder, StoreError, load_tensors, read_json

Image = NDArray[np.uint8]
NAMED = 3  # test images that the error or a remark names
GIVEN = "The synthetic images were given. None is a copy of a test image"


def require_no_copies(
    reading: Reading, images: Tensor, pack: Pack, real: Reading | None, path: Path, threshold: float
) -> list[str]:
    """Raise InputError, naming the first, where images are copies of what the comparison will be made on.

    `real` are the real images at their own size, None where the networks see cut-outs. Returns the remark on images
    that look like held-out ones and may be others.
    """
    held_out = torch.cat([pack.of("test"), pack.of("val")]).tolist()
    split_of = {code: split for split, code in SPLIT_CODES.items()}
    found, alike = _copies(reading, images, pack, held_out, real, threshold)
    paths = reading.frame["path"].tolist()

    def named(pairs: dict[int, int]) -> str:
        said = [
            f"{paths[i]!r} (of {pack.rows[of]['path']!r}, {split_of[int(pack.splits[of])]})"
            for i, of in sorted(pairs.items())[:NAMED]
        ]
        return ", ".join(said) + (f" and {len(pairs) - NAMED} more" if len(pairs) > NAMED else "")

    if found:
        raise InputError(
            f"{path}: {len(found)} image(s) are copies of real images that the comparison is made on and would flatter "
            f"it: {named(found)}. Take them out; give the real images folders train/ and test/ of their own, and make "
            "synthetic ones from train/ alone."
        )
    if not alike:
        return []
    remark = (
        f"{len(alike)} synthetic image(s) look like real images that the comparison is made on, such as "
        f"{named(alike)}: look at them; if they were made from those, the figures are too good."
    )
    return [remark]


def _copies(
    reading: Reading, images: Tensor, pack: Pack, held_out: list[int], real: Reading | None, threshold: float
) -> tuple[dict[int, int], dict[int, int]]:
    """Index of a synthetic image -> pack index of the held-out one that it is a copy of, and of the one it looks like.

    Equal files and equal pixels are known by their digests, other copies by `find_copies`.
    """
    places = {pack.rows[i][key]: i for i in reversed(held_out) for key in ("sha256", "pixels")}
    own_size = {} if real is None else dict(zip(real.frame["sha256"], real.images, strict=True))
    whole = [None if real is None else image for image in reading.images]
    given = [View(as_pixels(one), its) for one, its in zip(images, whole, strict=True)]
    known = [
        View(as_pixels(image), own_size.get(row["sha256"])) for image, row in zip(pack.images, pack.rows, strict=True)
    ]
    found, alike = dict[int, int](), dict[int, int]()
    for copy in find_copies(given, known, pack.groups.tolist(), among=held_out, threshold=threshold):
        (found if copy.certain else alike)[copy.given] = copy.known
    for i, (sha256, image) in enumerate(zip(reading.frame["sha256"], reading.images, strict=True)):
        place = places.get(sha256, places.get(identity(image)["pixels"]))
        if place is not None:
            found[i] = place
            alike.pop(i, None)
    return found, alike


def run_of(path: Path) -> RunFolder | None:
    """The run that made the images: `path`, absolute, is its folder, its data set or its manifest."""
    for folder in (path, path.parent, path.parent.parent):
        run = RunFolder(folder)
        if run.manifest.is_file() and path in (run.out, run.dataset, run.manifest):
            return run
    return None


def known_of_maker(run: RunFolder, prepared: Prepared, maker: RunFolder | None) -> str:
    """What is known of the generators that made the images, as a sentence.

    Raises:
        InputError: the generators, or the super-resolver, of a run have learned from what are test images here.
    """
    unknown = f"{GIVEN}; whether their generator was trained on test images is not known."
    cards = [] if maker is None else [read_json(card) for card in sorted(maker.out.glob("generators/*/card.json"))]
    if maker is None or not cards:
        return unknown
    models = [one["generator"] for card in cards for one in (card, card["super_resolver"]) if one]
    unchecked = []
    for key in dict.fromkeys(models):
        model = maker.stored("generator", key)
        try:
            record = load_tensors(model)[1]
        except (OSError, StoreError):  # the store may be deleted between runs
            unchecked.append(model.name)
            continue
        checked = require_unseen(
            record,
            prepared,
            RunLog(run.log),
            generator=f"The generator {record['name']!r} of {maker.out}",
            mend="judge its images by the split that it was trained on, with the same data set, seed and data.* "
            "settings",
        )
        if not checked:
            unchecked.append(model.name)
    if unchecked:
        return (
            f"{GIVEN}. {len(unchecked)} generator(s) of {maker.out} could not be checked ({unchecked[0]} is gone, or "
            "does not say what it has learned from): whether they were trained on test images is not known."
        )
    return f"{GIVEN}, and no generator of {maker.out}, which made them, was trained on one."
