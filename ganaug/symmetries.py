"""The eight symmetries of the square, and how alike two images are when any of them is allowed.

This serves the filter of generated images: all of one size, in tensors, compared with the real images of their class,
shifts included; how alike a copy must be follows from how alike those are (`ganaug.copies`). The near-duplicates of a
data set are another question, of any size and under any light, and are found in `pipeline/reading/thumbnails.py`.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

THUMBNAIL = 32
ILLUMINATION = 9  # thumbnail pixels: what varies more slowly is lighting, which all images of a line share
FLAT_NORM = 1e-3  # grey levels: a thumbnail with less structure than this has no pattern to correlate
BLOCK = 512  # rows compared at a time


def _turn(times: int, mirrored: bool) -> Callable[[Tensor], Tensor]:
    def apply(images: Tensor) -> Tensor:
        turned = torch.rot90(images, times, dims=(-2, -1))
        return turned.flip(-1) if mirrored else turned

    return apply


SYMMETRIES: tuple[Callable[[Tensor], Tensor], ...] = tuple(_turn(k, m) for m in (False, True) for k in range(4))
"""The dihedral group D4, each element acting on ``[..., H, W]``; the first is the identity."""


def thumbnails(images: Tensor) -> Tensor:
    """Describe images by small grey pictures without their illumination, ready to be correlated by a dot product.

    ``images [N, C, H, W]`` of any real dtype; returns ``float32 [N, 1024]``: 32x32, high-passed, centred, of unit norm,
    or all zeros for an image without structure.
    """
    if images.ndim != 4:
        raise ValueError(f"images have shape {tuple(images.shape)}; give [N, C, H, W].")
    if len(images) == 0:
        return torch.zeros(0, THUMBNAIL * THUMBNAIL)
    small = [F.interpolate(part.float(), (THUMBNAIL, THUMBNAIL), mode="area") for part in torch.split(images, BLOCK)]
    grey = torch.cat(small).mean(dim=1, keepdim=True)
    lighting = F.avg_pool2d(grey, ILLUMINATION, stride=1, padding=ILLUMINATION // 2, count_include_pad=False)
    flat = (grey - lighting).flatten(1)
    flat = flat - flat.mean(dim=1, keepdim=True)
    norm = flat.norm(dim=1, keepdim=True)
    return torch.where(norm > FLAT_NORM, flat / norm.clamp_min(FLAT_NORM), 0.0)


def correlation(images_a: Tensor, images_b: Tensor, *, slack: int = 0) -> Tensor:
    """Correlate every image of one set with every image of the other, in whichever of the eight symmetries fits best.

    ``images_a [N, C, H, W]``, ``images_b [M, C, H, W]``; ``slack`` also tries shifts of ``images_b`` by up to that many
    64ths of the side, along both axes (cost grows with ``(2 slack + 1)^2``). Returns ``float32 [N, M]`` in [-1, 1].
    """
    margin = slack * max(1, images_b.shape[-1] // 64)
    a = thumbnails(_crop(images_a, margin, margin, margin))
    best = torch.full((len(a), len(images_b)), -1.0)
    for moved in _shifted(images_b, slack, margin):
        pictures = thumbnails(moved).reshape(len(moved), THUMBNAIL, THUMBNAIL)
        for symmetry in SYMMETRIES:
            columns = symmetry(pictures).flatten(1).T
            for start in range(0, len(a), BLOCK):
                rows = slice(start, start + BLOCK)
                torch.maximum(best[rows], a[rows] @ columns, out=best[rows])
    return best.clamp_(-1.0, 1.0)


def _crop(images: Tensor, margin: int, down: int, right: int) -> Tensor:
    """Cut off ``2 margin`` rows and columns, ``down`` and ``right`` of them at the top and the left."""
    height, width = images.shape[-2] - 2 * margin, images.shape[-1] - 2 * margin
    return images[..., down : down + height, right : right + width]


def _shifted(images: Tensor, slack: int, margin: int) -> Iterator[Tensor]:
    """Yield the images at every shift; cropped, so that a shift never brings in what another image's border lacks."""
    if margin == 0:
        yield images
        return
    offsets = range(0, 2 * margin + 1, margin // slack)
    for down in offsets:
        for right in offsets:
            yield _crop(images, margin, down, right)
