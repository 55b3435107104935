"""How much of the variety of the real images a generator makes, condition by condition."""

import torch
from sklearn.cluster import KMeans
from torch import Tensor

IMAGES_PER_MODE, MOST_MODES = 4, 5  # of one condition; a mode of fewer images is an outlier


def relative_spread(generated: Tensor, real: Tensor, conditions: Tensor) -> float:
    """How far generated images lie from the mean of their condition, in units of what real images do.

    ``generated, real [N, D]``, row i of both of condition ``conditions[i]``, ``int64 [N]``. Near 0 the generator draws
    one image over and over, 1 is the variety of the real images; above 1, it is more (noise, for one).
    """
    made, known = (float(_centred(features, conditions).norm(dim=1).mean()) for features in (generated, real))
    return made / max(known, 1e-12)


def find_modes(real: Tensor, conditions: Tensor, *, seed: int) -> Tensor:
    """Group the real images of each condition by appearance with k-means; ``int64 [N]``, numbered over all conditions.

    ``real [N, D]``, ``conditions int64 [N]``.
    """
    modes, first = torch.zeros_like(conditions), 0
    for condition in sorted(set(conditions.tolist())):
        mine = conditions == condition
        count = min(MOST_MODES, max(1, int(mine.sum()) // IMAGES_PER_MODE))
        found = KMeans(count, n_init=10, random_state=seed).fit_predict(real[mine].double().numpy())
        modes[mine] = torch.from_numpy(found).long() + first
        first += count
    return modes


def mode_recall(generated: Tensor, real: Tensor, conditions: Tensor, modes: Tensor) -> float:
    """Share of the real images' modes that the generated images fill, in [0, 1].

    A generated image counts for the mode whose mean is nearest among those of its condition, both taken relative to the
    mean of all images of the condition of their kind: an offset common to a generator's images does not make them one
    mode. With p and q the shares of real and generated images in a mode it is the sum of min(p, q), which is 1
    for equal shares (1 minus the total variation distance; Richardson & Weiss 2018, arXiv 1805.12462, compare the same
    histograms bin by bin).

    ``generated, real [N, D]``, ``conditions, modes int64 [N]`` of their rows, as of ``find_modes``.
    """
    numbers = modes.unique()  # type: ignore[no-untyped-call]
    known = _centred(real, conditions)
    centres = torch.stack([known[modes == mode].mean(0) for mode in numbers])
    owners = torch.stack([conditions[modes == mode][0] for mode in numbers])
    pairwise_distances = torch.cdist(_centred(generated, conditions), centres)
    pairwise_distances[conditions[:, None] != owners[None, :]] = torch.inf
    nearest = numbers[pairwise_distances.argmin(1)]
    filled = torch.minimum(_counts(nearest, numbers), _counts(modes, numbers)).sum()
    return float(filled) / len(real)


def _counts(values: Tensor, numbers: Tensor) -> Tensor:
    return (values[:, None] == numbers[None, :]).sum(0)


def _centred(features: Tensor, conditions: Tensor) -> Tensor:
    """Feature rows `[N, D]` less the mean row of their condition, `float64`."""
    centred = features.double().clone()
    for condition in set(conditions.tolist()):
        mine = conditions == condition
        centred[mine] -= centred[mine].mean(0)
    return centred
