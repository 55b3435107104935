"""Add images to a class of a workspace, take a class out, and say what there is."""

import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.reading import Problem, Reading, check_class_name, check_class_names, find_duplicates, load
from pipeline.reading.checks import too_many_bad
from pipeline.reading.layouts import MASK_SUFFIX
from pipeline.reading.splits import ranks
from pipeline.store import SPLITS, file_digest, write_atomically
from pipeline.workspace.archive import unpack
from pipeline.workspace.folder import Row, Workspace

INCOMING = ".incoming-"


@dataclass(frozen=True)
class Added:
    """What became of the files: new images by split, images that were known, unreadable files, other formats."""

    counts: dict[str, int]
    known: int
    problems: list[Problem]
    ignored: int


def add_images(workspace: Workspace, name: str, sources: Sequence[Path], config: Config) -> Added:
    """Check the images of a folder, a ZIP archive or single files and record them as class `name`.

    Every image is copied and gets its split once and for all. One that shows the same spot as an image that is there
    joins its split; of the others, `data.test_fraction` of the class are kept for the final comparison. An image that
    is there already gets its file back if that is damaged, and a mask if it had none. Either all of it is recorded or,
    on an error, nothing.

    Raises:
        InputError: an unusable name or source, more bad files than `data.max_bad_fraction`, no readable image, a mask
            without its image, or an image that is in another class already.
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
            known, fresh = _compared(workspace, rows, name, reading, config)
            kept = [_restored(workspace, row, reading, known.get(row.sha256)) for row in rows]
            made = [_copied(workspace, name, reading, i, place) for i, place in fresh.items()]
        workspace.write([*kept, *made])
    return Added(
        dict(Counter(row.split for row in made)), len(reading.frame) - len(made), reading.problems, reading.ignored
    )


def remove_class(workspace: Workspace, name: str) -> Path:
    """Take a class out of the registry; its images go to a folder that is returned, none is deleted."""
    workspace.require()
    with workspace.lock():
        rows = workspace.rows()
        classes = sorted({row.label for row in rows})
        if name not in classes:
            raise InputError(f"{workspace.root} has no class {name!r}; it has {', '.join(classes)}.")
        removed = workspace.removed / f"{name} {datetime.now(UTC):%Y-%m-%d %H%M%S}"
        removed.parent.mkdir(exist_ok=True)
        workspace.write([row for row in rows if row.label != name])
        shutil.move(workspace.images / name, removed)
        workspace.forget([row for row in rows if row.label == name])
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
        shutil.copyfile(source, staging / source.name)
    return staging


def _read(folder: Path, config: Config) -> Reading:
    reading = load(folder, max_megapixels=config.data.max_megapixels, allow_flat=True)
    if reading.layout != "flat":
        raise InputError(f"{folder.resolve()} is a data set of its own, or holds sub-folders; give one class's folder.")
    if fault := too_many_bad(reading, config.data.max_bad_fraction):
        raise InputError(fault)
    alone = [path for path in reading.frame["path"] if Path(path).stem.endswith(MASK_SUFFIX)]
    if alone:
        raise InputError(f"{alone[0]} is named as a mask, but its image is not there; give both together.")
    return reading


class _Place(NamedTuple):
    split: str
    spot: str


def _compared(
    workspace: Workspace, rows: list[Row], name: str, reading: Reading, config: Config
) -> tuple[dict[str, int], dict[int, _Place]]:
    """Digest of a recorded image -> the same image's index in `reading`; and the place of each image that is new."""
    recorded = {row.sha256: row for row in rows}
    known: dict[str, int] = {}
    for i, (path, sha256) in enumerate(zip(reading.frame["path"], reading.frame["sha256"], strict=True)):
        if sha256 in recorded:
            _require_label(recorded[sha256], name, path)
            known[sha256] = i
    unseen = [i for i in range(len(reading.frame)) if reading.frame["sha256"].iloc[i] not in recorded]

    there = load(workspace.manifest, max_megapixels=config.data.max_megapixels) if rows else None
    old = [] if there is None else [recorded[sha256] for sha256 in there.frame["sha256"]]
    found = find_duplicates(
        [*([] if there is None else there.images), *(reading.images[i] for i in unseen)],
        [*(row.sha256 for row in old), *reading.frame["sha256"].iloc[unseen]],
        threshold=config.data.near_duplicate_correlation,
    )
    again = set()
    for pair in found.pairs:
        if pair.identical and pair.second >= len(old):  # the same pixels in another file
            i = unseen[pair.second - len(old)]
            if pair.first < len(old):
                _require_label(old[pair.first], name, reading.frame["path"].iloc[i])
            again.add(i)
    groups = found.groups.tolist()
    joined: dict[int, Row] = {}
    for row, group in zip(old, groups, strict=False):
        # a spot that is in both splits already cannot be kept out of either: train, so that test gains nothing from it
        joined[group] = min(joined.get(group, row), row, key=lambda row: SPLITS.index(row.split))
    fresh = {i: group for i, group in zip(unseen, groups[len(old) :], strict=True) if i not in again}
    own = [row for row in rows if row.label == name]
    return known, _places(fresh, joined, own, workspace.former_splits(), reading.frame["sha256"].tolist(), config)


def _places(
    fresh: dict[int, int],
    joined: dict[int, Row],
    own: list[Row],
    former: dict[str, str],
    digest: list[str],
    config: Config,
) -> dict[int, _Place]:
    """Where each new image goes: with its spot, where it was before it was removed, or by the class's quota of test."""
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
        before = next((former[digest[i]] for i in members if digest[i] in former), None)
        if group in joined:
            place = _Place(joined[group].split, joined[group].spot)
        elif before:
            place = _Place(before, digest[members[0]][:16])
        else:
            # every other one while the quota is open: a class whose images come one at a time gets both splits too
            to_test = train > 0 and test + len(members) <= max(quota, 1)
            place = _Place("test" if to_test else "train", digest[members[0]][:16])
        test, train = test + len(members) * (place.split == "test"), train + len(members) * (place.split != "test")
        places |= dict.fromkeys(members, place)
    return {i: places[i] for i in sorted(places)}


def _require_label(row: Row, name: str, path: str) -> None:
    if row.label != name:
        raise InputError(
            f"{path} is in class {row.label!r} already ({row.path}); one image, one class: remove it from one of them."
        )


def _restored(workspace: Workspace, row: Row, reading: Reading, i: int | None) -> Row:
    """The row of an image; if it came again, as number `i`, with its file as it was, and the mask if it had none."""
    if i is None:
        return row
    image, file = reading.frame.iloc[i], workspace.images / row.path
    if not file.exists() or file_digest(file) != row.sha256:
        _copy(reading.root / image["path"], file)
    if row.mask or not image["mask"]:
        return row
    mask = f"{Path(row.path).with_suffix('')}_mask{Path(image['mask']).suffix.lower()}"
    _copy(reading.root / image["mask"], workspace.images / mask)
    return replace(row, mask=mask)


def _copied(workspace: Workspace, name: str, reading: Reading, i: int, place: _Place) -> Row:
    image = reading.frame.iloc[i]
    stem = f"{name}/{image['sha256'][:16]}"
    path = stem + Path(image["path"]).suffix.lower()
    mask = f"{stem}_mask{Path(image['mask']).suffix.lower()}" if image["mask"] else ""
    for source, target in ((image["path"], path), (image["mask"], mask)):
        if source:
            _copy(reading.root / source, workspace.images / target)
    added = datetime.now(UTC).isoformat(timespec="seconds")
    return Row(path, name, place.split, mask, place.spot, image["sha256"], added, Path(image["path"]).name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, source.read_bytes())
