"""Pictures of a training as it goes: sample grids and loss curves, rewritten at every checkpoint."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from pipeline.report.plots import history_plot
from pipeline.store import write_atomically, write_csv


def save_grid(path: Path, images: Tensor, *, columns: int) -> None:
    """Save `uint8 [N, C, S, S]` as one PNG of `columns` images a row; N a multiple of `columns`."""
    n, channels, size, _ = images.shape
    cells = images.view(n // columns, columns, channels, size, size).permute(0, 3, 1, 4, 2)
    grid = cells.reshape(n // columns * size, columns * size, channels).numpy()
    pixels = cv2.cvtColor(grid, cv2.COLOR_RGB2BGR) if channels == 3 else grid
    write_atomically(path, cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes())


def save_curves(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Save `history.csv` and `curves.svg` in `folder`."""
    columns = columns_of(history)
    rows = ({name: f"{value:.6g}" for name, value in row.items()} for row in history)
    write_csv(folder / "history.csv", list(columns), rows)
    if history:
        svg = base64.b64decode(history_plot(columns).partition("base64,")[2])
        write_atomically(folder / "curves.svg", svg)


def columns_of(history: Sequence[Mapping[str, float]]) -> dict[str, list[float | None]]:
    """Rows of a training history as columns; None where a row lacks the figure."""
    names = list(dict.fromkeys(name for row in history for name in row))
    return {name: [row.get(name) for row in history] for name in names}
