"""Add images to a class of a workspace, take a class out, and say what there is."""

import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.reading import Problem, Reading, check_class_name, check_class_names, find_duplicates, load
from pipeline.reading.faults import too_many_bad
from pipeline.reading.file_listing import check_file
from pipeline.reading.layouts.masks import MASK_SUFFIX, ORPHAN
from pipeline.reading.problems import BadFile
from pipeline.reading.splits import ranks
from pipeline.store import SPLITS, file_digest, write_atomically
from pipeline.workspace.archive import copying, unpack
from pipeline.workspace.folder import Row, Workspace

INCOMING = ".incoming-"


class DamagedError(InputError):
    """Images of the workspace were altered or lost; nothing can be added until they are mended."""


@dataclass(frozen=True)
class Added:
    """Result of adding files: new images by split, known images, unreadable files, other formats."""

    counts: dict[str, int]
    known: int
    problems: list[Problem]
    ignored: int


def add_images(workspace: Workspace, name: str, sources: Sequence[Path], config: Config) -> Added:
    """Check the images of a folder, a ZIP archive or single files and record them as class `name`.

    Every image is copied and gets its split once and for all. One that belongs to an image that is there, by
    `data.group_pattern` or its looks, joins its split; of the others, `data.test_fraction` of the class are kept for
    the final comparison. An image that is there already gets its file back if that is damaged, and a mask if it had
    none. Either all of it is recorded or, on an error, nothing; files that came back stay.

    Raises:
        InputError: an unusable name or source, more bad files than `data.max_bad_fraction`, no readable image, a mask
            without its image, or an image that is in another class already.
        DamagedError: a damaged image that has not come again.
    """
    check_class_name(name, "class add")
    with workspace.lock():
        for left_behind in workspace.root.glob(f"{INCOMING}*"):
            shutil.rmtree(left_behind)
        rows = workspace.rows()
        check_class_names({name, *(row.label for row in rows)}, str(workspace.root))
        with tempfile.TemporaryDirectory(prefix=INCOMING, dir=workspace.root) as staging:
            folder = _gathered(sources, Path(staging))
            try:
                reading = _read(folder, config)
            except InputError as error:
                raise InputError(str(error).replace(str(folder.resolve()), str(sources[0]))) from None
            known = _known(rows, name, reading)
            _mend(workspace, rows, reading, known)
            fresh = _compared(workspace, rows, name, reading, known, config)
            kept = [_with_mask(workspace, row, reading, known.get(row.sha256)) for row in rows]
            made = [_copied(workspace, name, reading, i, place) for i, place in fresh.items()]
        workspace.write([*kept, *made])
    return Added(
        dict(Counter(row.split for row in made)), len(reading.frame) - len(made), reading.problems, reading.ignored
    )


def remove_class(workspace: Workspace, name: str) -> Path:
    """Take a class out of the registry; its images go to a folder that is returned, none is deleted.

    Killed between any two of its steps and called again, it takes those that are left.
    """
    check_class_name(name, "class remove")
    workspace.require()
    with workspace.lock():
        rows = workspace.rows()
        classes = sorted({row.label for row in rows})
        left_behind = {path.name for path in workspace.images.iterdir() if path.is_dir()}
        if name not in {*classes, *left_behind}:
            raise InputError(
                f"{workspace.root} has no class {name!r}; it has {', '.join(classes) or 'none'}. If it was taken out "
                f"before, `ganaug class update --workspace {workspace.root}` brings the run up to date."
            )
        # the splits first: were they lost, an image that comes back could go from test to train
        workspace.forget([row for row in rows if row.label == name])
        workspace.write([row for row in rows if row.label != name])
        removed = workspace.removed / f"{name} {datetime.now(UTC):%Y-%m-%d %H%M%S}"
        images = workspace.images / name
        images.mkdir(exist_ok=True)  # someone may have deleted it
        shutil.move(images, removed)
    return removed


