"""The models of the configuration: every key with its default, its bounds and what it means."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Arm = Literal["real", "balanced", "classical", "gan", "gan_unfiltered", "classical_gan"]
REAL_ARMS: tuple[Arm, ...] = ("real", "balanced", "classical")
MERGEABLE: tuple[Arm, ...] = ("gan", "classical_gan")  # the arms whose synthetic images are those of `dataset/`

CLUSTERS = ("dask", "ray")  # runners that share a run's generators and candidates out over machines

Fraction = Annotated[float, Field(ge=0, le=1)]
LearningRate = Annotated[float, Field(gt=0, le=0.1)]
Weight = Annotated[float, Field(ge=0, le=1000)]
FAMILY_DEFAULT = "Empty: the default of the chosen family."

# User information before the @ of an address. A password may hold slashes; a port and Azure's container are none.
USER_INFO = re.compile(r"(^|(?<!abfs:)(?<!abfss:)//)[^/]*@|//[^/]*:(?!\d+/)[^@]*@")


class Section(BaseModel):
    """A part of the configuration; unknown keys are refused, values never change, NaN and infinity are no numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


class DataConfig(Section):
    """How the image folder is read and split."""

    image_size: Literal[32, 64, 128] = Field(
        default=64, description="Side of the square images that the networks see, in pixels."
    )
    channels: Literal["auto", 1, 3] = Field(
        default="auto", description="1 grey, 3 colour, auto: grey if every image is grey."
    )
    framing: Literal["auto", "whole", "mask"] = Field(
        default="auto",
        description="What is cut out: the whole image, or the surroundings of the mask. auto: masks if there are any.",
    )
    test_fraction: float = Field(
        default=0.3, ge=0.05, le=0.8, description="Share of the images kept for the final comparison."
    )
    val_fraction: float = Field(
        default=0.15, ge=0, le=0.5, description="Share of the images kept for choices during training."
    )
    train_per_class: int | None = Field(
        default=None,
        ge=1,
        description="Keep only this many real training images a class (few-shot studies). Empty: all.",
    )
    min_for_validation: int = Field(
        default=30,
        ge=2,
        description="With fewer training images in the smallest class, repeated k-fold replaces the validation split.",
    )
    near_duplicate_correlation: float = Field(
        default=0.6,
        gt=0,
        le=1,
        description="Images whose details correlate more than this show the same spot and stay in one split.",
    )
    descriptions: str | None = Field(
        default=None,
        min_length=1,
        description="CSV file `path,description` with a sentence for each image, for families that draw from text. "
        "Empty: sentences are derived from what is measured in the images.",
    )
    max_bad_fraction: Fraction = Field(default=0.1, description="Share of unreadable files above which the run stops.")
    max_megapixels: float = Field(
        default=64, gt=0, le=1000, description="Larger images are refused before they are decoded."
    )

    @model_validator(mode="after")
    def _leaves_training_images(self) -> Self:
        if self.test_fraction + self.val_fraction > 0.9:
            raise ValueError("test_fraction and val_fraction together must leave a tenth for training (at most 0.9)")
        return self


