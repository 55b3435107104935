"""Paired translation from a mask or an edge map to an image (Isola, Zhu, Zhou & Efros 2016, arXiv 1611.07004).

Network shapes: appendix 6.1; objective: equations 1 to 4 with lambda = 100. The paper trains with batches of one, where
batch normalisation with the statistics of the test batch is instance normalisation (section 3.3); here it is instance
normalisation at any batch size, so that each image depends on its own input alone. Both networks are also
conditioned on the class: by the gains and biases of the decoder's normalisation, and by projection in the
discriminator.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.families.base import Family, Made, Objective
from ganaug.initialisation import init_normal
from ganaug.losses import bce_discriminator, non_saturating_generator, saturating_generator
from ganaug.networks import ConditionalInstanceNorm2d
from ganaug.options import Options
from ganaug.spec import Spec

DROPPED = 3  # decoder blocks with dropout, counted from the innermost: CD512-CD512-CD512


class NoiseDropout(nn.Module):
    """Dropout of whole channels at rate 1/2, at test time too, with masks read off the noise.

    The paper's only noise is dropout (section 3.2). A channel is kept where z lies on the positive side of the
    channel's own fixed plane through the origin: half of the time, and always the same for the same z.
    """

    directions: Tensor

    def __init__(self, latent: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("directions", torch.randn(latent, channels))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        kept = (z @ self.directions > 0).to(x.dtype)
        return x * (2 * kept)[:, :, None, None]


class UNet(nn.Module):
    """Noise `[N, latent]`, condition `[N]` and conditioning input `[N, P, S, S]` to images `[N, C, S, S]` in [-1, 1].

    4x4 convolutions of stride 2 down to 1x1 and up again, skip connections from layer i to layer n - i (section 3.2.1).
    Encoder leaky ReLU, decoder ReLU; no normalisation on the first encoder layer, nor at 1x1, where it would leave 0.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        _require_same_side(spec)
        depth = int(math.log2(spec.size))
        widths = [spec.width * min(2**i, 8) for i in range(depth)]  # C64-C128-C256-C512-C512-...
        ups = list(reversed(widths[:-1]))
        self.downs = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise([max(1, spec.conditioning_channels), *widths])
        )
        inputs = [widths[-1], *(2 * width for width in ups)]  # skip connections double all but the innermost
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in zip(inputs, [*ups, spec.channels], strict=True)
        )
        self.norms = nn.ModuleList(ConditionalInstanceNorm2d(width, spec.conditions) for width in ups)
        self.dropouts = nn.ModuleList(NoiseDropout(spec.latent, width) for width in ups[:DROPPED])
        init_normal(self)

    def forward(self, z: Tensor, condition: Tensor, conditioning_input: Tensor) -> Tensor:
        x, skips = conditioning_input, []
        for i, down in enumerate(self.downs):
            x = down(x)
            if 0 < i < len(self.downs) - 1:
                x = F.instance_norm(x)
            x = F.leaky_relu(x, 0.2)
            skips.append(x)
        skips.pop()  # the innermost is x itself
        for i, norm in enumerate(self.norms):  # CDk: convolution, normalisation, dropout, ReLU
            x = norm(self.ups[i](x), condition)
            if i < len(self.dropouts):
                x = self.dropouts[i](x, z)
            x = torch.cat([F.relu(x), skips.pop()], dim=1)
        images: Tensor = self.ups[-1](x).tanh()
        return images


class PatchCritic(nn.Module):
    """Images `[N, C, S, S]`, condition `[N]` and picture `[N, P, S, S]` to a logit for each patch, `[N, 1, h, w]`.

    Image and conditioning picture are concatenated, and every patch is scored by itself (section 3.2.2). As the 70x70
    patches of the paper's 256x256 images, the patches measure about a quarter of the side: 70 pixels of 256, 34 of 128,
    16 of 64 or less.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        _require_same_side(spec)
        halvings = max(1, int(math.log2(spec.size)) - 5)
        widths = [spec.channels + spec.conditioning_channels, *(spec.width * min(2**i, 8) for i in range(halvings + 1))]
        strides = [2] * halvings + [1]
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=stride, padding=1)
            for (a, b), stride in zip(pairwise(widths), strides, strict=True)
        )
        self.last = nn.Conv2d(widths[-1], 1, 4, padding=1)
        self.embedding = nn.Embedding(spec.conditions, widths[-1])
        init_normal(self)
        nn.init.zeros_(self.embedding.weight)

    def forward(self, x: Tensor, condition: Tensor, conditioning_input: Tensor) -> Tensor:
        x = torch.cat([x, conditioning_input], dim=1)
        for i, layer in enumerate(self.layers):
            x = layer(x)
            x = F.leaky_relu(F.instance_norm(x) if i else x, 0.2)  # none on the first C64
        match = (self.embedding(condition)[:, :, None, None] * x).sum(1, keepdim=True) / x.shape[1] ** 0.5
        logits: Tensor = self.last(x)
        return logits + F.avg_pool2d(match, 4, stride=1, padding=1)  # of the same patch


def _require_same_side(spec: Spec) -> None:
    if spec.scale != 1:
        raise ValueError(
            f"pix2pix: images have the side of the conditioning inputs, not {spec.scale} times it; resize these"
        )


def halved_discriminator(real: Tensor, fake: Tensor, real_target: Tensor, fake_target: Tensor) -> Tensor:
    """Binary cross-entropy divided by 2, which slows the discriminator down (section 3.3)."""
    return bce_discriminator(real, fake, real_target, fake_target) / 2


def l1(_generator: nn.Module, _discriminator: nn.Module, made: Made) -> Tensor:
    """E |y - G(x, z)|, equation 3: blurs less than L2."""
    return F.l1_loss(made.fake, made.real)


PIX2PIX = Family(
    name="pix2pix",
    paper="Isola, Zhu, Zhou & Efros 2016, Image-to-Image Translation with Conditional Adversarial Networks, "
    "arXiv 1611.07004",
    summary="U-Net and PatchGAN: from a mask or an edge map to an image, for data sets whose defects are outlined",
    generator=UNet,
    discriminator=PatchCritic,
    objective=Objective(halved_discriminator, non_saturating_generator, saturating=saturating_generator, content=l1),
    defaults=Options(
        steps=3000,
        batch=16,
        lr_g=2e-4,
        lr_d=2e-4,
        betas=(0.5, 0.999),
        # image and conditioning input move together: the paper's jitter
        diffaugment="brightness,saturation,contrast,translation",
        r1_weight=0.05,
        content_weight=100.0,
    ),
    conditioning_inputs=("mask", "edges"),
)
