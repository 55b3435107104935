"""Reading the real data sets: what is known about them is found, and they are fit for a run."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.reading import (
    Reading,
    assign_splits,
    choose_framing,
    find_duplicates,
    frame_images,
    inspect,
    pack,
    read_dataset,
    render,
    require_clean,
)

DATASETS = Path(__file__).resolve().parents[2].parent / "shared" / "datasets"

pytestmark = pytest.mark.skipif(not DATASETS.is_dir(), reason="the real data sets are not here")


@pytest.fixture(scope="module")
def steel() -> Reading:
    return read_dataset(DATASETS / "neu-steel")


@pytest.fixture(scope="module")
def tiles() -> Reading:
    return read_dataset(DATASETS / "magnetic-tile")


def test_steel_is_grey_whole_and_nearly_free_of_repeats(steel: Reading) -> None:
    record = inspect(steel)
    assert record["errors"] == []
    assert (record["images"], record["channels"], record["framing"]) == (1200, 1, "whole")
    assert {name: row["images"] for name, row in record["classes"].items()} == dict.fromkeys(steel.classes, 200)
    (identical,) = record["exact_duplicates"]
    assert identical["paths"] == ["patches/patches_101.jpg", "patches/patches_105.jpg"]
    assert record["largest_group"] == 2
    assert "rolled-in_scale" in render(record)


def test_tiles_are_the_same_few_parts_seen_again_and_again(tiles: Reading) -> None:
    record = inspect(tiles)
    assert record["errors"] == []
    assert (record["images"], record["channels"], record["framing"]) == (466, 1, "mask")
    assert record["classes"]["free"]["with_mask"] == 0
    assert record["classes"]["crack"] == {"images": 15, "groups": 1, "with_mask": 15}
    assert 150 < record["groups"] < 200 and record["largest_group"] == 15  # no group swallows more than crack's tile
    assert {tuple(sorted(pair["labels"])) for pair in record["in_two_classes"]} == {("blowhole", "free")}


def test_tiles_are_split_by_part_and_cropped_to_the_defect(tiles: Reading) -> None:
    labels, digests = tiles.frame["label"].tolist(), tiles.frame["sha256"].tolist()
    found = find_duplicates(tiles.images, digests)
    require_clean(tiles.frame, found)
    splits = assign_splits(
        labels, found.groups, [""] * len(labels), keys=digests, test_fraction=0.3, val_fraction=0.1, seed=0
    )
    for group in set(found.groups.tolist()):
        assert len({splits[i] for i in np.flatnonzero(found.groups == group)}) == 1
    tested = Counter(label for label, split in zip(labels, splits, strict=True) if split == "test")
    for name in ("blowhole", "break", "free", "uneven", "fray"):
        assert 0.1 < tested[name] / labels.count(name) <= 0.31
    framing = choose_framing("auto", labels, tiles.masks)
    crops = frame_images(tiles.images, tiles.masks, labels, digests, framing=framing, image_size=64)
    assert tuple(pack(crops, 64).shape) == (466, 1, 64, 64)
    masks = [
        mask if mask is not None else np.zeros_like(image)
        for mask, image in zip(tiles.masks, tiles.images, strict=True)
    ]
    shown = frame_images(masks, tiles.masks, labels, digests, framing=framing, image_size=64)
    small = [i for i, name in enumerate(labels) if name in ("blowhole", "crack", "break")]
    share = [np.mean(shown[i] > 0) for i in small]
    whole = [np.mean(masks[i] > 0) for i in small]
    assert min(share) > 0 and np.median(share) > 5 * np.median(whole)
