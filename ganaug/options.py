"""Every knob of GAN training, with the paper it comes from; families give the defaults."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Training options; one step is one generator update.

    Raises:
        ValueError: an option is out of range; the message names it and what is allowed.
    """

    steps: int = 5000
    batch: int = 32
    width: int = 32  # channels of the layer nearest the image; doubles at every halving of the resolution
    latent: int = 128
    rate_g: float = 5e-4
    rate_d: float = 5e-4
    betas: tuple[float, float] = (0.5, 0.99)
    critic_steps: int = 1
    diffaugment: str = "brightness,contrast,translation,cutout"  # Zhao et al. 2020, arXiv 2006.10738
    flips: bool = True  # horizontal flips of the real images
    ema: float = 0.999  # of the generator's weights, with warm-up
    r1_weight: float = 0.0  # gamma of Mescheder et al. 2018, arXiv 1801.04406
    r1_every: int = 4  # lazy regularisation, Karras et al. 2020, arXiv 1912.04958
    gp_weight: float = 0.0  # lambda of Gulrajani et al. 2017, arXiv 1704.00028
    label_smoothing: float = 0.0  # one-sided: real targets become 1 - label_smoothing (Salimans et al. 2016)
    label_noise: float = 0.0  # share of the discriminator's labels that are flipped

    def __post_init__(self) -> None:
        positive = ("steps", "batch", "width", "latent", "rate_g", "rate_d", "critic_steps", "r1_every")
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"gan.{name} = {getattr(self, name)}: must be above 0")
        for name in ("r1_weight", "gp_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"gan.{name} = {getattr(self, name)}: must be 0 or more")
        for name, top in (("ema", 1.0), ("label_smoothing", 0.5), ("label_noise", 0.5)):
            if not 0 <= getattr(self, name) < top:
                raise ValueError(f"gan.{name} = {getattr(self, name)}: must be at least 0 and below {top}")
