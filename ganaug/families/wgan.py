"""Class-conditional Wasserstein GAN with clipped weights (Arjovsky, Chintala & Bottou 2017, arXiv 1701.07875).

Algorithm 1: a critic without sigmoid, n_critic = 5 updates of it for one of the generator, its weights clipped to
[-c, c] with c = 0.01 after each, RMSprop for both; at 2e-4, because 300 steps at the paper's 5e-5 still show noise. The
networks are DCGAN's, with batch normalisation in the critic (section 4.2): clipped weights alone shrink the signal at
every layer. Real and generated images pass the critic apart, as in the authors' code, so that their batch statistics do
not mix.
"""

from ganaug.families.base import Family, Objective
from ganaug.losses import wasserstein_critic, wasserstein_generator
from ganaug.networks import ConvGenerator, ProjectionCritic
from ganaug.options import Options
from ganaug.spec import Spec


class ClippedCritic(ProjectionCritic):
    """A projection critic whose weights of the class, clipped as those of the score, count as much as those."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.scale = 1.0


WGAN = Family(
    name="wgan",
    paper="Arjovsky, Chintala & Bottou 2017, Wasserstein GAN, arXiv 1701.07875",
    summary="Wasserstein critic with clipped weights: the loss follows the quality, but it learns slowly",
    generator=ConvGenerator,
    discriminator=ClippedCritic,
    objective=Objective(wasserstein_critic, wasserstein_generator, wasserstein=True),
    defaults=Options(
        optimizer="rmsprop",
        lr_g=2e-4,
        lr_d=2e-4,
        n_critic=5,
        clip=0.01,
        critic_norm="batch",
        separate_batches=True,
    ),
    variants=("transposed", "resize"),
    critic_norms=("none", "batch"),  # spectral normalisation would undo what the clipping does
)
