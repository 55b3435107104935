"""The same candidates wherever they are trained and drawn: here, in processes, on a Dask or a Ray cluster."""

from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from flows.augment import augment
from flows.runners import RUNNERS, task_runner
from pipeline.errors import InputError
from pipeline.log import read_log
from pipeline.store import RunFolder, load_tensors
from tests import tiny

CLASSES = 4  # more than workers
SETTINGS = ("gan.scope=per_class", "gan.steps=4", "workers=2", *tiny.TWO_ARMS)


@pytest.fixture(scope="module")
def many_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each texture in a brightness of its own, and the first in another."""
    root = tmp_path_factory.mktemp("many") / "data"
    for i in range(CLASSES):
        name = list(tiny.TEXTURES)[i % 3]
        folder = root / f"{name}-{i:02d}"
        folder.mkdir(parents=True)
        for k in range(6):
            picture = tiny.texture(name, 100 * i + k).astype(np.int16) + 40 * (i // 3) - 60
            (folder / f"{k}.png").write_bytes(tiny.encoded(picture))
    return root


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, many_classes: Path) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("here") / "run")
    augment(str(many_classes), str(run.out), tiny.settings(*SETTINGS, "runner=local"))
    return run


def candidates(run: RunFolder) -> dict[str, Tensor]:
    """Class -> the images that were drawn of it."""
    return {card["class"]: made["images"] for made, card in map(load_tensors, run.store.glob("candidates-*"))}


@pytest.mark.parametrize(
    ("runner", "exchange"),
    [
        ("dask", True),
        pytest.param("ray", False, marks=pytest.mark.slow),
        pytest.param("process", False, marks=pytest.mark.slow),
        pytest.param("dask", False, marks=pytest.mark.slow),
        pytest.param("ray", True, marks=pytest.mark.slow),
    ],
)
def test_every_runner_accepts_the_same_images(
    tmp_path: Path, many_classes: Path, here: RunFolder, runner: str, exchange: bool
) -> None:
    pytest.importorskip("prefect_dask" if runner == "dask" else "prefect_ray" if runner == "ray" else "prefect")
    run, settings = RunFolder(tmp_path / "run"), [*SETTINGS, f"runner={runner}"]
    if exchange:
        settings.append(f"exchange=file://{tmp_path}/exchange")
    augment(str(many_classes), str(run.out), tiny.settings(*settings))
    assert run.manifest.read_bytes() == here.manifest.read_bytes()
    ours, theirs = candidates(run), candidates(here)
    assert ours.keys() == theirs.keys() and len(ours) == CLASSES
    assert all(ours[name].equal(theirs[name]) for name in ours)
    done = [event for event in read_log(run.log) if event["stage"] == "train" and event["event"] == "done"]
    assert len([event for event in done if "generator" in event]) == CLASSES


def test_a_runner_whose_extra_is_missing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dask", "ray"):

        def missing(_: object) -> None:
            raise ImportError("No module named 'it'")

        monkeypatch.setitem(RUNNERS, name, missing)
        with pytest.raises(InputError, match=rf"pip install 'ganaug\[{name}\]'"):
            task_runner(tiny.settings(f"runner={name}"))
