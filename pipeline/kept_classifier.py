"""A classifier that a run kept: its networks, and the way from a photograph to what it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from classifiers.architectures import build_model
from classifiers.decision_rule import LIKELIEST, DecisionRule
from classifiers.fitting import predict
from pipeline.errors import InputError, JobError
from pipeline.reading import pack
from pipeline.reading.layers import Picture
from pipeline.reading.problems import BadFile
from pipeline.reading.scaling import Scale, outside, to_eight_bits
from pipeline.store import RunFolder, load_tensors, read_json


@dataclass(frozen=True)
class KeptClassifier:
    """A trained classifier and its card, `classifiers/ARM/card.json` of a run."""

    model: nn.Module
    card: Mapping[str, Any]

    @property
    def classes(self) -> list[str]:
        names: list[str] = self.card["classes"]
        return names

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.card["preprocessing"]
        return found

    @property
    def rule(self) -> DecisionRule:
        """How probabilities become an answer; a card of an earlier version does not say, and means the likeliest."""
        found = self.card.get("decision")
        return DecisionRule(self.classes.index(found["good"]), found["threshold"]) if found else LIKELIEST

    @property
    def scale(self) -> Scale:
        """How the run's images of more than 8 bits were scaled."""
        limits = self.preprocessing.get("range_of_float")  # absent from cards of earlier versions
        return Scale(self.preprocessing["white_of_16_bit"], tuple(limits) if limits else None)

    def prepared(self, picture: Picture) -> Tensor:
        """A decoded image -> uint8 `[C, S, S]`, made as the run's were.

        Deep pixels beyond the range of the run's images are clipped to it; `beyond` tells.

        Raises:
            BadFile: it has 16 bits or floating-point numbers, and the run had no such images, so that the range is
                unknown.
        """
        size, channels = self.preprocessing["image_size"], self.preprocessing["channels"]
        limits = self.scale.range_of(picture.pixels)
        if limits is None:
            kind = "16 bits" if picture.pixels.dtype == np.uint16 else "floating-point numbers"
            raise BadFile("depth", f"it has {kind} and the run's images have not; save it as they are")
        grey_levels = to_eight_bits(picture.pixels, limits, negative=picture.negative)
        return pack([grey_levels], size, channels, self.preprocessing["aspect"])[0]

    def beyond(self, picture: Picture) -> str:
        """Which part of a deep image was clipped, being beyond the run's range; empty where nothing was."""
        limits = self.scale.range_of(picture.pixels)
        if limits is None or not (count := outside(picture.pixels, limits)):
            return ""
        share = f"{100 * count / picture.pixels.size:.2g} % of its pixel values are"
        if picture.pixels.dtype == np.uint16 and not picture.negative:
            return f"{share} above {limits[1]:g}, the white level of the run's 16-bit images, and were taken for white"
        return f"{share} outside {limits[0]:.6g} to {limits[1]:.6g}, the range of the run's images, and were clipped"

    def probabilities(self, images: Tensor) -> Tensor:
        """Class probabilities float32 `[N, K]` of uint8 `[N, C, S, S]`."""
        return predict(self.model, images)


def load_classifier(run: RunFolder, arm: str | None = None) -> KeptClassifier:
    """The classifier of an arm, or the recommended one.

    Raises:
        InputError: the folder holds no classifiers, or none of that arm.
        JobError: the file is damaged, or does not fit the networks of this version.
    """
    cards = {card["arm"]: card for card in map(read_json, sorted(run.classifiers.glob("*/card.json")))}
    if not cards:
        raise InputError(
            f"{run.out} holds no classifiers; give the folder of a finished run. To a run of an earlier version "
            f"`ganaug evaluate --out {run.out}` adds them."
        )
    if arm is not None and arm not in cards:
        raise InputError(f"--arm {arm}: {run.out} kept the classifiers of {' and '.join(cards)}.")
    card = next(card for name, card in cards.items() if (name == arm if arm else card["recommended"]))
    weights, _ = load_tensors(run.classifier(card["arm"]))
    classes, channels = len(card["classes"]), card["preprocessing"]["channels"]
    try:
        with torch.random.fork_rng(devices=[]):  # first weights are drawn, and replaced at once
            model = build_model(card["recipe"]["model"], classes=classes, channels=channels)
        model.load_state_dict(weights)
    except (ValueError, RuntimeError):
        raise JobError(
            f"{run.classifier(card['arm'])} is of another version; `ganaug evaluate --out {run.out}` trains it anew."
        ) from None
    return KeptClassifier(model.to(memory_format=torch.channels_last).eval(), card)


def require_whole(classifier: KeptClassifier, *, cut_outs: bool) -> None:
    """Raise InputError where the run was trained on cut-outs around marked defects and `cut_outs` is false.

    A photograph has no mask, so the place to cut is unknown, and the classifier was not trained on whole images.
    """
    if classifier.preprocessing["framing"] == "mask" and not cut_outs:
        raise InputError(
            "This run learned from square cut-outs around marked defects (data.framing = mask), so its classifier says "
            "nothing of whole photographs. Cut out the part in question and add --cut-outs, or run with "
            "--set data.framing=whole."
        )
