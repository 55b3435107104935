"""Some of the configuration's keys, each typed and bounded as in the whole: what one run is to have otherwise."""

import json
from collections.abc import Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from pipeline.config.schema import Config


def partial(model: type[BaseModel]) -> type[BaseModel]:
    """The model with every key of it and of its sections optional, described and bounded as before."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields[name] = (partial(kind), Field(default=None, description=field.description))
        else:
            fields[name] = (kind, copy(field))
    section = model.__name__.removesuffix("Config")
    return create_model(
        f"{section}Settings",
        __config__=ConfigDict(
            title=section or "Settings", extra="forbid", allow_inf_nan=False, json_schema_extra=_without_defaults
        ),
        __doc__=model.__doc__,
        **fields,
    )


def _without_defaults(schema: dict[str, Any]) -> None:
    """A form fills in the defaults of its schema, and would overrule with them what the workspace says."""
    for field in schema["properties"].values():
        field.pop("default", None)


if TYPE_CHECKING:
    Settings = Config
else:
    Settings = partial(Config)


def overrides_of(settings: Settings | None) -> list[str]:
    """The keys that are set, as the KEY=VALUE of `load_config`."""
    tree = {} if settings is None else settings.model_dump(mode="json", exclude_unset=True)
    return [f"{key}={json.dumps(value)}" for key, value in _leaves(tree, "")]


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
