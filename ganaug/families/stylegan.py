"""Class-conditional StyleGAN (Karras, Laine & Aila 2018, arXiv 1812.04948).

The generator of figure 1b: a learned constant, styles by adaptive instance normalisation, noise at every layer, a
mapping network, style mixing (section 3.1), truncation in W (appendix B). The critic and the growing are ProGAN's with
bilinear filters (section 2, configuration B); non-saturating loss with R1 (appendix C). The class is not in the paper:
its embedding goes into the mapping network beside the latent.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ganaug.families.base import Family, Objective
from ganaug.families.growing import GrowingCritic, GrowingGenerator, channels_of, grow, levels
from ganaug.latents import Codes, draw_noise
from ganaug.layers import EqualConv2d, EqualLinear, activate, enlarge_smoothly, pixel_norm, shrink_smoothly
from ganaug.losses import bce_discriminator, non_saturating_generator, saturating_generator
from ganaug.options import Options
from ganaug.spec import Spec

MAPPING_LAYERS = 8
MAPPING_RATE = 0.01  # the mapping network's learning rate over that of the others (appendix C)
MIXING = 0.9  # share of training images made of two styles (appendix C)
W_DECAY = 0.995  # of the running mean of w that truncation pulls towards


def layer_sizes(size: int) -> list[int]:
    """Sides of the layers that take a style and a noise map: two at each resolution from 4x4 to `size`."""
    return [4 * 2**level for level in range(levels(size)) for _ in range(2)]


def style_latents(n: int, spec: Spec, codes: Codes | None, rng: Generator) -> Tensor:
    """Everything random of an image: `[N, mapping latent | mixing latent | crossover in [0, 1) | noise maps]`."""
    styles = [draw_noise(n, spec, codes, rng) for _ in range(2)]
    crossover = torch.rand(n, 1, generator=rng)
    noise = torch.randn(n, sum(side**2 for side in layer_sizes(spec.size)), generator=rng)
    return torch.cat([*styles, crossover, noise], dim=1)


class Mapping(nn.Sequential):
    """Latents to styles w: eight dense layers with a hundredth of the learning rate (section 2, appendix C)."""

    def __init__(self, inputs: int, style: int) -> None:
        sizes = [inputs] + [style] * MAPPING_LAYERS
        layers = [EqualLinear(a, b, multiplier=MAPPING_RATE) for a, b in pairwise(sizes)]
        super().__init__(*(part for layer in layers for part in (layer, nn.LeakyReLU(0.2))))


class StyledLayer(nn.Module):
    """Noise, bias, leaky ReLU and AdaIN: what follows the constant and every convolution (figure 1b)."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.noise_scale = nn.Parameter(torch.zeros(channels))  # B, per channel; starts at zero (appendix C)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.style = EqualLinear(style, 2 * channels, gain=1)  # A: w to y_s and y_b
        nn.init.ones_(self.style.bias[:channels])  # y_s starts around one (appendix C)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        x = activate(x + noise * self.noise_scale[:, None, None] + self.bias[:, None, None])
        scale, shift = self.style(w)[:, :, None, None].chunk(2, dim=1)
        styled: Tensor = scale * F.instance_norm(x) + shift  # equation 1
        return styled


