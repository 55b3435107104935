"""The registry of GAN families: one row each."""

from ganaug.families.base import Conditioning, Family, Made, Objective, Phase
from ganaug.families.cgan import CGAN
from ganaug.families.dcgan import DCGAN
from ganaug.families.gan import GAN
from ganaug.families.infogan import INFOGAN
from ganaug.families.pix2pix import PIX2PIX
from ganaug.families.progan import PROGAN
from ganaug.families.srgan import SRGAN
from ganaug.families.stackgan import STACKGAN
from ganaug.families.stylegan import STYLEGAN
from ganaug.families.wgan import WGAN
from ganaug.families.wgan_gp import WGAN_GP

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (GAN, DCGAN, WGAN, WGAN_GP, CGAN, INFOGAN, PROGAN, STYLEGAN, PIX2PIX, SRGAN, STACKGAN)
}

__all__ = ["FAMILIES", "Conditioning", "Family", "Made", "Objective", "Phase", "get_family"]


def get_family(name: str) -> Family:
    """Return the family called `name`.

    Raises:
        ValueError: no such family; the message lists those that exist.
    """
    if name not in FAMILIES:
        raise ValueError(f"gan.family = {name!r} does not exist; choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]
