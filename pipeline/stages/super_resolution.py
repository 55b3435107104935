"""Super-resolution of the candidates: `generate.upscale`, and `gan.family: srgan` on top of a drawing family."""

from dataclasses import replace

from ganaug.families import Family, get_family
from ganaug.options import Options
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.workers import resolve_precision

SUPER_RESOLVES = "srgan"
DRAWS = "dcgan"  # what `gan.family: srgan` enlarges
SMALLEST = 16  # side that generators can draw


def scale_of(config: Config) -> int:
    """How many times the side grows after the generator: 1, 2 or 4.

    Raises:
        InputError: the generator would have to draw below 16 pixels.
    """
    scale = max(2, config.generate.upscale) if config.gan.family == SUPER_RESOLVES else config.generate.upscale
    if config.data.image_size // scale < SMALLEST:
        raise InputError(
            f"generate.upscale = {scale}: images of {config.data.image_size} pixels would be drawn at "
            f"{config.data.image_size // scale}, and {SMALLEST} is the least; lower it, or raise data.image_size."
        )
    return scale


def drawing_family(config: Config) -> Family:
    """The family that draws the candidates, before they are enlarged."""
    return get_family(DRAWS if config.gan.family == SUPER_RESOLVES else config.gan.family)


def super_resolution_options(config: Config) -> Options:
    """Of the SRGAN that enlarges what another family draws: its own, and at most `gan.steps` steps."""
    defaults = get_family(SUPER_RESOLVES).defaults
    steps = min(defaults.steps, config.gan.steps or defaults.steps)
    return replace(defaults, steps=steps, precision=resolve_precision(config))
