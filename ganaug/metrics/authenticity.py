"""Authenticity: which generated images are more than a noisy copy of a training image (Alaa et al. 2022)."""

import torch
from torch import Tensor

from ganaug.metrics.neighbours import distances, nearest, radii


def authentic(generated: Tensor, real: Tensor) -> Tensor:
    """Mark the generated images that are not too near to a training image: ``bool [M]``.

    ``generated [M, D]``, ``real [N, D]`` with N at least 2: the images the generator was trained on. With ``x`` the
    training image nearest to ``g``, ``g`` is authentic where ``d(g, x) > d(x, x')`` for ``x'`` the nearest other
    training image of ``x`` (arXiv 2102.08921, authenticity classifier). A copy never is, not even of an image that is
    there twice.
    """
    distance, index = nearest(generated, real)
    return distance > radii(real, k=1)[index]


def authenticity(generated: Tensor, real: Tensor) -> float:
    """Share of the generated images that are ``authentic``, in [0, 1]; 0 for copies of the training images.

    ``generated [M, D]`` with M at least 1, ``real [N, D]`` with N at least 2. Noise is authentic too: read it beside
    precision. Raises ``ValueError`` where there are too few images.
    """
    if len(generated) == 0:
        raise ValueError("There are no generated images to judge; give at least one.")
    return authentic(generated, real).double().mean().item()


def authenticity_among(real: Tensor) -> float:
    """The yardstick of ``authenticity``: each of ``real [N, D]`` as if generated, the others as training images.

    In [0, 1], about one half for images without near-duplicates. Raises ``ValueError`` for fewer than 3 rows.
    """
    if len(real) < 3:
        raise ValueError(f"{len(real)} real images: each needs two others to be measured against.")
    near = distances(real, real).fill_diagonal_(torch.inf).topk(2, dim=1, largest=False)
    own, neighbour = near.values[:, 0], near.indices[:, 0]
    # the neighbour's distance to its nearest other image, when this one is left out
    left_out = near.indices[neighbour, 0] == torch.arange(len(real), device=real.device)
    reach = torch.where(left_out, near.values[neighbour, 1], near.values[neighbour, 0])
    return (own > reach).double().mean().item()
