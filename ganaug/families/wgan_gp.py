"""Class-conditional WGAN with gradient penalty (Gulrajani et al. 2017, arXiv 1704.00028, algorithm 1).

The critic has no batch normalisation (the penalty is on each image by itself) and no sigmoid; five critic steps a
generator step, lambda 10 on random interpolates, Adam with betas (0, 0.9).
"""

from ganaug.families.base import Family, Objective
from ganaug.losses import wasserstein_critic, wasserstein_generator
from ganaug.networks import ConvGenerator, ProjectionCritic
from ganaug.options import Options

WGAN_GP = Family(
    name="wgan_gp",
    paper="Gulrajani, Ahmed, Arjovsky, Dumoulin & Courville 2017, Improved Training of Wasserstein GANs, "
    "arXiv 1704.00028",
    summary="Wasserstein critic with gradient penalty: steady, about four times the time of a dcgan step",
    generator=ConvGenerator,
    discriminator=ProjectionCritic,
    objective=Objective(wasserstein_critic, wasserstein_generator, wasserstein=True),
    defaults=Options(steps=3000, lr_g=2e-4, lr_d=2e-4, betas=(0.0, 0.9), n_critic=5, gp_weight=10.0),
    variants=("transposed", "resize"),
)
