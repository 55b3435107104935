"""Differentiable perceptual features: the pixels, and the modulus of each wavelet's response at each position.

    | x * psi_{j,l} |(u)    (first layer of the scattering transform before its mean, see classifiers/scattering.py)

They stand where a network's feature maps stand in a perceptual loss, and need no download: an edge or a grain that is
a little out of place changes them less than it changes pixels, and a blurred one more.
"""

import math
from functools import cache

import torch
from torch import Tensor

from classifiers.scattering import ORIENTATIONS, morlet

SCALES = 3  # finer than about 8 pixels: what an enlarged image lacks
SMOOTHING = 1e-4  # under the root, where the modulus has no derivative


def perceive(images: Tensor) -> Tensor:
    """Features `float32 [N, D]` of floats `[N, C, S, S]` in [-1, 1]; can be differentiated through.

    Scaled so that their mean squared distance is that of the pixels plus that of each wavelet's moduli.
    """
    bank = _bank(images.shape[-1]).to(images.device)
    answers = torch.fft.ifft2(torch.fft.fft2(images)[:, :, None] * bank)  # [N, C, SCALES * ORIENTATIONS, S, S]
    moduli = (answers.real.square() + answers.imag.square() + SMOOTHING).sqrt()
    features = torch.cat([images.flatten(1), moduli.flatten(1)], dim=1)
    return features * math.sqrt(1 + len(bank))


@cache
def _bank(size: int) -> Tensor:
    return torch.stack([morlet(size, j, turn) for j in range(SCALES) for turn in range(ORIENTATIONS)])
