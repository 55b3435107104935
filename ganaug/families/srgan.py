"""Super-resolution: a small image to one twice or four times its side (Ledig et al. 2016, arXiv 1609.04802).

Network shapes: figure 4; losses: equations 3 to 6. Departures: fewer residual blocks; the class by conditional batch
normalisation and by projection; no batch normalisation in the discriminator, so that R1 and DiffAugment act on one
image at a time; tanh on the output, as everywhere here. The generator takes no noise, as in the paper.
"""

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.families.base import Family, Made, Objective
from ganaug.initialisation import init_kaiming
from ganaug.losses import bce_discriminator, non_saturating_generator, saturating_generator
from ganaug.networks import ConditionalBatchNorm2d
from ganaug.options import Options
from ganaug.spec import Spec

BLOCKS = 4  # the paper's 16 take four times as long, and tens of images do not fill them
ADVERSARIAL = 1e-3  # equation 3
TIED_SIDE = 8  # the bottleneck of variant `tied` looks at 8x8 positions
DENSE_SIDE = 4  # the critic's dense layers look at 4x4 positions at most


class ResidualBlock(nn.Module):
    """k3n64s1, batch normalisation, PReLU, k3n64s1, batch normalisation, elementwise sum (figure 4)."""

    def __init__(self, width: int, conditions: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(ConditionalBatchNorm2d(width, conditions) for _ in range(2))
        self.activation = nn.PReLU()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        inner = self.activation(self.norms[0](self.convolutions[0](x), condition))
        result: Tensor = x + self.norms[1](self.convolutions[1](inner), condition)
        return result


class TransposedDense(nn.Module):
    """y = W^T x + b with the weight W of another dense layer: one tensor, trained from both sides."""

    def __init__(self, dense: nn.Linear) -> None:
        super().__init__()
        self.weight = dense.weight
        self.bias = nn.Parameter(dense.weight.new_zeros(dense.in_features))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.T, self.bias)


class TiedBottleneck(nn.Module):
    """Adds a global context to features `[N, width, s, s]`: an autoencoder over all positions."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.encode = nn.Linear(width * TIED_SIDE**2, latent)
        self.decode = TransposedDense(self.encode)
        self.activation = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        seen = F.adaptive_avg_pool2d(x, TIED_SIDE)
        said = self.decode(self.activation(self.encode(seen.flatten(1)))).view_as(seen)
        return x + F.interpolate(said, x.shape[-1], mode="bilinear", align_corners=False)


class SRResNet(nn.Module):
    """Noise (unused), condition `[N]` and small image `[N, C, S/scale, S/scale]` to images `[N, C, S, S]` in [-1, 1].

    Residual blocks under one long skip connection, then a sub-pixel convolution for each doubling (figure 4).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        if spec.scale not in (2, 4):
            raise ValueError(f"srgan enlarges 2 or 4 times, not {spec.scale} times; give images of half or a quarter")
        width = spec.width
        self.first = nn.Sequential(nn.Conv2d(spec.conditioning_channels, width, 9, padding=4), nn.PReLU())
        self.blocks = nn.ModuleList(ResidualBlock(width, spec.conditions) for _ in range(BLOCKS))
        self.middle = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = ConditionalBatchNorm2d(width, spec.conditions)
        self.bottleneck = TiedBottleneck(width, spec.latent) if spec.variant == "tied" else nn.Identity()
        self.ups = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.PReLU())
                for _ in range(int(math.log2(spec.scale)))
            )
        )
        self.last = nn.Conv2d(width, spec.channels, 9, padding=4)

    def forward(self, _z: Tensor, condition: Tensor, conditioning_input: Tensor) -> Tensor:
        first = self.first(conditioning_input)
        x = first
        for block in self.blocks:
            x = block(x, condition)
        x = first + self.norm(self.middle(x), condition)
        images: Tensor = self.last(self.ups(self.bottleneck(x))).tanh()
        return images


class SRCritic(nn.Module):
    """Images `[N, C, S, S]` and condition `[N]` to logits `[N]`; the small image is not used.

    Eight 3x3 convolutions from 64 to 512 channels, every second one strided, leaky ReLU, two dense layers (figure 4).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        widths = [spec.width * 2 ** (i // 2) for i in range(8)]
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=1 + i % 2, padding=1)
            for i, (a, b) in enumerate(pairwise([spec.channels, *widths]))
        )
        side = min(spec.size // 16, DENSE_SIDE)
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.dense = nn.Linear(widths[-1] * side**2, 16 * spec.width)  # 1024 = 16 x 64
        self.linear = nn.Linear(16 * spec.width, 1)
        self.embedding = nn.Embedding(spec.conditions, 16 * spec.width)
        for layers in (self.layers, self.dense):
            init_kaiming(layers)
        nn.init.zeros_(self.embedding.weight)

    def forward(self, x: Tensor, condition: Tensor, _conditioning_input: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        x = F.leaky_relu(self.dense(self.pool(x).flatten(1)), 0.2)
        match = (self.embedding(condition) * x).sum(1) / x.shape[1] ** 0.5
        logits: Tensor = self.linear(x).squeeze(1) + match
        return logits


def adversarial(fake: Tensor) -> Tensor:
    """10^-3 times -log D(G(x)), equations 3 and 6."""
    return ADVERSARIAL * non_saturating_generator(fake)


def saturating_adversarial(fake: Tensor) -> Tensor:
    """10^-3 times log(1 - D(G(x)))."""
    return ADVERSARIAL * saturating_generator(fake)


def content(_generator: nn.Module, _discriminator: nn.Module, made: Made) -> Tensor:
    """Mean squared distance of features (equation 5); of pixels (equation 4) where those are the features."""
    return F.mse_loss(made.perceive(made.fake), made.perceive(made.real))


SRGAN = Family(
    name="srgan",
    paper="Ledig et al. 2016, Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network, "
    "arXiv 1609.04802",
    summary="residual network with sub-pixel convolutions: enlarges what another family drew, two or four times",
    generator=SRResNet,
    discriminator=SRCritic,
    objective=Objective(bce_discriminator, adversarial, saturating=saturating_adversarial, content=content),
    defaults=Options(steps=2000, batch=12, lr_g=5e-4, lr_d=5e-4, betas=(0.9, 0.999), r1_weight=0.05),
    variants=("plain", "tied"),
    conditioning_inputs=("small",),
)
