"""Processes that share a machine's cores: one thread each, as two such processes beat one process of two threads."""

import ast
import ctypes
import logging
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.context import BaseContext
from pathlib import Path
from types import FrameType
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from joblib import Parallel, delayed

from ganaug.distributed import Distributed
from pipeline.config import Config
from pipeline.errors import InputError, JobError

Job = TypeVar("Job")
Result = TypeVar("Result")

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
ENDING = threading.Event()  # set when this process is to end

for chatty in ("distributed", "rank_zero"):  # Fabric's greetings; these names' levels outlive its import in the ranks
    logging.getLogger(f"lightning_fabric.utilities.{chatty}").setLevel(logging.WARNING)


def workers(config: Config) -> int:
    """How many jobs run at a time: 1 for the local runner and for accelerators, else one a core."""
    if config.runner == "local" or resolve_device(config.device) != "cpu":
        return 1
    return config.workers or usable_cores()


def usable_cores() -> int:
    """Cores this process may use; a container's limit counts."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve_device(device: str) -> str:
    """Turn `auto` into the fastest device there is; other names stay."""
    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def require_device(device: str) -> None:
    """Raise InputError where this machine has no such device."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device, True):
        raise InputError(
            f"device = {device}: PyTorch finds no such device on this machine (it has {resolve_device('auto')}); "
            "set device=auto, or install its driver and a PyTorch that is built for it."
        )


def resolve_precision(config: Config) -> Literal["fp32", "bf16"]:
    """Turn `auto` into bf16 where the processor multiplies it, which is faster by a third or more; else into fp32.

    torch's own variable counts: with `ATEN_CPU_CAPABILITY=avx2` it computes as an older processor would.
    """
    if config.precision != "auto":
        return config.precision
    if resolve_device(config.device) != "cpu" or not hasattr(torch.cpu, "get_capabilities"):  # of torch 2.10
        return "fp32"
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return "fp32"
    able = torch.cpu.get_capabilities()
    return "bf16" if able.get("amx_bf16") or able.get("avx512_bf16") else "fp32"


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    processes: int,
    done: Callable[[], None] = lambda: None,
) -> list[Result]:
    """`[function(job) for job in jobs]` over `processes` one-thread processes; `done` is called after each job.

    With one process it runs here, on one thread too: on the CPU the results are the same bits either way.
    """
    results: list[Result] = []
    for result in _results(function, jobs, min(processes, len(jobs))):
        results.append(result)
        done()
    return results


def _results(function: Callable[[Job], Result], jobs: Sequence[Job], processes: int) -> Iterable[Result]:
    if processes > 1:
        pool = Parallel(n_jobs=processes, backend="loky", return_as="generator", inner_max_num_threads=1)
        return pool(delayed(_on_one_thread)(function, job) for job in jobs)
    return (_on_one_thread(function, job) for job in jobs)


def _on_one_thread(function: Callable[[Job], Result], job: Job) -> Result:
    with torch_threads(1):
        return function(job)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def require_main_guard(config: Config) -> None:
    """Raise InputError where processes would run the calling script again instead of what they are started for.

    Multiprocessing imports the main script in each process. One that calls this outside of
    `if __name__ == "__main__":` starts everything once more there.
    """
    if config.runner == "local" and config.gan.devices == 1:
        return
    main = sys.modules["__main__"]
    script, spec = getattr(main, "__file__", None), getattr(main, "__spec__", None)
    if script is None or (spec and spec.name.rpartition(".")[2] == "__main__"):
        return  # a shell, a notebook, or a package's __main__.py, which no process imports
    frame: FrameType | None = sys._getframe()
    while frame and not (frame.f_globals is vars(main) and frame.f_code.co_name == "<module>"):
        frame = frame.f_back
    if frame and not _is_guarded(Path(script), frame.f_lineno):
        raise InputError(
            f"{script}, line {frame.f_lineno}: the processes that train import this script, and would start the whole "
            'job again; put the call under `if __name__ == "__main__":`, or set runner=local.'
        )


def _is_guarded(script: Path, line: int) -> bool:
    """Whether the line stands under an `if` that asks for `__name__`; also where that cannot be told."""
    try:
        tree = ast.parse(script.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True
    return any(
        isinstance(node, ast.If)
        and node.lineno <= line <= (node.end_lineno or node.lineno)
        and any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))
        for node in ast.walk(tree)
    )


def in_own_process(function: Callable[[Job], Result], job: Job) -> Result:
    """`function(job)` in a fresh process: its threads, its memory and its crash are its own.

    Raises:
        JobError: the process died.
    """
    with ProcessPoolExecutor(1, mp_context=_fresh(function), initializer=_begin) as pool:
        try:
            result = pool.submit(function, job)
            if ENDING.is_set():
                _end_children()
            return result.result()
        except BrokenProcessPool:
            raise JobError(
                f"The process of {function.__name__} died, most likely for want of memory; "
                "lower gan.batch or data.image_size and run the same command again."
            ) from None


def _fresh(function: Callable[..., Any]) -> BaseContext:
    """Starts processes that know nothing of this one. On Linux they are forked from one that has imported what the
    first such `function` needs, in hundredths of a second instead of several."""
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["__main__", function.__module__])
    return context


@contextmanager
def no_survivors() -> Iterator[None]:
    """When a signal ends what is inside, end the processes and the trainings that were started there: a thread that
    trains, or waits for one of them, would hold this process until its work is done."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        ENDING.set()
        _end_children()
        raise


def _end_children() -> None:
    for child in active_children():
        child.terminate()


def stop_if_ending() -> None:
    """Raise KeyboardInterrupt in any thread once the process is to end; signals reach the main thread only."""
    if ENDING.is_set():
        raise KeyboardInterrupt


def launch(function: Callable[..., None], job: Any, *, processes: int, device: str) -> None:
    """`function(context, job)` in distributed processes, with a GPU each or on the CPU.

    Results go through files: Fabric's return values have to fit into the buffer of a pipe.

    Raises:
        InputError: Lightning Fabric, which starts them, is not installed.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies import DDPStrategy
    except ImportError as error:
        raise InputError(
            f"gan.devices = {processes} needs more than is installed ({error}); pip install 'ganaug[parallel]'."
        ) from None
    accelerator, backend = ("cuda", "nccl") if device.startswith("cuda") else ("cpu", "gloo")
    strategy = DDPStrategy(start_method="spawn", process_group_backend=backend)
    fabric: Any = Fabric(accelerator=accelerator, devices=processes, strategy=strategy)
    fabric.launch(_as_rank, partial(function, job=job))  # as it is, Fabric would take a job apart


def _as_rank(fabric: Any, work: Callable[[Distributed], None]) -> None:
    work(Distributed(str(fabric.device)))
    dist.barrier()  # a process that leaves early would abort the others' communication
    dist.destroy_process_group()


def _begin() -> None:
    _end_with_parent()
    keep_memory()


def keep_memory() -> None:
    """Let glibc keep the memory that this process frees, for the tensors of the next step.

    As it comes it gives large blocks back and asks for them anew, and the system clears every page of them: about a
    tenth of a training step (benchmarks/generation.md). Elsewhere than on glibc nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)  # bytes; smaller blocks come from the heap
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)  # bytes that the heap may hold free


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however it went: an orphan would write into the folder
    in which the same command has been started again."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
