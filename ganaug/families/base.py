"""A GAN family: data, two network builders and an objective."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Generator, Tensor, nn

from ganaug.latents import Codes, draw_noise
from ganaug.options import Options
from ganaug.spec import Spec

# (real logits [N, ...], fake logits [N, ...], real targets, fake targets) -> scalar; targets in [0, 1]
DiscriminatorLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
# fake logits [N, ...] -> scalar
GeneratorLoss = Callable[[Tensor], Tensor]
# Inputs of both networks beside noise or image: condition [N] and, for some families, a conditioning input [N, ...].
Conditioning = tuple[Tensor, ...]


class Made(NamedTuple):
    """A generated batch, its inputs, and the real images of the same conditioning.

    `fake` and `real` are floats `[N, C, S, S]` in [-1, 1] before augmentation; `perceive` turns such images into
    features `[N, D]` and is differentiable; `augment` augments them as for the discriminator (conditioning pictures are
    not moved with them).
    """

    fake: Tensor
    z: Tensor
    conditioning: Conditioning
    real: Tensor
    perceive: Callable[[Tensor], Tensor]
    augment: Callable[[Tensor], Tensor] = lambda images: images


ExtraLoss = Callable[[nn.Module, nn.Module, Made], Tensor]  # generator, discriminator, what was made -> scalar


@dataclass(frozen=True)
class Objective:
    """The losses; `wasserstein` objectives score without a bound and take no R1.

    `auxiliary` joins the loss of both networks (InfoGAN's codes), `content` that of the generator alone (pix2pix's L1).
    """

    discriminator: DiscriminatorLoss
    generator: GeneratorLoss
    wasserstein: bool = False
    saturating: GeneratorLoss | None = None
    auxiliary: ExtraLoss | None = None
    content: ExtraLoss | None = None


class Phase(NamedTuple):
    """Where a growing pair of networks stands: the side of its images, and how far its newest layer has faded in."""

    size: int
    alpha: float = 1.0


@dataclass(frozen=True)
class Family:
    """One row of the registry: a paper, network builders, an objective and the defaults that go with them.

    The generator maps `(z, *conditioning)` to images, the discriminator `(images, *conditioning)` to logits. Of a
    family with `phase` (progress in [0, 1], spec -> Phase) both have an attribute `phase`, set before each step, and
    start at the last one.
    """

    name: str
    paper: str
    summary: str
    generator: Callable[[Spec], nn.Module]
    discriminator: Callable[[Spec], nn.Module]
    objective: Objective
    defaults: Options
    min_images: int = 4  # a class with fewer training images gets no generator
    variants: tuple[str, ...] = ("",)  # architectures to choose from
    # kinds it takes of: none, edges, mask, small, text; the first is the default
    conditioning_inputs: tuple[str, ...] = ("none",)
    critic_norms: tuple[str, ...] = ("none", "spectral")  # those that leave the paper's rules intact
    codes: Codes | None = None
    latents: Callable[[int, Spec, Codes | None, Generator], Tensor] = draw_noise
    phase: Callable[[float, Spec], Phase] | None = None
    truncates: bool = False  # its generator has an attribute `truncation`: 1 full variety, 0 one image a condition

    def spec(
        self, options: Options, *, size: int, channels: int, conditions: int, conditioning_shape: tuple[int, ...] = ()
    ) -> Spec:
        """The shape of the pair; `conditioning_shape` is that of one conditioning input, empty for none."""
        return Spec(
            size=size,
            channels=channels,
            conditions=conditions,
            latent=options.latent,
            width=options.width,
            conditioning_channels=conditioning_shape[0] if conditioning_shape else 0,
            variant=options.variant or self.variants[0],
            critic_norm=options.critic_norm,
            noise=options.noise,
            scale=size // conditioning_shape[-1] if len(conditioning_shape) > 1 else 1,  # a vector has no side
        )
