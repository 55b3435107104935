"""The shape of a pair of networks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """Shape of a pair: images `[N, channels, size, size]`, `conditions` classes or modes, `latent` noise dimensions."""

    size: int
    channels: int
    conditions: int
    latent: int
    width: int

    def __post_init__(self) -> None:
        if self.size not in (32, 64, 128, 256):
            raise ValueError(f"image size {self.size} is not a power of two in 32..256; set data.image_size to one")
        if self.channels not in (1, 3):
            raise ValueError(f"{self.channels} channels: images have 1 (grey) or 3 (colour)")