class GanConfig(Section):
    """Which generator is trained, how it is shared between classes, and for how long."""

    family: str = Field(default="dcgan", min_length=1, description="GAN family; `ganaug families` lists them.")
    scope: Literal["shared", "per_class", "specialise"] = Field(
        default="shared",
        description="shared: one generator; per_class: one a class; specialise: a shared one, fine-tuned a class.",
    )
    steps: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description=f"Training steps of a generator. {FAMILY_DEFAULT} With `minutes`: as many as they allow.",
    )
    minutes: float | None = Field(
        default=None, gt=0, description="Train a generator for this many minutes at most. Empty: no limit."
    )
    devices: int = Field(
        default=1,
        ge=1,
        le=64,
        description="GPUs, or processes on the CPU, that train one generator together, each with its share of a batch.",
    )
    modes: int = Field(
        default=3, ge=1, le=64, description="per_class: appearance modes within a class that can be asked for."
    )
    init_from: str | None = Field(
        default=None,
        min_length=1,
        description="specialise: file of a trained generator to fine-tune from (store/generator-*.safetensors of a "
        "run); refused if it has learned from this run's test images. Empty: one is trained on all classes first.",
    )
    finetune_steps: int = Field(
        default=1000, ge=1, le=1_000_000, description="specialise: steps of each class's fine-tune."
    )
    width: int | None = Field(
        default=None, ge=4, le=512, description=f"Channels of the widest-resolution layer. {FAMILY_DEFAULT}"
    )
    latent: int | None = Field(default=None, ge=2, le=1024, description=f"Dimensions of the noise. {FAMILY_DEFAULT}")
    batch: int | None = Field(default=None, ge=2, le=1024, description=f"Images a step. {FAMILY_DEFAULT}")
    lr_g: LearningRate | None = Field(default=None, description=f"Learning rate of the generator. {FAMILY_DEFAULT}")
    lr_d: LearningRate | None = Field(default=None, description=f"Learning rate of the discriminator. {FAMILY_DEFAULT}")
    n_critic: int | None = Field(
        default=None, ge=1, le=100, description=f"Discriminator steps a generator step. {FAMILY_DEFAULT}"
    )
    diffaugment: str | None = Field(
        default=None,
        description=f"Differentiable augmentation, comma-separated, `none` to switch it off. {FAMILY_DEFAULT}",
    )
    ema: float | None = Field(
        default=None, ge=0, lt=1, description=f"Decay of the generator's moving average. {FAMILY_DEFAULT}"
    )
    r1_weight: Weight | None = Field(default=None, description=f"Weight of the R1 gradient penalty. {FAMILY_DEFAULT}")
    r1_every: int | None = Field(
        default=None, ge=1, le=1000, description=f"Steps between two R1 penalties. {FAMILY_DEFAULT}"
    )
    gp_weight: Weight | None = Field(default=None, description=f"Weight of the WGAN gradient penalty. {FAMILY_DEFAULT}")
    clip: float | None = Field(
        default=None, ge=0, le=10, description=f"Bound of the critic's weights after each update. {FAMILY_DEFAULT}"
    )
    label_smoothing: float | None = Field(
        default=None, ge=0, lt=0.5, description=f"One-sided label smoothing. {FAMILY_DEFAULT}"
    )
    label_noise: float | None = Field(
        default=None, ge=0, lt=0.5, description=f"Share of flipped labels. {FAMILY_DEFAULT}"
    )
    instance_noise: float | None = Field(
        default=None, ge=0, le=2, description=f"Noise on the discriminator's images, falling to 0. {FAMILY_DEFAULT}"
    )
    lecam: Weight | None = Field(default=None, description=f"Weight of LeCam regularisation. {FAMILY_DEFAULT}")
    consistency: Weight | None = Field(
        default=None, description=f"Weight of balanced consistency regularisation. {FAMILY_DEFAULT}"
    )
    delay_condition: float | None = Field(
        default=None, ge=0, lt=0.5, description=f"Share of training without label conditioning. {FAMILY_DEFAULT}"
    )
    critic_norm: Literal["none", "batch", "spectral"] | None = Field(
        default=None, description=f"Normalisation in the discriminator. {FAMILY_DEFAULT}"
    )
    separate_batches: bool | None = Field(
        default=None,
        description=f"Real and generated images pass the discriminator in separate batches. {FAMILY_DEFAULT}",
    )
    warmup: int | None = Field(
        default=None, ge=0, le=10_000, description=f"Discriminator steps before the generator's first. {FAMILY_DEFAULT}"
    )
    optimizer: Literal["adam", "rmsprop"] | None = Field(default=None, description=f"Optimiser. {FAMILY_DEFAULT}")
    noise: Literal["normal", "uniform"] | None = Field(
        default=None, description=f"Distribution of the latents. {FAMILY_DEFAULT}"
    )
    saturating: bool | None = Field(
        default=None, description=f"The generator's saturating loss of 2014. {FAMILY_DEFAULT}"
    )
    variant: str | None = Field(
        default=None, description=f"Architecture; `ganaug families` lists each family's. {FAMILY_DEFAULT}"
    )
    auxiliary_weight: Weight | None = Field(
        default=None, description=f"Weight of a family's loss on both networks (infogan). {FAMILY_DEFAULT}"
    )
    content_weight: Weight | None = Field(
        default=None, description=f"Weight of a family's loss on the generator (pix2pix, srgan). {FAMILY_DEFAULT}"
    )
    early_stop: bool | None = Field(
        default=None,
        description=f"Stop training that collapses, diverges or gains nothing for `patience` steps. {FAMILY_DEFAULT}",
    )
    patience: int | None = Field(
        default=None, ge=1, le=1_000_000, description=f"Steps without a better FID or KID to wait. {FAMILY_DEFAULT}"
    )
    keep: Literal["auto", "best", "last"] | None = Field(
        default=None,
        description="Which generator is used: the best by FID, the last, or auto: the best if the last is clearly "
        f"worse. {FAMILY_DEFAULT}",
    )
    conditioning_input: Literal["none", "edges", "mask", "small", "text"] | None = Field(
        default=None, description=f"Input that the generator is conditioned on beside the class. {FAMILY_DEFAULT}"
    )

    @model_validator(mode="after")
    def _has_a_use_for_init_from(self) -> Self:
        if self.init_from and self.scope != "specialise":
            raise ValueError("init_from needs scope = specialise, which fine-tunes it for each class")
        return self


