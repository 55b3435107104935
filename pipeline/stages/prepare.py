"""Read the image folder, group near-duplicates, split, frame, and pack what the networks see into one file."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config import Config
from pipeline.descriptions import check_paths, describe, read_descriptions
from pipeline.reading import (
    Duplicates,
    Instance,
    Reading,
    channels_of,
    choose_framing,
    cut,
    duplicates_of,
    likely_notes,
    pack,
    pack_masks,
    read_dataset,
    redrawn,
    require_clean,
    windows,
)
from pipeline.reading.framing import Framing
from pipeline.reading.splits import planned_splits
from pipeline.stages.records import SPLIT_CODES, Prepared
from pipeline.stages.seen import identity
from pipeline.store import SPLITS, RunFolder, cached_json, digest, save_tensors

FRAMING_NOTES = {
    "whole": "The whole image is brought to the working size.",
    "mask": "A square around the defect's mask is cut out, of real and test images alike; "
    "the figures hold for such cut-outs, not for whole images.",
}

ASPECT_NOTES = {
    "pad": "Their shorter side was extended by reflection, so that nothing is stretched or lost (data.aspect: pad).",
    "crop": "The ends of their longer side were cut off, so that nothing is stretched (data.aspect: crop).",
}


def read(source: Path, config: Config) -> Reading:
    """The data set under the configuration's limits; raises InputError as `read_dataset`."""
    return read_dataset(
        source,
        max_megapixels=config.data.max_megapixels,
        max_bad_fraction=config.data.max_bad_fraction,
        group_pattern=config.data.group_pattern,
        layout=config.data.layout,
        annotations=config.data.annotations,
    )


def near_duplicates(reading: Reading, config: Config) -> Duplicates:
    """Which images show one thing: by the user's word where there is one, else by what they look like as well."""
    return duplicates_of(reading, config.data.near_duplicate_correlation)


class Framed(NamedTuple):
    """The images of a data set as the networks see them, but for their size: cut at native resolution.

    `images` uint8 [H, W] or [H, W, 3], `masks` uint8 [H, W] or None, and the instances on each.
    """

    framing: Framing
    images: list[NDArray[np.uint8]]
    masks: list[NDArray[np.uint8] | None]
    instances: list[tuple[Instance, ...]]


def framed(reading: Reading, config: Config) -> Framed:
    """The framing that applies, and the images, masks and instances cut by it."""
    labels, sha256s = reading.frame["label"].tolist(), reading.frame["sha256"].tolist()
    framing = choose_framing(config.data.framing, labels, reading.masks)
    shapes = [image.shape[:2] for image in reading.images]
    places = windows(shapes, reading.masks, labels, sha256s, framing=framing, image_size=config.data.image_size)
    if framing == "whole":
        return Framed(framing, reading.images, reading.masks, reading.instances)
    instances = [
        tuple(part for one in marked for part in redrawn(one, shape[0], shape[1], partial(cut, window=window)))
        for marked, shape, window in zip(reading.instances, shapes, places, strict=True)
    ]
    images = [cut(image, window) for image, window in zip(reading.images, places, strict=True)]
    masks = [None if mask is None else cut(mask, window) for mask, window in zip(reading.masks, places, strict=True)]
    return Framed(framing, images, masks, instances)


