"""Names for results: the digest of everything that they were made from."""

import functools
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

if TYPE_CHECKING:
    from torch import Tensor

from pipeline.store.sources import code_digest


def digest(*parts: Any, code: str) -> str:
    """SHA-256 (64 hex digits) of the parts, and of the code and libraries of the module `code` that makes the result.

    Parts are JSON values, paths, bytes, arrays, tensors, dataclasses, pydantic models and nestings of these. The order
    of a mapping does not matter, that of a sequence does. A path is taken as text: to depend on its content, pass the
    content's digest. For `code` see `sources.code_digest`; what needs no code has `content_digest`.

    Raises:
        TypeError: a part is none of these, so that its digest would not be stable.
        ValueError: there is no module `code`.
    """
    text = json.dumps([code_digest(code), *parts], sort_keys=True, separators=(",", ":"), default=canonical)
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
        case np.generic():
            return value.item()
        case np.ndarray() if not value.dtype.hasobject:
            sha256 = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
            return {"dtype": str(value.dtype), "shape": list(value.shape), "sha256": sha256}
        case frozenset() | set():
            return sorted(value)
    if is_tensor(value):
        dtype = str(value.dtype).removeprefix("torch.")  # as numpy calls it
        return {"dtype": dtype, "shape": list(value.shape), "sha256": _sha256(value)}
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"a {type(value).__name__} has no stable digest")


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor of torch, which takes seconds to import: whoever holds a tensor has done so."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _sha256(tensor: "Tensor") -> str:
    import torch

    # A single element counts as contiguous whatever its stride, and only a stride of 1 can be viewed as bytes.
    flat = tensor.detach().cpu().clone(memory_format=torch.contiguous_format).reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().data).hexdigest()


def content_digest(tensors: "Mapping[str, Tensor]", facts: Any) -> str:
    """SHA-256 of tensors and JSON facts, without any code: a file stays readable after an upgrade."""
    content = {name: canonical(tensor) for name, tensor in tensors.items()}
    return hashlib.sha256(json.dumps([content, facts], sort_keys=True).encode()).hexdigest()


def jsonable(value: Any) -> Any:
    """`value` as plain JSON types; numpy numbers become numbers, NaN and infinity null (JSON has neither)."""
    if is_tensor(value):
        return jsonable(value.tolist())
    match value:
        case float() | np.floating():
            return float(value) if math.isfinite(value) else None
        case str() | bool() | int() | None:
            return value
        case Mapping():
            return {str(key): jsonable(item) for key, item in value.items()}
        case np.ndarray():
            return jsonable(value.tolist())
        case Iterable() if not isinstance(value, bytes):
            return [jsonable(item) for item in value]
    return jsonable(canonical(value))
