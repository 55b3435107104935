"""Class-conditional InfoGAN (Chen et al. 2016, arXiv 1606.03657).

Networks and adversarial loss are those of `dcgan`; the codes c are the last dimensions of z, and the condition says
the class as in every family, so that the codes are left with what differs within a class. A head on the body of the
discriminator is Q(c|x); it is not conditioned on the class, so that a code means the same in all of them.
"""

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.families.base import Family, Made, Objective
from ganaug.latents import Codes
from ganaug.losses import bce_discriminator, non_saturating_generator, saturating_generator
from ganaug.networks import ConvGenerator, ProjectionCritic
from ganaug.options import Options
from ganaug.spec import Spec

CODES = Codes(categorical=4, continuous=2)  # ten and two for MNIST; tens of images a class do not have ten modes
HIDDEN = 128  # of the head: appendix C, table 1
CONTINUOUS_WEIGHT = 0.1  # of lambda: a differential entropy has no bound, so it weighs less (section 6)
# Of the deviation of a continuous code. Without it the likelihood of a code that is recovered well outgrows every
# other loss; with it, an error of a twentieth of a code's range is as good as none.
LEAST_DEVIATION = 0.1


class Recovered(NamedTuple):
    """Q(c|x): logits `[N, categorical]`, and mean and deviation of a factored Gaussian `[N, continuous]`."""

    logits: Tensor
    mean: Tensor
    deviation: Tensor


class CodeCritic(ProjectionCritic):
    """The projection critic, and on the same body the head that recovers the codes (section 6, appendix C)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        width = 4 * 4 * self.linear.in_features  # where a defect lies may be a code: nothing is pooled
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(width, HIDDEN, bias=False),
            nn.BatchNorm1d(HIDDEN, track_running_stats=False),  # as the body's: see `critic_layers`
            nn.LeakyReLU(0.2),
            nn.Linear(HIDDEN, CODES.categorical + 2 * CODES.continuous),
        )

    def recover(self, images: Tensor) -> Recovered:
        """Q(c|x) of float images `[N, C, S, S]`."""
        found: Tensor = self.head(self.body(images)).float()
        sizes = [CODES.categorical, CODES.continuous, CODES.continuous]
        logits, mean, log_deviation = torch.split(found, sizes, dim=1)
        return Recovered(logits, mean, LEAST_DEVIATION + log_deviation.exp())


def information_loss(_generator: nn.Module, discriminator: nn.Module, made: Made) -> Tensor:
    """-L_I(G, Q) = -E[log Q(c|x)] - H(c), x ~ G(z, c), at least -I(c; G(z, c)) (equations 4 and 5).

    H(c) is constant and left out. Joining it to the loss of both networks, times lambda, is equation 6.
    """
    choice, values = torch.split(made.z[:, -CODES.size :], [CODES.categorical, CODES.continuous], dim=1)
    found = cast(CodeCritic, discriminator).recover(made.fake)
    error = (values - found.mean) / found.deviation
    surprise = 0.5 * error.square() + found.deviation.log() + 0.5 * math.log(2 * math.pi)
    loss: Tensor = F.cross_entropy(found.logits, choice) + CONTINUOUS_WEIGHT * surprise.sum(1).mean()
    return loss


INFOGAN = Family(
    name="infogan",
    paper="Chen, Duan, Houthooft, Schulman, Sutskever & Abbeel 2016, InfoGAN: Interpretable Representation Learning by "
    "Information Maximizing Generative Adversarial Nets, arXiv 1606.03657",
    summary="dcgan with codes that a head must read off the image: what varies within a class gets a handle",
    generator=ConvGenerator,
    discriminator=CodeCritic,
    objective=Objective(
        bce_discriminator,
        non_saturating_generator,
        saturating=saturating_generator,
        auxiliary=information_loss,
    ),
    defaults=Options(r1_weight=0.05, r1_every=4, auxiliary_weight=1.0),
    variants=("transposed", "resize"),
    critic_norms=("none", "batch", "spectral"),
    codes=CODES,
)
