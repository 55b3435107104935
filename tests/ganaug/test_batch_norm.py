"""Batch normalisation of an averaged generator: its statistics are those of its own activations."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganaug.batch_norm import BATCHES, update_batch_norm
from ganaug.families import FAMILIES
from tests.ganaug.families.examples import make

NORMALISED = {"dcgan", "wgan", "wgan_gp", "cgan", "infogan", "srgan", "stackgan"}


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    pixels = [0, *range(2, x.ndim)]
    return x.mean(pixels), x.var(pixels)


def test_statistics_are_the_mean_over_the_batches_and_other_layers_are_left_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    batches = [torch.randn(16, 3, 4, 4, generator=rng) * (1 + i) + i for i in range(BATCHES)]
    norm = nn.BatchNorm2d(3, momentum=0.3)
    network, left = nn.Sequential(nn.Dropout(), norm).eval(), iter(batches)
    update_batch_norm(network, lambda: network(next(left)))
    assert next(left, None) is None and norm.momentum == 0.3 and not norm.training
    assert norm.running_mean is not None and norm.running_var is not None
    means, variances = (torch.stack(of).mean(0) for of in zip(*map(moments, batches), strict=True))
    torch.testing.assert_close(norm.running_mean, means)
    torch.testing.assert_close(norm.running_var, variances)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_batch_norm_of_an_averaged_generator_has_seen_every_batch(name: str) -> None:
    trainer = make(FAMILIES[name], size=32, steps=12, width=4, batch=16, n_critic=1)
    seen: dict[_BatchNorm, list[tuple[Tensor, Tensor]]] = {
        m: [] for m in trainer.ema.modules() if isinstance(m, _BatchNorm) and m.track_running_stats
    }

    def look(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        seen[norm].append(moments(inputs[0]))  # type: ignore[index]

    for norm in seen:
        norm.register_forward_pre_hook(look)
    trainer.run()
    assert bool(seen) == (name in NORMALISED)
    for norm, batches in seen.items():
        assert norm.num_batches_tracked == len(batches) == BATCHES and not norm.training
        means, variances = (torch.stack(of).mean(0) for of in zip(*batches, strict=True))
        torch.testing.assert_close(norm.running_mean, means)
        torch.testing.assert_close(norm.running_var, variances)
        batches.clear()
    trainer.sample(torch.arange(256) % 2, seed=1)
    for norm, ((_, variance),) in seen.items():
        assert norm.running_var is not None
        assert (norm.running_var / variance).log().abs().mean() < 0.15  # images are normalised as they were in training
