"""Files of annotations, which are anybody's: read with bounds, and refused in a sentence.

XML is parsed by expat with a handler that refuses every document type declaration: without one there are no entities
to expand and nothing external to fetch.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import yaml

from pipeline.errors import InputError

LARGEST = 1 << 30  # bytes; COCO's own training annotations have 450 MB
DEEPEST = 100  # nested elements of XML

T = TypeVar("T")


class BadAnnotation(Exception):
    """What is said of one image cannot be used; the text says why. The image is quarantined."""


def contains(path: Path, *patterns: bytes) -> bool:
    """Whether all of `patterns` are found in the file, which is how formats are recognised, broken files too."""
    try:
        data = read_bytes(path).replace(b"\0", b"")  # UTF-16
    except BadAnnotation:
        return False
    return all(re.search(pattern, data) for pattern in patterns)


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises BadAnnotation."""
    try:
        return json.loads(read_bytes(path))
    except json.JSONDecodeError as error:
        raise BadAnnotation(f"it is no JSON (line {error.lineno}: {error.msg})") from None
    except UnicodeDecodeError:
        raise BadAnnotation("it is not UTF-8 text") from None
    except (RecursionError, ValueError, MemoryError):
        raise BadAnnotation("it is no JSON of annotations: nested too deep, or with numbers out of range") from None


def read_xml(path: Path) -> Element:
    """The root element of an XML file. Raises BadAnnotation, for a document type declaration too."""
    builder, parser, depth = TreeBuilder(), expat.ParserCreate(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise BadAnnotation(f"its elements are nested more than {DEEPEST} deep")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise BadAnnotation("it has a document type declaration (<!DOCTYPE ...>); remove it")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(read_bytes(path), True)
    except expat.ExpatError as error:
        raise BadAnnotation(
            f"it is no well-formed XML (line {error.lineno}: {expat.ErrorString(error.code)})"
        ) from None
    except (ValueError, LookupError):  # an encoding that expat does not know
        raise BadAnnotation("its encoding is unknown; save it as UTF-8") from None
    return builder.close()


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. Raises BadAnnotation."""
    try:
        return yaml.safe_load(read_text(path))
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise BadAnnotation(f"it is no well-formed YAML{line}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise BadAnnotation("it is no well-formed YAML") from None


def read_bytes(path: Path) -> bytes:
    """The content of a file of at most LARGEST bytes. Raises BadAnnotation."""
    try:
        if path.stat().st_size > LARGEST:
            raise BadAnnotation(f"it is larger than {LARGEST >> 20} MiB; export it in parts")
        return path.read_bytes()
    except OSError as error:
        raise BadAnnotation(f"it cannot be opened ({error.strerror})") from None


def read_text(path: Path) -> str:
    """The text of a file in UTF-8. Raises BadAnnotation."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadAnnotation("it is not UTF-8 text") from None


def required(read: Callable[[Path], T], path: Path) -> T:
    """What `read` makes of a file that the whole data set needs; InputError where it cannot."""
    try:
        return read(path)
    except BadAnnotation as bad:
        raise InputError(f"{path} cannot be read: {bad}; mend it or export it anew.") from None
