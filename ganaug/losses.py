"""Adversarial losses and gradient regularisers. Logits are `[N]`, or `[N, ...]` of critics that judge patches."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def bce_discriminator(real: Tensor, fake: Tensor, real_target: Tensor, fake_target: Tensor) -> Tensor:
    """Binary cross-entropy of logits against soft targets of the same shape (Goodfellow et al. 2014, equation 1)."""
    return F.binary_cross_entropy_with_logits(real, real_target) + F.binary_cross_entropy_with_logits(fake, fake_target)


def non_saturating_generator(fake: Tensor) -> Tensor:
    """-log D(G(z)): the labels "real" for generated images (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


def saturating_generator(fake: Tensor) -> Tensor:
    """log(1 - D(G(z))), whose gradient dies where the discriminator is sure (Goodfellow et al. 2014, equation 1)."""
    return -F.softplus(fake).mean()


def wasserstein_critic(real: Tensor, fake: Tensor, real_target: Tensor, fake_target: Tensor) -> Tensor:
    """E[D(G(z))] - E[D(x)], to be minimised (Arjovsky et al. 2017); targets 1 and 0 stand for labels +1 and -1."""
    return -((2 * real_target - 1) * real).mean() - ((2 * fake_target - 1) * fake).mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """-E[D(G(z))]."""
    return -fake.mean()


def lecam_penalty(real: Tensor, fake: Tensor, anchor_real: float, anchor_fake: float) -> Tensor:
    """E[(D(x) - a_F)^2] + E[(D(G(z)) - a_R)^2] with moving averages a of the scores (Tseng et al. 2021, equation 3)."""
    return (real - anchor_fake).square().mean() + (fake - anchor_real).square().mean()


def consistency_penalty(augmented: Tensor, plain: Tensor) -> Tensor:
    """E[(D(T(x)) - D(x))^2] for images x and their augmentation T(x), real or generated ones (Zhao et al. 2020,
    arXiv 2002.04724, algorithm 1: balanced consistency regularisation)."""
    return (augmented - plain).square().mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Two-sided penalty (|grad D(x_hat)| - 1)^2 on random interpolates (Gulrajani et al. 2017, algorithm 1).

    Args:
        critic: images `[N, C, S, S]` to logits `[N]`.
        real, fake: float images; neither is back-propagated into.
        mix: uniform in [0, 1), `[N, 1, 1, 1]`.
    """
    interpolates = torch.lerp(fake.detach(), real.detach(), mix).requires_grad_(True)
    gradient = _input_gradient(critic, interpolates)
    # sqrt(0) has no derivative: the floor keeps the double backward finite
    norm = gradient.square().flatten(1).sum(1).clamp_min(1e-12).sqrt()
    return (norm - 1).square().mean()


def r1_penalty(critic: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """|grad D(x)|^2 / 2 on real images (Mescheder et al. 2018, equation 9)."""
    return 0.5 * _input_gradient(critic, real.detach().requires_grad_(True)).square().flatten(1).sum(1).mean()


def _input_gradient(critic: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    # of an image's mean over its patches: the sum would grow with their number
    logits = critic(images).reshape(len(images), -1).mean(1)
    return torch.autograd.grad(logits.sum(), images, create_graph=True)[0]
