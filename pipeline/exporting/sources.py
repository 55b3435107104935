"""What is exported: the data set of a run, with its synthetic images, or any that `pipeline.reading` reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import ImageMode

from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.exporting.parts import Part, run_lengths
from pipeline.exporting.tables import LINEAGE
from pipeline.reading import Problem, Reading, load
from pipeline.reading.header import own_pixel_cap, read_header
from pipeline.reading.labels_csv import read_rows
from pipeline.store import RunFolder

Row = Mapping[str, str]
# Of what reading says: what a run does to images and splits, and the rows of the other source. Neither holds here.
OF_A_RUN = (
    "working size",
    "become colour",
    "read as grey",
    "converted to RGB",
    "to 8 bits",
    "split anew",
    "row(s) were",
)


@dataclass
class Source:
    """The images of a data set, its folder, and what reading has to say of it."""

    root: Path
    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_source(path: Path, config: Config) -> Source:
    """Read a run's folder or a data set, real images first, then synthetic ones.

    Where `instances.json` (COCO) lies beside a manifest it says what is on the images, else their masks do. Raises
    InputError when there is nothing to read, a run has no data set yet, or that file is damaged.
    """
    dataset = _dataset_of(path)
    table = dataset / "manifest.csv" if dataset.is_dir() else dataset
    rows = _rows(table)
    sources = sorted({row.get("source") or "real" for row in rows.values()}) or ["real"]
    found = Source(table.parent.resolve() if rows else dataset.resolve())
    for source in sources:
        reading = load(
            dataset,
            max_megapixels=config.data.max_megapixels,
            group_pattern=config.data.group_pattern if source == "real" else None,
            source=source,
            layout=config.data.layout if source == "real" else "auto",
            annotations=config.data.annotations if source == "real" else None,
        )
        found.parts += _parts(reading, source, rows, int(config.data.max_megapixels * 1e6))
        found.notes += [note for note in reading.notes if not any(words in note for words in OF_A_RUN)]
        found.problems += reading.problems
    return found


def _dataset_of(path: Path) -> Path:
    run = RunFolder(path)
    if run.manifest.is_file():
        return run.dataset
    if run.record.is_file() and run.config.is_file():
        raise InputError(f"{path} is a run without a data set yet; `ganaug merge --out {path}` writes it.")
    return path


def _rows(table: Path) -> dict[str, Row]:
    """The rows of a manifest by path; none where the data set has no manifest."""
    if table.suffix.lower() != ".csv" or not table.is_file():
        return {}
    return {str(Path(row["path"]).as_posix()): row for _, row in read_rows(table)[0]}


def _parts(reading: Reading, source: str, rows: Mapping[str, Row], max_pixels: int) -> list[Part]:
    parts = []
    with own_pixel_cap():
        for i, row in enumerate(reading.frame.to_dict("records")):
            header, mask = read_header(reading.root / row["path"], max_pixels), reading.masks[i]
            parts.append(
                Part(
                    file=reading.root / row["path"],
                    original=row["path"],
                    label=row["label"],
                    split=row["split"],
                    source=source,
                    sha256=row["sha256"],
                    width=row["width"],
                    height=row["height"],
                    channels=_channels(header.mode),
                    kind=header.format,
                    deep=";16" in row["mode"] or "F" in row["mode"],
                    turned=header.orientation != 1,
                    group=row["group"],
                    instances=reading.instances[i],
                    pixels=None if mask is None else run_lengths(mask),
                    lineage=_lineage(rows.get(row["path"], {})),
                )
            )
    return parts


def _channels(mode: str) -> int:
    """Of a file with this mode, as in `Picture`; a palette is of colours."""
    name = mode.partition(";")[0]
    return 3 if name == "P" else len(ImageMode.getmode(name).bands)


def _lineage(row: Row) -> dict[str, Any]:
    return {key: _value(key, text) for key in LINEAGE if (text := row.get(key, ""))}


def _value(key: str, text: str) -> Any:
    """A number where the column is one; a manifest by somebody else may hold anything there."""
    if key in ("generator", "nearest_real", "decision"):
        return text
    try:
        return int(text) if key == "seed" else float(text)
    except ValueError:
        return text
