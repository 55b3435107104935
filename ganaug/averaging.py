"""The generator that images are made with: an exponential moving average of the one that is trained."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def moving_average(generator: nn.Module, decay: float) -> AveragedModel:
    """A copy of the generator, whose `update_parameters` moves it towards the generator; buffers are taken over.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that the first weights are soon forgotten.
    """

    @torch.no_grad()
    def average(means: Tensors, new: Tensors, n: Tensor | int) -> None:
        torch._foreach_lerp_(means, new, 1 - min(decay, (1 + int(n)) / (10 + int(n))))

    model = AveragedModel(generator, multi_avg_fn=average)
    return model.eval().requires_grad_(False)
