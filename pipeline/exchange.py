"""Jobs on machines without access to the run's folder: files are exchanged through a store at a URL (fsspec).

A job names the files that it needs by their paths in the run's folder. Elsewhere they stand in a folder of that
machine, so paths are moved with the job, and moved back with its result.
"""

import contextlib
import hashlib
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from pipeline.errors import JobError
from pipeline.store import RunFolder, prune, write_atomically
from pipeline.store.atomic_files import TEMPORARY

OF_DIGEST = re.compile(r"(^|/)store/[a-z-]+-[0-9a-f]{24}\.[^/]+$")
OF_SESSION = re.compile(r"/sessions/[0-9a-f]{16}/")
REFUSED = (OSError, NotImplementedError)  # how a store answers to what it does not allow, or cannot do
Share = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]  # (work, jobs) -> a result for each


@dataclass(frozen=True)
class Exchange:
    """Files under `root`, by their paths in it, as they lie under `url`.

    Those named by the digest of what they were made from never change, so all runs share them, and one that is there
    is the right one. The others lie apart for each session, which those who hand each other files have in common.
    """

    url: str
    root: Path
    session: str = field(default_factory=lambda: secrets.token_hex(8))

    def put(self, files: Iterable[Path]) -> list[str]:
        """Store the files, replacing what is there; returns their names."""
        system, base = url_to_fs(self.url)
        names = [self._name(file) for file in files]
        for name in names:
            place = f"{base}/{self._place(name)}"
            partial = f"{place}{TEMPORARY}{secrets.token_hex(4)}"
            system.makedirs(place.rpartition("/")[0], exist_ok=True)
            system.put_file(str(self.root / name), partial)
            system.mv(partial, place)
        return names

    def offer(self, files: Iterable[Path]) -> None:
        """Store the files, except those named by digests that are there already."""
        self.put(file for file in files if not self._is_there(file))

    def get(self, names: Iterable[str]) -> None:
        """Fetch the files, except those named by digests that are here already.

        Raises:
            JobError: one is not there, or cannot be reached.
        """
        system, base = url_to_fs(self.url)
        for name in names:
            if not (OF_DIGEST.search(name) and (self.root / name).exists()):
                try:
                    write_atomically(self.root / name, system.cat_file(f"{base}/{self._place(name)}"))
                except OSError as error:
                    raise JobError(f"{name} could not be had from the exchange ({error}); see `exchange`.") from error

    def prune(self, *, days: float) -> int:
        """Delete what was stored more than so many days ago, and return how many files; where one is needed again, it
        is stored again. What the store does not list, date or delete stays."""
        system, base = url_to_fs(self.url)
        old, found = datetime.now(UTC) - timedelta(days=days), []
        for folder in ("store", "sessions"):
            with contextlib.suppress(*REFUSED):
                found += system.find(f"{base}/{folder}")
        ours = [name for name in found if OF_DIGEST.search(name) or OF_SESSION.search(name)]
        return sum(_deleted(system, name, old) for name in ours)

    def _name(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()

    def _is_there(self, file: Path) -> bool:
        """Whether the file has been stored and cannot have changed since."""
        (system, base), name = url_to_fs(self.url), self._name(file)
        return bool(OF_DIGEST.search(name)) and system.exists(f"{base}/{name}")

    def _place(self, name: str) -> str:
        """Where the file lies, below the URL."""
        return name if OF_DIGEST.search(name) else f"sessions/{self.session}/{name}"


def _deleted(system: AbstractFileSystem, name: str, old: datetime) -> bool:
    """Delete a file if it was stored before `old`; whether that was so, and the store let it go."""
    try:
        unused = bool(system.modified(name) < old)
        if unused:
            system.rm_file(name)
    except REFUSED:
        return False
    return unused


@dataclass(frozen=True)
class Delivery:
    """The outcome of a remote job: its result, the names of its files, and its log."""

    result: Any
    files: list[str]
    log: bytes


@dataclass(frozen=True)
class Away:
    """`work` for jobs of the run in `out`, done on whatever machine it is called on.

    A job that was interrupted resumes where the machine that began it goes on with it. What no job used there for
    `days` is deleted there.
    """

    work: Callable[[Any], Any]
    url: str
    session: str
    out: str
    days: float

    def __call__(self, job: Any) -> Delivery:
        """Fetch what the job names, do it, and send what it leaves."""
        place = hashlib.sha256(f"{self.url}\n{self.out}".encode()).hexdigest()[:16]
        cache = Path(tempfile.gettempdir()) / f"ganaug-{place}"
        own = cache / "jobs" / job.digest
        prune(cache, days=self.days)
        needed = [Path(path).relative_to(self.out).as_posix() for path in _paths(job, self.out)]
        Exchange(self.url, cache, self.session).get(needed)
        result = self.work(replace(_moved(job, self.out, str(cache)), out=str(own)))
        left = [file for file in own.rglob("*") if file.is_file() and not file.name.startswith(TEMPORARY)]
        names = Exchange(self.url, own, self.session).put(file for file in left if file.name != "log.jsonl")
        log = own / "log.jsonl"
        log_lines = log.read_bytes() if log.exists() else b""
        log.unlink(missing_ok=True)
        return Delivery(_moved(result, str(own), self.out), names, log_lines)


def work_away(
    url: str, run: RunFolder, work: Callable[[Any], Any], jobs: Sequence[Any], share: Share, *, days: float
) -> list[Any]:
    """Do jobs of a run through `share`, which calls what it is given wherever it likes; files come and go by `url`,
    and where they are used, those that no job has used for `days` are deleted.

    A job whose result is here already is done here: that takes a look at a file. What `share` answers in place of a
    delivery, for a job that failed, is passed on.
    """
    out = str(run.out)
    exchange = Exchange(url, run.out)
    todo = [job for job in jobs if not job.result.exists()]
    exchange.offer({Path(path) for job in todo for path in _paths(job, out)})
    away = Away(work, url, exchange.session, out, days)
    answers = dict(zip((job.digest for job in todo), share(away, todo), strict=True))
    for answer in answers.values():
        if isinstance(answer, Delivery):
            exchange.get(answer.files)
            with run.log.open("ab") as file:
                file.write(answer.log)
    here = (answers[job.digest] if job.digest in answers else work(job) for job in jobs)
    return [answer.result if isinstance(answer, Delivery) else answer for answer in here]


def _paths(value: Any, root: str) -> list[str]:
    """Every path of a file under `root` that a record names."""
    found: list[str] = []

    def note(path: str) -> str:
        found.append(path)
        return path

    _with_paths(value, root, note)
    return found


def _moved(value: Any, old: str, new: str) -> Any:
    """The record with every path under `old` moved to `new`."""
    return _with_paths(value, old, lambda path: new + path[len(old) :])


def _with_paths(value: Any, root: str, change: Callable[[str], str]) -> Any:
    """The record with every path under `root` changed."""
    match value:
        case str():
            return change(value) if value.startswith(f"{root}/") else value
        case dict():
            return {key: _with_paths(item, root, change) for key, item in value.items()}
        case list():
            return [_with_paths(item, root, change) for item in value]
        case tuple():
            return tuple(_with_paths(item, root, change) for item in value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{f.name: _with_paths(getattr(value, f.name), root, change) for f in fields(value)})
    return value
