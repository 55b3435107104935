"""Which images a generator has learned from, and that no test image of a run is among them.

An image is known again by its file, by its pixels whatever the file's format (a PNG saved anew), and by its fingerprint
whatever was lost in between (a JPEG of it). A fingerprint is a difference hash (N. Krawetz, "Kind of like that", 2013):
one bit for each of two neighbours in a thumbnail, set where the right one is brighter. How near two fingerprints must
be depends on the data set: parts under a fixed camera are far more alike than patches of a texture.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import InputError
from pipeline.log import RunLog
from pipeline.stages.records import Pack, Prepared, load_pack

SHORT = 16  # hex digits of a SHA-256, which tell apart the images of any data set
SIDE = 16  # rows and differences a row of a fingerprint
NEAR = 0.1  # share of a fingerprint's bits in which a copy may differ
NAMED = 2  # test images that the error names
Record = Mapping[str, Any]  # of a trained generator, as its file holds it


def identity(image: NDArray[np.uint8]) -> dict[str, str]:
    """What a pack keeps of an image, `uint8 [H, W]` or RGB `[H, W, 3]`, to know it again: `pixels` and `fingerprint`.

    `pixels` is a short SHA-256 of shape and values, `fingerprint` 64 hex digits.
    """
    pixels = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()[:SHORT]
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey.astype(np.float32), (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA)
    return {"pixels": pixels, "fingerprint": np.packbits(small[:, 1:] > small[:, :-1]).tobytes().hex()}


def seen_by(pack: Pack, index: Tensor, base: Record | None) -> list[dict[str, str]] | None:
    """How the images `index` of the pack, and those that the base has seen, are known again, in a fixed order.

    None where the base's record has no such list: a part of it would pass for the whole.
    """
    before = [] if base is None else _images_of(base)
    if before is None:
        return None
    rows = [pack.rows[i] for i in index.tolist()]
    own = [{"file": short_digest(row), "pixels": row["pixels"], "fingerprint": row["fingerprint"]} for row in rows]
    return sorted({image["file"]: image for image in [*before, *own]}.values(), key=lambda image: image["file"])


def require_unseen(record: Record, prepared: Prepared, log: RunLog, *, generator: str, mend: str) -> bool:
    """Refuse a generator that was trained on test images; log it as unchecked where its record lists no images.

    Returns whether it could be checked.

    Raises:
        InputError: the generator has learned from test images of this run, whose figures it would flatter.
    """
    seen = _images_of(record)
    if seen is None:
        why = "its record does not say which images it has learned from, so that test images may be among them"
        log.write("train", "unchecked", generator=generator, reason=why)
        return False
    pack = load_pack(prepared.pack)
    found = [pack.rows[i]["path"] for i in _known(pack, pack.of("test").tolist(), seen)]
    if found:
        raise InputError(
            f"{generator} has learned from {len(found)} test image(s) of this run, such as "
            f"{' and '.join(found[:NAMED])}, whose figures would flatter it; {mend}."
        )
    return True


def _images_of(record: Record) -> list[dict[str, str]] | None:
    seen = record.get("seen")
    return None if seen is None else [{"file": one} if isinstance(one, str) else one for one in seen]


def _known(pack: Pack, test: Sequence[int], seen: Sequence[Mapping[str, str]]) -> list[int]:
    """Which of the images `test` of the pack are among those seen."""
    files = {image["file"] for image in seen}
    pixels = {image["pixels"] for image in seen if "pixels" in image}
    near = _near_copies(pack, test, [image["fingerprint"] for image in seen if "fingerprint" in image])
    rows = ((i, pack.rows[i]) for i in test)
    return [i for i, row in rows if short_digest(row) in files or row["pixels"] in pixels or i in near]


def _near_copies(pack: Pack, test: Sequence[int], seen: Sequence[str]) -> set[int]:
    """Those of `test` whose fingerprint is much nearer to one seen than to any of another group in the pack."""
    if not test or not seen:
        return set()
    own, groups = _signs([row["fingerprint"] for row in pack.rows]), pack.groups.numpy()
    other = groups[test][:, None] != groups[None, :]
    apart = _distances(own[test], own).min(where=other, initial=1)
    nearest = _distances(own[test], _signs(seen)).min(axis=1)
    return {i for i, distance in zip(test, nearest.tolist(), strict=True) if distance <= NEAR and 2 * distance < apart}


def _signs(fingerprints: Sequence[str]) -> NDArray[np.float32]:
    """Fingerprints as -1 and 1, float32 `[N, SIDE * SIDE]`."""
    raw = np.frombuffer(bytes.fromhex("".join(fingerprints)), np.uint8).reshape(len(fingerprints), -1)
    return np.unpackbits(raw, axis=1).astype(np.float32) * 2 - 1


def _distances(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of bits that differ, `[A, B]`."""
    return (1 - one @ other.T / one.shape[1]) / 2


def short_digest(row: Mapping[str, Any]) -> str:
    """Of the file of an image of the pack."""
    return str(row["sha256"])[:SHORT]
