"""What the report is made from. Parts left empty are left out of the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Estimate = tuple[float, float, float]  # mean and the two ends of its 95 % interval
Image = NDArray[np.uint8]  # [H, W] or [H, W, 3]
History = Mapping[str, Sequence[float | None]]  # columns step, loss_d, loss_g, and fid, kid where they were measured


@dataclass(frozen=True)
class Pair:
    """An accepted synthetic image beside the real training image that is most like it."""

    synthetic: Image
    nearest: Image
    distance: float
    realism: float | None = None


@dataclass(frozen=True)
class Reading:
    """What was found in the data set: counts by name, and notes (framing, conversions, bad files) in sentences."""

    counts: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Choices:
    """What was chosen on training and validation images alone, with the endpoint of each option."""

    method: str = ""
    policies: Mapping[str, float] = field(default_factory=dict)
    policy: str | None = None
    ratios: Mapping[int, float] = field(default_factory=dict)
    ratio: int | None = None


@dataclass(frozen=True)
class ReportData:
    """Everything on the page; `metrics` is the content of `metrics.json`.

    Scores are shares in 0..1; classes and arms are named as in `metrics`. Confusion counts are [K, K], true class by
    row, in the order of `metrics["dataset"]["classes"]`, summed over the seeds.
    """

    metrics: Mapping[str, Any]
    title: str = "Image set"
    confusion: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    recall_intervals: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    gain_recall: Mapping[str, Estimate] = field(default_factory=dict)
    history: Mapping[str, History] = field(default_factory=dict)
    findings: Mapping[str, Sequence[str]] = field(default_factory=dict)  # of each generator's training, in sentences
    samples: Mapping[str, Sequence[Pair]] = field(default_factory=dict)
    unfiltered: Mapping[str, Sequence[Image]] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    choices: Choices = field(default_factory=Choices)
    config_yaml: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    checked: bool = True  # no generator has learned from a test image
