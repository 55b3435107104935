"""From YAML and `--set KEY=VALUE` to a validated configuration, or to one sentence that says what is wrong."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.config.schema import Config
from pipeline.errors import InputError

LIST_OF = "one or more of: "
RENAMED = {  # keys that older versions had -> what they are called now
    "gan.rate_g": "gan.lr_g",
    "gan.rate_d": "gan.lr_d",
    "gan.critic_steps": "gan.n_critic",
    "gan.base": "gan.init_from",
    "gan.guide": "gan.conditioning_input",
    "quality": "inspection",
}


class _Loader(yaml.SafeLoader):
    """Safe YAML with the floats of YAML 1.2 (`5e-4` is a number) and no silent duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key_node.value}' stands twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load_config(file: Path | None = None, overrides: list[str] | None = None) -> Config:
    """Read `file` (YAML), lay `KEY=VALUE` overrides over it (dotted keys, YAML values) and validate.

    Raises:
        InputError: the file cannot be read, or a key or value is wrong; names the key, the value and what is allowed.
    """
    return validate_config(_laid_over({} if file is None else _read_yaml(file), overrides or []))


def parse_overrides(overrides: list[str] | None) -> dict[str, Any]:
    """The nested mapping that KEY=VALUE overrides stand for; InputError as in `load_config`."""
    return _laid_over({}, overrides or [])


def _laid_over(tree: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise InputError(f"'{override}' is not KEY=VALUE; write for example --set gan.steps=2000.")
        # a value is no alias of YAML's: a schedule may begin with a star
        value = text.strip() if text.lstrip().startswith("*") else _parse(text, where=f"--set {override}")
        _assign(tree, key.strip(), value)
    return tree


def validate_config(tree: Mapping[str, Any]) -> Config:
    """Validate a nested mapping strictly (no text for numbers, no true for 1); `InputError` as in `load_config`.

    A whole number may be written as a float, such as 1e3.
    """
    try:
        # Through JSON, because only there does pydantic's strict mode take a list for a tuple.
        return Config.model_validate_json(json.dumps(_whole(tree), default=str), strict=True)
    except ValidationError as found:
        # An unknown key first: with its mend, the other complaints often go.
        first, *rest = sorted(found.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
        others = {_dotted(error["loc"]) for error in rest} - {_dotted(first["loc"])}
        more = f" Also wrong: {', '.join(sorted(others))}." if others else ""
        raise InputError(_explain(first["loc"], first["type"], first["input"], first["msg"]) + more) from None


def _whole(value: Any) -> Any:
    """Every float that is a whole number as an integer, which keys of either kind accept."""
    match value:
        case float() if value.is_integer() and abs(value) < 2**53:  # beyond, floats skip integers
            return int(value)
        case Mapping():
            return {key: _whole(item) for key, item in value.items()}
        case list() | tuple():
            return [_whole(item) for item in value]
    return value


def dump_config(config: Config) -> str:
    """The configuration as YAML that `load_config` reads back to an equal one; keys in the order of the models."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def known_keys() -> dict[str, str]:
    """Every dotted key, with what is allowed there in words."""
    return dict(_walk(Config, ""))


def _walk(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _walk(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, _in_words(properties[name])


def _in_words(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_in_words(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    match schema["type"]:
        case "null":
            return "null"
        case "array":
            return f"{LIST_OF}{_in_words(schema['items'])}"
        case "string":
            return "text"
        case "boolean":
            return "true or false"
    bounds = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{said} {schema[bound]:.15g}" for bound, said in bounds.items() if bound in schema]
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    return f"{kind} {' and '.join(limits)}".rstrip()


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(part for part in location if isinstance(part, str))


def _explain(location: tuple[int | str, ...], kind: str, value: Any, message: str) -> str:
    key, known = _dotted(location), known_keys()
    sections = {name.rpartition(".")[0] for name in known} - {""}
    if kind == "extra_forbidden":
        return (
            f"Unknown configuration key '{key}' (value {value!r}).{_renamed(key) or _nearest(key, [*known, *sections])}"
        )
    if key in known:
        allowed = known[key]
        guess = _nearest(value, allowed.removeprefix(LIST_OF).split(", ")) if isinstance(value, str) else ""
        return f"Configuration key '{key}' cannot be {value!r}; allowed: {allowed}.{guess}"
    if kind == "value_error":
        return f"Configuration section '{key}': {message.removeprefix('Value error, ')}."
    return (
        f"Configuration key '{key or 'of the whole file'}' cannot be {value!r}; it is a section with keys of its own."
    )


def _renamed(key: str) -> str:
    """What a key, or its section, is called by now; empty where nothing was renamed."""
    section, _, name = key.partition(".")
    whole = RENAMED.get(key) or (f"{RENAMED[section]}.{name}".rstrip(".") if section in RENAMED else "")
    return f" It is called '{whole}' now." if whole else ""


def _nearest(word: str, known: list[str]) -> str:
    """The known word most like `word`; keys are compared by their last part too, so that `image_size` finds `data`."""
    by_leaf = {name.rpartition(".")[2]: name for name in reversed(known)}
    found = difflib.get_close_matches(word, known, 1, 0.6) or [
        by_leaf[leaf] for leaf in difflib.get_close_matches(word.rpartition(".")[2], by_leaf, 1, 0.6)
    ]
    return f" Did you mean '{found[0]}'?" if found else ""


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"Configuration file {file} cannot be read ({reason}).") from None
    tree = _parse(text, where=str(file))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise InputError(f"{file} must hold `key: value` lines, but holds {type(tree).__name__}.")
    return tree


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (_Loader is a SafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{where}{line}: not valid YAML ({getattr(error, 'problem', None) or error}).") from None


def _assign(tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for depth, name in enumerate(sections, 1):
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise InputError(f"--set {key}: '{'.'.join(sections[:depth])}' has no keys of its own.")
    tree[last] = value
