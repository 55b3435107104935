"""The models of the configuration: every key with its default, its bounds and what it means."""

import re
from dataclasses import fields
from typing import Annotated, Any, Literal, Self, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from ganaug.options import Options

Arm = Literal["real", "balanced", "classical", "gan", "gan_unfiltered", "classical_gan"]
REAL_ARMS: tuple[Arm, ...] = ("real", "balanced", "classical")
MERGEABLE: tuple[Arm, ...] = ("gan", "classical_gan")  # the arms whose synthetic images are those of `dataset/`

CLUSTERS = ("dask", "ray")  # runners that share a run's generators and candidates out over machines

Fraction = Annotated[float, Field(ge=0, le=1)]
FAMILY_DEFAULT = "Empty: the default of the chosen family."
NO_KEYS = {"precision", "betas", "flips"}  # a key of the whole configuration, and what only a family may choose

# User information before the @ of an address. A password may hold slashes; a port and Azure's container are none.
USER_INFO = re.compile(r"(^|(?<!abfs:)(?<!abfss:)//)[^/]*@|//[^/]*:(?!\d+/)[^@]*@")


class Section(BaseModel):
    """A part of the configuration; unknown keys are refused, values never change, NaN and infinity are no numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


class DataConfig(Section):
    """How the image folder is read and split."""

    layout: Literal[
        "auto",
        "mvtec_loco",
        "mvtec",
        "visa",
        "dagm",
        "kolektor",
        "severstal",
        "coco",
        "cvat",
        "yolo",
        "voc",
        "labelme",
        "image_mask_folders",
        "mask_pairs",
        "split_folders",
        "class_folders",
    ] = Field(default="auto", description="How a folder is read; auto recognises it, see docs/data.md.")
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
    aspect: Literal["pad", "crop"] = Field(
        default="pad",
        description="How images that are not square become so; they are never stretched. pad: the shorter side is "
        "extended by reflection, nothing is lost; crop: the ends of the longer side are cut off.",
    )
    near_duplicate_correlation: float = Field(
        default=0.6,
        gt=0,
        le=1,
        description="Images whose details correlate less than this never count as alike; 1: only certain copies do.",
    )
    group_pattern: str | None = Field(
        default=None,
        min_length=1,
        description="Regular expression with one group, or one named `group`, searched in the path of each image: the "
        "serial number, board, lot or shot. Images of one group stay in one split, and looks no longer count. "
        "A column `group` of a manifest comes first.",
    )
    annotations: str | None = Field(
        default=None,
        min_length=1,
        description="Folder or file of annotations that are kept elsewhere than the images; see docs/annotations.md.",
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
    def _captures_a_group(self) -> Self:
        if self.group_pattern is not None:
            try:
                expression = re.compile(self.group_pattern)
            except re.error as error:
                raise ValueError(f"group_pattern = {self.group_pattern!r} is no regular expression ({error})") from None
            if expression.groups != 1 and "group" not in expression.groupindex:
                raise ValueError(
                    f"group_pattern = {self.group_pattern!r} has {expression.groups} groups; put brackets around what "
                    "belongs together, such as (board\\d+), or name that group: (?P<group>...)"
                )
        return self

    @model_validator(mode="after")
    def _leaves_training_images(self) -> Self:
        if self.test_fraction + self.val_fraction > 0.9:
            raise ValueError("test_fraction and val_fraction together must leave a tenth for training (at most 0.9)")
        return self


class GanSettings(Section):
    """What is asked of a generator beside the options of its training."""

    family: str = Field(default="dcgan", min_length=1, description="GAN family; `ganaug families` lists them.")
    scope: Literal["shared", "per_class", "specialise"] = Field(
        default="shared",
        description="shared: one generator; per_class: one a class; specialise: a shared one, fine-tuned a class.",
    )
    minutes: float | None = Field(
        default=None,
        gt=0,
        description="Train a generator for this many minutes at most, and without `steps` as long. Empty: no limit.",
    )
    devices: int = Field(
        default=1,
        ge=1,
        le=64,
        description="GPUs, or processes on the CPU, that train one generator together, each with its share of a batch.",
    )
    repeats: int = Field(
        default=1,
        ge=1,
        le=10,
        description="Times the generators are trained, each from another seed, so that the verdict's intervals hold "
        "chance in their training too; 3 or more tell how far they differ. Takes so many times the training and the "
        "comparison. The first make the merged images.",
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
    conditioning_input: Literal["none", "edges", "mask", "small", "text"] | None = Field(
        default=None, description=f"Input that the generator is conditioned on beside the class. {FAMILY_DEFAULT}"
    )

    @model_validator(mode="after")
    def _has_a_use_for_init_from(self) -> Self:
        if self.init_from and self.scope != "specialise":
            raise ValueError("init_from needs scope = specialise, which fine-tunes it for each class")
        return self


def _overrides(options: type[Options]) -> dict[str, Any]:
    """The options of training as optional keys with the same bounds, empty until the family's default is overridden."""
    kinds, keys = get_type_hints(options), dict[str, Any]()
    for one in fields(options):
        if one.name not in NO_KEYS:
            declared: dict[str, Any] = dict(one.metadata)
            declared["description"] += f" {FAMILY_DEFAULT}"
            keys[one.name] = (kinds[one.name] | None, Field(default=None, **declared))
    return keys


class GanConfig(create_model("FamilyOptions", __base__=Section, **_overrides(Options)), GanSettings):  # type: ignore[misc]
    """Which generator is trained, how it is shared between classes, and for how long."""


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
        default=0.2,
        description="The class scorer must give the asked class at least this probability, and no less than a guess "
        "among the classes would have (of two: 0.5). 0: it is not asked.",
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


class MergeConfig(Section):
    """How the merged data set is written."""

    size: Literal["native", "generator"] = Field(
        default="generator",
        description="Of the real images in dataset/. generator: data.image_size, as the synthetic ones have it and as "
        "the comparison was made, so that no size tells the two apart; native: their own resolution.",
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
        default=None,
        ge=0,
        description="What a defect that slips through costs, in any currency. With both costs, the expected cost of a "
        "part decides (choices and verdict), else balanced accuracy.",
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
        if self.cost_miss == self.cost_false_reject == 0:
            raise ValueError("cost_miss and cost_false_reject are both 0, so nothing could be saved: set one above it")
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
    timeout_hours: float = Field(
        default=24, gt=0, le=10_000, description="A deployed run is ended after so many hours, the wait included."
    )
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
    merge: MergeConfig = Field(default=MergeConfig(), description="Writing the merged data set.")
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
