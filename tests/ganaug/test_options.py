"""Options of training and the keys of the configuration that override them: one declaration."""

import math
from dataclasses import MISSING, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from ganaug.families import FAMILIES
from ganaug.options import BOUNDS, Options
from pipeline.config import known_keys, load_config
from pipeline.config.schema import NO_KEYS
from pipeline.errors import InputError
from pipeline.stages.jobs import options_for

HINTS = get_type_hints(Options)
LIMITS = [
    (one.name, bound, one.metadata[bound]) for one in fields(Options) for bound in BOUNDS if bound in one.metadata
]


def key(name: str, value: Any) -> str:
    return f"gan.{name}={value!r}"


def test_every_option_is_described_and_is_a_key_of_the_configuration() -> None:
    keys = known_keys()
    for one in fields(Options):
        assert one.metadata["description"].endswith(".") and one.default is not MISSING
        assert (f"gan.{one.name}" in keys) == (one.name not in NO_KEYS)


@pytest.mark.parametrize(("name", "bound", "limit"), LIMITS)
def test_both_refuse_the_same_values(name: str, bound: str, limit: float) -> None:
    step = 1 if HINTS[name] is int else 1e-9
    beyond = limit + (step if bound == "le" else -step if bound == "ge" else 0)
    within = limit + (step if bound == "gt" else -step if bound == "lt" else 0)
    with pytest.raises(ValueError, match=rf"gan\.{name} = .*: must be .*{BOUNDS[bound][1]} {limit:.15g}"):
        Options(**{name: beyond})
    with pytest.raises(InputError, match=rf"'gan\.{name}' cannot be .*{BOUNDS[bound][1]} {limit:.15g}"):
        load_config(None, [key(name, beyond)])
    assert getattr(Options(**{name: within}), name) == getattr(load_config(None, [key(name, within)]).gan, name)


@pytest.mark.parametrize("name", [name for name, kind in HINTS.items() if get_origin(kind) is Literal])
def test_choices_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=rf"gan\.{name} = 'other': choose one of {', '.join(get_args(HINTS[name]))}"):
        Options(**{name: "other"})
    if name not in NO_KEYS:
        with pytest.raises(InputError, match=", ".join(get_args(HINTS[name]))):
            load_config(None, [f"gan.{name}=other"])


def test_what_is_not_a_number_is_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"gan\.lr_g = nan: must be above 0"):
        Options(lr_g=math.nan)


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_that_are_left_empty_are_the_family_s(family: str) -> None:
    config = load_config(None, [f"gan.family={family}", "gan.batch=6", "precision=fp32"])
    assert options_for(config) == replace(FAMILIES[family].defaults, batch=6)
