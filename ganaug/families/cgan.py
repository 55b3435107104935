"""Conditional GAN: the label is an input of both networks, and so can be a picture (Mirza & Osindero 2014).

arXiv 1411.1784, section 3.2: in the generator, noise and label meet in a joint hidden layer; in the discriminator,
image and label are mapped to hidden layers of their own and meet in a joint one. The label passes an embedding, which
is a dense layer on its one-hot code. The layers are DCGAN's convolutions in place of the paper's dense ones, which at
64x64 stay grainy (see `gan`).

A picture (edges, a mask) is encoded, and the encoding joins the noise path by concatenation at every resolution; the
discriminator gets the picture as further channels of its input.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.families.base import Family, Objective
from ganaug.initialisation import init_kaiming, init_normal
from ganaug.losses import bce_discriminator, non_saturating_generator, saturating_generator
from ganaug.networks import critic_layers, doubling, generator_widths
from ganaug.options import Options
from ganaug.spec import Spec

LABEL = 64  # dimensions of an embedded label
# Deviation of the generator's labels at first. As loud as the noise they drown it in the statistics of the batch, and
# all images of a class become one (benchmarks/families.md).
QUIET = 0.1


class ConditioningEncoder(nn.Module):
    """A picture `[N, P, S, S]` to maps `[N, width, s, s]` for s = 4, 8, ... S/2, coarsest first."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        channels = [spec.conditioning_channels] + [spec.width] * len(generator_widths(spec))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(channels))

    def forward(self, conditioning_input: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for down in self.downs:
            conditioning_input = F.leaky_relu(down(conditioning_input), 0.2)
            maps.insert(0, conditioning_input)
        return maps


class ConditionalGenerator(nn.Module):
    """Noise `[N, latent]`, condition `[N]` and, if conditioned on it, a picture `[N, P, S, S]` to images in [-1, 1]."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        widths = generator_widths(spec)
        joined = spec.width if spec.conditioning_channels else 0
        self.label = nn.Embedding(spec.conditions, LABEL)
        self.first = nn.ConvTranspose2d(spec.latent + LABEL, widths[0], 4, bias=False)  # the joint hidden layer
        self.ups = nn.ModuleList(doubling(spec.variant, a + joined, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        self.last = doubling(spec.variant, widths[-1] + joined, spec.channels, bias=True)
        init_normal(self)
        nn.init.normal_(self.label.weight, 0.0, QUIET)
        self.encoder = ConditioningEncoder(spec) if spec.conditioning_channels else None
        if self.encoder:
            init_kaiming(self.encoder)

    def forward(self, z: Tensor, condition: Tensor, conditioning_input: Tensor | None = None) -> Tensor:
        maps = [None] * len(self.norms) if self.encoder is None else self.encoder(conditioning_input)
        noise_and_label = torch.cat([z, self.label(condition)], dim=1)
        x = F.relu(self.norms[0](self.first(noise_and_label[:, :, None, None])))
        for up, norm, conditioning in zip(self.ups, self.norms[1:], maps[:-1], strict=True):
            x = F.relu(norm(up(_joined(x, conditioning))))
        images: Tensor = self.last(_joined(x, maps[-1])).tanh()
        return images


class ConditionalDiscriminator(nn.Module):
    """Images `[N, C, S, S]`, condition `[N]` and, if conditioned on it, a picture `[N, P, S, S]` to logits `[N]`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.downs, self.norms = critic_layers(spec, spec.channels + spec.conditioning_channels)
        features = int(self.downs[-1].out_channels)  # type: ignore[arg-type]
        self.label = nn.Embedding(spec.conditions, LABEL)
        self.joint = nn.Conv2d(features + LABEL, features, 1)
        self.last = nn.Conv2d(features, 1, 4)  # 4x4 -> 1x1
        init_kaiming(self.joint)

    def forward(self, x: Tensor, condition: Tensor, conditioning_input: Tensor | None = None) -> Tensor:
        x = _joined(x, conditioning_input)
        for down, norm in zip(self.downs, self.norms, strict=True):
            x = F.leaky_relu(norm(down(x)), 0.2)
        label = self.label(condition)[:, :, None, None].expand(-1, -1, 4, 4)
        x = F.leaky_relu(self.joint(_joined(x, label)), 0.2)
        logits: Tensor = self.last(x).flatten()
        return logits


def _joined(x: Tensor, conditioning: Tensor | None) -> Tensor:
    return x if conditioning is None else torch.cat([x, conditioning], dim=1)


CGAN = Family(
    name="cgan",
    paper="Mirza & Osindero 2014, Conditional Generative Adversarial Nets, arXiv 1411.1784",
    summary="label, and if wanted an edge map or mask, as an input of both networks: shapes can be prescribed",
    generator=ConditionalGenerator,
    discriminator=ConditionalDiscriminator,
    objective=Objective(bce_discriminator, non_saturating_generator, saturating=saturating_generator),
    defaults=Options(r1_weight=0.05),
    variants=("transposed", "resize"),
    conditioning_inputs=("none", "edges", "mask"),
)
