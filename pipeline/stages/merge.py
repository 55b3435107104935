"""Write the augmented data set: an image folder and its manifest, with lineage for every synthetic image."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from ganaug.symmetries import SYMMETRIES
from pipeline.config import Config
from pipeline.errors import JobError
from pipeline.log import progress
from pipeline.manifest import COLUMNS, write_manifest
from pipeline.reading import Instance, pack_masks, redrawn
from pipeline.reading.coco_file import NAME, write_instances
from pipeline.reading.framing import Aspect
from pipeline.reading.instances import parts_of_mask
from pipeline.stages.arms import synthetic_parts
from pipeline.stages.conditioning_inputs import marked
from pipeline.stages.prepare import framed, read
from pipeline.stages.records import SPLIT_CODES, Choices, Pack, Prepared, Selected, as_pixels, load_images, load_pack
from pipeline.store import RunFolder, load_tensors, replace_folder

SPLIT_OF = {code: split for split, code in SPLIT_CODES.items()}
Row = dict[str, Any]
Instances = dict[str, tuple[Instance, ...]]  # by the image's path in the merged set


def merge(
    run: RunFolder,
    config: Config,
    source: Path,
    prepared: Prepared,
    selected: Sequence[Selected],
    choices: Choices,
) -> int:
    """Write `dataset/` whole beside the old one, then exchange the two; returns the number of synthetic images.

    Real images are written losslessly: with `merge.size` generator as the networks saw them, in the size and the
    channels of the synthetic ones, with native as the run framed them. The source is only read.
    """
    pack = load_pack(prepared.pack)
    fresh = run.store / "merging"
    shutil.rmtree(fresh, ignore_errors=True)  # left by a run that was killed
    taken: set[str] = set()
    with progress("merge", len(pack.rows)) as bar:
        real, instances = _write_real(fresh, config, source, pack, taken, bar.advance)
    synthetic, of_synthetic = _write_synthetic(fresh, selected, choices.ratio, pack, real, taken)
    instances |= of_synthetic
    write_manifest(pd.DataFrame([*real, *synthetic], columns=COLUMNS), fresh / "manifest.csv")
    images = [(row["path"], row["width"], row["height"], instances[row["path"]]) for row in [*real, *synthetic]]
    known = [image for image, row in zip(images, [*real, *synthetic], strict=True) if row["mask"] or image[3]]
    if known:
        write_instances(fresh / NAME, known)
    replace_folder(fresh, run.dataset)
    return len(synthetic)


def _write_real(
    folder: Path, config: Config, source: Path, pack: Pack, taken: set[str], advance: Any
) -> tuple[list[Row], Instances]:
    reading = read(source, config)
    _, cut, masks, marked = framed(reading, config)
    native = config.merge.size == "native"
    rows: list[Row] = []
    instances: Instances = {}
    for i, row in enumerate(pack.rows):
        split = SPLIT_OF[int(pack.splits[i])]
        if reading.frame["sha256"].iloc[row["index"] : row["index"] + 1].tolist() != [row["sha256"]]:
            raise JobError(
                f"{source / row['path']} is not what it was when this run began; run again, on what is there."
            )
        name = _free_name(f"{split}/{row['label']}", PurePosixPath(row["path"]).stem, taken)
        image, mask, instances[name] = (of[row["index"]] for of in (cut, masks, marked))
        if not native:
            height, width = image.shape[:2]
            view = partial(_shrunk, size=config.data.image_size, aspect=config.data.aspect)
            instances[name] = tuple(part for one in instances[name] for part in redrawn(one, height, width, view))
            image = as_pixels(pack.images[i])
            mask = None if mask is None or pack.masks is None else pack.masks[i, 0].numpy()
        sha256 = _write_png(folder / name, image)
        if mask is not None:
            _write_png(folder / "masks" / name, mask)
        height, width = image.shape[:2]
        rows.append(
            dict.fromkeys(COLUMNS, None)
            | {
                "path": name,
                "label": row["label"],
                "split": split,
                "source": "real",
                "sha256": sha256,
                "group": int(pack.groups[i]),
                "width": width,
                "height": height,
                "mask": "" if mask is None else f"masks/{name}",
                "decision": "kept",
            }
        )
        advance()
    return rows, instances


def _shrunk(mask: NDArray[np.uint8], *, size: int, aspect: Aspect) -> NDArray[np.uint8]:
    """A mask as the networks see it, [S, S]."""
    shrunk: NDArray[np.uint8] = pack_masks([mask], size, aspect)[0, 0].numpy()
    return shrunk


def _write_synthetic(
    folder: Path, selected: Sequence[Selected], ratio: int, pack: Pack, real: Sequence[Row], taken: set[str]
) -> tuple[list[Row], Instances]:
    by_file = {one.candidates: one for one in selected}
    rows: list[Row] = []
    instances: Instances = {}
    group = int(pack.groups.max()) + 1
    for part in synthetic_parts(selected, ratio):
        one = by_file[part.file]
        scores, _ = load_tensors(Path(one.file))
        made = _Made.load(Path(part.file), one.generator, pack)
        images = load_images(part.file)
        for i in part.indices:
            image = as_pixels(images[i])
            name = _free_name(f"train/{one.class_name}", f"synthetic-{made.names[i]}", taken)
            instances[name] = parts_of_mask(one.class_name, made.masks[i]) if i in made.masks else ()
            if i in made.masks:
                _write_png(folder / "masks" / name, made.masks[i])
            rows.append(
                {
                    "path": name,
                    "label": one.class_name,
                    "split": "train",
                    "source": "synthetic",
                    "sha256": _write_png(folder / name, image),
                    "group": group + len(rows),
                    "width": image.shape[1],
                    "height": image.shape[0],
                    "mask": f"masks/{name}" if i in made.masks else "",
                    "generator": made.origins[i],
                    "seed": made.seeds[i],
                    "confidence": float(scores["confidence"][i]),
                    "realism": float(scores["realism"][i]),
                    "nearest_real": real[int(scores["nearest_real"][i])]["path"],
                    "nearest_real_distance": float(scores["distance"][i]),
                    "decision": "accepted",
                }
            )
    return rows, instances


class _Made(NamedTuple):
    """Of each candidate in a file: what its name is made of, where it came from, its seed and its mask, if any."""

    names: list[str]
    origins: list[str]
    seeds: list[int | None]
    masks: dict[int, NDArray[np.uint8]]

    @classmethod
    def load(cls, file: Path, generator: str, pack: Pack) -> Self:
        tensors, facts = load_tensors(file)
        if not generator:  # somebody else made them
            known = {i: mask[0].numpy() for i, mask in enumerate(tensors.get("masks", ())) if mask.any()}
            return cls(facts["names"], facts["origins"], [None] * len(facts["names"]), known)
        seeds = tensors["seeds"].tolist()
        names = [f"{generator[:8]}-{seed:08d}" for seed in seeds]
        masks = masks_of(tensors, pack) if facts["conditioning_input"] == "mask" else {}
        return cls(names, [generator] * len(seeds), seeds, masks)


def masks_of(candidates: Mapping[str, Tensor], pack: Pack) -> dict[int, NDArray[np.uint8]]:
    """Candidate -> the mask that it was made from, `uint8 [S, S]`; without those that edges stood in for."""
    rows, turns = candidates["conditioning_rows"].tolist(), candidates["conditioning_symmetries"].tolist()
    known = marked(pack).tolist()
    return {
        i: SYMMETRIES[turn](pack.masks[row, 0]).numpy()
        for i, (row, turn) in enumerate(zip(rows, turns, strict=True))
        if pack.masks is not None and known[row]
    }


def _free_name(folder: str, stem: str, taken: set[str]) -> str:
    """`folder/stem.png`, numbered where two source files share a stem; compared without case, as some disks do."""
    name, n = f"{folder}/{stem}.png", 1
    while name.casefold() in taken:
        n += 1
        name = f"{folder}/{stem}-{n}.png"
    taken.add(name.casefold())
    return name


def _write_png(path: Path, image: NDArray[np.uint8]) -> str:
    """Write grey or RGB pixels; returns the file's SHA-256."""
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".png", pixels)[1].tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)  # the folder is exchanged as a whole
    return hashlib.sha256(data).hexdigest()
