"""Images that arrive in a watched folder: one sub-folder a class, each file looked at once."""

import logging
import time
from pathlib import Path

from pipeline.errors import InputError
from pipeline.reading.file_listing import check_file
from pipeline.reading.layouts.masks import image_stem
from pipeline.reading.problems import BadFile
from pipeline.store import read_json, write_json
from pipeline.workspace.folder import Workspace

SETTLED = 10  # seconds since a file last changed; before, it may still be on its way

log = logging.getLogger(__name__)

State = list[int]  # time of the last change in nanoseconds, size


def arrivals(workspace: Workspace, folder: Path, *, now: float | None = None) -> dict[str, dict[Path, State]]:
    """Class -> files that `mark` has not recorded yet, sorted by name, with their state (size and time).

    Files that are still being written wait. An image and its mask come together, though one was there before. A link
    that leaves the folder of its class is left alone.

    Raises:
        InputError: the folder does not exist, or holds a link to a folder.
    """
    if not folder.is_dir():
        raise InputError(f"serve.watch = {folder} is no folder; make it, with one sub-folder a class.")
    seen, moment = _seen(workspace), time.time() if now is None else now
    found: dict[str, dict[Path, State]] = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if place.is_symlink():
            raise InputError(
                f"serve.watch: {place} is a link to a folder; replace it by the folder, or remove the link."
            )
        files = [file for file in sorted(place.iterdir()) if file.name[0] != "." and not file.is_dir()]
        states = {file: _state(file) for file in files if _is_own(file)}
        changing = {_subject(file) for file, (changed, _) in states.items() if moment - changed / 1e9 < SETTLED}
        new = {_subject(file) for file, state in states.items() if seen.get(str(file)) != state} - changing
        arrived = {file: state for file, state in states.items() if _subject(file) in new}
        if arrived:
            found[place.name] = arrived
    return found


def mark(workspace: Workspace, files: dict[Path, State]) -> None:
    """Record files as processed, with the state they were seen in, whether they were added or refused."""
    write_json(_record(workspace), _seen(workspace) | {str(file): state for file, state in files.items()})


def halves(files: dict[Path, State]) -> list[dict[Path, State]]:
    """The files in two parts, each image with its mask; in one if there is one image."""
    images = sorted({_subject(file) for file in files})
    parts = [images[: len(images) // 2], images[len(images) // 2 :]]
    return [{file: state for file, state in files.items() if _subject(file) in part} for part in parts if part]


def _is_own(path: Path) -> bool:
    """Whether it is a regular file, by a link inside its folder at most, as in a data set; a refusal is logged."""
    try:
        return check_file(path.parent.resolve(), path.name)
    except BadFile as bad:
        log.warning("%s is left alone: %s.", path, bad)
        return False


def _subject(file: Path) -> str:
    """What an image and its mask have in common."""
    return image_stem(file.stem)


def _state(file: Path) -> State:
    return [file.stat().st_mtime_ns, file.stat().st_size]


def _record(workspace: Workspace) -> Path:
    return workspace.root / "watched.json"


def _seen(workspace: Workspace) -> dict[str, State]:
    return dict(read_json(_record(workspace))) if _record(workspace).exists() else {}
