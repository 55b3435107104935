"""Batch-norm statistics of a generator with averaged weights."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

BATCHES = 32


@torch.no_grad()
def update_batch_norm(network: nn.Module, draw: Callable[[], object]) -> None:
    """Recompute the running statistics of every batch norm over `BATCHES` calls of `draw`, which runs the network.

    Averaged weights have activations of their own, with less variance than those of any weights that were averaged, so
    the running statistics of training do not fit them (Izmailov et al. 2018, arXiv 1803.05407, section 3.2; the
    "standing statistics" of Brock et al. 2018, arXiv 1809.11096). All other layers stay in evaluation mode.
    """
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    for _ in range(BATCHES if norms else 0):
        draw()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
