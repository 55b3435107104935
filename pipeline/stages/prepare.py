"""Read the image folder, group near-duplicates, split, frame, and pack what the networks see into one file."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config import Config
from pipeline.descriptions import check_paths, describe, read_descriptions
from pipeline.reading import (
    Duplicates,
    Reading,
    assign_splits,
    channels_of,
    choose_framing,
    duplicates_of,
    frame_images,
    likely_notes,
    pack,
    pack_masks,
    read_dataset,
    require_clean,
)
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
    )


def near_duplicates(reading: Reading, config: Config) -> Duplicates:
    """Which images show one thing: by the user's word where there is one, else by what they look like as well."""
    return duplicates_of(reading, config.data.near_duplicate_correlation)


def framed(reading: Reading, config: Config) -> tuple[str, list[NDArray[np.uint8]], list[NDArray[np.uint8] | None]]:
    """The framing that applies, and the images and their masks cut by it at native resolution."""
    labels = reading.frame["label"].tolist()
    framing = choose_framing(config.data.framing, labels, reading.masks)

    def cut(pictures: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        sha256s = reading.frame["sha256"].tolist()
        return frame_images(
            pictures, reading.masks, labels, sha256s, framing=framing, image_size=config.data.image_size
        )

    known: list[NDArray[np.uint8] | None] = [None] * len(reading.masks)
    if any(mask is not None for mask in reading.masks):
        blank = (np.zeros(image.shape[:2], np.uint8) for image in reading.images)
        masks = cut([none if mask is None else mask for mask, none in zip(reading.masks, blank, strict=True)])
        known = [None if mask is None else part for mask, part in zip(reading.masks, masks, strict=True)]
    return framing, cut(reading.images), known


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
        splits = _split(reading, config, duplicates.groups)
        framing, cut, masks = framed(reading, config)
        channels = channels_of(cut) if config.data.channels == "auto" else config.data.channels
        used = [i for i, split in enumerate(splits) if split != "unused"]
        labels = np.array([reading.classes.index(label) for label in frame["label"]])
        tensors = {
            "images": pack([cut[i] for i in used], config.data.image_size, channels, config.data.aspect),
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
                *_shape_notes([cut[i] for i in used], config.data.aspect),
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


def _split(reading: Reading, config: Config, groups: NDArray[np.int64]) -> list[str]:
    """With few training images a class there is no validation split: its images stay in train, for k-fold."""
    labels, given = reading.frame["label"].tolist(), reading.frame["split"].tolist()

    def assign(val_fraction: float) -> list[str]:
        return assign_splits(
            labels,
            groups,
            given,
            keys=reading.frame["sha256"].tolist(),
            test_fraction=config.data.test_fraction,
            val_fraction=val_fraction,
            seed=config.seed,
            train_per_class=config.data.train_per_class,
        )

    splits = assign(config.data.val_fraction)
    smallest = min(Counter(label for label, s in zip(labels, splits, strict=True) if s == "train").values())
    if smallest < config.data.min_for_validation and "val" not in given:
        return assign(0.0)
    return splits


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
