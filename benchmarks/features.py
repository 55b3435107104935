"""Features to measure distances on, from training images alone: what might take the place of the filter's own."""

from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn import functional as F

from classifiers.architectures import SmallResNet, to_input
from classifiers.fitting import fit
from classifiers.policies import Augmenter
from classifiers.scattering import Scattering
from pipeline.config import Config
from pipeline.stages.conditioning_inputs import shrunk
from pipeline.stages.fits import recipe_for

DIMENSIONS, DRAWS = 64, 4
STEPS, BATCH, TEMPERATURE = 400, 64, 0.5  # of the contrastive training
Features = Callable[[Tensor], Tensor]


def scattering(images: Tensor, _labels: Tensor) -> Features:
    """The project's own: no training."""
    return Scattering.fit(images)


def pixels(images: Tensor, _labels: Tensor) -> Features:
    """Principal components of 16x16 pixels."""

    def flat(x: Tensor) -> NDArray[np.float32]:
        return shrunk(x, 16).flatten(1).numpy()

    found = PCA(min(DIMENSIONS, len(images) - 1), whiten=True, random_state=0).fit(flat(images))
    return lambda x: torch.from_numpy(found.transform(flat(x)))


def untrained(images: Tensor, _labels: Tensor, *, draw: int = 0) -> Features:
    """A classifier's body as it is drawn: Naeem et al. 2020, arXiv 2002.09797, section 4.3."""
    torch.manual_seed(draw)
    return _pooled(SmallResNet(2, images.shape[1]).eval())


def classifier(images: Tensor, labels: Tensor) -> Features:
    """The body of a classifier like the one that is to gain, trained with flips."""
    recipe = recipe_for(Config(), len(images), policy="flips")
    trained = fit(images, labels, recipe, classes=int(labels.max()) + 1, seed=0)
    return _pooled(cast(SmallResNet, trained))


def contrastive(images: Tensor, _labels: Tensor) -> Features:
    """The same body taught without labels to tell images apart (SimCLR: Chen et al. 2020, arXiv 2002.05709)."""
    torch.manual_seed(0)
    body, head = SmallResNet(2, images.shape[1]), nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32))
    optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], lr=2e-3, weight_decay=0.05)
    augment = Augmenter("flips_shift_light", images.shape[-1], 0)
    for _ in range(STEPS):
        chosen = images[torch.randperm(len(images))[:BATCH]]
        seen = to_input(torch.cat([augment(chosen), augment(chosen)]))
        z = F.normalize(head(body.features(seen)), dim=1)
        similarity = (z @ z.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        loss = F.cross_entropy(similarity, torch.arange(len(z)).roll(len(chosen)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return _pooled(body.eval())


EXTRACTORS: dict[str, Callable[[Tensor, Tensor], Features]] = {
    "scattering": scattering,
    "pixels": pixels,
    "untrained": untrained,
    **{f"untrained, draw {draw}": partial(untrained, draw=draw) for draw in range(1, DRAWS)},
    "contrastive": contrastive,
    "classifier": classifier,
}


def standardised(extractor: str, images: Tensor, labels: Tensor) -> Features:
    """Features of the named extractor, `float64 [N, D]`, each with a deviation of 1 over the training images."""
    features = EXTRACTORS[extractor](images, labels)
    scale = features(images).double().std(0).clamp(min=1e-9)
    return lambda some: features(some).double() / scale


def _pooled(network: SmallResNet) -> Features:
    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        return torch.cat([network.features(to_input(part)) for part in torch.split(images, 256)])

    return features
