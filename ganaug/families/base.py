"""What a GAN family is: data, two builders and an objective."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from ganaug.options import Options
from ganaug.spec import Spec

# (real logits [N], fake logits [N], real targets [N], fake targets [N]) -> scalar; targets in [0, 1]
DiscriminatorLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
# fake logits [N] -> scalar
GeneratorLoss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """The two losses; `wasserstein` objectives have no labels to smooth or flip and take no R1."""

    discriminator: DiscriminatorLoss
    generator: GeneratorLoss
    wasserstein: bool = False


@dataclass(frozen=True)
class Family:
    """One row of the registry: a paper, two network builders, an objective and the defaults that go with them."""

    name: str
    paper: str
    summary: str
    generator: Callable[[Spec], nn.Module]
    discriminator: Callable[[Spec], nn.Module]
    objective: Objective
    defaults: Options
    min_images: int = 4  # a class with fewer training images gets no generator
