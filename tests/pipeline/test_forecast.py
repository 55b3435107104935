"""What is forecast of a run, against runs that were made."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from pipeline.forecast import CHANGE, accuracy_interval, detectable, forecast
from pipeline.reading import duplicates_of, load
from pipeline.rehearsal import classifier_fits, rehearse
from pipeline.stages.prepare import prepare
from pipeline.stages.training_memory import GIB
from tests import tiny
from tests.conftest import Finished
from tests.pipeline.conftest import Ganaug
from tests.pipeline.samples import folder

RUNS = Path(__file__).parents[2] / "benchmarks" / "gain" / "runs"


def measured() -> Iterator[tuple[float, list[int], float]]:
    """Accuracy without synthetic images, test images and the gain in accuracy that the test could detect."""
    for file in sorted(RUNS.rglob("metrics.json")):
        metrics: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        said = metrics["gain"].get("detectable") or metrics["gain"]["accuracy"].get("detectable")
        if said is not None:
            accuracy = metrics["arms"][metrics["gain"]["baseline"]]["accuracy"]["mean"]
            yield accuracy, [sum(metrics["dataset"]["counts"]["test"].values())], said


def test_what_real_runs_could_detect_is_what_is_forecast_of_them() -> None:
    found = list(measured())
    changes = [(said / detectable(accuracy, images)) ** 2 * CHANGE for accuracy, images, said in found]
    assert len(found) >= 20
    assert median(changes) == pytest.approx(CHANGE, abs=0.01)
    assert all(0.5 < said / detectable(accuracy, images) < 2 for accuracy, images, said in found)


def test_a_test_four_times_as_large_shows_gains_half_as_large() -> None:
    assert detectable(0.8, [40, 160]) == pytest.approx(detectable(0.8, [10, 40]) / 2)
    assert detectable(0.95, [25]) == pytest.approx(2.8016 * (CHANGE * 0.05 / 25) ** 0.5, rel=1e-3)
    low, high = accuracy_interval(0.9, 100)
    assert (round(low, 3), round(high, 3)) == (0.826, 0.945)  # Wilson, by hand


def test_a_data_set_is_told_what_its_test_can_say(tmp_path: Path) -> None:
    folder(tmp_path / "train", classes=("dent", "good"), each=6)
    folder(tmp_path / "test", classes=("dent",), each=22, first_seed=5000)
    reading = load(tmp_path)
    found = forecast(reading, duplicates_of(reading, 1.0).groups, tiny.settings())
    assert found["counts"] == {"dent": {"train": 6, "val": 0, "test": 22}, "good": {"train": 6, "val": 0, "test": 0}}
    assert found["independent_test_images"] == 22
    said = " ".join(found["said"])
    assert "12 images to train on, choices by cross-validation on these, 22 to test on, as the data set splits" in said
    assert "No test image of good" in said
    assert f"below about {100 * detectable(0.95, [22]):.1f} percentage points" in said


def test_too_small_a_test_is_said_to_allow_no_merge(tmp_path: Path) -> None:
    folder(tmp_path, each=12)
    reading = load(tmp_path)
    found = forecast(reading, np.arange(len(reading.images)), tiny.settings())
    images = found["independent_test_images"]
    assert 0 < images < 20 and images == sum(row["test"] for row in found["counts"].values())
    said = " ".join(found["said"])
    assert f"{images} test image(s) are independent of each other; a verdict to merge takes 20" in said
    assert "Fewer than 10 test images: dent" in said and "percentage points" not in said


def test_what_cannot_be_split_is_not_forecast(tmp_path: Path) -> None:
    folder(tmp_path / "train", classes=("dent",))
    folder(tmp_path / "test", classes=("dent", "hole"), first_seed=5000)
    reading = load(tmp_path)
    assert forecast(reading, np.arange(len(reading.images)), tiny.settings()) == {}


def test_a_rehearsal_measures_what_a_run_trains(finished: Finished) -> None:
    found = rehearse(finished.source, finished.config)
    assert list(found.seconds) == ["reading", "generators", "filter", "choices", "comparison"]
    assert all(seconds > 0 for seconds in found.seconds.values())
    assert 0.1 < found.memory / GIB < 20
    assert f"about {found.memory / GIB:.1f} GiB of memory" in found.said
    prepared = prepare(finished.run, finished.config, finished.source)
    trained = len(list((finished.run.store / "fits").iterdir()))
    assert trained <= sum(classifier_fits(finished.config, prepared).values()) <= 1.5 * trained


def test_inspect_says_what_is_forecast(textures_folder: Path, ganaug: Ganaug) -> None:
    settings = tiny.as_arguments()
    status, out, _ = ganaug("inspect", str(textures_folder), "--rehearse", *settings)
    assert status == 0 and "forecast:" in out and "images to train on" in out and "A run takes about" in out
    status, out, _ = ganaug("inspect", str(textures_folder), "--json", *settings)
    record = json.loads(out)["forecast"]
    assert record["counts"]["lines"]["train"] > 0 and "seconds" not in record
