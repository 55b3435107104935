"""Add images to a class of a workspace, take a class out, and say what there is."""

import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.reading import Problem, Reading, assign_splits, check_class_name, check_class_names, find_duplicates, load
from pipeline.reading.checks import too_many_bad
from pipeline.workspace.archive import unpack
from pipeline.workspace.folder import Row, Workspace

INCOMING = ".incoming-"


@dataclass(frozen=True)
class Added:
    """What became of the images that were given: new ones by split, known ones that were skipped, unreadable ones."""

    counts: dict[str, int]
    known: int
    problems: list[Problem]


def add_images(workspace: Workspace, name: str, sources: Sequence[Path], config: Config) -> Added:
    """Check the images of a folder, a ZIP archive or single files and record them as class `name`.

    Every image is copied and gets its split once and for all. One that shows the same spot as an image that is there
    joins its split; of the others, `data.test_fraction` are kept for the final comparison. Either all of it is recorded
    or, on an error, nothing.

    Raises:
        InputError: an unusable name or source, more bad files than `data.max_bad_fraction`, no readable image, or an
            image that is in another class already.
    """
    check_class_name(name, "class add")
    with workspace.lock():
        for left_behind in workspace.root.glob(f"{INCOMING}*"):
            shutil.rmtree(left_behind)
        rows = workspace.rows()
        check_class_names({name, *(row.label for row in rows)}, str(workspace.root))
        with tempfile.TemporaryDirectory(prefix=INCOMING, dir=workspace.root) as staging:
            reading = load(
                _gathered(sources, Path(staging)), max_megapixels=config.data.max_megapixels, allow_flat=True
            )
            if reading.layout != "flat":
                raise InputError(
                    f"{sources[0]} holds sub-folders ({', '.join(reading.classes[:3])}); give the folder of one class."
                )
            if fault := too_many_bad(reading, config.data.max_bad_fraction):
                raise InputError(fault)
            fresh, known = _split(workspace, rows, name, reading, config)
            made = [_copied(workspace, name, reading, i, split) for i, split in fresh.items()]
        workspace.write([*rows, *made])
    return Added(dict(Counter(row.split for row in made)), known, reading.problems)


def remove_class(workspace: Workspace, name: str) -> Path:
    """Take a class out of the registry; its images go to a folder that is returned, none is deleted."""
    workspace.require()
    with workspace.lock():
        rows = workspace.rows()
        classes = sorted({row.label for row in rows})
        if name not in classes:
            raise InputError(f"{workspace.root} has no class {name!r}; it has {', '.join(classes)}.")
        removed = workspace.root / "removed" / f"{name} {datetime.now(UTC):%Y-%m-%d %H%M%S}"
        removed.parent.mkdir(exist_ok=True)
        workspace.write(row for row in rows if row.label != name)
        shutil.move(workspace.images / name, removed)
    return removed


def _gathered(sources: Sequence[Path], staging: Path) -> Path:
    """One folder that holds all that was given: the folder itself, or copies in `staging`."""
    for source in sources:
        if not source.exists():
            raise InputError(f"{source} does not exist; give a folder, a ZIP archive or image files.")
    if len(sources) > 1 and any(source.is_dir() for source in sources):
        raise InputError("Give one folder, or one ZIP archive, or any number of image files.")
    if sources[0].is_dir():
        return sources[0]
    if len(sources) == 1 and sources[0].suffix.lower() == ".zip":
        unpack(sources[0], staging)
        inside = [entry for entry in staging.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
        return inside[0] if len(inside) == 1 and inside[0].is_dir() else staging
    for source in sources:
        if (staging / source.name).exists():
            raise InputError(f"Two of the files are called {source.name}; give their folder, or rename one.")
        shutil.copyfile(source, staging / source.name)
    return staging


def _split(
    workspace: Workspace, rows: list[Row], name: str, reading: Reading, config: Config
) -> tuple[dict[int, str], int]:
    """Split of each new image by its place in `reading`, and how many were known already."""
    there = load(workspace.manifest, max_megapixels=config.data.max_megapixels) if rows else None
    old = [] if there is None else list(zip(there.frame["path"], there.frame["label"], strict=True))
    digests = [] if there is None else there.frame["sha256"].tolist()
    images = [*([] if there is None else there.images), *reading.images]
    found = find_duplicates(
        images, [*digests, *reading.frame["sha256"]], threshold=config.data.near_duplicate_correlation
    )
    skipped = set()
    for pair in found.pairs:
        if not pair.identical or pair.second < len(old):
            continue
        path = reading.frame["path"].iloc[pair.second - len(old)]
        if pair.first < len(old) and old[pair.first][1] != name:
            raise InputError(
                f"{path} is in class {old[pair.first][1]!r} already ({old[pair.first][0]}); one image, one class: "
                "remove it from one of them."
            )
        skipped.add(pair.second - len(old))
    split_of = {row.path: row.split for row in rows}
    joined: dict[int, set[str]] = defaultdict(set)
    for (path, _), group in zip(old, found.groups[: len(old)].tolist(), strict=True):
        joined[group].add(split_of[path])
    fresh = {i: group for i, group in enumerate(found.groups[len(old) :].tolist()) if i not in skipped}
    # a spot that is in both splits already cannot be kept out of either: train, so that test gains nothing from it
    splits = {
        i: min(joined[group], key=("train", "val", "test").index) for i, group in fresh.items() if group in joined
    }
    free = [i for i in fresh if i not in splits]
    if free:
        assigned = assign_splits(
            [name] * len(free), found.groups[[len(old) + i for i in free]], [""] * len(free),
            keys=[reading.frame["sha256"].iloc[i] for i in free],
            test_fraction=config.data.test_fraction, val_fraction=0, seed=config.seed,
        )  # fmt: skip
        splits |= dict(zip(free, assigned, strict=True))
    return {i: splits[i] for i in sorted(splits)}, len(skipped)


def _copied(workspace: Workspace, name: str, reading: Reading, i: int, split: str) -> Row:
    image = reading.frame.iloc[i]
    stem = f"{name}/{image['sha256'][:16]}"
    path = stem + Path(image["path"]).suffix.lower()
    mask = f"{stem}_mask{Path(image['mask']).suffix.lower()}" if image["mask"] else ""
    (workspace.images / name).mkdir(parents=True, exist_ok=True)
    for source, target in ((image["path"], path), (image["mask"], mask)):
        if source:
            shutil.copyfile(reading.root / source, workspace.images / target)
    added = datetime.now(UTC).isoformat(timespec="seconds")
    return Row(path, name, split, mask, image["sha256"], added, Path(image["path"]).name)
