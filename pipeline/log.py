"""What happened: one JSON object a line for machines, a progress bar for people."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from pipeline.masking import mask_secrets
from pipeline.store import jsonable

QUIET_SHARE = 0.1  # without a terminal, one line each tenth of the work


class RunLog:
    """Appends events to `log.jsonl`; a line is written whole, so that a reader sees complete ones only.

    Several processes may append to one file: each line is a single append.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, stage: str, event: str, **fields: Any) -> None:
        """Append `{"time", "stage", "event", **fields}`; secrets in the fields are masked."""
        record = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "stage": stage, "event": event}
        record |= {key: _masked(key, value) for key, value in jsonable(fields).items()}
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            file.write(line)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The events of a log; a last line that a crash cut short is left out."""
    records = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def _masked(key: str, value: Any) -> Any:
    match value:
        case str():
            # The key decides too: token="abc" shows only in the two together.
            return "***" if mask_secrets(f"{key}=x") != f"{key}=x" else mask_secrets(value)
        case dict():
            return {name: _masked(name, item) for name, item in value.items()}
        case list():
            return [_masked(key, item) for item in value]
    return value


class Progress:
    """How far a stage is: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, stage: str, total: int, stream: TextIO) -> None:
        self._stage, self._total, self._stream = stage, max(total, 1), stream
        self._done, self._said = 0, 0.0
        self._lock = threading.Lock()
        self._bar = tqdm(total=total, desc=stage, file=stream, leave=True) if stream.isatty() else None

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` more are done; `note` is shown behind the count."""
        with self._lock:
            self._done += steps
            if self._bar is not None:
                self._bar.set_postfix_str(note, refresh=False)
                self._bar.update(steps)
            elif self._done / self._total >= self._said + QUIET_SHARE or self._done == self._total:
                self._said = self._done / self._total
                print(f"{self._stage}: {self._done}/{self._total} {note}".rstrip(), file=self._stream, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@contextmanager
def progress(stage: str, total: int, stream: TextIO | None = None) -> Iterator[Progress]:
    """A `Progress` of `total` steps on `stream` (standard error), closed at the end."""
    bar = Progress(stage, total, stream or sys.stderr)
    try:
        yield bar
    finally:
        bar.close()
