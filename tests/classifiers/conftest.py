"""Tiny textures that a classifier learns in a few steps: horizontal stripes, vertical stripes, noise."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor


def make_textures(per_class: int, seed: int, size: int = 32, channels: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(3).repeat_interleave(per_class)
    noise = torch.randn(len(labels), 1, size, size, generator=generator)
    phase = 6.3 * torch.rand(len(labels), 1, 1, generator=generator)
    wave = torch.sin(torch.arange(size) * 0.8 + phase)  # [N, 1, S]
    stripes = torch.stack(
        [
            wave.mT.expand(-1, size, size),
            wave.expand(-1, size, size),
            torch.zeros(1, size, size).expand(len(labels), -1, -1),
        ]
    )
    pattern = stripes[labels, torch.arange(len(labels))][:, None]
    images = (127 + 50 * pattern + 25 * noise).clamp(0, 255).to(torch.uint8)
    return images.expand(-1, channels, -1, -1).contiguous(), labels


@pytest.fixture(scope="session")
def textures() -> Callable[..., tuple[Tensor, Tensor]]:
    return make_textures
