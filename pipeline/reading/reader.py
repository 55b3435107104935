"""Read a data set whole: find its layout, refuse what is unsafe, decode the rest, quarantine what fails."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.reading.account import IGNORED, FileUse, account, account_notes
from pipeline.reading.candidate import Decoded, decode_entry, open_entry
from pipeline.reading.decode_memory import require_memory
from pipeline.reading.file_listing import Listing, list_beside, list_files, printable
from pipeline.reading.grouping import groups_by_path, groups_of_versions
from pipeline.reading.header import own_pixel_cap
from pipeline.reading.instances import Instance
from pipeline.reading.labels_csv import read_table
from pipeline.reading.layouts import Layout, Tree, find_layout, flat
from pipeline.reading.lineage import with_lineage
from pipeline.reading.mask_rules import about_masks, classes_by_mask, refuse_masks_as_images, upright_masks
from pipeline.reading.names import check_class_names
from pipeline.reading.problems import BadFile, ForeignFormat, Problem
from pipeline.reading.remarks import describe
from pipeline.reading.scaling import Scale, common_scale, to_eight_bits

if TYPE_CHECKING:
    from pipeline.log import Progress

THREADS = min(4, os.cpu_count() or 1)
MANY = 500  # images, from which reading says how far it is
COLUMNS = ["path", "label", "split", "sha256", "width", "height", "mode", "mask", "group"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Reading:
    """A data set in memory, sorted by class, then path.

    ``frame`` has one row an image: path (relative to root), label, split ("" or as given), sha256 of the file, width
    and height in pixels as decoded, mode of the file, mask (relative path of the first, or "") and group (the user's
    name for what belongs together, or ""). ``images`` are uint8 ``[H, W]`` or ``[H, W, 3]`` RGB at native size and
    ``masks`` uint8 ``[H, W]`` of 0 and 255, both in the frame's order, as are ``instances``: the single defects of
    each image.
    ``ignored`` counts files of other formats and hidden files. ``scale`` is how images of more than 8 bits became
    these. ``account`` says what became of every file of the folder. With ``groups_by_name`` the
    groups are versions of one picture by their names, and other images may show one thing too.
    """

    root: Path
    layout: str
    classes: list[str]
    frame: pd.DataFrame
    problems: list[Problem]
    images: list[NDArray[np.uint8]]
    masks: list[NDArray[np.uint8] | None]
    instances: list[tuple[Instance, ...]]
    notes: list[str] = field(default_factory=list)
    ignored: int = 0
    account: list[FileUse] = field(default_factory=list)
    groups_by_name: bool = False
    scale: Scale = field(default_factory=Scale)

    @property
    def white(self) -> int | None:
        """The 16-bit level that became 255; None where no image has 16 bits."""
        return self.scale.white


def load(
    path: Path,
    *,
    max_megapixels: float = 64,
    background: tuple[int, int, int] = (255, 255, 255),
    allow_flat: bool = False,
    source: str = "real",
    group_pattern: str | None = None,
    layout: str = "auto",
    annotations: str | Path | None = None,
) -> Reading:
    """Read a data set as it is, faults and all; ``read_dataset`` is this and the checks that a run needs.

    With ``allow_flat``, a folder without sub-folders is one class without a name. Of a manifest that a run wrote, only
    the rows of one ``source`` are read, real or synthetic. ``group_pattern`` finds groups in the paths
    (`groups_by_path`) where a manifest names none. ``layout`` is one of LAYOUTS, or auto; ``annotations`` a folder or
    file of annotations of these images that is kept elsewhere. Raises InputError when there is nothing to read: no such
    path, no class folders, no image; and when the pattern fits no path.
    """
    elsewhere = None if annotations is None else _annotations(Path(annotations))
    root, found, listing = _candidates(path, allow_flat=allow_flat, source=source, layout=layout, annotations=elsewhere)
    problems = [*listing.problems, *found.problems]
    max_pixels = int(max_megapixels * 1e6)
    with own_pixel_cap():
        opened, bad, foreign = _each(
            found.entries, lambda entry: entry.path, lambda entry: open_entry(root, entry, max_pixels)
        )
        problems = problems + bad
        if not opened:
            raise InputError(_nothing_readable(path, problems))
        headers = [item.header for item in opened]
        require_memory(path, [header.width * header.height * header.bytes_held for header in headers])
        decoded, bad, _ = _each(
            opened,
            lambda item: item.entry.path,
            lambda item: decode_entry(root, item, background, found.mask_names),
            stage="read",
        )
    problems = sorted(problems + bad, key=lambda problem: problem.path)
    if not decoded:
        raise InputError(_nothing_readable(path, problems))
    refuse_masks_as_images(decoded)
    classes, (decoded, about) = found.classes, upright_masks(decoded)
    if found.class_by_mask:
        decoded, about_classes = classes_by_mask(decoded)
        classes, about = check_class_names((item.entry.label for item in decoded), str(root)), about + about_classes
    decoded.sort(key=lambda item: (item.entry.label, item.entry.path))
    names, pictures = [printable(item.entry.path) for item in decoded], [item.picture for item in decoded]
    scale, scaled = common_scale(names, pictures)
    images = [_eight_bits(item, scale) for item in decoded]
    frame = _frame(decoded, images)
    about_groups, groups_by_name = _group(frame, group_pattern)
    uses = account(root, listing, found, [item.entry for item in decoded], problems)
    ignored = foreign if found.name == "csv" else sum(one.use in IGNORED for one in uses)
    notes = [*found.notes, *account_notes(uses, count_others=found.name != "csv"), *about, *scaled, *about_groups]
    return Reading(
        root=root,
        layout=found.name,
        classes=classes,
        frame=frame,
        problems=problems,
        images=images,
        masks=[item.mask for item in decoded],
        instances=[item.instances for item in decoded],
        notes=[*notes, *describe(decoded, images), *about_masks(decoded)],
        ignored=ignored,
        account=uses,
        groups_by_name=groups_by_name,
        scale=scale,
    )


def _group(frame: pd.DataFrame, pattern: str | None) -> tuple[list[str], bool]:
    """Fill the column ``group`` where the data set names none; notes, and whether only versions were grouped."""
    if (frame["group"] != "").any():
        return [], False
    paths = frame["path"].tolist()
    frame["group"], notes = groups_of_versions(paths) if pattern is None else groups_by_path(paths, pattern)
    return notes, pattern is None and bool(notes)


def _candidates(
    path: Path, *, allow_flat: bool, source: str, layout: str, annotations: Tree | None
) -> tuple[Path, Layout, Listing]:
    if not path.exists():
        raise InputError(f"{path} does not exist; give a folder with one sub-folder a class, or a CSV manifest.")
    if path.is_file() and path.suffix.lower() != ".csv":
        raise InputError(f"{path} is neither a folder nor a CSV manifest; unpack archives first.")
    table = path if path.is_file() else path / "manifest.csv"
    if table.is_file() and (path.is_file() or layout == "auto"):
        if annotations is not None:
            raise InputError(
                f"{table} says what the images are; leave out data.annotations, or give a folder of images."
            )
        root, found = table.parent.resolve(), read_table(table, source=source)
        listed = [place for entry in found.entries for place in (entry.path, *entry.masks)]
        return root, found, list_beside(root, listed)
    root = path.resolve()
    listing = list_files(root)
    if not listing.paths and not listing.problems:
        raise InputError(f"{path} holds no files; put each class's images in a folder of its own.")
    tree = Tree(root, listing.paths, listing.folders, annotations)
    unlabelled = allow_flat and not listing.folders and annotations is None
    return root, flat(tree) if unlabelled else with_lineage(root, find_layout(tree, layout)), listing


def _annotations(path: Path) -> Tree:
    """A folder of annotations, or a single file, as a tree of its own."""
    if not path.exists():
        raise InputError(f"data.annotations: {path} does not exist; give a folder or a file of annotations.")
    place = path.resolve()
    if place.is_file():
        return Tree(place.parent, [place.name], [])
    listing = list_files(place)
    return Tree(place, listing.paths, listing.folders)


def progress_of(stage: str, total: int) -> AbstractContextManager["Progress | None"]:
    """A progress bar where there is much to do, else nothing."""
    if total < MANY:
        return nullcontext()
    from pipeline.log import progress  # not above: a small data set is read before that is loaded

    return progress(stage, total)


def _each(
    items: Sequence[T], path_of: Callable[[T], str], work: Callable[[T], R], stage: str = ""
) -> tuple[list[R], list[Problem], int]:
    """Do ``work`` on every item in a few threads; returns results in order, problems, and how many were foreign."""

    def attempt(item: T) -> R | Problem | None:
        try:
            return work(item)
        except ForeignFormat:
            return None
        except BadFile as bad:
            return Problem(printable(path_of(item)), bad.kind, str(bad))
        finally:
            if bar is not None:
                bar.advance()

    with progress_of(stage, len(items) if stage else 0) as bar, ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(attempt, items))
    problems = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
    results = [outcome for outcome in outcomes if outcome is not None and not isinstance(outcome, Problem)]
    return results, problems, len(outcomes) - len(problems) - len(results)


def _eight_bits(item: Decoded, scale: Scale) -> NDArray[np.uint8]:
    limits = scale.range_of(item.picture.pixels)
    assert limits is not None  # noqa: S101 (the scale is of these very images)
    return to_eight_bits(item.picture.pixels, limits, negative=item.picture.negative)


def _frame(decoded: list[Decoded], images: list[NDArray[np.uint8]]) -> pd.DataFrame:
    rows = [
        (
            e.path,
            e.label,
            e.split,
            item.sha256,
            image.shape[1],
            image.shape[0],
            item.picture.mode,
            next(iter(e.masks), ""),
            e.group,
        )
        for item, image in zip(decoded, images, strict=True)
        for e in [item.entry]
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _nothing_readable(path: Path, problems: list[Problem]) -> str:
    if not problems:
        return f"{path} holds no PNG, JPEG, BMP, TIFF or WebP images; put each class's images in a folder of its own."
    first = problems[0]
    where = " Paths count from the folder of the CSV file." if path.is_file() and first.kind == "missing" else ""
    return (
        f"{path}: none of its {len(problems)} image file(s) can be read; the first is {first.path!r} ({first.detail})."
        f"{where}"
    )
