"""Every knob of GAN training, with the paper it comes from; families give the defaults."""

from dataclasses import dataclass

CHOICES = {
    "noise": ("normal", "uniform"),
    "critic_norm": ("none", "batch", "spectral"),
    "optimizer": ("adam", "rmsprop"),
    "keep": ("auto", "best", "last"),
    "precision": ("fp32", "bf16"),
}
POSITIVE = ("steps", "batch", "width", "latent", "lr_g", "lr_d", "n_critic", "r1_every", "patience")
NOT_NEGATIVE = (
    "r1_weight",
    "gp_weight",
    "lecam",
    "consistency",
    "clip",
    "warmup",
    "instance_noise",
    "auxiliary_weight",
    "content_weight",
)
BELOW = {"ema": 1.0, "label_smoothing": 0.5, "label_noise": 0.5, "delay_condition": 0.5}


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
    variant: str = ""  # one of the family's architectures
    lr_g: float = 5e-4
    lr_d: float = 5e-4  # two time-scale updates: Heusel et al. 2017, arXiv 1706.08500
    betas: tuple[float, float] = (0.5, 0.99)
    optimizer: str = "adam"
    n_critic: int = 1
    warmup: int = 0  # discriminator updates before the first of the generator
    diffaugment: str = "brightness,contrast,translation,cutout"  # Zhao et al. 2020, arXiv 2006.10738
    flips: bool = True  # horizontal flips of the real images
    ema: float = 0.999  # of the generator's weights, with warm-up
    saturating: bool = False  # the generator minimises log(1 - D(G(z))): Goodfellow et al. 2014, equation 1
    noise: str = "normal"  # distribution of the latents
    r1_weight: float = 0.0  # gamma of Mescheder et al. 2018, arXiv 1801.04406
    r1_every: int = 4  # lazy regularisation, Karras et al. 2020, arXiv 1912.04958
    gp_weight: float = 0.0  # lambda of Gulrajani et al. 2017, arXiv 1704.00028
    clip: float = 0.0  # weights clipped to [-clip, clip]: Arjovsky et al. 2017, arXiv 1701.07875
    critic_norm: str = "none"  # spectral: Miyato et al. 2018, arXiv 1802.05957
    separate_batches: bool = False  # real and fake pass the discriminator apart, so batch statistics do not mix
    label_smoothing: float = 0.0  # one-sided: real targets become 1 - label_smoothing (Salimans et al. 2016)
    label_noise: float = 0.0  # share of the discriminator's labels that are flipped
    instance_noise: float = 0.0  # deviation at the start, falls to 0 at the end: Sonderby et al. 2016, arXiv 1610.04490
    lecam: float = 0.0  # weight of Tseng et al. 2021, arXiv 2104.03310
    consistency: float = 0.0  # weight of balanced consistency regularisation: Zhao et al. 2020, arXiv 2002.04724
    delay_condition: float = 0.0  # share of training without labels, then as long to ramp them in: arXiv 2201.06578
    auxiliary_weight: float = 1.0  # of the family's loss on both networks, such as InfoGAN's lambda
    content_weight: float = 1.0  # of the family's loss on the generator alone, such as pix2pix's L1
    early_stop: bool = True  # after lasting collapse or divergence, or `patience` steps without a better FID or KID
    patience: int = 4000
    keep: str = "auto"  # the best generator if the last is clearly worse; or always the best or the last
    precision: str = "fp32"  # bf16: of convolutions and products; weights, losses and gradient penalties are fp32

    def __post_init__(self) -> None:
        for name in POSITIVE:
            if getattr(self, name) <= 0:
                raise ValueError(f"gan.{name} = {getattr(self, name)}: must be above 0")
        for name in NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"gan.{name} = {getattr(self, name)}: must be 0 or more")
        for name, top in BELOW.items():
            if not 0 <= getattr(self, name) < top:
                raise ValueError(f"gan.{name} = {getattr(self, name)}: must be at least 0 and below {top}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"gan.{name} = {getattr(self, name)!r}: choose one of {', '.join(known)}")
