"""Every option of GAN training, declared once: default, bounds, meaning and paper; families give other defaults.

The configuration's keys `gan.*` are made from these fields (`pipeline/config/schema.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import ge, gt, le, lt
from typing import Any, Literal, get_args, get_origin, get_type_hints

# Bounds as pydantic and JSON schema know them: how they hold, and in words.
BOUNDS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "gt": (gt, "above"),
    "ge": (ge, "at least"),
    "lt": (lt, "below"),
    "le": (le, "at most"),
}


def option(default: Any, description: str, **bounds: float) -> Any:
    """A field of `Options`; `bounds` are some of `BOUNDS`."""
    return field(default=default, metadata={"description": description, **bounds})


@dataclass(frozen=True)
class Options:
    """Training options; one step is one generator update.

    Raises:
        ValueError: an option is out of range; the message names it and what is allowed.
    """

    steps: int = option(5000, "Training steps of a generator.", ge=1, le=1_000_000)
    batch: int = option(32, "Images a step.", ge=2, le=1024)
    # doubles at every halving of the resolution
    width: int = option(32, "Channels of the layer nearest the image.", ge=4, le=512)
    latent: int = option(128, "Dimensions of the noise.", ge=2, le=1024)
    variant: str = option("", "Architecture; `ganaug families` lists each family's.")
    # two time-scale updates: Heusel et al. 2017, arXiv 1706.08500
    lr_g: float = option(5e-4, "Learning rate of the generator.", gt=0, le=0.1)
    lr_d: float = option(5e-4, "Learning rate of the discriminator.", gt=0, le=0.1)
    betas: tuple[float, float] = option((0.5, 0.99), "Decay of Adam's averages of gradients and their squares.")
    optimizer: Literal["adam", "rmsprop"] = option("adam", "Optimiser.")
    n_critic: int = option(1, "Discriminator steps a generator step.", ge=1, le=100)
    warmup: int = option(0, "Discriminator steps before the generator's first.", ge=0, le=10_000)
    # Zhao et al. 2020, arXiv 2006.10738
    diffaugment: str = option(
        "brightness,contrast,translation,cutout",
        "Differentiable augmentation, comma-separated, `none` to switch it off.",
    )
    flips: bool = option(True, "Horizontal flips of the real images.")
    ema: float = option(0.999, "Decay of the generator's moving average, which warms up.", ge=0, lt=1)
    # it minimises log(1 - D(G(z))): Goodfellow et al. 2014, arXiv 1406.2661, equation 1
    saturating: bool = option(False, "The generator's saturating loss of 2014.")
    noise: Literal["normal", "uniform"] = option("normal", "Distribution of the latents.")
    # gamma of Mescheder et al. 2018, arXiv 1801.04406
    r1_weight: float = option(0.0, "Weight of the R1 gradient penalty.", ge=0, le=1000)
    # lazy regularisation: Karras et al. 2020, arXiv 1912.04958
    r1_every: int = option(4, "Steps between two R1 penalties.", ge=1, le=1000)
    # lambda of Gulrajani et al. 2017, arXiv 1704.00028
    gp_weight: float = option(0.0, "Weight of the WGAN gradient penalty.", ge=0, le=1000)
    # to [-clip, clip]: Arjovsky et al. 2017, arXiv 1701.07875
    clip: float = option(0.0, "Bound of the critic's weights after each update; 0: none.", ge=0, le=10)
    # spectral: Miyato et al. 2018, arXiv 1802.05957
    critic_norm: Literal["none", "batch", "spectral"] = option("none", "Normalisation in the discriminator.")
    # so that batch statistics do not mix
    separate_batches: bool = option(False, "Real and generated images pass the discriminator in separate batches.")
    # real targets become 1 - label_smoothing: Salimans et al. 2016, arXiv 1606.03498
    label_smoothing: float = option(0.0, "One-sided label smoothing.", ge=0, lt=0.5)
    label_noise: float = option(0.0, "Share of the discriminator's labels that are flipped.", ge=0, lt=0.5)
    # standard deviation: Sonderby et al. 2016, arXiv 1610.04490
    instance_noise: float = option(0.0, "Noise on the discriminator's images, falling to 0.", ge=0, le=2)
    # Tseng et al. 2021, arXiv 2104.03310
    lecam: float = option(0.0, "Weight of LeCam regularisation.", ge=0, le=1000)
    # Zhao et al. 2020, arXiv 2002.04724
    consistency: float = option(0.0, "Weight of balanced consistency regularisation.", ge=0, le=1000)
    # then as long to ramp them in: Shahbazi et al. 2022, arXiv 2201.06578
    delay_condition: float = option(0.0, "Share of training without label conditioning.", ge=0, lt=0.5)
    auxiliary_weight: float = option(1.0, "Weight of a family's loss on both networks (infogan).", ge=0, le=1000)
    content_weight: float = option(1.0, "Weight of a family's loss on the generator (pix2pix, srgan).", ge=0, le=1000)
    early_stop: bool = option(True, "Stop training that collapses, diverges or gains nothing for `patience` steps.")
    patience: int = option(4000, "Steps without a better FID or KID to wait.", ge=1, le=1_000_000)
    keep: Literal["auto", "best", "last"] = option(
        "auto", "Which generator is used: the best by FID, the last, or auto: the best if the last is clearly worse."
    )
    # weights, losses and gradient penalties are fp32 all the same
    precision: Literal["fp32", "bf16"] = option("fp32", "Of convolutions and products.")

    def __post_init__(self) -> None:
        hints = get_type_hints(Options)
        for one in fields(self):
            value, kind = getattr(self, one.name), hints[one.name]
            if get_origin(kind) is Literal and value not in get_args(kind):
                raise ValueError(f"gan.{one.name} = {value!r}: choose one of {', '.join(get_args(kind))}")
            bounds = {bound: one.metadata[bound] for bound in BOUNDS if bound in one.metadata}
            if not all(BOUNDS[bound][0](value, limit) for bound, limit in bounds.items()):
                said = " and ".join(f"{BOUNDS[bound][1]} {limit:.15g}" for bound, limit in bounds.items())
                raise ValueError(f"gan.{one.name} = {value}: must be {said}")
