"""External candidates: read and framed as the real images, refused where they are copies of test images."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.log import RunLog
from pipeline.masking import mask_secrets
from pipeline.reading import Reading, channels_of, find_duplicates, frame_images, load, pack, pack_masks
from pipeline.reading.faults import too_many_bad
from pipeline.reading.framing import Aspect, Framing, has_defect
from pipeline.reading.labels_csv import read_rows
from pipeline.stages.generate import MOST
from pipeline.stages.records import SPLIT_CODES, Candidates, Pack, Prepared, Supply, as_pixels, load_pack
from pipeline.stages.seen import require_unseen
from pipeline.store import RunFolder, cached_tensors, digest, load_tensors, read_json

Image = NDArray[np.uint8]
NAMED = 3  # copies of test images that the error names
UNKNOWN = (
    "The synthetic images were given. None is a copy of a test image; whether their generator was trained on test "
    "images is not known."
)
ONE_SET = (  # where gan.repeats asks for more
    "gan.repeats is left out: the synthetic images were given, as one set, and no generator is trained that could be "
    "trained again."
)
BLOCK = 256  # synthetic images that are compared with the held-out ones at a time


def read_foreign(run: RunFolder, config: Config, prepared: Prepared, path: Path) -> Supply:
    """The synthetic images at `path` as candidates, one `Candidates` for each class that has some.

    `path` holds class folders or is a CSV file `path,label[,mask][,generator]`; of a run's folder, its data set or its
    manifest the synthetic images are taken. Each image is brought to the size and the channels of the run. Under
    the framing `mask` one that has a mask is cut out around it, and one that has none is taken for such a cut-out.

    Raises:
        InputError: there is nothing to read, too many files are bad, a class is none of the real images', an image is a
            copy of a test or validation image, or the run that made the images has learned from test images.
    """
    maker = _run_of(path)
    place = maker.manifest if maker else path
    reading = load(place, max_megapixels=config.data.max_megapixels, source="synthetic")
    if fault := too_many_bad(reading, config.data.max_bad_fraction):
        raise InputError(fault)
    _require_known_classes(reading, prepared.classes, path)
    images, masks = _packed(reading, prepared, config.data.aspect)
    _require_no_copies(reading, images, load_pack(prepared.pack), path)
    if maker:
        _require_unseen(run, prepared, maker)
    origins = _origins(reading, place)
    candidates, remarks = [], [UNKNOWN, *_remarks(reading, prepared)]
    if config.gan.repeats > 1:
        remarks.append(ONE_SET)
    for label, name in enumerate(prepared.classes):
        mine = np.flatnonzero((reading.frame["label"] == name).to_numpy())
        if not len(mine):
            remarks.append(f"Class {name} has no synthetic image: classical augmentation only.")
            continue
        chosen = _at_most(mine, config.generate.per_class or MOST, config.seed)
        if len(chosen) < len(mine):
            remarks.append(
                f"Class {name}: {len(chosen)} of {len(mine)} synthetic images were drawn at random and used; "
                "generate.per_class sets how many."
            )
        candidates.append(_stored(run, prepared, label, reading, chosen, images, masks, origins))
    return Supply([candidates], remarks=remarks)


def merged_bytes(prepared: Prepared, candidates: Sequence[Candidates]) -> int:
    """Disk that the merged set of these candidates takes at most, roughly."""
    images = sum(one.count for one in candidates) + sum(sum(of.values()) for of in prepared.counts.values())
    return images * prepared.channels * prepared.image_size**2


def _require_known_classes(reading: Reading, classes: Sequence[str], path: Path) -> None:
    unknown = sorted(set(reading.frame["label"]) - set(classes))
    if not unknown:
        return
    near = difflib.get_close_matches(unknown[0], classes, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else "."
    raise InputError(
        f"{path}: {', '.join(map(repr, unknown))} is no class of the real images ({', '.join(classes)}); rename or "
        f"remove it{meant}"
    )


def _packed(reading: Reading, prepared: Prepared, aspect: Aspect) -> tuple[Tensor, Tensor | None]:
    """Images `uint8 [M, C, S, S]`, and their masks `uint8 [M, 1, S, S]` where some image has one."""
    labels, sha256s = reading.frame["label"].tolist(), reading.frame["sha256"].tolist()

    def cut(picture: Image, i: int) -> Image:
        """By its own mask alone, so that no image depends on what else was given."""
        framing: Framing = "mask" if prepared.framing == "mask" and has_defect(reading.masks[i]) else "whole"
        size = prepared.image_size
        return frame_images([picture], [reading.masks[i]], [labels[i]], [sha256s[i]], framing=framing, image_size=size)[
            0
        ]

    pictures = [cut(image, i) for i, image in enumerate(reading.images)]
    images = pack(pictures, prepared.image_size, prepared.channels, aspect)
    if not any(has_defect(mask) for mask in reading.masks):
        return images, None
    masks = [None if mask is None else cut(mask, i) for i, mask in enumerate(reading.masks)]
    return images, pack_masks(masks, prepared.image_size, aspect)


def _require_no_copies(reading: Reading, images: Tensor, pack: Pack, path: Path) -> None:
    """Raise InputError, naming the first, where images show what the comparison will be made on."""
    held_out = torch.cat([pack.of("test"), pack.of("val")]).tolist()
    split_of = {code: split for split, code in SPLIT_CODES.items()}
    known = [as_pixels(pack.images[i]) for i in held_out]
    sha256s, given = [pack.rows[i]["sha256"] for i in held_out], reading.frame["sha256"].tolist()
    found: dict[int, int] = {}
    for start in range(0, len(images), BLOCK):
        block = [as_pixels(image) for image in images[start : start + BLOCK]]
        pairs = find_duplicates(known + block, sha256s + given[start : start + BLOCK]).pairs
        for pair in pairs:
            if pair.first < len(known) <= pair.second and pair.certain:
                found.setdefault(start + pair.second - len(known), held_out[pair.first])
    if not found:
        return
    paths = reading.frame["path"].tolist()
    said = [
        f"{paths[i]!r} (of {pack.rows[of]['path']!r}, {split_of[int(pack.splits[of])]})"
        for i, of in sorted(found.items())[:NAMED]
    ]
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    raise InputError(
        f"{path}: {len(found)} image(s) are copies of real images that the comparison is made on and would flatter it: "
        f"{', '.join(said)}{more}. Take them out; give the real images folders train/ and test/ of their own, and make "
        "synthetic ones from train/ alone."
    )


def _run_of(path: Path) -> RunFolder | None:
    """The run that made the images: `path` is its folder, its data set or its manifest."""
    for folder in (path, path.parent, path.parent.parent):
        run = RunFolder(folder)
        if run.manifest.is_file() and path in (run.out, run.dataset, run.manifest):
            return run
    return None


def _require_unseen(run: RunFolder, prepared: Prepared, maker: RunFolder) -> None:
    """Raise InputError where the generators of a run have learned from what are test images here."""
    keys = {read_json(card)["generator"] for card in maker.out.glob("generators/*/card.json")}
    for model in sorted(maker.stored("generator", key) for key in keys):
        if model.exists():  # the store may be deleted between runs
            record = load_tensors(model)[1]
            require_unseen(
                record,
                prepared,
                RunLog(run.log),
                generator=f"The generator {record['name']!r} of {maker.out}",
                mend="judge its images by the split that it was trained on, with the same data set, seed and data.* "
                "settings",
            )


def _origins(reading: Reading, path: Path) -> list[str]:
    """Where each image came from: the column `generator` of a CSV file, else the folder's name and the image's path."""
    stated: dict[str, str] = {}
    if reading.layout == "csv":
        table = path if path.is_file() else path / "manifest.csv"
        stated = {str(PurePosixPath(row["path"])): row.get("generator", "").strip() for _, row in read_rows(table)}
    return [mask_secrets(stated.get(name) or f"{reading.root.name}/{name}") for name in reading.frame["path"]]


def _at_most(index: NDArray[np.int64], most: int, seed: int) -> list[int]:
    """All of them, or `most` of them drawn at random, in order."""
    if len(index) > most:
        index = np.sort(np.random.default_rng(seed).choice(index, most, replace=False))
    return [int(i) for i in index]


def _stored(
    run: RunFolder,
    prepared: Prepared,
    label: int,
    reading: Reading,
    chosen: list[int],
    images: Tensor,
    masks: Tensor | None,
    origins: Sequence[str],
) -> Candidates:
    tensors = {"images": images[chosen]}
    if masks is not None:
        tensors["masks"] = masks[chosen]
    facts: dict[str, Any] = {
        "class": prepared.classes[label],
        "conditioning_input": "none",
        "origins": [origins[i] for i in chosen],
        "names": [PurePosixPath(reading.frame["path"].iloc[i]).stem for i in chosen],
    }
    # Named by its content alone: the filter's results depend on nothing else of it.
    file = run.stored("candidates", digest(tensors, facts, code="pipeline.stages.foreign"))
    cached_tensors(file, lambda: (tensors, facts))
    return Candidates(label, prepared.classes[label], str(file), "", len(chosen))


def _remarks(reading: Reading, prepared: Prepared) -> list[str]:
    remarks = [f"Synthetic image left out: {problem.path} ({problem.detail})." for problem in reading.problems]
    remarks += [f"Synthetic images: {note}" for note in reading.notes]
    bare = sum(not has_defect(mask) for mask in reading.masks)
    if prepared.framing == "mask" and bare:
        remarks.append(
            f"{bare} synthetic image(s) have no mask and were taken for cut-outs around a defect, as the real images "
            "are framed; give masks, or data.framing=whole, if they show whole parts."
        )
    colours = [channels_of([image]) for image in reading.images]
    if other := sum(channels != prepared.channels for channels in colours):
        now = "grey" if prepared.channels == 1 else "colour"
        remarks.append(f"{other} of {len(colours)} synthetic image(s) were turned into {now}, as the real images are.")
    return remarks + _small(reading.images, prepared.image_size)


def _small(images: Iterable[Image], size: int) -> list[str]:
    enlarged = sum(max(image.shape[:2]) < size for image in images)
    return [f"{enlarged} synthetic image(s) are smaller than {size} pixels and were enlarged."] if enlarged else []
