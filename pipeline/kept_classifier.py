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
from pipeline.reading.decode import Pixels, to_eight_bits
from pipeline.reading.problems import BadFile
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

    def prepared(self, pixels: Pixels) -> Tensor:
        """A decoded image, uint8 or uint16 `[H, W]` or `[H, W, 3]` RGB -> uint8 `[C, S, S]`, made as the run's were.

        16-bit pixels above the white level of the run's images become white; `brighter` tells.

        Raises:
            BadFile: it has 16 bits, and the run had no such images, so that the white level is unknown.
        """
        size, channels = self.preprocessing["image_size"], self.preprocessing["channels"]
        white = self.preprocessing["white_of_16_bit"]
        if pixels.dtype == np.uint16:
            if white is None:
                raise BadFile("depth", "it has 16 bits and the run's images have 8; save it as they are")
            pixels = np.minimum(pixels, white)
        return pack([to_eight_bits(pixels, white or 255)], size, channels, self.preprocessing["aspect"])[0]

    def brighter(self, pixels: Pixels) -> str:
        """Which part of a 16-bit image was clipped, being above the run's white level; empty where nothing was."""
        white = self.preprocessing["white_of_16_bit"]
        if pixels.dtype != np.uint16 or white is None or int(pixels.max()) <= white:
            return ""
        return (
            f"{100 * float((pixels > white).mean()):.2g} % of its pixel values are above {white}, the white level of "
            "the run's 16-bit images, and were taken for white"
        )

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
