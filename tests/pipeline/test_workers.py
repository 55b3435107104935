"""Jobs over processes: the same results in the same order, and no process is left behind."""

import inspect
import os
import platform
import resource
import select
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from pipeline.config import Config
from pipeline.errors import JobError
from pipeline.stages.fits import recipe_for
from pipeline.stages.jobs import options_for
from pipeline.workers import (
    in_own_process,
    resolve_device,
    resolve_precision,
    run_jobs,
    torch_threads,
    usable_cores,
    workers,
)
from tests import tiny
from tests.pipeline.work import BLOCK, die, fail, faults, hold, product


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc")
def test_a_training_process_keeps_the_memory_that_it_frees() -> None:
    once = BLOCK // resource.getpagesize()
    with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as pool:
        assert pool.submit(faults, 40).result() > 39 * once  # as it comes
    assert in_own_process(faults, 40) < 8 * once  # 2 to 4 until the heap has a hole of the size, then none


def test_processes_change_nothing_about_the_results() -> None:
    done: list[int] = []
    with torch_threads(3):
        here = run_jobs(product, [3, 1, 2], processes=1, done=lambda: done.append(1))
        there = run_jobs(product, [3, 1, 2], processes=2, done=lambda: done.append(1))
        assert torch.get_num_threads() == 3
    assert len(done) == 6
    assert [bits for _, _, bits in here] == [bits for _, _, bits in there]
    assert {threads for threads, _, _ in here + there} == {1}
    assert {pid for _, pid, _ in here} == {os.getpid()} and os.getpid() not in {pid for _, pid, _ in there}
    assert run_jobs(product, [], processes=2) == []


def test_a_process_of_its_own_hands_back_results_and_errors() -> None:
    assert in_own_process(os.path.basename, "a/b") == "b"
    with pytest.raises(ValueError, match="wrong"):
        in_own_process(fail, "wrong")
    with pytest.raises(JobError, match=r"process of die died.*gan\.batch"):
        in_own_process(die, 9)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_the_process_ends_when_the_one_that_started_it_is_killed(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    script = tmp_path / "start.py"
    script.write_text(
        "import os, threading\nfrom pathlib import Path\nfrom pipeline.workers import in_own_process\n"
        f"{inspect.getsource(hold)}"
        f"if __name__ == '__main__':\n    in_own_process(hold, {str(fifo)!r})\n"
    )
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen([sys.executable, script], env={**os.environ, "PYTHONPATH": str(root)})
    with fifo.open("rb", buffering=0) as pipe:
        child = int(pipe.readline())
        parent.kill()
        parent.wait()
        ended, _, _ = select.select([pipe], [], [], 60)
        try:
            assert ended and pipe.read() == b""
        finally:
            if not ended:
                os.kill(child, signal.SIGKILL)


def test_how_many_run_at_a_time() -> None:
    assert workers(tiny.settings("runner=local", "workers=7")) == 1
    assert workers(tiny.settings("runner=process", "workers=7")) == 7
    assert workers(tiny.settings("runner=process")) == usable_cores() >= 1
    assert workers(tiny.settings("runner=process", "device=cuda", "workers=7")) == 1


def test_a_named_device_is_taken_as_it_is() -> None:
    assert resolve_device("mps") == "mps"
    assert resolve_device("auto") in ("cpu", "cuda", "mps")


def test_precision_is_the_one_asked_for_and_else_what_the_processor_is_fast_at(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_precision(Config(precision="bf16")) == "bf16"
    for able, used, found in (
        ({"amx_bf16": True}, "AVX512", "bf16"),
        ({"avx512_bf16": True}, "AVX512", "bf16"),
        ({"avx512_bf16": True}, "AVX2", "fp32"),  # as by ATEN_CPU_CAPABILITY
        ({"avx512_f": True}, "AVX512", "fp32"),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able, raising=False)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda used=used: used)
        assert resolve_precision(Config(device="cpu")) == found
        assert options_for(Config(device="cpu")).precision == recipe_for(Config(device="cpu"), 60).precision == found
        assert resolve_precision(Config(device="mps")) == "fp32"  # not measured there


def test_steps_are_those_asked_for_and_else_go_by_the_images() -> None:
    assert recipe_for(Config(), 200).steps == 2000
    assert recipe_for(tiny.settings("evaluate.steps=7"), 200).steps == 7
