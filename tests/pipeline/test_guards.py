"""What a run refuses to touch, and what it says while a generator goes wrong."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.job import recall_job, run_job
from pipeline.log import read_log
from pipeline.store import RunFolder, read_json
from tests import tiny

QUICK = tiny.settings("gan.steps=2")


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


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(InputError, match=f"^device = {device}: .*this machine.*device=auto"):
        run_job(run, tiny.settings(f"device={device}"), tmp_path / "nowhere")
    assert not run.out.exists()


def test_another_data_set_does_not_replace_a_run(tmp_path: Path) -> None:
    first = tiny.write_dataset(tmp_path / "a", {"lines": 6, "grain": 6})
    other = tiny.write_dataset(tmp_path / "b", {"blobs": 6, "grain": 6}, first_seed=50)
    run = RunFolder(tmp_path / "run")
    run_job(run, QUICK, first, until="train")
    before = tiny.contents(run.out)
    with pytest.raises(
        InputError, match=rf"{run.out} holds the run of another data set, {first}; that of {other} .*--out"
    ):
        run_job(run, QUICK, other, until="train")
    assert tiny.contents(run.out).items() >= {name: it for name, it in before.items() if name != ".lock.json"}.items()
    shutil.copytree(first, tmp_path / "moved")
    run_job(run, QUICK, tmp_path / "moved", until="train")  # the same images
    tiny.write_dataset(tmp_path / "more", {"lines": 2}, first_seed=20)
    shutil.copytree(tmp_path / "more", tmp_path / "moved", dirs_exist_ok=True)
    shutil.move(tmp_path / "moved", tmp_path / "grown")
    run_job(run, QUICK, tmp_path / "grown", until="train")  # and some that have joined them
    assert recall_job(run)[1] == tmp_path / "grown"


def test_data_set_and_run_may_move_together(tmp_path: Path) -> None:
    tiny.write_dataset(tmp_path / "line" / "data", {"lines": 6, "grain": 6})
    run_job(RunFolder(tmp_path / "line" / "run"), QUICK, tmp_path / "line" / "data", until="train")
    moved = (tmp_path / "line").rename(tmp_path / "line 3")
    (moved / "data" / "lines" / "lines-00.png").unlink()
    run_job(RunFolder(moved / "run"), QUICK, moved / "data", until="train")
    assert recall_job(RunFolder(moved / "run"))[1] == moved / "data"


def test_what_others_put_beside_the_generators_stays(tmp_path: Path) -> None:
    source = tiny.write_dataset(tmp_path / "data", {"lines": 6, "grain": 6, "blobs": 6})
    run = RunFolder(tmp_path / "run")
    run_job(run, QUICK, source, until="train")
    kept = [run.out / "generators" / name for name in (".DS_Store", "old/model.safetensors", "lines/notes.txt")]
    for file in kept:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"mine")
    for name in ("lines", "blobs"):
        (source / name).rename(source / f"{name} 2")
    run_job(run, QUICK, source, until="train")
    assert all(file.read_bytes() == b"mine" for file in kept)
    left = {path.relative_to(run.out / "generators").as_posix() for path in (run.out / "generators").rglob("*.*")}
    models = {
        f"{name}/{file}" for name in ("grain", "lines 2", "blobs 2") for file in ("card.json", "model.safetensors")
    }
    assert left == {".DS_Store", "old/model.safetensors", "lines/notes.txt", *models}
    assert not (run.out / "generators" / "blobs").exists()


@pytest.mark.parametrize(("guarded", "how"), [(False, "script"), (False, "module"), (True, "script")])
def test_a_script_without_main_guard_is_told_of_it(tmp_path: Path, guarded: bool, how: str) -> None:
    source, out = tiny.write_dataset(tmp_path / "data", {"lines": 6, "grain": 6}), tmp_path / "run"
    call = f"run_job(RunFolder(Path({str(out)!r})), tiny.settings('gan.steps=2', 'runner=process', 'workers=1'), "
    call += f"Path({str(source)!r}), until='train')"
    (tmp_path / "job.py").write_text(
        "from pathlib import Path\n\nfrom pipeline.job import run_job\nfrom pipeline.store import RunFolder\n"
        "from tests import tiny\n\n" + (f'if __name__ == "__main__":\n    {call}\n' if guarded else f"{call}\n")
    )
    words = [str(tmp_path / "job.py")] if how == "script" else ["-m", "job"]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, *words], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True
    )
    if guarded:
        assert done.returncode == 0 and RunFolder(out).card("lines").exists(), done.stderr
    else:
        said = done.stderr.splitlines()[-1]
        assert re.search(r'job\.py, line 7: .* put the call under `if __name__ == "__main__":`', said), done.stderr
        assert not out.exists()


def test_collapse_is_logged_while_it_trains(tmp_path: Path, textures_folder: Path) -> None:
    # So fast, dense layers overshoot until tanh is saturated whatever the noise: 16 of 16 seeds and precisions.
    run = RunFolder(tmp_path / "run")
    run_job(run, tiny.settings("gan.family=gan", "gan.lr_g=0.1"), textures_folder, until="train")
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
