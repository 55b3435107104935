"""The registry of GAN families: one row each."""

from ganaug.families.base import Family, Made, Objective, Phase, Told
from ganaug.families.dcgan import DCGAN
from ganaug.families.wgan_gp import WGAN_GP

FAMILIES: dict[str, Family] = {family.name: family for family in (DCGAN, WGAN_GP)}

__all__ = ["FAMILIES", "Family", "Made", "Objective", "Phase", "Told", "get_family"]


def get_family(name: str) -> Family:
    """Return the family called `name`.

    Raises:
        ValueError: no such family; the message lists those that exist.
    """
    if name not in FAMILIES:
        raise ValueError(f"gan.family = {name!r} does not exist; choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]
