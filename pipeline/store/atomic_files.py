"""Files that are there whole or not at all, and that are verified when they are read."""

import contextlib
import csv
import io
import json
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import JobError
from pipeline.store.digests import content_digest, jsonable

TEMPORARY = ".tmp-"
SECONDS_A_DAY = 86_400
CARD = "card"  # one metadata entry only: safetensors does not keep the order of several

if TYPE_CHECKING:
    from torch import Tensor

    Tensors = dict[str, Tensor]

log = logging.getLogger(__name__)


class StoreError(JobError):
    """A file of the run is missing, damaged or cannot be written; the message names it."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds either its old content or all of the new, after a crash or a power cut too.

    Raises:
        StoreError: it could not be written (disk full, no permission); an older file at `path` is untouched.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path} could not be written ({error.strerror}; {len(data):,} bytes). What was saved before is intact: "
            "mend this and run the same command again."
        ) from error


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # POSIX: the rename itself is only durable once the folder is
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def save_tensors(path: Path, tensors: "Mapping[str, Tensor]", metadata: Mapping[str, Any] | None = None) -> None:
    """Write tensors and JSON metadata as one safetensors file that carries its own digest; equal input, equal bytes."""
    import safetensors.torch

    # Cloned, because safetensors refuses tensors that share memory.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    facts = jsonable(dict(metadata or {}))
    card = {"metadata": facts, "sha256": content_digest(plain, facts)}
    write_atomically(path, safetensors.torch.save(plain, {CARD: json.dumps(card, sort_keys=True)}))


def load_tensors(path: Path) -> "tuple[Tensors, dict[str, Any]]":
    """Read what `save_tensors` wrote: the tensors (on the CPU) and the metadata.

    Raises:
        StoreError: the file is missing, truncated, altered, or not one of ours; nothing in it is ever executed.
    """
    import safetensors.torch
    from safetensors import SafetensorError

    raw = read_whole(path)
    _note_use(path)
    try:
        tensors = safetensors.torch.load(raw)
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        card = json.loads(header["__metadata__"][CARD])
        facts, promised = dict(card["metadata"]), card["sha256"]
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(
            f"{path} is truncated or not a file that this program wrote ({type(error).__name__})."
        ) from None
    if promised != content_digest(tensors, facts):
        raise StoreError(f"{path} is damaged: its content does not match its digest. Delete it to have it made again.")
    return tensors, facts


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; numpy numbers become numbers, NaN and infinity null (JSON has neither)."""
    text = json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False)
    # A file name that is not Unicode holds lone surrogates; their backslash form is JSON's own escape.
    write_atomically(path, text.encode("utf-8", "backslashreplace") + b"\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows under a header; what holds a comma, a quote or a line break is quoted (RFC 4180, but lines end in LF).

    Raises:
        ValueError: a row has a key that is no column.
    """
    text = _LinesEndInLf(newline="")
    table = csv.DictWriter(text, columns, lineterminator="\r\n")
    table.writeheader()
    table.writerows(rows)
    write_atomically(path, text.getvalue().encode())


class _LinesEndInLf(io.StringIO):
    """Takes rows that end in CR LF: the csv module quotes a carriage return only if it is part of the line's end."""

    def write(self, row: str) -> int:
        return super().write(row.removesuffix("\r\n") + "\n")


def replace_folder(fresh: Path, place: Path) -> None:
    """Put the folder `fresh` where `place` is, which is never a mixture of the two; both lie on one disk.

    A crash between the two moves leaves no `place`, and the same work makes it again.
    """
    old = fresh.with_name(f"{place.name}-before")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.replace(old)
    fresh.replace(place)
    shutil.rmtree(old, ignore_errors=True)


def read_json(path: Path) -> Any:
    """Read a JSON file; `StoreError` if it is missing or damaged."""
    try:
        return json.loads(read_whole(path))
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}.") from None


def cached_tensors(
    path: Path, build: "Callable[[], tuple[Mapping[str, Tensor], Mapping[str, Any]]]"
) -> "tuple[Tensors, dict[str, Any]]":
    """The content of `path`; if it is missing or damaged, what `build` returns, saved there first."""
    if path.exists():
        try:
            return load_tensors(path)
        except StoreError as error:
            log.warning("%s It is made again.", error)
    save_tensors(path, *build())
    return load_tensors(path)


def cached_json(path: Path, build: Callable[[], Any]) -> Any:
    """As `cached_tensors`, for a JSON value; the file carries the digest of the value."""
    if path.exists():
        try:
            return _verified(path)
        except StoreError as error:
            log.warning("%s It is made again.", error)
    value = jsonable(build())
    write_json(path, {"sha256": content_digest({}, value), "value": value})
    return _verified(path)


def _verified(path: Path) -> Any:
    record = read_json(path)
    _note_use(path)
    if not isinstance(record, dict) or record.get("sha256") != content_digest({}, record.get("value")):
        raise StoreError(f"{path} is damaged: its content does not match its digest.")
    return record["value"]


def _note_use(path: Path) -> None:
    """Set the time of the last access, which many file systems do not keep by themselves, and no other."""
    with contextlib.suppress(OSError):  # another user's file, or a medium that is only read
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def prune(folder: Path, *, days: float) -> int:
    """Delete the results under `folder` that no run has read or written for so many days; returns the bytes freed."""
    old = time.time() - days * SECONDS_A_DAY
    return sum(_freed(path, old) for path in sorted(folder.rglob("*")))


def _freed(path: Path, old: float) -> int:
    """Delete a file that was last used before `old`; the bytes freed."""
    with contextlib.suppress(OSError):  # another process was quicker, or it is another user's file
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and max(found.st_atime, found.st_mtime) < old:
            path.unlink()
            return found.st_size
    return 0


def read_whole(path: Path) -> bytes:
    """The file's bytes; `StoreError` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}).") from None
