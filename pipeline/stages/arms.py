"""The ways of making a training set: what an arm is made of, and the classifier that it trains."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.config import Arm, Config
from pipeline.stages.fits import FitJob, SyntheticPart, device_of, recipe_for
from pipeline.stages.records import Prepared, Selected
from pipeline.store import load_tensors


class Option(NamedTuple):
    """A way of making the training set; `ratio` 0 means no synthetic images."""

    policy: str
    ratio: int = 0
    balanced: bool = False
    filtered: bool = True


def arms(policy: str, ratio: int, *, balanced: bool) -> dict[Arm, Option]:
    """All arms, with the ratio that was chosen, and the augmentation and sampling of those that augment."""
    return {
        "real": Option("none"),
        "balanced": Option("none", balanced=True),
        "classical": Option(policy, balanced=balanced),
        "gan": Option("none", ratio),
        "gan_unfiltered": Option("none", ratio, filtered=False),
        "classical_gan": Option(policy, ratio, balanced),
    }


def fit_of(
    config: Config,
    prepared: Prepared,
    selected: Sequence[Selected],
    option: Option,
    train: tuple[int, ...],
    held_out: tuple[int, ...],
    seed: int,
) -> FitJob:
    """The classifier of an option, trained on a part of the real images.

    `train` and `held_out` are indices into the pack; synthetic images take part whose nearest real one is in `train`.
    The steps go by all training images, also where `train` is only a part of these.
    """
    synthetic: tuple[SyntheticPart, ...] = ()
    if option.ratio:
        synthetic = synthetic_parts(selected, option.ratio, filtered=option.filtered, within=frozenset(train))
    recipe = recipe_for(config, prepared.n_train, policy=option.policy, balanced=option.balanced)
    return FitJob(prepared.pack, train, held_out, synthetic, recipe, len(prepared.classes), seed, device_of(config))


def synthetic_parts(
    selected: Sequence[Selected], ratio: int, *, filtered: bool = True, within: Collection[int] | None = None
) -> tuple[SyntheticPart, ...]:
    """The synthetic images of an arm: `ratio` accepted ones a real one, or as many candidates drawn blindly.

    With `within`, only those whose nearest real image, an index into the pack, is among it.
    """
    parts = []
    for one in selected:
        tensors, _ = load_tensors(Path(one.file))
        chosen = tensors[f"ratio_{ratio}"]
        if not filtered:
            chosen = tensors["blind"][: int(tensors["wanted"][0]) * ratio]
        nearest = tensors["nearest_real"].tolist()
        kept = tuple(i for i in chosen.tolist() if within is None or nearest[i] in within)
        parts.append(SyntheticPart(one.candidates, kept, one.label))
    return tuple(parts)
