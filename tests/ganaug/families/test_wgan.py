"""WGAN as in algorithm 1 of Arjovsky et al. 2017."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ganaug.families import get_family
from ganaug.losses import wasserstein_critic, wasserstein_generator
from tests.ganaug.families.examples import chain, kinds, make, spec

WGAN = get_family("wgan")
SCORES = st.lists(st.floats(-100, 100), min_size=4, max_size=4).map(torch.tensor)


def test_the_papers_settings() -> None:
    defaults = WGAN.defaults
    assert (defaults.n_critic, defaults.clip, defaults.optimizer) == (5, 0.01, "rmsprop")
    assert defaults.lr_g == defaults.lr_d == 2e-4
    assert WGAN.objective.wasserstein and WGAN.objective.saturating is None
    trainer = make(WGAN)
    for optimizer in (trainer.optimizer_g, trainer.optimizer_d):
        assert isinstance(optimizer, torch.optim.RMSprop) and optimizer.param_groups[0]["lr"] == 2e-4


def test_weights_lie_in_the_clipping_box_after_each_of_five_critic_updates() -> None:
    trainer = make(WGAN)
    unclipped: list[float] = []
    scored_with: list[float] = []

    def largest() -> float:
        return max(p.detach().abs().max().item() for p in trainer.discriminator.parameters())

    trainer.optimizer_d.register_step_post_hook(lambda *_: unclipped.append(largest()))
    trainer.discriminator.register_forward_pre_hook(lambda *_: scored_with.append(largest()))
    for step in range(1, 4):
        trainer.train_step()
        assert len(unclipped) == 5 * step
        assert largest() == pytest.approx(0.01, rel=1e-6)
    assert min(unclipped) > 0.01  # each update left the box, so each was clipped
    assert scored_with[0] > 0.1  # the initial weights
    assert all(value <= 0.01 + 1e-9 for value in scored_with[2:])  # real, generated, and from then on clipped


@given(SCORES, SCORES)
def test_the_loss_is_the_score_times_the_label(real: Tensor, fake: Tensor) -> None:
    labels = torch.cat([torch.ones(4), -torch.ones(4)])  # real +1, generated -1
    expected = -(labels * torch.cat([real, fake])).sum() / 4
    torch.testing.assert_close(wasserstein_critic(real, fake, torch.ones(4), torch.zeros(4)), expected)
    torch.testing.assert_close(wasserstein_generator(fake), -(torch.ones(4) * fake).mean())  # called real


def test_the_critic_has_no_sigmoid_and_normalises_its_batches_apart() -> None:
    trainer = make(WGAN)
    layers = kinds(chain(WGAN.discriminator(trainer.spec)))
    assert "sigmoid" not in layers and torch.nn.BatchNorm2d in layers
    assert torch.nn.BatchNorm2d not in kinds(chain(WGAN.discriminator(spec(critic_norm="none"))))
    sizes: list[int] = []
    trainer.discriminator.register_forward_pre_hook(lambda _module, given: sizes.append(len(given[0])))
    trainer.train_step()
    assert sizes == [trainer.options.batch] * (2 * 5 + 1)  # real and generated, five times; then the generator's


def test_without_normalisation_the_clipped_weights_let_the_signal_die() -> None:
    def spread(norm: str) -> float:
        trainer = make(WGAN, critic_norm=norm, width=32, lr_g=5e-5, lr_d=5e-5)
        images = torch.rand(16, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
        trainer.train_step()
        scores = trainer.discriminator(images, torch.zeros(16, dtype=torch.int64))
        return scores.std().item()

    assert spread("batch") > 3 * spread("none")
