"""Classifiers: a small ResNet trained from scratch, and torchvision's models adapted to grey or colour images."""

import difflib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models as torchvision_models

Builder = Callable[[int, int, bool], nn.Module]  # (classes, channels, download) -> model


class Residual(nn.Module):
    """Basic block of two 3x3 convolutions and a shortcut (He et al., CVPR 2016); `stride` 2 halves the map."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(h)) + self.shortcut(x))


class SmallResNet(nn.Module):
    """ResNet for small images: a 3x3 stem, one residual block each at 16, 32 and 64 channels, global pooling."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        # The stem halves the image at once: a quarter of the work, and 32x32 maps still resolve a defect at 64x64.
        self.stem = nn.Sequential(nn.Conv2d(channels, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.stages = nn.Sequential(Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2))
        self.head = nn.Linear(64, classes)

    def features(self, x: Tensor) -> Tensor:
        """Pool the last stage: float32 [N, C, S, S] in [-1, 1] -> float32 [N, 64]."""
        return cast(Tensor, self.stages(self.stem(x)).mean(dim=(2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.features(x)))


def _small_resnet(classes: int, channels: int, download: bool) -> nn.Module:
    if download:
        raise ValueError("weights: 'download' is not offered for small_resnet; use 'none' or a .safetensors file")
    return SmallResNet(classes, channels)


def _from_torchvision(name: str, classes: int, channels: int, download: bool) -> nn.Module:
    model = torchvision_models.get_model(name, weights=None)
    if download:
        weights = torchvision_models.get_model_weights(name)["DEFAULT"]
        model.load_state_dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    stem = next(key for key, module in model.named_modules() if isinstance(module, nn.Conv2d))
    head = [key for key, module in model.named_modules() if isinstance(module, nn.Linear)][-1]
    model.set_submodule(stem, _with_inputs(cast(nn.Conv2d, model.get_submodule(stem)), channels))
    model.set_submodule(head, nn.Linear(cast(nn.Linear, model.get_submodule(head)).in_features, classes))
    return cast(nn.Module, model)


def _with_inputs(conv: nn.Conv2d, channels: int) -> nn.Conv2d:
    if conv.in_channels == channels:
        return conv
    mended = nn.Conv2d(
        channels,
        conv.out_channels,
        cast(tuple[int, int], conv.kernel_size),
        cast(tuple[int, int], conv.stride),
        cast(tuple[int, int], conv.padding),
        bias=conv.bias is not None,
    )
    # A grey image is R = G = B, so the sum over input channels answers exactly as the colour filter would.
    mended.weight.data = conv.weight.data.sum(dim=1, keepdim=True)
    if conv.bias is not None and mended.bias is not None:
        mended.bias.data = conv.bias.data.clone()
    return mended


MODELS: dict[str, Builder] = {
    "small_resnet": _small_resnet,
    "resnet18": partial(_from_torchvision, "resnet18"),
    "resnet34": partial(_from_torchvision, "resnet34"),
    "mobilenet_v3_small": partial(_from_torchvision, "mobilenet_v3_small"),
    "efficientnet_b0": partial(_from_torchvision, "efficientnet_b0"),
}


def build_model(name: str, *, classes: int, channels: int, weights: str = "none") -> nn.Module:
    """Build a classifier for float32 [N, channels, S, S] images in [-1, 1] that returns logits float32 [N, classes].

    `weights` is "none" (random, from torch's global generator), "download" (torchvision's ImageNet weights, the only
    case that uses the network; read without running code) or the path of a .safetensors state dict of the same
    architecture. Pretrained 3-channel stems are summed for grey images; a head of another size starts anew.

    Raises:
        ValueError: unknown model, fewer than two classes, channels other than 1 or 3, or weights that do not fit.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown classifier model {name!r}; known: {', '.join(MODELS)}{hint}")
    if classes < 2:
        raise ValueError(f"a classifier needs at least two classes, got {classes}")
    if channels not in (1, 3):
        raise ValueError(f"images have 1 (grey) or 3 (colour) channels, got {channels}")
    model = MODELS[name](classes, channels, weights == "download")
    if weights not in ("none", "download"):
        _load(model, Path(weights))
    return model


def _load(model: nn.Module, path: Path) -> None:
    if path.suffix != ".safetensors":
        raise ValueError(
            f"{path}: weights must be a .safetensors file, because other formats can run code when read. "
            "Convert a trusted one with safetensors.torch.save_file(torch.load(FILE, weights_only=True), NEW_FILE)."
        )
    if not path.is_file():
        raise ValueError(f"{path}: no such weights file; give 'none', 'download' or the path of a .safetensors file")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error}); convert or copy it again") from error
    model.load_state_dict(_fitted(tensors, model.state_dict(), path))


def _fitted(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or extra:
        raise ValueError(
            f"{path}: the weights are of another model ({len(missing)} tensors missing, {len(extra)} unknown, "
            f"for example {(missing + extra)[0]!r}); choose the model that they were saved from"
        )
    head = {key for key in list(wanted)[-2:] if wanted[key].shape[0] != tensors[key].shape[0]}
    fitted = {}
    for key, target in wanted.items():
        tensor = target if key in head else tensors[key]
        if target.ndim == 4 and target.shape[1] == 1 and tensor.shape == (len(target), 3, *target.shape[2:]):
            tensor = tensor.sum(dim=1, keepdim=True)
        if tensor.shape != target.shape:
            raise ValueError(f"{path}: {key} has shape {list(tensor.shape)}, the model needs {list(target.shape)}")
        fitted[key] = tensor.to(target.dtype)
    return fitted


def to_input(images: Tensor) -> Tensor:
    """Scale uint8 [N, C, S, S] to float32 in [-1, 1], channels last in memory (which convolutions prefer)."""
    return images.to(torch.float32).div_(127.5).sub_(1.0).contiguous(memory_format=torch.channels_last)
