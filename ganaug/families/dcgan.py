"""Class-conditional DCGAN.

Networks: Radford, Metz & Chintala 2015 (arXiv 1511.06434), section 3. Departures, for tens of images a class: the
discriminator carries no batch normalisation unless `critic_norm=batch` asks for the paper's, so that lazy R1 and
DiffAugment act on one image at a time; the condition enters by conditional batch normalisation and projection instead
of not at all, and the projection pools the last features instead of flattening them.
"""

from ganaug.families.base import Family, Objective
from ganaug.losses import bce_discriminator, non_saturating_generator, saturating_generator
from ganaug.networks import ConvGenerator, ProjectionCritic
from ganaug.options import Options

DCGAN = Family(
    name="dcgan",
    paper="Radford, Metz & Chintala 2015, Unsupervised Representation Learning with DCGANs, arXiv 1511.06434",
    summary="strided convolutions, non-saturating loss, lazy R1: the quickest that works on tens of images a class",
    generator=ConvGenerator,
    discriminator=ProjectionCritic,
    objective=Objective(bce_discriminator, non_saturating_generator, saturating=saturating_generator),
    defaults=Options(steps=10_000, width=16, patience=8000, r1_weight=0.05, r1_every=4),
    variants=("transposed", "resize"),  # resize: nearest neighbours and a convolution, no checkerboard
    critic_norms=("none", "batch", "spectral"),
)
