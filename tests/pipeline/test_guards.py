"""What a run refuses to touch, and what it says while a generator goes wrong."""

from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.job import run_job
from pipeline.log import read_log
from pipeline.store import RunFolder, read_json
from tests import tiny


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path: Path, textures_folder: Path) -> None:
    out = tmp_path / "mine"
    tiny.write_dataset(out / "dataset", {"lines": 1})
    before = tiny.contents(out)
    with pytest.raises(InputError, match="holds no run"):
        run_job(RunFolder(out), tiny.settings(), textures_folder)
    assert tiny.contents(out) == before


@pytest.mark.parametrize("out", ["textures", "textures/out", "."])
def test_run_and_data_set_must_not_lie_in_one_another(tmp_path: Path, out: str) -> None:
    source = tiny.write_dataset(tmp_path / "textures", {"lines": 2, "grain": 2})
    before = tiny.contents(source)
    with pytest.raises(InputError, match="in one another"):
        run_job(RunFolder(tmp_path / out), tiny.settings(), source)
    assert tiny.contents(source) == before
    assert sorted(tmp_path.iterdir()) == [source]


def test_collapse_is_logged_while_it_trains(tmp_path: Path, textures_folder: Path) -> None:
    # So fast a generator overshoots until tanh is saturated, whatever it is given.
    run = RunFolder(tmp_path / "run")
    run_job(run, tiny.settings("gan.lr_g=0.1"), textures_folder, until="train")
    events = [line for line in read_log(run.log) if (line["event"], line.get("kind")) == ("finding", "mode_collapse")]
    assert events, "a generator that draws one image must be reported"
    assert all(line["figure"] < 0.3 and "nearly the same images" in line["text"] for line in events)
    assert read_json(run.out / "training" / "all classes" / "monitor.json")["findings"][0]["kind"] == "mode_collapse"
    assert read_json(run.card("lines"))["monitor"]["findings"][0]["text"] == events[0]["text"]


def test_a_disk_too_small_for_the_run_is_said_before_training(
    tmp_path: Path, textures_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    monkeypatch.setattr("pipeline.stages.generate.MODELS", 10**18)
    with pytest.raises(InputError, match=r"free, but this run needs about"):
        run_job(run, tiny.settings(), textures_folder)
    assert not list(run.store.glob("generator-*"))


def test_a_batch_too_large_for_the_memory_is_said_before_training(tmp_path: Path, textures_folder: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(InputError, match=r"gan\.batch = 1024 .* needs about [\d.]+ GiB and [\d.]+ GiB are free"):
        run_job(run, tiny.settings("data.image_size=128", "gan.batch=1024", "gan.width=512"), textures_folder)
    assert not list(run.store.glob("generator-*"))
