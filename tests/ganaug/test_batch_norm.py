"""Batch normalisation of an averaged generator: its statistics are those of its own activations."""

import torch
from torch import Tensor, nn

from ganaug.batch_norm import BATCHES, update_batch_norm
from tests.ganaug.test_training_loop import make


def spread(x: Tensor) -> Tensor:
    return x.var((0, 2, 3))


def test_statistics_are_the_mean_over_the_batches_and_other_layers_are_left_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    batches = [torch.randn(16, 3, 4, 4, generator=rng) * (1 + i) + i for i in range(BATCHES)]
    norm = nn.BatchNorm2d(3, momentum=0.3)
    network, left = nn.Sequential(nn.Dropout(), norm).eval(), iter(batches)
    update_batch_norm(network, lambda: network(next(left)))
    assert next(left, None) is None and norm.momentum == 0.3 and not norm.training
    assert norm.running_mean is not None and norm.running_var is not None
    torch.testing.assert_close(norm.running_mean, torch.stack([b.mean((0, 2, 3)) for b in batches]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([spread(b) for b in batches]).mean(0))


def test_an_averaged_generator_normalises_its_own_activations() -> None:
    trainer = make(ema=0.98, steps=80, batch=16, lr_g=0.01)
    trainer.run()
    seen: dict[str, Tensor] = {}
    of_training = dict(trainer.generator.named_modules())
    for name, norm in trainer.ema.named_modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: spread(inputs[0])}))
    trainer.sample(torch.arange(512) % 2, seed=1)
    assert len(seen) == 3
    for name, norm in trainer.ema.named_modules():
        if name in seen:
            own, other = (
                (network.get_buffer("running_var") / seen[name]).log().abs().mean()
                for network in (norm, of_training[name])
            )
            assert own < 0.05 < 0.08 < other  # training's own would be off by 10 to 15 percent
