"""Blocks of networks conditioned on text or on another image (Zhang et al. 2016, arXiv 1612.03242, section 3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganaug.networks import ConditionalBatchNorm2d
from ganaug.spec import Spec


def kl_to_standard_normal(mu: Tensor, log_variance: Tensor) -> Tensor:
    """D_KL(N(mu, sigma^2) || N(0, I)) in nats, mean over the batch (equation 2); both `[N, D]`."""
    return 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


class ConditioningAugmentation(nn.Module):
    """Sentence phi `[N, E]` to c_hat = mu(phi) + sigma(phi) * epsilon, `[N, D]`, epsilon given (section 3.2)."""

    def __init__(self, sentence: int, dimensions: int) -> None:
        super().__init__()
        self.dense = nn.Linear(sentence, 2 * dimensions)

    def moments(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, both `[N, D]`."""
        mu, log_variance = self.dense(phi).float().chunk(2, dim=1)
        return mu, log_variance

    def forward(self, phi: Tensor, epsilon: Tensor) -> Tensor:
        mu, log_variance = self.moments(phi)
        return mu + (0.5 * log_variance).exp() * epsilon


class NormalisedConv(nn.Module):
    """Convolution, batch normalisation of the condition, ReLU; with `doubles` after repeating every pixel.

    Doubled, it is the paper's up-sampling block: nearest neighbour, then 3x3 with stride 1.
    """

    def __init__(self, channels: int, out: int, spec: Spec, *, halves: bool = False, doubles: bool = False) -> None:
        super().__init__()
        kernel, stride = (4, 2) if halves else (3, 1)
        self.doubles = doubles
        self.conv = nn.Conv2d(channels, out, kernel, stride=stride, padding=1, bias=False)
        self.norm = ConditionalBatchNorm2d(out, spec.conditions)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="nearest") if self.doubles else x
        return F.relu(self.norm(self.conv(x), condition))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity (section 3.4)."""

    def __init__(self, channels: int, spec: Spec) -> None:
        super().__init__()
        self.first = NormalisedConv(channels, channels, spec)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = ConditionalBatchNorm2d(channels, spec.conditions)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.conv(self.first(x, condition)), condition))


def beside(x: Tensor, vector: Tensor) -> Tensor:
    """Append `vector` `[N, D]` to the channels of every pixel of `x` `[N, C, H, W]`."""
    return torch.cat([x, vector[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)
