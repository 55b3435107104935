"""The classifier's training loop: one recipe, a fixed number of steps, every draw from the seed."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from classifiers.architectures import build_model, to_input
from classifiers.batch_plan import draw_batches
from classifiers.policies import Augmenter

Progress = Callable[[int, float], None]  # (steps done, loss of the last one)
WARM_UP = 0.1  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained: everything but the images and the seed.

    `lr` is AdamW's peak learning rate, `smoothing` the label smoothing (Szegedy et al. 2016), `policy` a key of
    `policies.POLICIES`, `balanced` draws classes rather than images uniformly. Equal `steps` and `batch` mean an equal
    budget, whatever else differs.
    """

    model: str = "small_resnet"
    weights: str = "none"
    steps: int = 1000
    batch: int = 16
    lr: float = 4e-3
    weight_decay: float = 0.05
    smoothing: float = 0.1
    policy: str = "none"
    balanced: bool = False
    precision: str = "fp32"  # or bf16, of convolutions and products while training; weights and losses stay fp32


def fit(
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    classes: int,
    seed: int,
    synthetic: tuple[Tensor, Tensor] | None = None,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> nn.Module:
    """Train a classifier on uint8 images [N, C, S, S] with int64 labels [N] in 0..classes-1; returned in eval mode.

    `synthetic` is a second pair of images and labels; see `batch_plan.draw_batches` for how they are mixed in. The
    global random state is neither used nor changed, and equal arguments give equal weights on one CPU thread.

    Raises:
        ValueError: images or labels of the wrong type, shape or range, or a recipe that names an unknown thing.
        FloatingPointError: the loss became NaN or infinite.
    """
    _check(images, labels, classes, "training images")
    pool, pool_labels = images, labels
    if synthetic is not None and len(synthetic[0]):
        _check(*synthetic, classes, "synthetic images")
        if synthetic[0].shape[1:] != images.shape[1:]:
            raise ValueError(f"synthetic images are {list(synthetic[0].shape[1:])}, real ones {list(images.shape[1:])}")
        pool, pool_labels = torch.cat([images, synthetic[0]]), torch.cat([labels, synthetic[1]])

    device = torch.device(device)
    draw_seed, augment_seed, torch_seed = (int(s) for s in np.random.SeedSequence(seed).generate_state(3))
    batches = draw_batches(
        labels.numpy(),
        pool_labels[len(labels) :].numpy(),
        steps=recipe.steps,
        batch=recipe.batch,
        balanced=recipe.balanced,
        rng=np.random.default_rng(draw_seed),
    )
    augment = Augmenter(recipe.policy, images.shape[-1], augment_seed)

    # Initial weights and dropout draw from torch's global generators, so those are lent for the length of the training.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        _seed_default_streams(torch_seed, device)
        model = build_model(recipe.model, classes=classes, channels=images.shape[1], weights=recipe.weights)
        model = model.to(device).to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=device.type in ("cpu", "cuda")
        )
        scheduler = LambdaLR(optimizer, lambda step: lr_factor(step, recipe.steps))
        for step, chosen in enumerate(torch.from_numpy(batches)):
            inputs = to_input(augment(pool[chosen]).to(device))
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
                logits = model(inputs)
            loss = F.cross_entropy(logits.float(), pool_labels[chosen].to(device), label_smoothing=recipe.smoothing)
            value = loss.item()
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the classifier's loss became {value} at step {step + 1}; lower its learning rate"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
            if progress is not None:
                progress(step + 1, value)
    return model.eval()


def _seed_default_streams(seed: int, device: torch.device) -> None:
    """Of the CPU and of `device`; `torch.manual_seed` would seed those of all other accelerators as well."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def steps_for(n_train: int) -> int:
    """Training steps for a number of real training images: 10 each, 1000 to 3000. Measured with batches of 16
    and `small_resnet` (`benchmarks/classifier.md`).
    """
    return min(max(10 * n_train, 1000), 3000)


def lr_factor(step: int, steps: int) -> float:
    """Learning-rate factor at a step: linear warm-up over `WARM_UP`, then a cosine decay (arXiv 1608.03983)."""
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1.0 + math.cos(math.pi * (step - rise + 1) / (steps - rise + 1)))


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor, *, batch: int = 256, device: str | torch.device = "cpu") -> Tensor:
    """Class probabilities of uint8 images [N, C, S, S]: float32 [N, K] on the CPU, rows summing to 1."""
    model = model.to(device).eval()
    chunks = [model(to_input(chunk.to(device))).softmax(dim=1).cpu() for chunk in torch.split(images, batch)]
    return torch.cat(chunks)


def _check(images: Tensor, labels: Tensor, classes: int, what: str) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"{what} must be uint8 [N, 1 or 3, S, S], got {images.dtype} {list(images.shape)}")
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise ValueError(f"labels of the {what} must be int64 [{len(images)}], got {labels.dtype} {list(labels.shape)}")
    if len(labels) == 0:
        raise ValueError(f"there are no {what}")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels of the {what} must lie in 0..{classes - 1}, got {int(labels.min())}..{int(labels.max())}"
        )
