"""Images of the same spot: found whatever the exposure, grouped so that no split separates them.

Plain correlation of thumbnails calls any two images with the same lighting or one straight line alike. So a thumbnail
is high-passed, divided by its local contrast, and rid of its row and column means, which hold the lines along an axis.
On NEU (1,200 images) three pairs then correlate above 0.4 and all three show the same spot; on magnetic-tile the same
tile under another exposure correlates 0.6 to 1.0 and different tiles below 0.58.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ganaug.symmetries import SYMMETRIES
from pipeline.errors import InputError

SIDE = 32  # pixels of a thumbnail
THRESHOLD = 0.6
DETAIL = 2.0  # sigma in thumbnail pixels of the blur that is subtracted
CONTRAST = 4.0  # sigma of the neighbourhood whose contrast is divided out
NOISE = 1.0  # grey levels; contrast below this is noise and must not be amplified
CERTAIN = 0.98  # above this two images are the same spot, however alike the whole data set
ENOUGH = 8  # images, to speak of how alike two of them usually are
SAMPLE = 256  # images that stand for the data set when that is measured
BLOCK = 512  # rows compared at a time


@dataclass(frozen=True)
class Pair:
    """Two rows of the frame that show the same spot; ``identical`` when their files or pixels are equal."""

    first: int
    second: int
    correlation: float
    identical: bool


@dataclass(frozen=True)
class Duplicates:
    """``groups`` int64 ``[N]``, numbered by first appearance, and the pairs they come from, identical ones first."""

    groups: NDArray[np.int64]
    pairs: list[Pair]


def find_duplicates(
    images: Sequence[NDArray[np.uint8]],
    sha256s: Sequence[str],
    *,
    threshold: float = THRESHOLD,
    known: Sequence[str] = (),
) -> Duplicates:
    """Group images that show the same spot, in any of the square's eight symmetries.

    ``images`` are uint8 ``[H, W]`` or ``[H, W, 3]`` of any size; ``threshold`` in (0, 1] is the correlation of whitened
    thumbnails above which two images count, raised where a whole data set is alike (see ``_required``); at 1 only
    identical images are grouped. Groups are the connected components of the pairs, and of images that share a ``known``
    name other than "".
    """
    identical = _identical(images, sha256s)
    near: dict[tuple[int, int], float] = {}
    if threshold < 1:
        near = dict(_near(whitened(images), threshold))
    found = dict.fromkeys(identical, 1.0) | {pair: near[pair] for pair in near if pair not in identical}
    firsts = {name: known.index(name) for name in set(known) - {""}}
    named = [(i, firsts[name]) for i, name in enumerate(known) if name]
    rows, columns = np.array([*found, *named], np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(images), len(images)))
    _, components = connected_components(graph, directed=False)
    pairs = [Pair(i, j, round(found[i, j], 4), (i, j) in identical) for i, j in found]
    pairs.sort(key=lambda pair: (not pair.identical, -pair.correlation, pair.first, pair.second))
    return Duplicates(pd.factorize(components)[0].astype(np.int64), pairs)


def _identical(images: Sequence[NDArray[np.uint8]], sha256s: Sequence[str]) -> set[tuple[int, int]]:
    """Pairs with equal files or equal pixels."""
    found: set[tuple[int, int]] = set()
    pixels = [hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest() for image in images]
    for keys in (sha256s, pixels):
        members = pd.Series(range(len(keys)), dtype="int64").groupby(list(keys), sort=False)
        found |= {pair for _, same in members for pair in combinations(same.tolist(), 2)}
    return found


def whitened(images: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    """Describe images by what is particular to them; returns float32 ``[N, 32, 32]``, unit norm or all zeros."""
    out = np.zeros((len(images), SIDE, SIDE), np.float32)
    for k, image in enumerate(images):
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        detail = small - cv2.GaussianBlur(small, (0, 0), DETAIL)
        detail /= np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), CONTRAST) + NOISE**2)
        detail += detail.mean() - detail.mean(axis=0, keepdims=True) - detail.mean(axis=1, keepdims=True)
        norm = float(np.linalg.norm(detail))
        out[k] = detail / norm if norm > 1e-3 * SIDE else 0.0
    return torch.from_numpy(out)


def _correlate(one: torch.Tensor, other: torch.Tensor) -> NDArray[np.float32]:
    """Best dot product over the eight symmetries; ``[A, 32, 32]``, ``[B, 32, 32]`` -> float32 ``[A, B]``."""
    flat = one.flatten(1)
    turned = (symmetry(other).reshape(len(other), -1) for symmetry in SYMMETRIES)
    best = torch.stack([flat @ candidate.T for candidate in turned]).amax(dim=0)
    array: NDArray[np.float32] = best.numpy()
    return array


def _near(thumbnails: torch.Tensor, threshold: float) -> Iterator[tuple[tuple[int, int], float]]:
    required = _required(thumbnails, threshold)
    for start in range(0, len(thumbnails), BLOCK):
        for other in range(start, len(thumbnails), BLOCK):
            one, two = slice(start, start + BLOCK), slice(other, other + BLOCK)
            values = _correlate(thumbnails[one], thumbnails[two])
            enough = values >= np.maximum(required[one, None], required[None, two])
            for i, j in np.argwhere(enough):
                if start + i < other + j:
                    yield (int(start + i), int(other + j)), float(values[i, j])


def _required(thumbnails: torch.Tensor, threshold: float) -> NDArray[np.float32]:
    """The correlation at which each image has a near-duplicate: m + (1 - m) threshold, at most CERTAIN.

    m is the lower quartile of its correlations with the data set. Parts photographed in one pose share an outline,
    which lifts every correlation to m; what two images share beyond it is (c - m) / (1 - m). A quartile over all
    classes, since one class may well be a single spot photographed again and again (magnetic-tile's crack is).
    """
    count = len(thumbnails)
    usual = np.zeros(count, np.float32)
    if count >= ENOUGH:
        chosen = np.linspace(0, count - 1, min(SAMPLE, count)).astype(int)
        usual = np.quantile(_correlate(thumbnails, thumbnails[chosen]), 0.25, axis=1).astype(np.float32).clip(min=0)
    required: NDArray[np.float32] = np.minimum(usual + (1 - usual) * np.float32(threshold), max(CERTAIN, threshold))
    return required


def label_conflicts(frame: pd.DataFrame, pairs: Sequence[Pair]) -> list[Pair]:
    """Identical pairs whose two rows name different classes."""
    labels = frame["label"].tolist()
    return [pair for pair in pairs if pair.identical and labels[pair.first] != labels[pair.second]]


def split_leaks(frame: pd.DataFrame, pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs whose two rows the data set itself put into different splits."""
    splits = frame["split"].tolist()
    return [pair for pair in pairs if splits[pair.first] != splits[pair.second]]


def require_clean(frame: pd.DataFrame, duplicates: Duplicates) -> None:
    """Raise InputError when one image is in two classes, or a given split has the same spot on both sides."""
    conflicts = label_conflicts(frame, duplicates.pairs)
    if conflicts:
        raise InputError(
            f"The same image is in two classes: {_name(frame, conflicts, 'label')}; keep it in the class it belongs to."
        )
    leaks = split_leaks(frame, duplicates.pairs)
    if leaks:
        raise InputError(
            f"The same spot is in two splits: {_name(frame, leaks, 'split')}; move both images into one split, or "
            "raise data.near_duplicate_correlation if they show different parts."
        )


def _name(frame: pd.DataFrame, pairs: list[Pair], column: str, show: int = 3) -> str:
    paths, values = frame["path"].tolist(), frame[column].tolist()
    named = [
        f"{paths[p.first]!r} ({values[p.first]}) and {paths[p.second]!r} ({values[p.second]})" for p in pairs[:show]
    ]
    return "; ".join(named) + (f"; and {len(pairs) - show} more pair(s)" if len(pairs) > show else "")
