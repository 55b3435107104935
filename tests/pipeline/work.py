"""Work for the processes of `test_workers.py`; they import this module, and little else."""

import os
import resource
import threading
from pathlib import Path

import torch

BLOCK = 2**26  # bytes: more than glibc ever learns to keep by itself


def product(seed: int) -> tuple[int, int, bytes]:
    """Threads in use, process, and the bits of a sum whose order of additions depends on the threads."""
    draw = torch.randn(500, 500, generator=torch.Generator().manual_seed(seed))
    return torch.get_num_threads(), os.getpid(), (draw @ draw).sum().numpy().tobytes()


def fail(message: str) -> None:
    raise ValueError(message)


def die(status: int) -> None:
    os._exit(status)


def hold(fifo: str) -> None:
    """Tell the process's number, then wait for ever; the pipe closes when the process ends."""
    with Path(fifo).open("w") as pipe:
        pipe.write(f"{os.getpid()}\n")
        pipe.flush()
        threading.Event().wait()


def faults(times: int) -> int:
    """Pages that the system had to bring in while blocks of `BLOCK` bytes came and went."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(BLOCK, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
