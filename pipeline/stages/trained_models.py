"""Trained generators, from their files."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ganaug.checkpoint import prefixed
from ganaug.families import Family, get_family
from ganaug.spec import Spec
from pipeline.errors import JobError
from pipeline.stages.records import Trained
from pipeline.store import RunFolder, load_tensors, read_json

Averaged = tuple[dict[str, Tensor], dict[str, Any]]  # weights that images are made with, and their training's record


ANEW = "train anew with `ganaug run` or `ganaug class update`"
CARD_KEYS = {"family", "init_from", "spec", "options", "conditioning_input"}  # of a card, and of a training's record


def require_current(file: Path, card: Mapping[str, Any]) -> None:
    """Raise JobError where what `file` says of a generator is of an earlier version, with other names for some keys."""
    if not card.keys() >= CARD_KEYS or not card["spec"].keys() <= {field.name for field in fields(Spec)}:
        raise JobError(f"{file} is of an earlier version; {ANEW}.")


def published_cards(run: RunFolder) -> list[dict[str, Any]]:
    """The cards of a run's generators, in the order of their classes' names; JobError as `require_current`."""
    cards = {file: read_json(file) for file in sorted((run.out / "generators").glob("*/card.json"))}
    for file, card in cards.items():
        require_current(file, card)
    return list(cards.values())


def by_task(trained: Sequence[Trained]) -> tuple[list[Trained], Trained | None]:
    """The generators of the classes, and the super-resolver of their images if there is one."""
    return [t for t in trained if t.scale == 1], next((t for t in trained if t.scale > 1), None)


def by_repeat(trained: Sequence[Trained]) -> list[list[Trained]]:
    """The generators of each repeat, failed ones too; at least one list."""
    repeats = 1 + max((t.repeat for t in trained), default=0)
    return [[t for t in trained if t.repeat == repeat] for repeat in range(repeats)]


def averaged(model: Path) -> Averaged:
    """The weights that images are made with, and the record of the training; JobError as `require_current`."""
    tensors, card = load_tensors(model)
    require_current(model, card)
    return prefixed(tensors, "ema."), card


def generator_of(
    weights: dict[str, Tensor], card: Mapping[str, Any], truncation: float = 1
) -> tuple[Family, Spec, nn.Module]:
    """The generator that a card describes, drawing at full variety or `truncation` of it if it has styles."""
    family, spec = get_family(card["family"]), Spec(**card["spec"])
    generator = family.generator(spec)
    generator.load_state_dict(weights)
    if family.truncates:
        generator.truncation = truncation  # type: ignore[assignment]
    return family, spec, generator
