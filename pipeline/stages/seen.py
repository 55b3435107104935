"""Which images a generator has learned from, and that no test image of a run is among them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pipeline.errors import InputError
from pipeline.log import RunLog
from pipeline.stages.records import Pack, Prepared, load_pack

SHORT = 16  # hex digits of an image's SHA-256, which tell apart the images of any data set
NAMED = 2  # test images that the error names
Record = Mapping[str, Any]  # of a trained generator, as its file holds it


def seen_by(pack: Pack, index: Tensor, base: Record | None) -> list[str] | None:
    """Short digests of the images `index` of the pack and of those that the base has seen.

    None where the base's record has no such list: a part of it would pass for the whole.
    """
    before = [] if base is None else base.get("seen")
    return None if before is None else sorted({*before, *(_short(pack.rows[i]) for i in index.tolist())})


def require_unseen(record: Record, prepared: Prepared, log: RunLog, *, generator: str, mend: str) -> None:
    """Refuse a generator that was trained on test images; log it as unchecked where its record lists no images.

    Raises:
        InputError: the generator has learned from test images of this run, whose figures it would flatter.
    """
    if record.get("seen") is None:
        why = "its record does not say which images it has learned from, so that test images may be among them"
        log.write("train", "unchecked", generator=generator, reason=why)
        return
    pack, seen = load_pack(prepared.pack), set(record["seen"])
    found = [pack.rows[i]["path"] for i in pack.of("test").tolist() if _short(pack.rows[i]) in seen]
    if found:
        raise InputError(
            f"{generator} has learned from {len(found)} test image(s) of this run, such as "
            f"{' and '.join(found[:NAMED])}, whose figures would flatter it; {mend}."
        )


def _short(row: Mapping[str, Any]) -> str:
    return str(row["sha256"])[:SHORT]
