"""Class-conditional DCGAN.

Networks: Radford, Metz & Chintala 2015 (arXiv 1511.06434), section 3. Two departures, both for tens of images a class:
the discriminator carries no batch normalisation, so that lazy R1 and DiffAugment act on one image at a time, and the
condition enters by conditional batch normalisation and projection instead of not at all.
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
    defaults=Options(r1_weight=0.05, r1_every=4),
)
