"""Class-conditional ProGAN (Karras, Aila, Laine & Lehtinen 2017, arXiv 1710.10196).

Both networks grow from 4x4 (section 2, `ganaug/families/growing.py`); the critic sees how much a batch varies (section
3); learning rates are equalised (4.1) and the generator's features normalised (4.2); WGAN-GP with a drift term and Adam
(0, 0.99), averaged weights (appendix A). The class is not in the paper: an embedding beside the latent, a projection in
the critic.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganaug.families.base import Family, Objective
from ganaug.families.growing import GrowingCritic, GrowingGenerator, channels_of, grow, levels
from ganaug.layers import HE, EqualConv2d, EqualLinear, activate, enlarge, pixel_norm, shrink
from ganaug.losses import wasserstein_critic, wasserstein_generator
from ganaug.options import Options
from ganaug.spec import Spec

DRIFT = 0.001  # epsilon of appendix A.1


class ProganGenerator(GrowingGenerator):
    """Noise `[N, latent]` and condition `[N]` to images `[N, C, S', S']` of the phase's side (table 2).

    Latent and class embedding are points on hyperspheres. A dense layer makes 4x4, two 3x3 convolutions each further
    resolution; pixelwise normalisation follows every convolution.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        channels = channels_of(spec)
        self.embedding = nn.Embedding(spec.conditions, spec.latent)
        self.dense = EqualLinear(2 * spec.latent, channels[0] * 16, gain=HE / 4)
        self.first = EqualConv2d(channels[0], channels[0], 3)
        self.blocks = nn.ModuleList(  # block i leads from resolution i to i + 1
            nn.ModuleList((EqualConv2d(coarse, fine, 3), EqualConv2d(fine, fine, 3)))
            for coarse, fine in pairwise(channels)
        )

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        latent = torch.cat([pixel_norm(z), pixel_norm(self.embedding(condition))], dim=1)
        x = pixel_norm(activate(self.dense(latent).unflatten(1, (-1, 4, 4))))
        features = [_convolved(x, [self.first])]
        for block in list(self.blocks)[: levels(self.phase.size) - 1]:
            features.append(_convolved(enlarge(features[-1]), list(block.children())))
        return self.to_images(features)


def _convolved(x: Tensor, convolutions: Sequence[nn.Module]) -> Tensor:
    for convolution in convolutions:
        x = pixel_norm(activate(convolution(x)))
    return x


def critic(spec: Spec) -> GrowingCritic:
    """The growing critic that halves by plain averages (table 2)."""
    return GrowingCritic(spec, shrink)


def drifting_critic(real: Tensor, fake: Tensor, real_target: Tensor, fake_target: Tensor) -> Tensor:
    """E[D(G(z))] - E[D(x)] + epsilon E[D(x)^2], which keeps the scores near zero (appendix A.1)."""
    return wasserstein_critic(real, fake, real_target, fake_target) + DRIFT * real.square().mean()


PROGAN = Family(
    name="progan",
    paper="Karras, Aila, Laine & Lehtinen 2017, Progressive Growing of GANs, arXiv 1710.10196",
    summary="grows from 4x4 to full size with a Wasserstein critic that sees how much a batch varies",
    generator=ProganGenerator,
    discriminator=critic,
    objective=Objective(drifting_critic, wasserstein_generator, wasserstein=True),
    defaults=Options(
        batch=16,
        width=16,
        lr_g=1e-3,
        lr_d=5e-3,  # 1e-3 in the paper; in a short training the critic must not fall behind
        betas=(0.0, 0.99),
        gp_weight=10.0,
        separate_batches=True,  # the minibatch's deviation is of real or of generated images, never of both
    ),
    critic_norms=("none",),  # equalised weights are scaled already
    phase=grow,
)
