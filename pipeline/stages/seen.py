"""Which images a generator has learned from."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pipeline.stages.records import Pack

SHORT = 16  # hex digits of an image's SHA-256, which tell apart the images of any data set
Record = Mapping[str, Any]  # of a trained generator, as its file holds it


def seen_by(pack: Pack, index: Tensor, base: Record | None) -> list[str] | None:
    """Short digests of the images `index` of the pack and of those that the base has seen.

    None where the base's record has no such list: a part of it would pass for the whole.
    """
    before = [] if base is None else base.get("seen")
    return None if before is None else sorted({*before, *(_short(pack.rows[i]) for i in index.tolist())})


def _short(row: Mapping[str, Any]) -> str:
    return str(row["sha256"])[:SHORT]