class StyleGenerator(GrowingGenerator):
    """Latents of `style_latents` and condition `[N]` to images `[N, C, S', S']` of the phase's side.

    `truncation` (psi of appendix B) pulls styles towards the mean of their condition: 1 leaves them, 0 gives one style
    a condition. It acts where the generator is averaged (`eval`); styles are mixed only where it trains.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        channels, self.latent, self.truncation = channels_of(spec), spec.latent, 1.0
        self.embedding = nn.Embedding(spec.conditions, spec.latent)
        self.mapping = Mapping(2 * spec.latent, spec.latent)
        # ones in the paper; but AdaIN of a flat map leaves nothing except noise, from the first step of training on
        self.constant = nn.Parameter(torch.randn(channels[0], 4, 4))
        ins = [c for c in channels for _ in range(2)]
        self.convolutions = nn.ModuleList(EqualConv2d(a, b, 3) for a, b in pairwise(ins))
        self.layers = nn.ModuleList(StyledLayer(c, spec.latent) for c in ins)
        self.sides = layer_sizes(spec.size)
        self.w_avg: Tensor
        self.register_buffer("w_avg", torch.zeros(spec.conditions, spec.latent))

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        styles, crossover, noise = torch.split(z, [2 * self.latent, 1, z.shape[1] - 2 * self.latent - 1], dim=1)
        layers = 2 * levels(self.phase.size)
        w = self.styles(styles, crossover, condition, layers)
        maps = torch.split(noise, [side**2 for side in self.sides], dim=1)
        x, features = self.constant.expand(len(z), -1, -1, -1), []
        for i, side in enumerate(self.sides[:layers]):
            if i:
                x = self.convolutions[i - 1](enlarge_smoothly(x) if side > x.shape[2] else x)
            x = self.layers[i](x, w[i], maps[i].view(-1, 1, side, side))
            if i % 2:
                features.append(x)
        return self.to_images(features)

    def styles(self, z: Tensor, crossover: Tensor, condition: Tensor, layers: int) -> Tensor:
        """One style a layer, `[layers, N, style]`, of latents `[N, 2 * latent]` and `crossover` `[N, 1]`."""
        z, other = z.chunk(2, dim=1)
        w = self.map(z, condition)
        if not self.training:
            return torch.lerp(self.w_avg[condition], w, self.truncation).expand(layers, -1, -1)
        self._follow(w.detach(), condition)
        first_mixed = 1 + (crossover / MIXING * (layers - 1)).floor()  # beyond the last layer in 1 - MIXING of cases
        index = torch.arange(layers, device=z.device)[:, None, None]
        return torch.where(index < first_mixed, w, self.map(other, condition))

    def map(self, z: Tensor, condition: Tensor) -> Tensor:
        """Latents `[N, latent]` and condition `[N]` to w `[N, style]`; both are first scaled to unit mean square."""
        w: Tensor = self.mapping(torch.cat([pixel_norm(z), pixel_norm(self.embedding(condition))], dim=1))
        return w

    @torch.no_grad()
    def _follow(self, w: Tensor, condition: Tensor) -> None:
        """Move each condition's mean of w towards that of this batch."""
        member = F.one_hot(condition, len(self.w_avg)).to(w.dtype)  # [N, conditions]
        count = member.sum(0)[:, None]
        mean = (member.T @ w / count.clamp_min(1)).to(self.w_avg.dtype)
        self.w_avg.copy_(torch.where(count > 0, torch.lerp(mean, self.w_avg, W_DECAY), self.w_avg))


def critic(spec: Spec) -> GrowingCritic:
    """ProGAN's critic that blurs before it halves (section 2)."""
    return GrowingCritic(spec, shrink_smoothly)


STYLEGAN = Family(
    name="stylegan",
    paper="Karras, Laine & Aila 2018, A Style-Based Generator Architecture for GANs, arXiv 1812.04948",
    summary="styles and noise steer a learned constant at every resolution; grows from 4x4; truncation at sampling",
    generator=StyleGenerator,
    discriminator=critic,
    objective=Objective(bce_discriminator, non_saturating_generator, saturating=saturating_generator),
    defaults=Options(
        batch=16,
        width=16,
        lr_g=5e-3,  # 1e-3 in the paper, which trains hundreds of times as long
        lr_d=5e-3,
        betas=(0.0, 0.99),
        r1_weight=0.05,  # 10 in the paper, for 1024 pixels
        separate_batches=True,  # the minibatch's deviation is of real or of generated images, never of both
    ),
    critic_norms=("none",),  # equalised weights are scaled already
    latents=style_latents,
    phase=grow,
    truncates=True,
)
