"""Contexts of training in one process or in several: each process draws its own images, all have the same weights.

Gradients are averaged before each update, so N processes with batches of B / N take the steps of one with a batch of B
(but for batch statistics, which are a process's own). What the loop decides by, losses, times and scores, is averaged
or the first process's, so that all decide alike.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class SingleProcess:
    """A single process: every collective operation returns its input."""

    rank, size = 0, 1

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace float tensors by their means over all processes."""

    def mean(self, values: Iterable[float]) -> list[float]:
        """Each value's mean over all processes."""
        return list(values)

    def first(self, value: Any) -> Any:
        """The first process's value (broadcast)."""
        return value

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes: `[N, ...]`."""
        return tensor[None]


class Distributed(SingleProcess):
    """One of the processes of torch's default process group, on `device`."""

    def __init__(self, device: str) -> None:
        self.device, self.rank, self.size = device, dist.get_rank(), dist.get_world_size()

    def average(self, tensors: Sequence[Tensor]) -> None:
        if not tensors:
            return
        flat = torch.cat([tensor.detach().flatten() for tensor in tensors])  # one message, not one a layer
        dist.all_reduce(flat)
        means = torch.split(flat / self.size, [tensor.numel() for tensor in tensors])
        with torch.no_grad():
            for tensor, mean in zip(tensors, means, strict=True):
                tensor.copy_(mean.view_as(tensor))

    def mean(self, values: Iterable[float]) -> list[float]:
        means = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        self.average([means])
        return [float(mean) for mean in means]

    def first(self, value: Any) -> Any:
        received = [value]
        dist.broadcast_object_list(received, src=0, device=torch.device(self.device))
        return received[0]

    def gather(self, tensor: Tensor) -> Tensor:
        mine = tensor.to(self.device)
        gathered = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(gathered, mine)
        return torch.stack(gathered).to(tensor.device)


SINGLE_PROCESS = SingleProcess()
