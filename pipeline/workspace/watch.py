"""Images that arrive in a watched folder: one sub-folder a class, each file looked at once."""

import time
from pathlib import Path

from pipeline.errors import InputError
from pipeline.store import read_json, write_json
from pipeline.workspace.folder import Workspace

SETTLED = 10  # seconds since a file last changed; before, it may still be on its way


def arrivals(workspace: Workspace, folder: Path, *, now: float | None = None) -> dict[str, list[Path]]:
    """Class -> files that are new since `mark` was last told of them, sorted by name.

    Raises:
        InputError: the folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(f"serve.watch = {folder} is no folder; make it, with one sub-folder a class.")
    seen, moment = _seen(workspace), time.time() if now is None else now
    found: dict[str, list[Path]] = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        files = [file for file in sorted(place.iterdir()) if file.is_file() and not file.name.startswith(".")]
        fresh = [file for file in files if seen.get(str(file)) != _state(file)]
        if fresh and all(moment - file.stat().st_mtime >= SETTLED for file in fresh):
            found[place.name] = fresh  # all of a class together: an image and its mask are two files
    return found


def mark(workspace: Workspace, files: list[Path]) -> None:
    """Remember files as dealt with, whatever became of them."""
    write_json(_record(workspace), _seen(workspace) | {str(file): _state(file) for file in files})


def _state(file: Path) -> list[int]:
    return [file.stat().st_mtime_ns, file.stat().st_size]


def _record(workspace: Workspace) -> Path:
    return workspace.root / "watched.json"


def _seen(workspace: Workspace) -> dict[str, list[int]]:
    return dict(read_json(_record(workspace))) if _record(workspace).exists() else {}
