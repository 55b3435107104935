"""Training techniques for any family; each is an option of `ganaug/options.py` and off by default."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

ANCHOR_DECAY = 0.99  # of the scores' moving averages: Tseng et al. 2021, arXiv 2104.03310, section 4


def flip_labels(targets: Tensor, share: float, rng: Generator) -> Tensor:
    """Turn about `share` of the targets `[N, ...]` in [0, 1] into their opposite."""
    flip = torch.rand(targets.shape, generator=rng).to(targets.device) < share
    return torch.where(flip, 1 - targets, targets)


def instance_noise(images: Tensor, deviation: float, rng: Generator) -> Tensor:
    """Add Gaussian noise, so that real and generated images overlap early on (arXiv 1610.04490, section 3)."""
    return images + deviation * torch.randn(images.shape, generator=rng).to(images.device)


def label_ramp(progress: float, delay: float) -> float:
    """Share of labels that are used as they are: 0 until `delay` of training, 1 from `2 delay` on (arXiv 2201.06578).

    The others are replaced by a random class for both networks, which trains them as if there were no classes.
    """
    return 1.0 if delay == 0 else min(1.0, max(0.0, progress / delay - 1))


def spectral(network: nn.Module) -> nn.Module:
    """Normalise every layer's weight by its largest singular value (Miyato et al. 2018, arXiv 1802.05957).

    Embeddings stay as they are: a projection starts at zero, which has no direction to normalise.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            spectral_norm(module)
    return network


@dataclass
class Anchors:
    """Moving averages of the discriminator's scores of real and generated images, for LeCam regularisation."""

    real: float = 0.0
    fake: float = 0.0

    def update(self, real: float, fake: float) -> None:
        """Take in a batch's mean scores."""
        self.real += (1 - ANCHOR_DECAY) * (real - self.real)
        self.fake += (1 - ANCHOR_DECAY) * (fake - self.fake)
