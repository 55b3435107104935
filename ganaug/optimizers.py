"""Optimisers that resume bit for bit (on the CPU)."""

import torch
from torch import Tensor, nn


def build_optimizer(kind: str, network: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Optimizer:
    """Adam, fused where that exists, or RMSprop (`kind`: adam, rmsprop)."""
    if kind == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), lr=lr)
    fused = next(network.parameters()).device.type in ("cpu", "cuda")
    return torch.optim.Adam(network.parameters(), lr=lr, betas=betas, fused=fused)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments and step counts as `INDEX.NAME`, INDEX being the parameter's."""
    found = optimizer.state_dict()["state"]
    return {f"{index}.{key}": tensor for index, slots in found.items() for key, tensor in slots.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], lr: float) -> None:
    """Put back what `optimizer_tensors` gave, and the learning rate."""
    (group,) = optimizer.param_groups
    slots: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".")
        parameter = group["params"][int(index)]
        # Fused Adam walks the memory of a parameter and of its moments side by side: their layouts must agree.
        moment = torch.empty_like(parameter, requires_grad=False).copy_(tensor) if tensor.ndim else tensor.clone()
        slots.setdefault(int(index), {})[name] = moment
    groups = optimizer.state_dict()["param_groups"]
    groups[0]["lr"] = lr
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
