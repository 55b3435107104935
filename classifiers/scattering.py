"""Texture features that need no training: wavelet scattering (Mallat 2012; Bruna & Mallat, TPAMI 2013) and PCA.

    S1[j, l]          = mean | x * psi_{j,l} |
    S2[j, l, j', l']  = mean | | x * psi_{j,l} | * psi_{j',l'} |,   j' > j

psi are Morlet wavelets at J scales and L orientations. Means are over the whole image: a texture is the same wherever
it is seen. The logarithm makes a change of contrast a shift, and PCA keeps the directions in which the images differ.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

SCALES, ORIENTATIONS = 4, 6
FLOOR = 1e-3  # of images in [-1, 1]: below a tenth of a grey level there is only rounding
COEFFICIENTS = 2 + SCALES * ORIENTATIONS + SCALES * (SCALES - 1) // 2 * ORIENTATIONS**2  # a channel
BATCH = 32


def morlet(size: int, scale: int, orientation: int) -> Tensor:
    """Fourier transform of a Morlet wavelet on a size x size grid: float32 [size, size], zero at frequency 0.

    Centre frequency 3 pi / 4 / 2^scale at angle pi orientation / ORIENTATIONS, Gaussian envelope of width
    sigma = 0.8 * 2^scale pixels along the wave and sigma * ORIENTATIONS / 4 across it (Bruna & Mallat's parameters).
    """
    omega = 2 * math.pi * torch.fft.fftfreq(size, dtype=torch.float64)
    angle = math.pi * orientation / ORIENTATIONS
    centre, sigma = 0.75 * math.pi / 2**scale, 0.8 * 2**scale
    slant = ORIENTATIONS / 4

    def gabor(shift: float) -> Tensor:
        # The sum over aliases is the transform of the sampled wavelet.
        total = torch.zeros(size, size, dtype=torch.float64)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                y, x = omega[:, None] + 2 * math.pi * dy, omega[None, :] + 2 * math.pi * dx
                along = math.cos(angle) * x + math.sin(angle) * y - shift
                across = -math.sin(angle) * x + math.cos(angle) * y
                total += torch.exp(-0.5 * sigma**2 * (along**2 + (slant * across) ** 2))
        return total

    wave, envelope = gabor(centre), gabor(0.0)
    return (wave - wave[0, 0] / envelope[0, 0] * envelope).float()  # the correction makes the mean zero


def _banks(size: int) -> list[Tensor]:
    return [torch.stack([morlet(size, j, orientation) for orientation in range(ORIENTATIONS)]) for j in range(SCALES)]


def _crop(spectrum: Tensor, size: int) -> Tensor:
    """Keep the lowest size x size frequencies: what a wavelet of a coarse scale lets through anyway."""
    if spectrum.shape[-1] == size:
        return spectrum
    keep = torch.cat([torch.arange(size // 2), torch.arange(spectrum.shape[-1] - size // 2, spectrum.shape[-1])])
    return spectrum[..., keep, :][..., keep]


def _moduli(spectrum: Tensor, bank: Tensor, scale: int) -> Tensor:
    """|x * psi| for one scale: [..., S, S] -> [..., L, s, s], s = S / 2^(scale - 1), enough for its band."""
    full = bank.shape[-1]
    size = full >> max(scale - 1, 0)
    # ifft2 divides by its own number of pixels; the ratio restores the amplitude of the full-size image.
    filtered: Tensor = torch.fft.ifft2(_crop(spectrum, size)[..., None, :, :] * _crop(bank, size))
    return filtered.abs() * (size / full) ** 2


@torch.inference_mode()
def coefficients(images: Tensor) -> Tensor:
    """Logarithms of mean, deviation, S1 and S2 of every channel: uint8 [N, C, S, S] -> float64 [N, C * 242]."""
    if len(images) == 0:
        return torch.empty(0, images.shape[1] * COEFFICIENTS, dtype=torch.float64)
    banks = _banks(images.shape[-1])
    return torch.cat([_coefficients(chunk, banks) for chunk in torch.split(images, BATCH)])


def _coefficients(images: Tensor, banks: list[Tensor]) -> Tensor:
    x = images.to(torch.float32) / 127.5 - 1.0
    size = x.shape[-1]
    spectrum = torch.fft.fft2(x)
    moments = [x.std(dim=(2, 3), unbiased=False)[..., None]]
    for j, bank in enumerate(banks):
        first = _moduli(spectrum, bank, j)  # [N, C, L, s, s]
        moments.append(first.mean(dim=(-2, -1)))
        inner = torch.fft.fft2(first) * (size / first.shape[-1]) ** 2
        moments += [_moduli(inner, banks[k], k).mean(dim=(-2, -1)).flatten(2) for k in range(j + 1, len(banks))]
    logs = torch.cat(moments, dim=2).double().clamp_min(FLOOR).log()
    return torch.cat([x.mean(dim=(2, 3)).double()[..., None], logs], dim=2).flatten(1)


@dataclass(frozen=True)
class Scattering:
    """Scattering coefficients, standardised and projected on the principal axes of the images it was fitted on."""

    mean: Tensor
    scale: Tensor
    axes: Tensor  # float64 [coefficients, D], orthonormal columns
    dimensions: int

    @property
    def name(self) -> str:
        return f"scattering-{self.dimensions}"

    @classmethod
    def fit(cls, images: Tensor, dimensions: int = 64) -> Self:
        """Fit on uint8 [N, C, S, S], N >= 2; keeps min(dimensions, N - 1) axes, the largest variance first.

        Raises:
            ValueError: fewer than two images.
        """
        if len(images) < 2:
            raise ValueError(f"scattering features need at least two images to be fitted on, got {len(images)}")
        raw = coefficients(images)
        mean, scale = raw.mean(dim=0), raw.std(dim=0)
        scale = torch.where(scale > 1e-9, scale, 1.0)
        rows = torch.linalg.svd((raw - mean) / scale, full_matrices=False).Vh[: min(dimensions, len(images) - 1)]
        # An axis is defined up to its sign: make its largest entry positive.
        largest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
        return cls(mean, scale, (rows * largest.sign()).T.contiguous(), dimensions)

    def __call__(self, images: Tensor) -> Tensor:
        """Features of uint8 [N, C, S, S] with the fitted channels: float64 [N, D]; ValueError for other channels."""
        raw = coefficients(images)
        if raw.shape[1] != len(self.mean):
            raise ValueError(f"{self.name} was fitted on images with another number of channels than {images.shape[1]}")
        return ((raw - self.mean) / self.scale) @ self.axes

    def state(self) -> dict[str, Tensor]:
        """Tensors from which `from_state` restores it."""
        dimensions = torch.tensor(self.dimensions)
        return {"mean": self.mean, "scale": self.scale, "axes": self.axes, "dimensions": dimensions}

    @classmethod
    def from_state(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Restore what `state` gave."""
        return cls(tensors["mean"], tensors["scale"], tensors["axes"], int(tensors["dimensions"]))
