"""External candidates: read and framed as the real images, refused where they are copies of test images."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.masking import mask_secrets
from pipeline.reading import Reading, channels_of, frame_images, load, pack, pack_masks
from pipeline.reading.faults import too_many_bad
from pipeline.reading.framing import Aspect, Framing, has_defect
from pipeline.reading.labels_csv import read_rows
from pipeline.stages.foreign_checks import known_of_maker, require_no_copies, run_of
from pipeline.stages.generate import MOST
from pipeline.stages.prepare import read
from pipeline.stages.records import Candidates, Prepared, Supply, load_pack
from pipeline.store import RunFolder, cached_tensors, digest

Image = NDArray[np.uint8]
ONE_SET = (  # where gan.repeats asks for more
    "gan.repeats is left out: the synthetic images were given, as one set, and no generator is trained that could be "
    "trained again."
)


def read_foreign(run: RunFolder, config: Config, source: Path, prepared: Prepared, path: Path) -> Supply:
    """The synthetic images at `path` as candidates, one `Candidates` for each class that has some.

    `source` are the real images that `prepared` was made from. `path` holds class folders or is a CSV file
    `path,label[,mask][,generator]`; of a run's folder, its data set or its manifest the synthetic images are taken.
    Each image is brought to the size and the channels of the run. Under the framing `mask` one that has a mask is cut
    out around it, and one that has none is taken for such a cut-out.

    Raises:
        InputError: there is nothing to read, too many files are bad, a class is none of the real images', an image is a
            copy of a test or validation image, or the run that made the images has learned from test images.
    """
    maker = run_of(path.resolve())
    place = maker.manifest if maker else path
    reading = load(place, max_megapixels=config.data.max_megapixels, source="synthetic")
    if fault := too_many_bad(reading, config.data.max_bad_fraction):
        raise InputError(fault)
    _require_known_classes(reading, prepared.classes, path)
    images, masks = _packed(reading, prepared, config.data.aspect)
    real = read(source, config) if prepared.framing == "whole" else None
    likely = require_no_copies(
        reading, images, load_pack(prepared.pack), real, path, config.data.near_duplicate_correlation
    )
    origins = _origins(reading, place)
    candidates, remarks = [], [known_of_maker(run, prepared, maker), *likely, *_remarks(reading, prepared)]
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


def _origins(reading: Reading, path: Path) -> list[str]:
    """Where each image came from: the column `generator` of a CSV file, else the folder's name and the image's path."""
    stated: dict[str, str] = {}
    if reading.layout == "csv":
        table = path if path.is_file() else path / "manifest.csv"
        stated = {str(PurePosixPath(row["path"])): row.get("generator", "").strip() for _, row in read_rows(table)[0]}
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
