"""Progressive growing from 4x4 (Karras et al. 2017, arXiv 1710.10196, section 2): what progan and stylegan share."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganaug.families.base import Phase
from ganaug.layers import EqualConv2d, EqualLinear, activate, enlarge, minibatch_stddev, shrink
from ganaug.spec import Spec

GROWTH = 0.6  # share of training in which the networks grow; the rest is at full size, as in the papers' code
WIDEST = 8  # times the width of the layer nearest the image


def levels(size: int) -> int:
    """Number of resolutions from 4x4 up to `size`."""
    return int(math.log2(size)) - 1


def grow(progress: float, spec: Spec) -> Phase:
    """Resolution and fade-in at `progress` in [0, 1]: every resolution fades in for as long as it then stays.

    4x4 has nothing to fade in from and takes half of a share (section 2 and appendix A).
    """
    halves = progress / GROWTH * (2 * levels(spec.size) - 1)  # 0: 4x4; 1, 2: 8x8 fading, 8x8; 3, 4: 16x16 fading, ...
    level = min(int((halves + 1) / 2), levels(spec.size) - 1)
    return Phase(4 * 2**level, min(1.0, halves + 1 - 2 * level) if level else 1.0)


def channels_of(spec: Spec) -> list[int]:
    """Channels at each resolution, 4x4 first: they double at every halving, up to `WIDEST` times the width."""
    return [spec.width * min(2**halvings, WIDEST) for halvings in reversed(range(levels(spec.size)))]


class Growing(nn.Module):
    """A network with a `phase`, which is saved and loaded with its weights."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.phase = Phase(spec.size)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.phase, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        size, alpha = state.tolist()
        self.phase = Phase(int(size), alpha)


class GrowingGenerator(Growing):
    """Maps the features of the last two resolutions to images `[N, C, S', S']`, S' the side of the phase."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.to_rgb = nn.ModuleList(EqualConv2d(c, spec.channels, 1, gain=1) for c in channels_of(spec))

    def to_images(self, features: list[Tensor]) -> Tensor:
        """Fade the newest resolution into the one before (figure 2); `features` of all resolutions, 4x4 first.

        The output is linear, as in the paper (table 2). Averaged generators, which make the images, keep to [-1, 1].
        """
        level, alpha = len(features) - 1, self.phase.alpha
        images: Tensor = self.to_rgb[level](features[level]).float()
        if alpha < 1:
            coarse = self.to_rgb[level - 1](features[level - 1]).float()  # autocast enlarges in another type on GPUs
            images = torch.lerp(enlarge(coarse), images, alpha)
        return images if self.training else images.clamp(-1, 1)


class GrowingCritic(Growing):
    """Images `[N, C, S', S']` of the phase's side and condition `[N]` to logits `[N]` (table 2).

    Two 3x3 convolutions a resolution, then `halve`; the minibatch's deviation at 4x4 (section 3); no normalisation.
    The condition enters as an inner product with the last features (Miyato & Koyama 2018, arXiv 1802.05637).
    """

    def __init__(self, spec: Spec, halve: Callable[[Tensor], Tensor]) -> None:
        super().__init__(spec)
        channels = channels_of(spec)
        self.halve = halve
        self.from_rgb = nn.ModuleList(EqualConv2d(spec.channels, c, 1) for c in channels)
        self.blocks = nn.ModuleList(  # block i leads from resolution i + 1 to i
            nn.ModuleList((EqualConv2d(fine, fine, 3), EqualConv2d(fine, coarse, 3)))
            for coarse, fine in pairwise(channels)
        )
        top = channels[0]
        self.last = EqualConv2d(top + 1, top, 3)
        self.dense = EqualLinear(top * 16, top)
        self.score = EqualLinear(top, 1, gain=1)
        self.embedding = nn.Embedding(spec.conditions, top)
        nn.init.zeros_(self.embedding.weight)

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        level, alpha = levels(self.phase.size) - 1, self.phase.alpha
        x = activate(self.from_rgb[level](images))
        for below in reversed(range(level)):
            for conv in self.blocks[below].children():
                x = activate(conv(x))
            x = self.halve(x)
            if alpha < 1 and below == level - 1:
                x = torch.lerp(activate(self.from_rgb[below](shrink(images))), x, alpha)
        x = activate(self.last(minibatch_stddev(x)))
        x = activate(self.dense(x.flatten(1)))
        match = (self.embedding(condition) * x).mean(1) * x.shape[1] ** 0.5
        logits: Tensor = self.score(x).squeeze(1) + match
        return logits
