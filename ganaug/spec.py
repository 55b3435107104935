"""The shape of a pair of networks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """Shape of a pair: images `[N, channels, size, size]`, `conditions` classes or modes, `latent` noise dimensions.

    `conditioning_channels` is the number of channels of a conditioning picture or of dimensions of a text-embedding, 0
    for none; `variant` one of the architectures that the family offers; `critic_norm` the discriminator's
    normalisation, `none` or `batch` or `spectral`; `noise` the distribution of the latents, `normal` or `uniform`;
    `scale` the images' side over that of conditioning pictures.
    """

    size: int
    channels: int
    conditions: int
    latent: int
    width: int
    conditioning_channels: int = 0
    variant: str = ""
    critic_norm: str = "none"
    noise: str = "normal"
    scale: int = 1

    def __post_init__(self) -> None:
        if self.size not in (16, 32, 64, 128, 256):
            raise ValueError(f"image size {self.size} is not a power of two in 16..256; set data.image_size to one")
        if self.channels not in (1, 3):
            raise ValueError(f"{self.channels} channels: images have 1 (grey) or 3 (colour)")
