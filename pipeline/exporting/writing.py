"""Putting files into the new folder of an export."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import JobError
from pipeline.exporting.parts import Part
from pipeline.log import Progress
from pipeline.store import write_csv


class Target:
    """The folder that an export is written into, which nobody sees before it is whole; `bar` counts images."""

    def __init__(self, root: Path, bar: Progress | None = None) -> None:
        self.root = root
        self._bar = bar

    def image(self, part: Part) -> None:
        """Copy the image's bytes unchanged to `part.path`. Raises JobError where they are not what was read."""
        data = part.file.read_bytes()
        if hashlib.sha256(data).hexdigest() != part.sha256:
            raise JobError(f"{part.file} has changed since it was read; run the same command again.")
        self.data(part.path, data)
        if self._bar is not None:
            self._bar.advance()

    def data(self, name: str, data: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def text(self, name: str, text: str) -> None:
        """UTF-8 with "\\n" line ends."""
        self.data(name, text.encode())

    def json(self, name: str, value: Any) -> None:
        self.text(name, json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")

    def png(self, name: str, pixels: NDArray[np.uint8]) -> None:
        """Grey pixels [H, W]."""
        self.data(name, cv2.imencode(".png", pixels)[1].tobytes())

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        write_csv(self.root / name, columns, rows)
