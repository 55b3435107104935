"""Class-conditional StackGAN: from a sentence to an image in two stages (Zhang et al. 2016, arXiv 1612.03242).

Stage I draws a small image from noise and sentence, stage II draws the full one from that and the sentence. The class
joins both: conditional batch normalisation in the generators, projection in the discriminators, which for the sake of
R1 and DiffAugment carry no batch normalisation.
"""

import math
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ganaug.blocks import ConditioningAugmentation, NormalisedConv, ResidualBlock, beside, kl_to_standard_normal
from ganaug.families.base import Family, Made, Objective, Phase
from ganaug.families.growing import Growing
from ganaug.initialisation import init_kaiming, init_normal
from ganaug.latents import Codes, draw_noise
from ganaug.layers import enlarge_smoothly
from ganaug.losses import non_saturating_generator, saturating_generator
from ganaug.networks import ConditionalBatchNorm2d
from ganaug.options import Options
from ganaug.spec import Spec

N_G = 32  # dimensions of c_hat, of a sentence with at most 32 dimensions; the paper's 128 are of one with 1024
N_D = 32  # dimensions of the sentence in a discriminator
STAGE_I = 0.5  # share of training: 600 of the paper's 1200 epochs
LIGHTEST = 0.99  # grey level of stage I's image that stage II takes for white: tanh never gets to 1
WIDEST = 8  # times the width of the layer nearest the image


def stage_one_size(spec: Spec) -> int:
    """Side of stage I's images: a quarter, as in the paper, but half where a quarter would be below 32 pixels."""
    return spec.size // 4 if spec.size >= 128 else spec.size // 2


def stage(progress: float, spec: Spec) -> Phase:
    """First stage I alone, then stage II alone (section 3.4, implementation details)."""
    return Phase(stage_one_size(spec) if progress < STAGE_I else spec.size)


def draw_latents(n: int, spec: Spec, codes: Codes | None, rng: Generator) -> Tensor:
    """Draw `float32 [n, latent + 2 N_G]`: the noise z, then the normal epsilon of either stage's c_hat."""
    return torch.cat([draw_noise(n, spec, codes, rng), torch.randn(n, 2 * N_G, generator=rng)], dim=1)


