"""Images that arrive in a watched folder: one sub-folder a class, each file looked at once."""

import time
from pathlib import Path

from pipeline.errors import InputError
from pipeline.reading.layouts import MASK_SUFFIX
from pipeline.store import read_json, write_json
from pipeline.workspace.folder import Workspace

SETTLED = 10  # seconds since a file last changed; before, it may still be on its way


State = list[int]  # time of the last change in nanoseconds, size


def arrivals(workspace: Workspace, folder: Path, *, now: float | None = None) -> dict[str, dict[Path, State]]:
    """Class -> files that are new since `mark` was last told of them, sorted by name, with the state they were seen in.

    Files that are still being written wait. An image and its mask come together, though one was there before.

    Raises:
        InputError: the folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(f"serve.watch = {folder} is no folder; make it, with one sub-folder a class.")
    seen, moment = _seen(workspace), time.time() if now is None else now
    found: dict[str, dict[Path, State]] = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        states = {file: _state(file) for file in sorted(place.iterdir()) if file.is_file() and file.name[0] != "."}
        changing = {_subject(file) for file, (changed, _) in states.items() if moment - changed / 1e9 < SETTLED}
        new = {_subject(file) for file, state in states.items() if seen.get(str(file)) != state} - changing
        files = {file: state for file, state in states.items() if _subject(file) in new}
        if files:
            found[place.name] = files
    return found


def mark(workspace: Workspace, files: dict[Path, State]) -> None:
    """Remember files as dealt with in the state they were seen in, whatever became of them."""
    write_json(_record(workspace), _seen(workspace) | {str(file): state for file, state in files.items()})


def _subject(file: Path) -> str:
    """What an image and its mask have in common."""
    return file.stem.removesuffix(MASK_SUFFIX)


def _state(file: Path) -> State:
    return [file.stat().st_mtime_ns, file.stat().st_size]


def _record(workspace: Workspace) -> Path:
    return workspace.root / "watched.json"


def _seen(workspace: Workspace) -> dict[str, State]:
    return dict(read_json(_record(workspace))) if _record(workspace).exists() else {}
