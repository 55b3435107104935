"""What a result depends on beside its inputs: the code that computes it, and the libraries that the code imports."""

import ast
import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import resolve_name
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ("classifiers", "ganaug", "pipeline")

# Whatever computes imports these, and none of them changes what is computed: settings count by their values, a job
# gives the same bits whoever runs it, and the rest says, shows or stores what came of it.
NO_RESULTS = (
    "pipeline.config",
    "pipeline.errors",
    "pipeline.log",
    "pipeline.masking",
    "pipeline.report",
    "pipeline.store",
    "pipeline.workers",
)

# Imported name -> distribution, of the libraries that make or change numbers.
LIBRARIES = {
    "PIL": "pillow",
    "albumentations": "albumentations",
    "cv2": "opencv-python-headless",
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "statsmodels": "statsmodels",
    "tifffile": "tifffile",
    "torch": "torch",
    "torchvision": "torchvision",
}


@dataclass(frozen=True)
class Source:
    """Of one file: the digest of its code without comments and docstrings, and every name that it imports.

    Of `from a import b` the names are `a` and `a.b`, which may be a module too.
    """

    code: str
    imports: frozenset[str]


@functools.cache
def code_digest(module: str, root: Path = ROOT, version_of: Callable[[str], str] = version) -> str:
    """SHA-256 (64 hex digits) of the code of a module and of all of ours that it imports, and of its libraries.

    Comments and docstrings do not count, nor do the modules of `NO_RESULTS`. `root` holds the packages `OURS`;
    `version_of` gives the version of a distribution. Computed once a process: sources do not change under a run.

    Raises:
        ValueError: there is no such module.
    """
    sources = dependencies(module, root)
    imported = {name.partition(".")[0] for source in sources.values() for name in source.imports}
    libraries = {LIBRARIES[name]: _version(LIBRARIES[name], version_of) for name in imported & LIBRARIES.keys()}
    code = {name: source.code for name, source in sources.items()}
    return hashlib.sha256(json.dumps([code, libraries], sort_keys=True).encode()).hexdigest()


def dependencies(module: str, root: Path = ROOT) -> dict[str, Source]:
    """A module and all of ours that it imports, at its top or within a function, and that these import in turn.

    A package's `__init__` runs before its modules do, so it is among them.

    Raises:
        ValueError: there is no such module.
    """
    if _file(module, root) is None:
        raise ValueError(f"{root} holds no module {module}")
    found: dict[str, Source] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        file = _file(name, root)
        if file is None or name in found or any(f"{name}.".startswith(f"{other}.") for other in NO_RESULTS):
            continue
        found[name] = _source(name, file)
        for imported in (name, *found[name].imports):
            parts = imported.split(".")
            pending += (".".join(parts[: n + 1]) for n in range(len(parts)))
    return found


@functools.cache
def code_version() -> str:
    """Release, and digest of the code of a whole run with its libraries, e.g. `0.1.0+3f2a9c1d`."""
    return f"{_version('ganaug', version)}+{code_digest('pipeline.job')[:8]}"


def _version(distribution: str, version_of: Callable[[str], str]) -> str:
    try:
        return version_of(distribution)
    except PackageNotFoundError:
        return "0"


@functools.cache
def _file(module: str, root: Path) -> Path | None:
    """The file of a module of ours; None for other modules, and for what is no module."""
    first, *below = module.split(".")
    if first not in OURS:
        return None
    place = root.joinpath(first, *below)
    candidates = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


@functools.cache
def _source(module: str, file: Path) -> Source:
    tree = ast.parse(file.read_bytes())
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    imports: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                imports |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                base = resolve_name("." * node.level + (node.module or ""), package)
                imports |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                if ast.get_docstring(node, clean=False) is not None:
                    del node.body[0]
    return Source(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), frozenset(imports))
