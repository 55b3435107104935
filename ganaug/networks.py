"""Convolutional generator and discriminator, conditioned on a class or an appearance mode."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.initialisation import init_kaiming, init_normal
from ganaug.spec import Spec


class ConditionalNorm2d(nn.Module):
    """A normalisation whose gain and bias belong to the condition (Dumoulin et al. 2017, arXiv 1610.07629)."""

    def __init__(self, norm: Callable[[Tensor], Tensor], channels: int, conditions: int) -> None:
        super().__init__()
        self.norm = norm
        self.gain = nn.Embedding(conditions, channels)
        self.bias = nn.Embedding(conditions, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = self.gain(condition)[:, :, None, None], self.bias(condition)[:, :, None, None]
        result: Tensor = self.norm(x) * gain + bias
        return result


class ConditionalInstanceNorm2d(ConditionalNorm2d):
    """Over the pixels of each image."""

    def __init__(self, channels: int, conditions: int) -> None:
        super().__init__(F.instance_norm, channels, conditions)


class ConditionalBatchNorm2d(ConditionalNorm2d):
    """Over the batch."""

    def __init__(self, channels: int, conditions: int) -> None:
        super().__init__(nn.BatchNorm2d(channels, affine=False), channels, conditions)


class ResizeConv2d(nn.Conv2d):
    """Nearest-neighbour doubling, then a 3x3 convolution: every pixel is reached by the same number of weights.

    A transposed convolution of stride 2 makes its even and its odd rows with different weights, which shows as a
    checkerboard; here only the borders differ (Odena, Dumoulin & Olah 2016, distill.pub/2016/deconv-checkerboard).
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


def doubling(variant: str, inputs: int, outputs: int, *, bias: bool = False) -> nn.Module:
    """A layer from `[N, inputs, S, S]` to `[N, outputs, 2S, 2S]`; `variant` is `transposed` or `resize`."""
    if variant == "resize":
        return ResizeConv2d(inputs, outputs, bias=bias)
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)


def generator_widths(spec: Spec) -> list[int]:
    """Channels at 4x4, 8x8, ... up to half the size of the image: `width` there, doubled at each halving, 16 times
    `width` at most."""
    doublings = int(math.log2(spec.size // 4))
    return [spec.width * min(2 ** (doublings - 1 - i), 16) for i in range(doublings)]


class ConvGenerator(nn.Module):
    """Noise `[N, latent]` and condition `[N]` to images `[N, C, S, S]` in [-1, 1].

    DCGAN's rules (Radford et al. 2015, section 3): transposed convolutions up from 4x4, batch normalisation
    everywhere but on the output, ReLU inside, tanh out, no dense hidden layer, weights drawn from N(0, 0.02).
    The variant `resize` doubles by nearest neighbours and convolves instead.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        widths = generator_widths(spec)
        self.latent = spec.latent
        self.first = nn.ConvTranspose2d(spec.latent, widths[0], 4, bias=False)  # 1x1 -> 4x4: nothing overlaps
        self.ups = nn.ModuleList(doubling(spec.variant, a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(ConditionalBatchNorm2d(width, spec.conditions) for width in widths)
        self.last = doubling(spec.variant, widths[-1], spec.channels, bias=True)
        init_normal(self)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        x = F.relu(self.norms[0](self.first(z[:, :, None, None]), condition))
        for up, norm in zip(self.ups, self.norms[1:], strict=True):
            x = F.relu(norm(up(x), condition))
        images: Tensor = self.last(x).tanh()
        return images


def critic_layers(spec: Spec, inputs: int) -> tuple[nn.ModuleList, nn.ModuleList]:
    """Convolutions of stride 2 from `[N, inputs, S, S]` down to 4x4, and what normalises the output of each.

    With the critic norm `batch` all are normalised but the one on the image (Radford et al. 2015, section 3). A critic
    is never run outside of training, so it keeps no running statistics: nothing of it moves in the generator's update.
    """
    halvings = int(math.log2(spec.size // 4))
    widths = [inputs] + [spec.width * min(2**i, 16) for i in range(halvings)]
    downs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
    if spec.critic_norm == "batch":
        init_normal(downs)
        normalised = [nn.BatchNorm2d(width, track_running_stats=False) for width in widths[2:]]
        return downs, nn.ModuleList([nn.Identity(), *normalised])
    init_kaiming(downs)
    return downs, nn.ModuleList(nn.Identity() for _ in downs)


class ProjectionCritic(nn.Module):
    """Images `[N, C, S, S]` and condition `[N]` to logits `[N]`: strided convolutions, leaky ReLU, no sigmoid.

    The condition enters as an inner product with the pooled features (Miyato & Koyama 2018, arXiv 1802.05637,
    equation 3). Without normalisation unless `spec.critic_norm` asks for it.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.downs, self.norms = critic_layers(spec, spec.channels)
        features = int(self.downs[-1].out_channels)  # type: ignore[arg-type]
        self.linear = nn.Linear(features, 1)
        self.embedding = nn.Embedding(spec.conditions, features)
        self.scale = features**-0.5  # of the inner product of features and embedding
        nn.init.zeros_(self.embedding.weight)

    def body(self, x: Tensor) -> Tensor:
        """What the score is read from: `[N, C, S, S]` to `[N, W, 4, 4]`."""
        for down, norm in zip(self.downs, self.norms, strict=True):
            x = F.leaky_relu(norm(down(x)), 0.2)
        return x

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        pooled = self.body(x).mean((2, 3)) * 4.0  # sum over the 4x4 grid, scaled to unit variance
        match = (self.embedding(condition) * pooled).sum(1) * self.scale
        logits: Tensor = self.linear(pooled).squeeze(1) + match
        return logits
