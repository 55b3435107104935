"""Trained generators, from their files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ganaug.checkpoint import prefixed
from ganaug.families import Family, get_family
from ganaug.spec import Spec
from pipeline.stages.records import Trained
from pipeline.store import load_tensors

Averaged = tuple[dict[str, Tensor], dict[str, Any]]  # weights that images are made with, and their training's record


def by_task(trained: Sequence[Trained]) -> tuple[list[Trained], Trained | None]:
    """The generators of the classes, and the super-resolver of their images if there is one."""
    return [t for t in trained if t.scale == 1], next((t for t in trained if t.scale > 1), None)


def by_repeat(trained: Sequence[Trained]) -> list[list[Trained]]:
    """The generators of each repeat, failed ones too; at least one list."""
    repeats = 1 + max((t.repeat for t in trained), default=0)
    return [[t for t in trained if t.repeat == repeat] for repeat in range(repeats)]


def averaged(model: Path) -> Averaged:
    """The weights that images are made with, and the record of the training."""
    tensors, card = load_tensors(model)
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
