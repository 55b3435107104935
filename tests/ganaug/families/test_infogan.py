"""InfoGAN: codes that a head reads off the image, and the bound on their mutual information in both losses."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Categorical, Normal

from ganaug.families import Made, get_family
from ganaug.families.infogan import CODES, CONTINUOUS_WEIGHT, CodeCritic, information_loss
from ganaug.spec import Spec
from ganaug.training_loop import Trainer

INFOGAN, DCGAN = get_family("infogan"), get_family("dcgan")
SPEC = Spec(32, 1, conditions=2, latent=16, width=8)


def pair(seed: int = 0) -> tuple[nn.Module, CodeCritic]:
    torch.manual_seed(seed)
    critic = INFOGAN.discriminator(SPEC)
    assert isinstance(critic, CodeCritic)
    return INFOGAN.generator(SPEC), critic


def made(generator: nn.Module, n: int = 6) -> Made:
    z = INFOGAN.latents(n, SPEC, INFOGAN.codes, torch.Generator().manual_seed(0))
    conditioning = (torch.arange(n) % 2,)
    fake = generator(z, *conditioning)
    return Made(fake, z, conditioning, fake.detach(), lambda images: images.flatten(1))


def trained(**options: Any) -> Trainer:
    """On blots in random places, the second class the negative of the first."""
    draw = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    centre = torch.rand(24, 2, 1, 1, generator=draw) * 20 + 6
    bright = torch.exp(-((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2) / 40)
    labels = torch.arange(24) % 2
    asked = torch.where(labels[:, None, None] == 0, bright, 1 - bright)[:, None]
    chosen = replace(INFOGAN.defaults, **{"steps": 100, "width": 8, "batch": 16, "latent": 16, "ema": 0.9, **options})
    images = (asked * 255).to(torch.uint8)
    trainer = Trainer(INFOGAN, images, labels, n_conditions=2, options=chosen, seed=0)
    trainer.run()
    return trainer


def read_back(trainer: Trainer) -> tuple[float, Tensor]:
    """Share of categories that the head finds in new images, and the correlation of each continuous code."""
    z = INFOGAN.latents(256, trainer.spec, CODES, torch.Generator().manual_seed(1))
    choice, values = torch.split(z[:, -CODES.size :], [CODES.categorical, CODES.continuous], dim=1)
    critic = trainer.discriminator
    assert isinstance(critic, CodeCritic)
    with torch.no_grad():
        found = critic.recover(trainer.generator(z, torch.arange(256) % 2))
    right = (found.logits.argmax(1) == choice.argmax(1)).float().mean()
    both = [torch.stack([found.mean[:, i], values[:, i]]) for i in range(CODES.continuous)]
    return float(right), torch.stack([torch.corrcoef(rows)[0, 1] for rows in both])


def test_the_networks_are_dcgans_and_the_head_stands_on_the_critics_body() -> None:
    generator, critic = pair()
    assert type(generator) is type(DCGAN.generator(SPEC))
    plain = DCGAN.discriminator(SPEC)
    extra = {name for name, _ in critic.named_parameters()} - {name for name, _ in plain.named_parameters()}
    assert extra and all(name.startswith("head.") for name in extra)
    plain.load_state_dict({k: v for k, v in critic.state_dict().items() if not k.startswith("head.")})
    images, labels = torch.randn(4, 1, 32, 32), torch.arange(4) % 2
    assert plain(images, labels).equal(critic(images, labels))  # the score does not know of the head
    kinds = [type(layer) for layer in critic.head]
    assert kinds == [nn.Flatten, nn.Linear, nn.BatchNorm1d, nn.LeakyReLU, nn.Linear]
    assert critic.head[1].out_features == 128  # type: ignore[union-attr]
    assert critic.head[-1].out_features == CODES.categorical + 2 * CODES.continuous  # type: ignore[union-attr]


def test_codes_are_the_last_of_the_latent() -> None:
    z = INFOGAN.latents(500, SPEC, INFOGAN.codes, torch.Generator().manual_seed(0))
    noise, choice, values = torch.split(z, [16 - CODES.size, CODES.categorical, CODES.continuous], dim=1)
    assert z.shape == (500, 16) and choice.sum(1).eq(1).all() and choice.sum(0).min() > 90
    assert values.min() >= -1 and values.max() < 1 and values.std() == pytest.approx(3**-0.5, rel=0.1)
    assert noise.std() == pytest.approx(1, rel=0.1)


@given(st.integers(0, 2**31), st.integers(2, 9))
def test_the_loss_is_the_bound_of_equation_5(seed: int, n: int) -> None:
    generator, critic = pair(seed)
    some = made(generator, n)
    found = critic.recover(some.fake)
    choice, values = torch.split(some.z[:, -CODES.size :], [CODES.categorical, CODES.continuous], dim=1)
    likelihood = Categorical(logits=found.logits).log_prob(choice.argmax(1))
    likelihood = likelihood + CONTINUOUS_WEIGHT * Normal(found.mean, found.deviation).log_prob(values).sum(1)
    torch.testing.assert_close(information_loss(generator, critic, some), -likelihood.mean())


def test_the_loss_reaches_generator_body_and_head() -> None:
    generator, critic = pair()
    information_loss(generator, critic, made(generator)).backward()  # type: ignore[no-untyped-call]
    reached = {f"G.{name}": p.grad for name, p in generator.named_parameters()}
    reached |= {f"D.{name}": p.grad for name, p in critic.named_parameters()}
    silent = {name for name, grad in reached.items() if grad is None or not grad.any()}
    assert silent == {"D.linear.weight", "D.linear.bias", "D.embedding.weight"}  # the score's own


@pytest.mark.parametrize("critic_norm", ["none", "batch"])
def test_short_training_lets_the_head_recover_the_codes(critic_norm: str) -> None:
    penalty = 0.0 if critic_norm == "batch" else INFOGAN.defaults.r1_weight
    right, correlation = read_back(trained(critic_norm=critic_norm, r1_weight=penalty))
    assert right > 0.8 and correlation.min() > 0.5


def test_without_the_bound_the_codes_stay_unknown() -> None:
    right, correlation = read_back(trained(auxiliary_weight=0.0, steps=40))
    assert right < 0.5 and correlation.abs().max() < 0.5


def test_a_latent_without_room_for_noise_is_refused() -> None:
    with pytest.raises(ValueError, match=rf"gan\.latent = 6: the codes of gan\.family infogan take {CODES.size}.* 7 "):
        trained(latent=6, steps=1)
