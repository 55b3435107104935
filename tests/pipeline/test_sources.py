"""Which edits and which upgrades make a stage compute anew: those that it depends on, and no others."""

from collections.abc import Mapping
from pathlib import Path

import grimp
import pytest

from pipeline.config import Config
from pipeline.stages import filter as filtering
from pipeline.stages.records import Prepared
from pipeline.store import RunFolder
from pipeline.store.sources import LIBRARIES, NO_RESULTS, OURS, code_digest, code_version, dependencies

STAGES = ("prepare", "train", "generate", "filter", "fits")
VERSIONS = dict.fromkeys(LIBRARIES.values(), "1.0")
TREE = {
    "pipeline/__init__.py": "",
    "pipeline/stage.py": '"""Trains."""\nfrom classifiers import nets\n\n\ndef train():\n    """Train."""\n'
    "    from ganaug import late\n    return nets.build(), late.x  # a comment\n",
    "pipeline/other.py": "import cv2\n\nx = 1\n",
    "classifiers/__init__.py": "",
    "classifiers/nets.py": "import torch\nfrom . import layers\nclass N:\n    '''A net.'''\ndef build(): return 1\n",
    "classifiers/layers.py": "from numpy import zeros\n",
    "ganaug/__init__.py": "",
    "ganaug/late.py": "x = 1\n",
}


def key(folder: Path, edits: Mapping[str, str] | None = None, versions: Mapping[str, str] = VERSIONS) -> str:
    """The key of `pipeline.stage` in a tree with some files as in `edits`."""
    for name, text in (TREE | dict(edits or {})).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return code_digest("pipeline.stage", folder, versions.__getitem__)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pipeline/stage.py", '"""Trains."""', '"""Trains what there is."""'),
        ("pipeline/stage.py", '    """Train."""\n', ""),
        ("pipeline/stage.py", "  # a comment", ""),
        ("classifiers/nets.py", "'''A net.'''", "'''A network.'''"),
        ("pipeline/other.py", "x = 1", "x = 2"),
    ],
)
def test_an_edit_of_words_or_of_what_is_not_imported_changes_nothing(
    tmp_path: Path, file: str, old: str, new: str
) -> None:
    assert old in TREE[file]
    assert key(tmp_path / "before") == key(tmp_path / "after", {file: TREE[file].replace(old, new)})


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pipeline/stage.py", "nets.build()", "nets.build() + 1"),
        ("classifiers/nets.py", "return 1", "return 2"),
        ("classifiers/layers.py", "zeros", "ones"),  # imported by what is imported, relative to its package
        ("classifiers/__init__.py", "", "import random"),  # a package runs before its modules do
        ("ganaug/late.py", "x = 1", "x = 2"),  # imported within a function
    ],
)
def test_an_edit_of_what_is_imported_changes_the_key(tmp_path: Path, file: str, old: str, new: str) -> None:
    assert old in TREE[file]
    edited = TREE[file].replace(old, new) if old else new
    assert key(tmp_path / "before") != key(tmp_path / "after", {file: edited})


def test_another_version_of_a_library_counts_where_the_library_is_imported(tmp_path: Path) -> None:
    before = key(tmp_path)
    assert key(tmp_path, versions=VERSIONS | {"torch": "1.1"}) != before
    assert key(tmp_path, versions=VERSIONS | {"numpy": "1.1"}) != before
    assert key(tmp_path, versions=VERSIONS | {"opencv-python-headless": "1.1"}) == before  # only `other` imports it


def test_a_name_that_is_no_module_has_no_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no module pipeline\.stage"):
        code_digest("pipeline.stage", tmp_path)


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_that_a_stage_imports_counts(stage: str) -> None:
    """As grimp sees the imports, but for what computes nothing."""
    graph = grimp.build_graph(*OURS, cache_dir=None)
    for module in NO_RESULTS:
        for name in {module, *graph.find_descendants(module)}:
            graph.remove_module(name)
    upstream = graph.find_upstream_modules(f"pipeline.stages.{stage}")
    assert upstream and upstream <= dependencies(f"pipeline.stages.{stage}").keys()


def test_stages_depend_on_what_they_do_and_on_nothing_else() -> None:
    parts = {stage: dependencies(f"pipeline.stages.{stage}").keys() for stage in STAGES}
    assert {"ganaug.training_loop", "ganaug.losses"} <= parts["train"] and "classifiers.fitting" not in parts["train"]
    assert {"classifiers.fitting", "classifiers.policies"} <= parts["fits"]
    assert "ganaug.training_loop" not in parts["fits"] | parts["prepare"]
    assert not {name for of in parts.values() for name in of} & {
        "pipeline.commands",
        "pipeline.report.page",
        "pipeline.log",
    }


def test_the_version_on_cards_names_the_release_and_the_code() -> None:
    release, _, code = code_version().partition("+")
    assert release[0].isdigit() and code == code_digest("pipeline.job")[:8]


def test_a_scorer_fitted_on_another_device_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other devices give other bits."""
    counts = {split: {"a": 4, "b": 4} for split in ("train", "val", "test")}
    prepared = Prepared("d" * 64, "pack", ["a", "b"], 32, 1, "whole", counts, [])
    asked: list[str] = []
    monkeypatch.setattr(filtering, "run_jobs", lambda _function, jobs, **_: asked.append(jobs[0][0]))
    monkeypatch.setattr(filtering, "load_tensors", lambda file: ({}, {"features": "none"}))
    for device in ("cpu", "cuda"):
        filtering.fit_scorer(RunFolder(tmp_path), Config(device=device), prepared)
    assert len(set(asked)) == 2
