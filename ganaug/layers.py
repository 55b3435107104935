"""Layers of the growing families (Karras et al. 2017, arXiv 1710.10196; Karras et al. 2018, arXiv 1812.04948)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HE = math.sqrt(2)  # gain of He's initialiser before a rectifier
GROUP = 4  # images whose spread is measured together


class EqualConv2d(nn.Conv2d):
    """Convolution with an equalised learning rate (arXiv 1710.10196, section 4.1): keeps the side of the image.

    The stored weights start from N(0, 1) and are scaled by He's constant `gain / sqrt(fan in)` when they are used, so
    that Adam, whose updates do not depend on the gradient's scale, moves all layers equally fast.
    """

    def __init__(self, channels: int, out: int, kernel: int, *, gain: float = HE) -> None:
        super().__init__(channels, out, kernel, padding=kernel // 2)
        nn.init.normal_(self.weight)
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]
        self.constant = gain / math.sqrt(channels * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.constant, self.bias, padding=self.padding)


class EqualLinear(nn.Linear):
    """Dense layer with an equalised learning rate; with `multiplier` m it learns m times as fast.

    A multiplier below 1 is made up for in the initial weights, which leaves the layer's output as it would be without
    (arXiv 1812.04948, appendix C).
    """

    def __init__(self, inputs: int, out: int, *, gain: float = HE, multiplier: float = 1.0) -> None:
        super().__init__(inputs, out)
        nn.init.normal_(self.weight, std=1 / multiplier)
        nn.init.zeros_(self.bias)
        self.constant, self.multiplier = gain / math.sqrt(inputs) * multiplier, multiplier

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.constant, self.bias * self.multiplier)


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU with leakiness 0.2, everywhere in both papers."""
    return F.leaky_relu(x, 0.2)


def pixel_norm(x: Tensor) -> Tensor:
    """Scale the vector of channels of every pixel, or of a latent `[N, D]`, to unit mean square (section 4.2)."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def minibatch_stddev(x: Tensor) -> Tensor:
    """Append one feature map: how much features `[N, C, H, W]` differ within groups of images (section 3).

    The deviation over a group, averaged over channels and pixels, is one number, which every pixel of its images gets.
    Groups are of four neighbours in the batch, or three where the batch does not divide; real and generated images
    must come in batches of their own.
    """
    groups = x.tensor_split(math.ceil(len(x) / GROUP))
    spread = [(g.var(0, correction=0) + 1e-8).sqrt().mean().expand(len(g)) for g in groups]
    return torch.cat([x, torch.cat(spread)[:, None, None, None].expand(-1, 1, *x.shape[2:])], dim=1)


def enlarge(x: Tensor) -> Tensor:
    """Double the side by repeating pixels."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def enlarge_smoothly(x: Tensor) -> Tensor:
    """Double the side bilinearly: repeated pixels blurred by [1, 2, 1] / 4 (arXiv 1812.04948, section 2)."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def shrink(x: Tensor) -> Tensor:
    """Halve the side by the mean of 2x2 pixels."""
    return F.avg_pool2d(x, 2)


def shrink_smoothly(x: Tensor) -> Tensor:
    """Halve the side of a blurred image: [1, 2, 1] / 4, then the mean of two, are [1, 3, 3, 1] / 8 with stride 2."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / 8
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])
