"""Names for results: the digest of everything that they were made from."""

import functools
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

# What shows results, keeps images or moves files: a change there leaves what was trained as it is.
NO_RESULTS = (
    "pipeline/report/",
    "pipeline/workspace/",
    "pipeline/class_commands.py",
    "pipeline/commands.py",
    "pipeline/exchange.py",
    "pipeline/latent_sheets.py",
    "pipeline/history.py",
    "pipeline/latent_commands.py",
    "pipeline/latent_model.py",
    "pipeline/log.py",
)


@functools.cache
def code_version() -> str:
    """Release and digest of the sources that compute results, e.g. `0.1.0+3f2a9c1d`."""
    root = Path(__file__).resolve().parents[2]
    sources = hashlib.sha256()
    for package in ("classifiers", "ganaug", "pipeline"):
        for file in sorted((root / package).rglob("*.py")):
            name = file.relative_to(root).as_posix()
            if not name.startswith(NO_RESULTS):
                sources.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    try:
        release = version("ganaug")
    except PackageNotFoundError:
        release = "0"
    return f"{release}+{sources.hexdigest()[:8]}"


def digest(*parts: Any) -> str:
    """SHA-256 (64 hex digits) of the parts and of the code version.

    Parts are JSON values, paths, bytes, arrays, tensors, dataclasses, pydantic models and nestings of these. The order
    of a mapping does not matter, that of a sequence does. A path is taken as text: to depend on its content, pass the
    content's digest.

    Raises:
        TypeError: a part is none of these, so that its digest would not be stable.
    """
    text = json.dumps([code_version(), *parts], sort_keys=True, separators=(",", ":"), default=canonical)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, read again only when the file has changed."""
    return _file_digest(path, path.stat().st_mtime_ns)


@functools.lru_cache
def _file_digest(path: Path, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical(value: Any) -> Any:
    """What `json` cannot write, as something that it can; `TypeError` where that would not be stable."""
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case Path():
            return value.as_posix()
        case bytes():
            return {"sha256": hashlib.sha256(value).hexdigest()}
        case Tensor():
            return {"dtype": str(value.dtype), "shape": list(value.shape), "sha256": _sha256(value)}
        case np.ndarray() | np.generic():
            return canonical(torch.from_numpy(np.atleast_1d(value))) if isinstance(value, np.ndarray) else value.item()
        case frozenset() | set():
            return sorted(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"a {type(value).__name__} has no stable digest")


def _sha256(tensor: Tensor) -> str:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().data).hexdigest()


def content_digest(tensors: Mapping[str, Tensor], facts: Any) -> str:
    """SHA-256 of tensors and JSON facts, without the code version: a file stays readable after an upgrade."""
    content = {name: canonical(tensor) for name, tensor in tensors.items()}
    return hashlib.sha256(json.dumps([content, facts], sort_keys=True).encode()).hexdigest()


def jsonable(value: Any) -> Any:
    """`value` as plain JSON types; numpy numbers become numbers, NaN and infinity null (JSON has neither)."""
    match value:
        case float() | np.floating():
            return float(value) if math.isfinite(value) else None
        case str() | bool() | int() | None:
            return value
        case Mapping():
            return {str(key): jsonable(item) for key, item in value.items()}
        case np.ndarray() | Tensor():
            return jsonable(value.tolist())
        case Iterable() if not isinstance(value, bytes):
            return [jsonable(item) for item in value]
    return jsonable(canonical(value))