class GenerateConfig(Section):
    """How many candidates are drawn."""

    per_class: int | None = Field(
        default=None, ge=1, le=100_000, description="Candidates a class. Empty: chosen from the number of real images."
    )
    description: str | None = Field(
        default=None,
        min_length=1,
        description="The sentence that every candidate is drawn from, for families that draw from text. "
        "Empty: each from that of a random training image of its class.",
    )
    upscale: Literal[1, 2, 4] = Field(
        default=1,
        description="The generator draws at data.image_size divided by this, and an SRGAN enlarges what it drew.",
    )
    truncation: Fraction = Field(
        default=1,
        description="stylegan: 1 draws at full variety, less pulls images towards the mean style of their class.",
    )


class FilterConfig(Section):
    """Which candidates may enter the training set."""

    min_confidence: Fraction = Field(
        default=0.2, description="The class scorer must give the asked class at least this probability."
    )
    copy_correlation: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="A candidate that correlates this much with a training image is always rejected as a copy. Where "
        "a class's real images are less alike the bar is lower: halfway between their highest correlation and 1, but "
        "at least 0.7.",
    )
    refuse_fid_ratio: float | None = Field(
        default=None,
        gt=0,
        description="Refuse a whole class whose FID exceeds this many times that of real against real. "
        "Empty: the filter's own limit.",
    )


class EvaluateConfig(Section):
    """How the augmented training set is compared with the real one."""

    seeds: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Times each classifier is trained, each from another seed; a verdict to merge needs 3.",
    )
    arms: tuple[Arm, ...] = Field(
        default=(*REAL_ARMS, "gan", "gan_unfiltered", "classical_gan"),
        description="Training sets that are compared; one of real images alone and one of gan, classical_gan at least.",
    )
    model: str = Field(default="small_resnet", min_length=1, description="Classifier that is retrained.")
    weights: str = Field(
        default="none", min_length=1, description="none, download, or the path of a .safetensors file."
    )
    steps: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Training steps of a classifier, the same for every arm. Empty: 10 for each real training image, "
        "1000 to 3000, whatever the batch.",
    )
    batch: int = Field(default=16, ge=2, le=4096, description="Images a step.")
    policies: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Classical augmentation policies to choose from. Empty: all."
    )
    ratios: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        default=(1, 2, 4), min_length=1, description="Synthetic images a real one, to choose from."
    )
    folds: int = Field(default=3, ge=2, le=20, description="Folds of the cross-validation that makes the choices.")
    repeats: int = Field(default=2, ge=1, le=100, description="Times that the cross-validation is repeated.")
    resamples: int = Field(default=2000, ge=100, le=1_000_000, description="Bootstrap resamples of the intervals.")

    @model_validator(mode="after")
    def _compares_real_with_synthetic(self) -> Self:
        if len(set(self.arms)) < len(self.arms):
            raise ValueError("arms names an arm twice")
        if not set(self.arms) & set(REAL_ARMS) or not set(self.arms) & set(MERGEABLE):
            raise ValueError(f"arms needs at least one of {', '.join(REAL_ARMS)} and one of {', '.join(MERGEABLE)}")
        return self


