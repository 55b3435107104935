"""Inception Score: confidence of every image's class and diversity of the classes (Salimans et al. 2016, section 4)."""

from itertools import pairwise

import torch
from torch import Tensor

from ganaug.metrics.spread import Spread, spread

TOLERANCE = 1e-3  # by which a row of probabilities may miss 1


def inception_score(probabilities: Tensor, *, splits: int = 10) -> Spread:
    """Measure ``exp(E_x KL(p(y | x) || p(y)))`` in each of ``splits`` consecutive parts of the images.

    ``probabilities [N, K]``, rows that add up to 1, in random order, since a part's ``p(y)`` is the mean of its rows.
    Returns mean and deviation over the parts, each between 1 and the smaller of K and the images of a part. What the
    classes are is up to the network; real images have no say in it. Raises ``ValueError`` on another shape, on rows
    that are no probabilities, and where there are fewer images than parts.

    arXiv 1606.03498. The parts are those of the authors' program: part i ends before image (i + 1) N // splits.
    """
    if probabilities.ndim != 2 or not probabilities.shape[1]:
        raise ValueError(f"Class probabilities of shape {tuple(probabilities.shape)}; give [N, K].")
    p = probabilities.double()
    if not 1 <= splits <= len(p):
        raise ValueError(f"{len(p)} images cannot be split into {splits} parts; give 1 to {len(p)} parts.")
    if not (p.min() >= 0 and (p.sum(dim=1) - 1).abs().max() <= TOLERANCE):  # written so that NaN fails too
        raise ValueError("Each row must hold the probabilities of one image; pass logits through softmax first.")
    bounds = [i * len(p) // splits for i in range(splits + 1)]
    return spread(torch.stack([_score(p[start:end]) for start, end in pairwise(bounds)]))


def _score(p: Tensor) -> Tensor:
    divergence = torch.xlogy(p, p) - torch.xlogy(p, p.mean(dim=0))  # 0 log 0 = 0
    return divergence.sum(dim=1).mean().exp()
