"""What the tests of the families share: small pictures, conditioning inputs that fit a family, and networks laid out as
a list."""

import re
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from ganaug.families import Family
from ganaug.networks import ResizeConv2d
from ganaug.spec import Spec
from ganaug.training_loop import Trainer

LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d)
SMALL = {"batch": 8, "width": 8, "latent": 32}


def spec(size: int = 64, channels: int = 1, **more: Any) -> Spec:
    """Three conditions, narrow."""
    return Spec(size, channels, conditions=3, latent=16, width=8, **more)


def pictures(n: int = 12, channels: int = 1, size: int = 32) -> Tensor:
    """Noisy discs on grey, bright in even and dark in odd rows, each at a place of its own: `uint8 [n, C, S, S]`."""
    rng = torch.Generator().manual_seed(0)
    centre = torch.rand(n, 2, 1, 1, generator=rng) * 0.4 + 0.3
    axis = torch.linspace(0, 1, size)
    near = ((axis[:, None] - centre[:, 0]) ** 2 + (axis[None] - centre[:, 1]) ** 2) < 0.05
    sign = torch.where(torch.arange(n) % 2 == 0, 1, -1)[:, None, None]
    grey = 128 + sign * near * 90 + torch.randn(n, size, size, generator=rng) * 10
    return grey.clamp(0, 255).to(torch.uint8)[:, None].repeat(1, channels, 1, 1)


def conditioning_inputs_for(family: Family, images: Tensor, kind: str | None = None) -> Tensor | None:
    """Conditioning inputs of `kind`, by default of the family's first: a mask of what is not grey, the picture halved,
    or a text."""
    kind = kind or family.conditioning_inputs[0]
    if kind == "none":
        return None
    if kind == "text":
        return torch.randn(len(images), 16, generator=torch.Generator().manual_seed(1))
    if kind == "small":
        return nn.functional.avg_pool2d(images.float(), 2).to(torch.uint8)
    away = (images[:, :1].float() - 128).abs() > 45
    return away.to(torch.uint8) * 255


def make(
    family: Family, *, size: int = 32, channels: int = 1, conditioning_input: str | None = None, **options: Any
) -> Trainer:
    """A small trainer of two conditions on `pictures()`."""
    images = pictures(12, channels, size)
    chosen = replace(family.defaults, **{**SMALL, **options})
    conditioning_inputs = conditioning_inputs_for(family, images, conditioning_input)
    return Trainer(
        family,
        images,
        torch.arange(12) % 2,
        n_conditions=2,
        options=chosen,
        seed=0,
        conditioning_inputs=conditioning_inputs,
    )


def weights(network: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, ResizeConv2d) or super().is_leaf_module(module, name)


def chain(network: nn.Module, **fixed: Any) -> list[Any]:
    """Layers and non-linearities in the order in which the data passes them; `fixed` are arguments with a value."""
    found: list[Any] = []
    for node in _Tracer().trace(network, fixed).nodes:
        if node.op == "call_module":
            module = network.get_submodule(str(node.target))
            found += [module] if isinstance(module, LAYERS) else []
            assert isinstance(module, (*LAYERS, nn.Embedding, nn.Identity))
        elif node.op in ("call_function", "call_method"):
            name = node.target if isinstance(node.target, str) else node.target.__name__
            found += [name] if re.search(r"relu|tanh|sigmoid|softmax|pool|amax|interpolate|norm", name) else []
    return found


def kinds(layers: list[Any]) -> list[Any]:
    """The types of layers, and the names of what is between."""
    return [layer if isinstance(layer, str) else type(layer) for layer in layers]
