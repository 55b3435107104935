"""Convolutional generator and discriminator, conditioned on a class or an appearance mode."""

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.spec import Spec


class ConditionalBatchNorm2d(nn.Module):
    """Batch normalisation whose gain and bias belong to the condition (Dumoulin et al. 2017, arXiv 1610.07629)."""

    def __init__(self, channels: int, conditions: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Embedding(conditions, channels)
        self.bias = nn.Embedding(conditions, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = self.gain(condition)[:, :, None, None], self.bias(condition)[:, :, None, None]
        normalised: Tensor = self.norm(x)
        result: Tensor = normalised * gain + bias
        return result


class ConvGenerator(nn.Module):
    """Noise `[N, latent]` and condition `[N]` to images `[N, C, S, S]` in [-1, 1].

    DCGAN's rules (Radford et al. 2015, section 3): transposed convolutions up from 4x4, batch normalisation
    everywhere but on the output, ReLU inside, tanh out, no dense hidden layer, weights drawn from N(0, 0.02).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        doublings = int(math.log2(spec.size // 4))
        widths = [spec.width * min(2 ** (doublings - 1 - i), 16) for i in range(doublings)]
        self.latent = spec.latent
        self.first = nn.ConvTranspose2d(spec.latent, widths[0], 4, bias=False)  # 1x1 -> 4x4
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=False) for a, b in pairwise(widths)
        )
        self.norms = nn.ModuleList(ConditionalBatchNorm2d(width, spec.conditions) for width in widths)
        self.last = nn.ConvTranspose2d(widths[-1], spec.channels, 4, stride=2, padding=1)
        for module in self.modules():
            if isinstance(module, nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        x = F.relu(self.norms[0](self.first(z[:, :, None, None]), condition))
        for up, norm in zip(self.ups, self.norms[1:], strict=True):
            x = F.relu(norm(up(x), condition))
        images: Tensor = self.last(x).tanh()
        return images


class ProjectionCritic(nn.Module):
    """Images `[N, C, S, S]` and condition `[N]` to logits `[N]`: strided convolutions, no normalisation, no sigmoid.

    The condition enters as an inner product with the pooled features (Miyato & Koyama 2018, arXiv 1802.05637,
    equation 3). Kaiming initialisation: without normalisation, N(0, 0.02) lets the signal die.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        halvings = int(math.log2(spec.size // 4))
        widths = [spec.channels] + [spec.width * min(2**i, 16) for i in range(halvings)]
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.linear = nn.Linear(widths[-1], 1)
        self.embedding = nn.Embedding(spec.conditions, widths[-1])
        for down in self.downs:
            nn.init.kaiming_normal_(down.weight, a=0.2)  # type: ignore[arg-type]
            nn.init.zeros_(down.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.embedding.weight)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for down in self.downs:
            x = F.leaky_relu(down(x), 0.2)
        pooled = x.mean((2, 3)) * 4.0  # sum over the 4x4 grid, scaled to unit variance
        match = (self.embedding(condition) * pooled).sum(1) / pooled.shape[1] ** 0.5
        logits: Tensor = self.linear(pooled).squeeze(1) + match
        return logits
