"""Exponential moving average of the generator, from which images are drawn."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def moving_average(generator: nn.Module, decay: float) -> AveragedModel:
    """A moving average of the generator's weights, updated by `update_parameters`; buffers are copied.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), a warm-up that gives the first weights little
    influence.
    """

    @torch.no_grad()
    def average(means: Tensors, new: Tensors, n: Tensor | int) -> None:
        torch._foreach_lerp_(means, new, 1 - min(decay, (1 + int(n)) / (10 + int(n))))

    model = AveragedModel(generator, multi_avg_fn=average)
    return model.eval().requires_grad_(False)
