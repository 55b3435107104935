"""Differentiable augmentation of the discriminator's inputs (Zhao et al. 2020, arXiv 2006.10738)."""

from collections.abc import Callable

import torch
from torch import Tensor

Augmentation = Callable[[Tensor, torch.Generator], Tensor]


def _uniform(x: Tensor, rng: torch.Generator) -> Tensor:
    return torch.rand(len(x), 1, 1, 1, generator=rng).to(x.device)  # drawn on the CPU: one stream on every device


def brightness(x: Tensor, rng: torch.Generator) -> Tensor:
    """Add one offset an image, uniform in [-0.5, 0.5)."""
    return x + (_uniform(x, rng) - 0.5)


def saturation(x: Tensor, rng: torch.Generator) -> Tensor:
    """Scale the distance from the pixel's grey by a factor uniform in [0, 2); leaves grey images as they are."""
    grey = x.mean(1, keepdim=True)
    return grey + (x - grey) * (_uniform(x, rng) * 2)


def contrast(x: Tensor, rng: torch.Generator) -> Tensor:
    """Scale the distance from the image's mean by a factor uniform in [0.5, 1.5)."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (_uniform(x, rng) + 0.5)


def translation(x: Tensor, rng: torch.Generator) -> Tensor:
    """Shift by up to 1/8 of the side, zeros come in."""
    n, _, height, width = x.shape
    reach_y, reach_x = height // 8, width // 8
    dy = torch.randint(-reach_y, reach_y + 1, (n,), generator=rng).to(x.device)
    dx = torch.randint(-reach_x, reach_x + 1, (n,), generator=rng).to(x.device)
    padded = torch.nn.functional.pad(x, (reach_x, reach_x, reach_y, reach_y))
    rows = torch.arange(height, device=x.device)[None, :] + reach_y + dy[:, None]  # [N, H]
    columns = torch.arange(width, device=x.device)[None, :] + reach_x + dx[:, None]  # [N, W]
    return padded[torch.arange(n, device=x.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


def cutout(x: Tensor, rng: torch.Generator) -> Tensor:
    """Zero a square of half the side, its centre anywhere in the image."""
    n, _, height, width = x.shape
    cy = torch.randint(0, height, (n, 1), generator=rng).to(x.device)
    cx = torch.randint(0, width, (n, 1), generator=rng).to(x.device)
    top, left = cy - height // 4, cx - width // 4
    rows, columns = torch.arange(height, device=x.device)[None], torch.arange(width, device=x.device)[None]
    in_rows = (rows >= top) & (rows < top + height // 2)  # [N, H]
    in_columns = (columns >= left) & (columns < left + width // 2)  # [N, W]
    hole = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return x.masked_fill(hole, 0.0)


AUGMENTATIONS: dict[str, Augmentation] = {
    "brightness": brightness,
    "saturation": saturation,
    "contrast": contrast,
    "translation": translation,
    "cutout": cutout,
}
GEOMETRIC = (translation, cutout)


def parse_policy(policy: str) -> list[Augmentation]:
    """Turn "brightness,translation" into its functions; the empty string is no augmentation.

    Raises:
        ValueError: an unknown name; the message lists those that exist.
    """
    names = [name.strip() for name in policy.split(",") if name.strip()]
    for name in names:
        if name not in AUGMENTATIONS:
            raise ValueError(f"gan.diffaugment names {name!r}; choose among {', '.join(AUGMENTATIONS)}")
    return [AUGMENTATIONS[name] for name in names]


def diffaugment(policy: list[Augmentation], rng: torch.Generator, x: Tensor, *pictures: Tensor) -> tuple[Tensor, ...]:
    """Apply `policy` to float images `[N, C, S, S]`, differentiable in `x`.

    Pictures `[N, P, S, S]` that the images were made from are shifted and cut out with them, but keep their colours.
    """
    together = [x, *pictures]
    for augmentation in policy:
        if augmentation in GEOMETRIC:
            planes = [t.shape[1] for t in together]
            together = list(torch.split(augmentation(torch.cat(together, dim=1), rng), planes, dim=1))
        else:
            together[0] = augmentation(together[0], rng)
    return tuple(together)
