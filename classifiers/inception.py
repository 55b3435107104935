"""InceptionV3 features and class probabilities for those who have its weights (Szegedy et al. 2016, arXiv 1512.00567).

The network is torchvision's, with torchvision's ImageNet weights. It is not the TensorFlow port of 2015 on which
published FIDs rest: figures of the two are not comparable, so the name of the extractor travels with every figure.

An image is resized as a whole to 299 x 299 (bilinear, antialiased where it shrinks; torchvision's own preset crops the
border away, where a defect may be) and scaled from 0..255 to [-1, 1], which is what the weights were trained on. Grey
images are repeated to three channels.
"""

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models as torchvision_models

SIDE = 299
FEATURES = 2048
BATCH = 16
TENSORFLOW_CLASSES = 1008  # outputs of the port that pytorch-fid and torch-fidelity use
AUXILIARY = "AuxLogits."  # the training-time second head


class Activations(NamedTuple):
    """``pool`` float64 [N, 2048], the features of FID and KID; ``logits`` float64 [N, K], of the Inception Score."""

    pool: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Inception:
    """The network up to its average pooling, its linear head, and a name that says which weights these are."""

    body: nn.Module
    head: nn.Linear
    name: str

    @torch.inference_mode()
    def activations(self, images: Tensor) -> Activations:
        """Run uint8 [N, C, S, S], C 1 or 3, through the network; ValueError for other images."""
        if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != torch.uint8:
            raise ValueError(f"Inception takes uint8 [N, 1 or 3, S, S], got {images.dtype} {list(images.shape)}")
        if not len(images):
            none = torch.empty(0, FEATURES, dtype=torch.float64)
            return Activations(none, none.new_empty(0, self.head.out_features))
        pool = torch.cat([self.body(to_inception(chunk)) for chunk in torch.split(images, BATCH)])
        return Activations(pool.double(), self.head(pool).double())

    def __call__(self, images: Tensor) -> Tensor:
        """Features of uint8 [N, C, S, S]: float64 [N, 2048]."""
        return self.activations(images).pool


def to_inception(images: Tensor) -> Tensor:
    """Resize, scale and colour uint8 [N, C, S, S] as the module says: float32 [N, 3, 299, 299] in [-1, 1]."""
    scaled = F.interpolate(images.float(), (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    return (scaled / 127.5 - 1).expand(-1, 3, -1, -1)


def load_inception(weights: str) -> Inception:
    """Build the network with weights: "download" (torchvision's, by network) or a .safetensors or .pth state dict.

    A .pth file is read without running code. A file with a head of K classes of one's own gives K logits. The name ends
    in the first 8 digits of the file's SHA-256, as the names of torchvision's files do.

    Raises:
        ValueError: no such file, not a state dict, or one of another network (the TensorFlow port among them).
        OSError: the download failed.
    """
    if weights == "download":
        chosen = torchvision_models.Inception_V3_Weights.IMAGENET1K_V1
        tensors = chosen.get_state_dict(progress=False, check_hash=True, weights_only=True)
        return _build(tensors, Path(chosen.url).name, Path(chosen.url).stem.rpartition("-")[2])
    path = Path(weights)
    return _build(_read(path), str(path), hashlib.sha256(path.read_bytes()).hexdigest()[:8])


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise ValueError(f"{path}: weights are 'download' or a .safetensors or .pth file of torchvision's inception_v3")
    if not path.is_file():
        raise ValueError(f"{path}: no such weights file; give 'download' or the path of a state dict")
    try:
        tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: not a state dict that can be read without running code ({reason})") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise ValueError(f"{path}: not a state dict; save one with torch.save(model.state_dict(), FILE)")
    return tensors


def _build(tensors: dict[str, Tensor], where: str, digest: str) -> Inception:
    tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(AUXILIARY)}
    bias = tensors.get("fc.bias")
    if bias is not None and len(bias) == TENSORFLOW_CLASSES:
        raise ValueError(
            f"{where}: a head of {TENSORFLOW_CLASSES} classes is the TensorFlow port, which pools differently; "
            "give the weights of torchvision's inception_v3"
        )
    network = torchvision_models.inception_v3(
        weights=None, num_classes=1 if bias is None else len(bias), aux_logits=False, init_weights=False
    )
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{where}: the weights are of another network than torchvision's inception_v3") from error
    head = cast(nn.Linear, network.fc)
    network.fc = nn.Identity()
    return Inception(network.eval(), head.eval(), f"inception_v3 torchvision {digest}")