def prepare(run: RunFolder, config: Config, source: Path) -> Prepared:
    """Make the pack of the data set; see `Prepared`."""
    reading = read(source, config)
    frame = reading.frame
    content = frame[["path", "label", "split", "sha256", "group"]].to_dict("list")
    written = _written(config, reading)
    key = digest(content, reading.masks, written, config.data, config.seed, code=__name__)
    record, file = run.stored("prepared", key, ".json"), run.stored("pack", key)

    def build() -> Prepared:
        duplicates = near_duplicates(reading, config)
        require_clean(frame, duplicates)
        splits = planned_splits(frame, duplicates.groups, config)
        framing, images, masks, _ = framed(reading, config)
        channels = channels_of(images) if config.data.channels == "auto" else config.data.channels
        used = [i for i, split in enumerate(splits) if split != "unused"]
        labels = np.array([reading.classes.index(label) for label in frame["label"]])
        tensors = {
            "images": pack([images[i] for i in used], config.data.image_size, channels, config.data.aspect),
            "labels": torch.from_numpy(labels[used]),
            "groups": torch.from_numpy(duplicates.groups[used]),
            "splits": torch.tensor([SPLIT_CODES[splits[i]] for i in used]),
        }
        if any(mask is not None for mask in masks):
            tensors["masks"] = pack_masks([masks[i] for i in used], config.data.image_size, config.data.aspect)
        sentences = _sentences(tensors, [masks[i] is not None for i in used], frame["label"].iloc[used].tolist())
        rows = [
            {
                "index": i,
                **{column: frame[column].iloc[i] for column in ("path", "label", "sha256")},
                **identity(reading.images[i]),
                "description": written.get(frame["path"].iloc[i], derived),
            }
            for i, derived in zip(used, sentences, strict=True)
        ]
        save_tensors(file, tensors, {"rows": rows})
        counts = {
            split: {name: _count(frame["label"], splits, name, split) for name in reading.classes} for split in SPLITS
        }
        return Prepared(
            digest=key,
            pack=str(file),
            classes=reading.classes,
            image_size=config.data.image_size,
            channels=channels,
            framing=framing,
            counts=counts,
            notes=[
                *_shape_notes([images[i] for i in used], config.data.aspect),
                *_group_notes(reading, duplicates),
                *_missing_descriptions(written, rows),
            ],
            white=reading.white,
            float_range=None if reading.scale.float_range is None else list(reading.scale.float_range),
        )

    # The folder may have been moved since: only names are trusted, never paths.
    prepared = replace(Prepared(**cached_json(record, lambda: asdict(build()))), pack=str(file))
    if not file.exists():
        prepared = build()
    # What was left out changes none of the results, and so no key: it is said anew every time.
    return replace(prepared, notes=[*_notes(reading, prepared.framing, prepared.counts), *prepared.notes])


def _written(config: Config, reading: Reading) -> dict[str, str]:
    """The user's sentences by image path; also those of images that could not be read."""
    if config.data.descriptions is None:
        return {}
    file = Path(config.data.descriptions)
    written = read_descriptions(file)
    check_paths(written, [*reading.frame["path"], *(problem.path for problem in reading.problems)], file)
    return written


def _sentences(tensors: dict[str, Tensor], masked: list[bool], class_names: list[str]) -> list[str]:
    """A derived sentence for each image of the pack; an image without a mask differs from one whose mask is empty."""
    pictures = [image[0] if len(image) == 1 else image.transpose(1, 2, 0) for image in tensors["images"].numpy()]
    masks = tensors["masks"][:, 0].numpy() if "masks" in tensors else [None] * len(pictures)
    known = [mask if has else None for mask, has in zip(masks, masked, strict=True)]
    training = (tensors["splits"] == SPLIT_CODES["train"]).tolist()
    return describe(pictures, known, class_names, training)


def _missing_descriptions(written: dict[str, str], rows: list[dict[str, Any]]) -> list[str]:
    missing = [row["path"] for row in rows if row["path"] not in written]
    if not written or not missing:
        return []
    one = f"{len(missing)} image(s), such as {missing[0]}, have no line in data.descriptions"
    return [f"{one}: their descriptions were derived from what is measured in them."]


def _count(labels: Iterable[str], splits: list[str], name: str, split: str) -> int:
    return sum(label == name and s == split for label, s in zip(labels, splits, strict=True))


def _shape_notes(pictures: list[NDArray[np.uint8]], aspect: str) -> list[str]:
    oblong = sum(picture.shape[0] != picture.shape[1] for picture in pictures)
    if not oblong:
        return []
    return [f"{oblong} of {len(pictures)} images are not square. {ASPECT_NOTES[aspect]}"]


def _group_notes(reading: Reading, duplicates: Duplicates) -> list[str]:
    repeated = len(duplicates.groups) - len(set(duplicates.groups.tolist()))
    certain = sum(pair.certain for pair in duplicates.pairs)
    notes = likely_notes(reading.frame, duplicates)
    if certain:
        notes.insert(0, f"{certain} image(s) are an earlier one again (the same file, pixels, or stored anew).")
    if repeated:
        groups = len(set(duplicates.groups.tolist()))
        notes.append(f"{len(duplicates.groups)} images form {groups} groups; a group stays in one split.")
    return notes


def _notes(reading: Reading, framing: str, counts: dict[str, dict[str, int]]) -> list[str]:
    notes = [*reading.notes, FRAMING_NOTES[framing]]
    notes += [f"Left out: {problem.path} ({problem.detail})." for problem in reading.problems]
    notes += [
        f"Class {name} has no test image, so nothing is known about it." for name, n in counts["test"].items() if not n
    ]
    return notes
