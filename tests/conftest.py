"""One thread for torch, how tests are shared out, and one finished tiny run that many tests look at."""

from __future__ import annotations

import os

# Before torch is imported; subprocesses inherit it. Several threads on such small work only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:  # the process that shares out the tests runs none: it does without torch, which fixtures import
    from pipeline.config import Config
    from pipeline.store import RunFolder

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


class ByFile(LoadFileScheduling):
    """A file at a time for each process; all that need Prefect's server to one, so that there is one server."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/flows" if nodeid.startswith("tests/flows/") else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)  # where xdist is switched off
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@dataclass(frozen=True)
class Finished:
    """A run that is through: its folder, what it was told, what it was run on and what it returned."""

    run: RunFolder
    config: Config
    source: Path
    metrics: dict[str, Any]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Networks start alike whichever tests ran before."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def textures_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of twelve grey pictures; not to be changed."""
    from tests import tiny

    return tiny.write_dataset(tmp_path_factory.mktemp("source") / "textures")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, textures_folder: Path) -> Finished:
    """A shared generator, run to the end; tests may run it again but not change its configuration."""
    from pipeline.job import run_job
    from pipeline.store import RunFolder
    from tests import tiny

    run, config = RunFolder(tmp_path_factory.mktemp("finished") / "run"), tiny.settings()
    return Finished(run, config, textures_folder, run_job(run, config, textures_folder))
