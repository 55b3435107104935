"""The original GAN, conditioned on the class (Goodfellow et al. 2014, arXiv 1406.2661).

Section 5 and the authors' code: a generator of rectified layers, a discriminator of maxout layers, either dense or with
a simple convolution. `D(x)` is the sigmoid of the logit; the losses take the logit, because log(sigmoid(.)) of a sure
discriminator underflows. The class, which is not in the paper, is one more one-hot input of both networks: a
dense layer on a one-hot input is an embedding, added here to the first hidden layer.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.families.base import Family, Objective
from ganaug.losses import bce_discriminator, non_saturating_generator, saturating_generator
from ganaug.options import Options
from ganaug.spec import Spec

HIDDEN = 16  # rectified units of a hidden layer, in widths
UNITS = 4  # maxout units of a hidden layer, in widths
PIECES = 5  # of a maxout unit in dense layers, as in the authors' code
CONV_PIECES = 2  # likewise in convolutions
OUTPUT_DEVIATION = 0.01


def maxout(x: Tensor, pieces: int) -> Tensor:
    """The largest linear piece of each unit, `[N, pieces * U, ...]` to `[N, U, ...]` (arXiv 1302.4389, section 3)."""
    return torch.unflatten(x, 1, (pieces, -1)).amax(1)


def probability(discriminator: nn.Module, images: Tensor, condition: Tensor) -> Tensor:
    """D(x), the probability `[N]` that `images` are real."""
    logits: Tensor = discriminator(images, condition)
    return logits.sigmoid()


class DenseGenerator(nn.Module):
    """Noise `[N, latent]` and condition `[N]` to images in [-1, 1]: two rectified layers.

    tanh is the paper's sigmoid for pixels in [-1, 1] instead of [0, 1].
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        hidden, self.shape = HIDDEN * spec.width, (spec.channels, spec.size, spec.size)
        self.first = nn.Linear(spec.latent, hidden)
        self.label = nn.Embedding(spec.conditions, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, spec.channels * spec.size**2)
        _init(self, rectified=True)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        x = F.relu(self.first(z) + self.label(condition))
        x = F.relu(self.second(x))
        return torch.unflatten(self.last(x).tanh(), 1, self.shape)


class DenseDiscriminator(nn.Module):
    """Images `[N, C, S, S]` and condition `[N]` to logits `[N]`: two maxout layers."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        units = UNITS * spec.width
        self.first = nn.Linear(spec.channels * spec.size**2, units * PIECES)
        self.label = nn.Embedding(spec.conditions, units * PIECES)
        self.second = nn.Linear(units, units * PIECES)
        self.last = nn.Linear(units, 1)
        _init(self, rectified=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = maxout(self.first(x.flatten(1)) + self.label(condition), PIECES)
        x = maxout(self.second(x), PIECES)
        logits: Tensor = self.last(x).squeeze(1)
        return logits


class DeconvGenerator(nn.Module):
    """Two rectified dense layers, the second a map of a quarter of the side, and one transposed convolution."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        hidden, self.shape = HIDDEN * spec.width, (spec.width, spec.size // 4, spec.size // 4)
        self.first = nn.Linear(spec.latent, hidden)
        self.label = nn.Embedding(spec.conditions, hidden)
        self.second = nn.Linear(hidden, spec.width * (spec.size // 4) ** 2)
        self.last = nn.ConvTranspose2d(spec.width, spec.channels, 8, stride=4, padding=2)
        _init(self, rectified=True)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        x = F.relu(self.first(z) + self.label(condition))
        x = torch.unflatten(F.relu(self.second(x)), 1, self.shape)
        images: Tensor = self.last(x).tanh()
        return images


class ConvDiscriminator(nn.Module):
    """Three maxout convolutions of stride 2 and a dense logit."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        inner, last = spec.width, 2 * spec.width
        self.first = nn.Conv2d(spec.channels, inner * CONV_PIECES, 5, stride=2, padding=2)
        self.label = nn.Embedding(spec.conditions, inner * CONV_PIECES)
        self.second = nn.Conv2d(inner, last * CONV_PIECES, 5, stride=2, padding=2)
        self.third = nn.Conv2d(last, last * CONV_PIECES, 5, stride=2, padding=2)
        self.last = nn.Linear(last * (spec.size // 8) ** 2, 1)
        _init(self, rectified=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = maxout(self.first(x) + self.label(condition)[:, :, None, None], CONV_PIECES)
        x = maxout(self.second(x), CONV_PIECES)
        x = maxout(self.third(x), CONV_PIECES)
        logits: Tensor = self.last(x.flatten(1)).squeeze(1)
        return logits


def _init(network: nn.Module, *, rectified: bool) -> None:
    """Kaiming where a rectifier follows, unit gain before maxout; labels weigh as much as all other inputs together.

    Outputs start near zero, grey pictures and undecided scores: the grain of a dense output layer fades slowly.
    """
    for name, module in network.named_children():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
        elif isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu" if rectified else "linear")
            nn.init.zeros_(module.bias)
            if name == "last":
                nn.init.normal_(module.weight, 0.0, OUTPUT_DEVIATION)


GENERATORS = {"dense": DenseGenerator, "conv": DeconvGenerator}
DISCRIMINATORS = {"dense": DenseDiscriminator, "conv": ConvDiscriminator}


def generator(spec: Spec) -> nn.Module:
    """The variant's generator; dense by default."""
    return GENERATORS[spec.variant or "dense"](spec)


def discriminator(spec: Spec) -> nn.Module:
    """The variant's discriminator; dense by default."""
    return DISCRIMINATORS[spec.variant or "dense"](spec)


GAN = Family(
    name="gan",
    paper="Goodfellow et al. 2014, Generative Adversarial Nets, arXiv 1406.2661",
    summary="the first GAN: dense or simple convolutional networks, binary cross-entropy; grainy, but the baseline",
    generator=generator,
    discriminator=discriminator,
    objective=Objective(bce_discriminator, non_saturating_generator, saturating=saturating_generator),
    defaults=Options(r1_weight=0.05),
    variants=("dense", "conv"),
)