class InspectionConfig(Section):
    """Inspection metrics: class of good parts, prevalence of defects, costs of misses and false rejects."""

    good: str | None = Field(
        default=None,
        min_length=1,
        description="Class of the good parts. Empty: a class called good, ok, free, normal or the like, if there is "
        "one.",
    )
    prevalence: float = Field(
        default=0.01, gt=0, lt=1, description="Share of defective parts on the line, for parts per million and costs."
    )
    cost_miss: float | None = Field(
        default=None, ge=0, description="What a defect that slips through costs, in any currency."
    )
    cost_false_reject: float | None = Field(
        default=None, ge=0, description="What a good part that is rejected costs, in the same currency."
    )
    learning_curve: bool = Field(
        default=True, description="Measure how many more real images would have brought the same gain."
    )

    @model_validator(mode="after")
    def _has_both_costs(self) -> Self:
        if (self.cost_miss is None) != (self.cost_false_reject is None):
            raise ValueError("cost_miss and cost_false_reject go together: set both or none")
        return self


class ServeConfig(Section):
    """When a workspace's flows run by themselves (`ganaug serve`; cron expressions), and what they keep."""

    evaluate: str | None = Field(
        default="0 1 * * *", min_length=9, description="Compare anew with the generators there are. Empty: never."
    )
    train: str | None = Field(
        default="0 3 * * sun", min_length=9, description="Train all generators anew where images changed. Empty: never."
    )
    watch: str | None = Field(
        default=None,
        min_length=1,
        description="Folder with one sub-folder a class; images that arrive there are added.",
    )
    watch_every: str = Field(default="*/5 * * * *", min_length=9, description="When the watched folder is looked at.")
    keep_days: float = Field(
        default=90,
        gt=0,
        description="Intermediate results of the workspace that no run has used for so many days are deleted.",
    )
    timezone: str = Field(default="UTC", min_length=1, description="Of the times above, such as Europe/Berlin.")


class Config(Section):
    """All settings of a run."""

    model_config = ConfigDict(hide_input_in_errors=True)  # an address may hold a password

    seed: int = Field(default=0, ge=0, lt=2**32, description="Every random draw comes from it.")
    runner: Literal["local", "process", "dask", "ray"] = Field(
        default="process",
        description="local: one after another; process: classes in parallel processes; dask, ray: on a cluster.",
    )
    cluster: str | None = Field(
        default=None,
        min_length=1,
        description="Address of a Dask or Ray cluster. Empty: one on this machine.",
    )
    exchange: str | None = Field(
        default=None,
        min_length=1,
        description="URL of a store (fsspec, such as s3://bucket/ganaug) through which this machine and the cluster's "
        "hand each other files; credentials belong in the environment. Empty: all see the run's folder.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="Where the networks run. auto: the fastest there is."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="Of convolutions and products in training. auto: bf16 on processors that multiply it.",
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Parallel processes, and threads at most of a generator that trains alone. Empty: one a processor "
        "core.",
    )
    data: DataConfig = Field(default=DataConfig(), description="Reading and splitting the images.")
    gan: GanConfig = Field(default=GanConfig(), description="The generator and its training.")
    generate: GenerateConfig = Field(default=GenerateConfig(), description="Drawing candidates.")
    filter: FilterConfig = Field(default=FilterConfig(), description="Choosing among the candidates.")
    evaluate: EvaluateConfig = Field(default=EvaluateConfig(), description="Comparing the training sets.")
    inspection: InspectionConfig = Field(
        default=InspectionConfig(), description="What the comparison means on the line."
    )
    serve: ServeConfig = Field(default=ServeConfig(), description="Scheduled runs of a workspace.")

    @model_validator(mode="after")
    def _names_no_user(self) -> Self:
        for key, address in (("cluster", self.cluster), ("exchange", self.exchange)):
            if address is not None and USER_INFO.search(address):
                raise ValueError(
                    f"{key} names a user or a password before its @, and would be kept so in config.yaml; leave them "
                    "out: credentials belong in the environment"
                )
        return self

    @model_validator(mode="after")
    def _exchanges_with_a_cluster(self) -> Self:
        if self.exchange is not None and self.runner not in CLUSTERS:
            raise ValueError(f"exchange = {self.exchange} is for runner = dask or ray; leave it out, or set the runner")
        return self