def _gathered(sources: Sequence[Path], staging: Path) -> Path:
    """One folder that holds all that was given: the folder itself, or copies in `staging`."""
    for source in sources:
        if not source.exists():
            raise InputError(f"{source} does not exist; give a folder, a ZIP archive or image files.")
    packed = [source for source in sources if source.suffix.lower() == ".zip"]
    if len(sources) > 1 and (packed or any(source.is_dir() for source in sources)):
        raise InputError("Give one folder, or one ZIP archive, or any number of image files.")
    if sources[0].is_dir():
        return sources[0]
    if packed:
        unpack(sources[0], staging)
        inside = [entry for entry in staging.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
        return inside[0] if len(inside) == 1 and inside[0].is_dir() else staging
    for source in sources:
        if (staging / source.name).exists():
            raise InputError(f"Two of the files are called {source.name}; give their folder, or rename one.")
        _stage(source, staging)
    return staging


def _stage(source: Path, staging: Path) -> None:
    """Copy a file that is given by its name; links are followed as in a data set, inside their folder alone."""
    with copying(f"{source} cannot be copied into {staging.parent}"):
        try:
            if not check_file(source.parent.resolve(), source.name):
                raise InputError(f"{source} is no regular file; give a folder, a ZIP archive or image files.")
        except BadFile as bad:
            raise InputError(f"{source} cannot be added: {bad}.") from None
        shutil.copyfile(source, staging / source.name)


def _read(folder: Path, config: Config) -> Reading:
    reading = load(
        folder,
        max_megapixels=config.data.max_megapixels,
        allow_flat=True,
        group_pattern=config.data.group_pattern,
    )
    if reading.layout != "flat":
        raise InputError(f"{folder.resolve()} is a data set of its own, or holds sub-folders; give one class's folder.")
    if fault := too_many_bad(reading, config.data.max_bad_fraction):
        raise InputError(fault)
    alone = [path for path in reading.frame["path"] if Path(path).stem.endswith(MASK_SUFFIX)]
    alone += [file.path for file in reading.account if file.reason == ORPHAN]
    if alone:
        raise InputError(f"{alone[0]} is named as a mask, but its image is not there; give both together.")
    return reading


class _Place(NamedTuple):
    split: str
    group: str


def _known(rows: list[Row], name: str, reading: Reading) -> dict[str, int]:
    """Digest of a recorded image -> the same image's index in `reading`; InputError where it is in another class."""
    recorded = {row.sha256: row for row in rows}
    known: dict[str, int] = {}
    for i, (path, sha256) in enumerate(zip(reading.frame["path"], reading.frame["sha256"], strict=True)):
        if sha256 in recorded:
            _require_label(recorded[sha256], name, path)
            known[sha256] = i
    return known


def _mend(workspace: Workspace, rows: list[Row], reading: Reading, known: dict[str, int]) -> None:
    """Give each damaged image that came again its file back, then raise DamagedError if others are damaged.

    What a damaged image showed is not known, so a new image of the same thing could get into the other split.
    """
    damaged = [row for row in rows if not _is_whole(workspace.images / row.path, row.sha256)]
    for row in damaged:
        if row.sha256 in known:
            _copy(reading.root / reading.frame["path"].iloc[known[row.sha256]], workspace.images / row.path)
    lost = [row for row in damaged if row.sha256 not in known]
    if lost:
        more = f" {len(lost) - 1} more image(s) are damaged too." if len(lost) > 1 else ""
        raise DamagedError(
            f"{workspace.images / lost[0].path} is missing or not the file that was recorded; add the original, "
            f"{lost[0].original}, to class {lost[0].label!r} again, or delete its line in {workspace.manifest}.{more}"
        )


def _is_whole(file: Path, sha256: str) -> bool:
    try:
        return file_digest(file) == sha256
    except OSError:
        return False


def _compared(
    workspace: Workspace, rows: list[Row], name: str, reading: Reading, known: dict[str, int], config: Config
) -> dict[int, _Place]:
    """Index in `reading` of each image that is new -> its place."""
    unseen = [i for i, sha256 in enumerate(reading.frame["sha256"]) if sha256 not in known]

    there = load(workspace.manifest, max_megapixels=config.data.max_megapixels) if rows else None
    by_path = {row.path: row for row in rows}
    old = [] if there is None else [by_path[path] for path in there.frame["path"]]
    found = find_duplicates(
        [*([] if there is None else there.images), *(reading.images[i] for i in unseen)],
        [*(row.sha256 for row in old), *reading.frame["sha256"].iloc[unseen]],
        threshold=1 if config.data.group_pattern else config.data.near_duplicate_correlation,
        known=[*(row.group for row in old), *reading.frame["group"].iloc[unseen]],
    )
    again = set()
    for pair in found.pairs:
        if pair.certain and pair.second >= len(old):
            i = unseen[pair.second - len(old)]
            if pair.first < len(old):
                _require_label(old[pair.first], name, reading.frame["path"].iloc[i])
            if pair.identical:  # the same pixels in another file
                again.add(i)
    groups = found.groups.tolist()
    joined: dict[int, Row] = {}
    for row, group in zip(old, groups, strict=False):
        # a group that is in both splits already cannot be kept out of either: train, so that test gains nothing from it
        joined[group] = min(joined.get(group, row), row, key=lambda row: SPLITS.index(row.split))
    fresh = {i: group for i, group in zip(unseen, groups[len(old) :], strict=True) if i not in again}
    own = [row for row in rows if row.label == name]
    return _places(fresh, joined, own, workspace.former_splits(), reading.frame, config)


def _places(
    fresh: dict[int, int],
    joined: dict[int, Row],
    own: list[Row],
    former: dict[str, str],
    frame: pd.DataFrame,
    config: Config,
) -> dict[int, _Place]:
    """Where each new image goes: with its group, where it was before its removal, or by the class's quota of test."""
    digest = frame["sha256"].tolist()
    by_group: dict[int, list[int]] = defaultdict(list)
    for i, group in fresh.items():
        by_group[group].append(i)
    test = sum(row.split == "test" for row in own)
    train = len(own) - test
    quota = round(config.data.test_fraction * (len(own) + len(fresh)))
    places: dict[int, _Place] = {}

    rank = ranks(list(fresh.values()), [digest[i] for i in fresh], str(config.seed))
    for group in sorted(by_group, key=rank.__getitem__):
        members = by_group[group]
        named = frame["group"].iloc[members[0]] or digest[members[0]][:16]
        before = next((former[digest[i]] for i in members if digest[i] in former), None)
        if group in joined:
            place = _Place(joined[group].split, joined[group].group)
        elif before:
            place = _Place(before, named)
        else:
            # every other one while the quota is open: a class whose images come one at a time gets both splits too
            to_test = train > 0 and test + len(members) <= max(quota, 1)
            place = _Place("test" if to_test else "train", named)
        test, train = test + len(members) * (place.split == "test"), train + len(members) * (place.split != "test")
        places |= dict.fromkeys(members, place)
    return {i: places[i] for i in sorted(places)}


def _require_label(row: Row, name: str, path: str) -> None:
    if row.label != name:
        raise InputError(
            f"{path} is in class {row.label!r} already ({row.path}); one image, one class: remove it from one of them."
        )


def _with_mask(workspace: Workspace, row: Row, reading: Reading, i: int | None) -> Row:
    """The row of an image; if it had no mask and came again with one, as number `i`, with that."""
    if i is None or row.mask or not reading.frame["mask"].iloc[i]:
        return row
    mask = f"{Path(row.path).with_suffix('')}{MASK_SUFFIX}.png"
    _write_mask(reading, i, workspace.images / mask)
    return replace(row, mask=mask)


def _copied(workspace: Workspace, name: str, reading: Reading, i: int, place: _Place) -> Row:
    image = reading.frame.iloc[i]
    stem = f"{name}/{image['sha256'][:16]}"
    path = stem + Path(image["path"]).suffix.lower()
    mask = f"{stem}{MASK_SUFFIX}.png" if image["mask"] else ""
    _copy(reading.root / image["path"], workspace.images / path)
    if mask:
        _write_mask(reading, i, workspace.images / mask)
    added = datetime.now(UTC).isoformat(timespec="seconds")
    return Row(path, name, place.split, mask, place.group, image["sha256"], added, Path(image["path"]).name)


def _write_mask(reading: Reading, i: int, target: Path) -> None:
    """Write what all masks of an image mark, as it was read: of one value, upright and in the image's size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, cv2.imencode(".png", np.asarray(reading.masks[i]))[1].tobytes())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, source.read_bytes())
