"""WGAN with gradient penalty, as in algorithm 1 of Gulrajani et al. 2017."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ganaug import updates
from ganaug.families import get_family
from ganaug.preconditions import check_options
from tests.ganaug.families.examples import chain, kinds, make, spec

WGAN_GP = get_family("wgan_gp")


def test_the_papers_settings() -> None:
    defaults = WGAN_GP.defaults
    assert (defaults.n_critic, defaults.gp_weight, defaults.betas) == (5, 10, (0, 0.9))
    assert defaults.optimizer == "adam" and defaults.clip == 0  # the penalty takes the place of clipping
    assert defaults.r1_weight == defaults.label_smoothing == defaults.label_noise == 0
    assert WGAN_GP.objective.wasserstein and WGAN_GP.objective.saturating is None


def test_the_critic_judges_each_image_by_itself() -> None:
    """Section 4: batch normalisation would make the penalty one on the whole batch."""
    assert nn.BatchNorm2d not in kinds(chain(WGAN_GP.discriminator(spec())))
    with pytest.raises(ValueError, match=r"gan\.critic_norm = batch breaks gan\.family wgan_gp"):
        check_options(WGAN_GP, replace(WGAN_GP.defaults, critic_norm="batch"))


def test_every_critic_update_is_penalised_between_real_and_generated_images(monkeypatch: pytest.MonkeyPatch) -> None:
    penalty, mixes = updates.gradient_penalty, []

    def look(critic: object, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
        mixes.append(mix)
        assert real.shape == fake.shape and not fake.requires_grad
        return penalty(critic, real, fake, mix)  # type: ignore[arg-type]

    monkeypatch.setattr(updates, "gradient_penalty", look)
    trainer = make(WGAN_GP, batch=4)
    for _ in range(2):
        trainer.train_step()
    drawn = torch.cat(mixes).flatten()
    assert len(mixes) == 2 * 5 and ((drawn >= 0) & (drawn < 1)).all()
    assert len(drawn.unique()) == len(drawn) == 4 * 10  # epsilon is drawn anew for every image
