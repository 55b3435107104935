import io
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import Config, load_config
from pipeline.errors import InputError
from pipeline.log import RunLog, progress, read_log
from pipeline.store import (
    RunFolder,
    StoreError,
    cached_json,
    cached_tensors,
    digest,
    load_tensors,
    prune,
    read_json,
    save_tensors,
    write_atomically,
    write_json,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

of = partial(digest, code="ganaug.spec")


@dataclass(frozen=True)
class Part:
    name: str
    value: float


def test_digest_ignores_the_order_of_keys_and_nothing_else() -> None:
    assert of({"a": 1, "b": 2}) == of({"b": 2, "a": 1})
    different = [
        ("a", "b"),
        ("ab",),
        (["a", "b"],),
        (1,),
        ("1",),
        (True,),
        (None,),
        (b"a",),
        (Part("a", 1),),
        (Part("a", 2),),
        (torch.zeros(2),),
        (torch.zeros(2, 1),),
        (torch.zeros(2, dtype=torch.float64),),
        (np.ones(2),),
        (Config(),),
        (load_config(None, ["seed=1"]),),
    ]
    assert len({of(*parts) for parts in different}) == len(different)
    assert of(np.ones(2)) == of(torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("rows", [1, 2])
def test_digest_of_a_column_is_that_of_its_values(rows: int) -> None:
    """A column of one row has the stride of the table and counts as contiguous all the same."""
    table = torch.arange(6.0 * rows).reshape(rows, 6)
    assert of(table[:, 3]) == of(torch.tensor([3.0 + 6 * row for row in range(rows)]))


def test_digest_refuses_what_has_no_stable_form() -> None:
    with pytest.raises(TypeError, match="object has no stable digest"):
        of(object())


def test_digest_is_the_same_in_another_process() -> None:
    code = "from pipeline.store import digest; print(digest({'b': {1, 2}, 'a': [0.1]}, code='ganaug.spec'))"
    environments = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]
    found = {subprocess.check_output([sys.executable, "-c", code], env=environment) for environment in environments}
    assert len(found) == 1


@given(value=JSON)
def test_json_round_trips(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, {"value": value})
    expected = json.loads(json.dumps(value).replace("-Infinity", "null").replace("Infinity", "null"))
    if "Infinity" not in json.dumps(value):
        assert read_json(path) == {"value": expected}


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    write_json(tmp_path / "m.json", {"fid": float("nan"), "kid": np.float32(0.5), "n": np.int64(3), "a": torch.ones(2)})
    assert read_json(tmp_path / "m.json") == {"fid": None, "kid": 0.5, "n": 3, "a": [1.0, 1.0]}


def test_file_names_that_are_not_unicode_survive(tmp_path: Path) -> None:
    name = os.fsdecode(b"b\xff\n\xc3\xa4.png")
    write_json(tmp_path / "m.json", [name])
    assert os.fsencode(read_json(tmp_path / "m.json")[0]) == b"b\xff\n\xc3\xa4.png"


def example(path: Path) -> dict[str, torch.Tensor]:
    weight = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    tensors = {
        "w": weight,
        "shared": weight[:1],
        "steps": torch.tensor(7),
        "none": torch.zeros(0, 2),
        "b": torch.ones(3).bfloat16(),
    }
    save_tensors(path, tensors, {"step": 7, "class": "pitted surface", "fid": 1.5})
    return tensors


def test_tensors_and_metadata_round_trip(tmp_path: Path) -> None:
    tensors = example(tmp_path / "a.safetensors")
    loaded, metadata = load_tensors(tmp_path / "a.safetensors")
    assert metadata == {"step": 7, "class": "pitted surface", "fid": 1.5}
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype and torch.equal(loaded[name], tensor)


def test_equal_tensors_give_equal_bytes(tmp_path: Path) -> None:
    example(tmp_path / "a.safetensors")
    example(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@given(data=st.data())
def test_any_flipped_bit_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("flip") / "a.safetensors"
    example(path)
    raw = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    path.write_bytes(raw)
    with pytest.raises(StoreError, match=r"a\.safetensors"):
        load_tensors(path)


@given(share=st.floats(0, 0.999))
def test_any_truncation_is_noticed(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.safetensors"
    example(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(StoreError, match=r"a\.safetensors"):
        load_tensors(path)


def test_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    witness, path = tmp_path / "ran", tmp_path / "model.safetensors"

    class Malicious:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(witness),)

    torch.save(Malicious(), path)
    with pytest.raises(StoreError, match=r"model\.safetensors"):
        load_tensors(path)
    assert not witness.exists()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere\.safetensors cannot be read"):
        load_tensors(tmp_path / "nowhere.safetensors")


def test_cached_builds_once_and_again_when_damaged(tmp_path: Path) -> None:
    built: list[str] = []

    def tensors() -> tuple[dict[str, torch.Tensor], dict[str, int]]:
        built.append("tensors")
        return {"x": torch.ones(2)}, {"n": len(built)}

    def record() -> dict[str, int]:
        built.append("json")
        return {"n": 1}

    first, second = tmp_path / "x.safetensors", tmp_path / "x.json"
    for _ in range(2):
        assert cached_tensors(first, tensors)[1] == {"n": 1}
        assert cached_json(second, record) == {"n": 1}
    assert built == ["tensors", "json"]

    first.write_bytes(first.read_bytes()[:-1])
    second.write_text(second.read_text().replace(": 1", ": 2"))
    assert torch.equal(cached_tensors(first, tensors)[0]["x"], torch.ones(2))
    assert cached_json(second, record) == {"n": 1}
    assert built == ["tensors", "json"] * 2


def test_results_that_no_run_uses_any_more_are_pruned(tmp_path: Path) -> None:
    used, unused, fresh = (tmp_path / f"{name}.safetensors" for name in ("used", "unused", "fresh"))
    counted = tmp_path / "fits" / "counted.json"
    for path in (used, unused, fresh):
        save_tensors(path, {"x": torch.zeros(3)})
    cached_json(counted, lambda: 1)
    for path in (used, unused, counted):
        os.utime(path, (1e9, 1e9))
    load_tensors(used)
    assert cached_json(counted, lambda: 2) == 1
    assert used.stat().st_mtime == 1e9  # when it was made stays to be seen
    size = unused.stat().st_size
    assert prune(tmp_path, days=1) == size
    assert not unused.exists() and used.exists() and fresh.exists() and counted.exists()


def test_what_another_process_prunes_meanwhile_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = tmp_path / "a", tmp_path / "b"
    for path in (ours, theirs):
        path.write_bytes(b"123")
        os.utime(path, (0, 0))
    stat = Path.stat

    def looked_at_too_early(path: Path, **options: Any) -> os.stat_result:
        found = stat(path, **options)
        if path == theirs:
            theirs.unlink()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", looked_at_too_early)
        assert prune(tmp_path, days=1) == 3
    assert not list(tmp_path.iterdir())


def test_a_result_that_may_not_be_deleted_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"123")
    os.utime(tmp_path / "a", (0, 0))

    def refuse(path: Path) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert prune(tmp_path, days=1) == 0


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    write_atomically(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreError, match=r"checkpoint could not be written .* 5,000 bytes"):
            write_atomically(path, b"n" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def hold(out: Path, ready: "multiprocessing.synchronize.Event") -> None:
    with RunFolder(out).lock():
        (out / ".tmp-left-behind").touch()
        ready.set()
        signal.pause()


def test_the_second_run_is_told_of_the_first_and_a_dead_run_frees_the_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    first = context.Process(target=hold, args=(tmp_path, ready))
    first.start()
    try:
        assert ready.wait(60)
        with pytest.raises(InputError, match=f"process {first.pid}, since"), RunFolder(tmp_path).lock():
            pass
    finally:
        first.kill()
        first.join()
    with RunFolder(tmp_path).lock():
        assert json.loads((tmp_path / ".lock.json").read_bytes())["pid"] == os.getpid()
        assert not (tmp_path / ".tmp-left-behind").exists()
    with RunFolder(tmp_path).lock():
        pass


def test_output_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written .* --out"):
        RunFolder(tmp_path / "file" / "run").prepare()


def test_too_little_room_is_said_with_the_figure(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"[\d,]+ MB free, but this run needs about 1,000,000,000,000 MB"):
        RunFolder(tmp_path).prepare(planned_bytes=10**18)


def test_log_holds_masked_events_and_survives_a_cut_line(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    log.write(
        "read",
        "opened",
        url="s3://key:hunter2@bucket",
        api_token="hunter2",
        n=np.int64(3),
        nested={"password": "hunter2"},
    )
    log.write("train", "step", loss=float("nan"), name="größe\n")
    with log.path.open("ab") as file:
        file.write(b'{"time": "20')
    assert b"hunter2" not in log.path.read_bytes()
    opened, step = read_log(log.path)
    assert (opened["stage"], opened["event"], opened["n"], opened["url"]) == ("read", "opened", 3, "s3://***@bucket")
    assert step["loss"] is None and step["name"] == "größe\n" and step["time"].endswith("+00:00")


def test_progress_without_a_terminal_says_a_line_now_and_then() -> None:
    stream = io.StringIO()
    with progress("train", 1000, stream) as bar:
        for _ in range(1000):
            bar.advance(note="loss 0.5")
    lines = stream.getvalue().splitlines()
    assert 10 <= len(lines) <= 11
    assert lines[-1] == "train: 1000/1000 loss 0.5"