class StageOne(nn.Module):
    """G_0: noise and c_hat_0, dense to 4x4, up-sampling blocks, 3x3 convolution, tanh (section 3.3)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        doublings = int(math.log2(stage_one_size(spec) // 4))
        widths = [spec.width * min(2 ** (doublings - i), WIDEST) for i in range(doublings + 1)]
        self.augmentation = ConditioningAugmentation(spec.conditioning_channels, N_G)
        self.first = nn.Linear(spec.latent + N_G, widths[0] * 16, bias=False)
        self.norm = ConditionalBatchNorm2d(widths[0], spec.conditions)
        self.ups = nn.ModuleList(NormalisedConv(a, b, spec, doubles=True) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], spec.channels, 3, padding=1)

    def forward(self, z: Tensor, epsilon: Tensor, condition: Tensor, phi: Tensor) -> Tensor:
        x = self.first(torch.cat([z, self.augmentation(phi, epsilon)], dim=1)).unflatten(1, (-1, 4, 4))
        x = F.relu(self.norm(x, condition))
        for up in self.ups:
            x = up(x, condition)
        images: Tensor = self.last(x).tanh()
        return images


class StageTwo(nn.Module):
    """G: stage I's image and c_hat, without noise of its own, to the full image (section 3.4, equation 6).

    An encoder halves the image twice, c_hat joins at every pixel, residual blocks, up-sampling blocks. What comes out
    is added to the small image, enlarged, so that stage II starts from what stage I draws; in the paper it draws anew.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        width, doublings = spec.width, int(math.log2(spec.size // (stage_one_size(spec) // 4)))
        widths = [width * max(4 // 2**i, 1) for i in range(doublings + 1)]
        self.augmentation = ConditioningAugmentation(spec.conditioning_channels, N_G)
        self.first = nn.Conv2d(spec.channels, width, 3, padding=1)
        self.downs = nn.ModuleList(NormalisedConv(a * width, 2 * a * width, spec, halves=True) for a in (1, 2))
        self.join = NormalisedConv(4 * width + N_G, 4 * width, spec)
        self.residual = nn.ModuleList(ResidualBlock(4 * width, spec) for _ in range(4 if spec.size >= 256 else 2))
        self.ups = nn.ModuleList(NormalisedConv(a, b, spec, doubles=True) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], spec.channels, 3, padding=1)

    def forward(self, small: Tensor, epsilon: Tensor, condition: Tensor, phi: Tensor) -> Tensor:
        x = F.relu(self.first(small))
        for down in self.downs:
            x = down(x, condition)
        x = self.join(beside(x, self.augmentation(phi, epsilon)), condition)
        for block in (*self.residual, *self.ups):
            x = block(x, condition)
        drawn = small.clamp(-LIGHTEST, LIGHTEST).atanh()
        while drawn.shape[-1] < x.shape[-1]:
            drawn = enlarge_smoothly(drawn)
        images: Tensor = (drawn + self.last(x)).tanh()
        return images


class StackGenerator(Growing):
    """Latents `[N, latent + 2 N_G]`, condition `[N]` and sentence `[N, E]` to images in [-1, 1] of the phase's side."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.latent, self.small = spec.latent, stage_one_size(spec)
        self.one, self.two = StageOne(spec), StageTwo(spec)
        init_normal(self)

    @property
    def drawing(self) -> StageOne | StageTwo:
        """The stage that makes the images of this phase; the other one is frozen."""
        return self.one if self.phase.size == self.small else self.two

    def forward(self, latents: Tensor, condition: Tensor, phi: Tensor) -> Tensor:
        z, epsilon_0, epsilon = torch.split(latents, [self.latent, N_G, N_G], dim=1)
        if self.training:
            self.one.train(self.drawing is self.one)  # frozen in stage II: its batch statistics as well
        if self.drawing is self.one:
            return cast(Tensor, self.one(z, epsilon_0, condition, phi))
        with torch.no_grad():
            small = self.one(z, epsilon_0, condition, phi)
        return cast(Tensor, self.two(small, epsilon, condition, phi))


class StageCritic(nn.Module):
    """Down-sampling blocks to 4x4, the sentence beside every pixel, 1x1 convolution, dense to one score (section 3.3).

    Images `[N, C, S', S']` of one stage, condition `[N]` and sentence `[N, E]` to logits `[N]`.
    """

    def __init__(self, spec: Spec, size: int) -> None:
        super().__init__()
        halvings = int(math.log2(size // 4))
        widths = [spec.channels] + [spec.width * min(2**i, WIDEST) for i in range(halvings)]
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.compress = nn.Linear(spec.conditioning_channels, N_D)
        self.join = nn.Conv2d(widths[-1] + N_D, widths[-1], 1)
        self.score = nn.Linear(widths[-1] * 16, 1)
        self.embedding = nn.Embedding(spec.conditions, widths[-1])
        for convolutions in (self.downs, self.join):
            init_kaiming(convolutions)
        nn.init.zeros_(self.embedding.weight)

    def forward(self, images: Tensor, condition: Tensor, phi: Tensor) -> Tensor:
        x = images
        for down in self.downs:
            x = F.leaky_relu(down(x), 0.2)
        x = F.leaky_relu(self.join(beside(x, self.compress(phi))), 0.2)
        pooled = x.mean((2, 3)) * 4.0  # sum over the 4x4 grid, scaled to unit variance
        match = (self.embedding(condition) * pooled).sum(1) / pooled.shape[1] ** 0.5
        logits: Tensor = self.score(x.flatten(1)).squeeze(1) + match
        return logits


class StackCritic(Growing):
    """D_0 and D: each stage has a discriminator of its own."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.small = stage_one_size(spec)
        self.one, self.two = StageCritic(spec, self.small), StageCritic(spec, spec.size)

    def forward(self, images: Tensor, condition: Tensor, phi: Tensor) -> Tensor:
        critic = self.one if self.phase.size == self.small else self.two
        logits: Tensor = critic(images, condition, phi)
        return logits


def matching_aware_discriminator(real: Tensor, fake: Tensor, real_target: Tensor, fake_target: Tensor) -> Tensor:
    """Cross-entropy in which generated images are one of two kinds of fakes (section 3.4), hence weigh half.

    The other kind is `mismatch_loss`; halves as in Reed et al. 2016, arXiv 1605.05396, algorithm 1.
    """
    positive = F.binary_cross_entropy_with_logits(real, real_target)
    return positive + 0.5 * F.binary_cross_entropy_with_logits(fake, fake_target)


def mismatch_loss(_generator: nn.Module, discriminator: nn.Module, made: Made) -> Tensor:
    """-log(1 - D(x, phi')) / 2 of real images with the sentences of others; those whose sentences agree are left out.

    The class stays the image's own, so that the sentence is what does not fit.
    """
    condition, phi = made.conditioning
    wrong = phi.roll(1, dims=0)
    differs = (wrong != phi).any(1)
    if made.fake.requires_grad or not differs.any():  # the generator has no part in such a pair
        return made.fake.new_zeros(())
    logits = discriminator(made.augment(made.real), condition, wrong)[differs]
    return 0.5 * F.softplus(logits).mean()


def augmentation_loss(generator: nn.Module, _discriminator: nn.Module, made: Made) -> Tensor:
    """Equation 2 of the stage that is being trained; `gan.content_weight` is lambda of equations 4 and 6."""
    drawing = cast(StackGenerator, generator).drawing
    return kl_to_standard_normal(*drawing.augmentation.moments(made.conditioning[1]))


STACKGAN = Family(
    name="stackgan",
    paper="Zhang, Xu, Li, Zhang, Wang, Huang & Metaxas 2016, StackGAN: Text to Photo-realistic Image Synthesis with "
    "Stacked Generative Adversarial Networks, arXiv 1612.03242",
    summary="from a sentence about size, shape, contrast, place and background to an image, in two stages",
    generator=StackGenerator,
    discriminator=StackCritic,
    objective=Objective(
        matching_aware_discriminator,
        non_saturating_generator,
        saturating=saturating_generator,
        auxiliary=mismatch_loss,
        content=augmentation_loss,
    ),
    # The paper's lambda of 1 is of a mean over 128 dimensions in its code: 1/128 of equation 2. No flips, since a
    # mirrored image would keep the sentence that says "left".
    defaults=Options(r1_weight=0.05, r1_every=4, flips=False, content_weight=1 / 128),
    conditioning_inputs=("text",),
    latents=draw_latents,
    phase=stage,
)
