"""A run's folder: its paths, its lock, and its free space."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import BusyError, InputError
from pipeline.store.atomic_files import TEMPORARY, write_atomically

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run under `out`; making the object touches nothing."""

    out: Path

    @property
    def report(self) -> Path:
        return self.out / "report.html"

    @property
    def metrics(self) -> Path:
        return self.out / "metrics.json"

    @property
    def config(self) -> Path:
        return self.out / "config.yaml"

    @property
    def record(self) -> Path:
        """What the run was made from: the data set's path and its images."""
        return self.out / "run.json"

    @property
    def history(self) -> Path:
        return self.out / "history.jsonl"

    @property
    def log(self) -> Path:
        return self.out / "log.jsonl"

    @property
    def dataset(self) -> Path:
        return self.out / "dataset"

    @property
    def manifest(self) -> Path:
        return self.dataset / "manifest.csv"

    @property
    def classifiers(self) -> Path:
        """The trained classifiers of the two arms compared, what they said of the test images, and what changed."""
        return self.out / "classifiers"

    @property
    def predictions(self) -> Path:
        return self.classifiers / "predictions.csv"

    @property
    def changes(self) -> Path:
        return self.classifiers / "changes.csv"

    @property
    def store(self) -> Path:
        """Intermediate results; may be deleted between runs, then they are computed again."""
        return self.out / "store"

    def images(self, split: str, class_name: str) -> Path:
        return self.dataset / split / class_name

    def generator(self, class_name: str) -> Path:
        return self.out / "generators" / class_name

    def model(self, class_name: str) -> Path:
        return self.generator(class_name) / "model.safetensors"

    def super_resolver(self, class_name: str) -> Path:
        """Of the super-resolver of the class's images, if there is one."""
        return self.generator(class_name) / "super_resolver.safetensors"

    def sentences(self, class_name: str) -> Path:
        """The text embedding of the class's generator, if it draws from text."""
        return self.generator(class_name) / "sentences.safetensors"

    def card(self, class_name: str) -> Path:
        return self.generator(class_name) / "card.json"

    def classifier(self, arm: str) -> Path:
        return self.classifiers / arm / "model.safetensors"

    def classifier_card(self, arm: str) -> Path:
        return self.classifiers / arm / "card.json"

    def stored(self, kind: str, key: str, suffix: str = ".safetensors") -> Path:
        """Where the result `kind` with the digest `key` belongs."""
        return self.store / f"{kind}-{key[:24]}{suffix}"

    def prepare(self, planned_bytes: int = 0) -> None:
        """Make the folder and prove that it is ours, can be written and has room, before any work starts.

        Raises:
            InputError: it holds something but no run, cannot be written, or has less free space than `planned_bytes`.
        """
        self._refuse_foreign()
        make_writable(self.out, "--out")
        free = shutil.disk_usage(self.out).free
        if free < planned_bytes:
            raise InputError(
                f"{self.out} has {free / 1e6:,.0f} MB free, but this run needs about {planned_bytes / 1e6:,.0f} MB; "
                "free some space or choose another folder with --out."
            )

    def _refuse_foreign(self) -> None:
        """A run replaces `dataset/` and `generators/`: never those of a folder that something else was put into."""
        if self.log.exists() or not self.out.is_dir():
            return
        if any(not entry.name.startswith(".") for entry in self.out.iterdir()):
            raise InputError(f"{self.out} is not empty and holds no run; choose an empty or a new folder with --out.")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for this process, and clear what one that died left half written; InputError as `hold`."""
        self.prepare()
        with hold(self.out):
            for left_behind in self.out.rglob(f"{TEMPORARY}*"):
                left_behind.unlink(missing_ok=True)
            yield


def make_writable(folder: Path, option: str) -> None:
    """Make the folder and prove that it can be written; nothing is left in it.

    Raises:
        InputError: it cannot; names `option`, which chooses another.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"probe")
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror}); choose another folder with {option}."
        ) from None


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a folder for this process. The operating system frees the lock of a process that died.

    Raises:
        BusyError: another process holds it; names that.
    """
    holder, lock = folder / ".lock.json", FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(
            f"Another run ({_describe(holder)}) is working in {folder}; wait for it, or choose another folder."
        ) from None
    try:
        record = {"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        write_atomically(holder, json.dumps(record).encode())
        yield
    finally:
        lock.release()


def _describe(holder: Path) -> str:
    try:
        record = json.loads(holder.read_bytes())
        return f"process {record['pid']}, since {record['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "process unknown, just started"
