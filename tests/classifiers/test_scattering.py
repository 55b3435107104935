import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor

from classifiers.scattering import FLOOR, ORIENTATIONS, SCALES, Scattering, coefficients, morlet

Textures = Callable[..., tuple[Tensor, Tensor]]


@pytest.mark.parametrize("scale", range(SCALES))
def test_wavelets_have_no_mean_and_peak_at_their_frequency(scale: int) -> None:
    wavelet = morlet(64, scale, 0)
    assert wavelet[0, 0].abs() < 1e-6
    peak = int(wavelet.argmax())
    assert peak // 64 == 0
    assert 2 * math.pi * (peak % 64) / 64 == pytest.approx(0.75 * math.pi / 2**scale, abs=0.15)


def test_coefficients_agree_with_the_definition_at_full_size(textures: Textures) -> None:
    images, _ = textures(1, seed=0, size=64)
    x = torch.fft.fft2(images.double() / 127.5 - 1)[:, 0]
    banks = [[morlet(64, j, o).double() for o in range(ORIENTATIONS)] for j in range(SCALES)]
    expected = []
    for j in range(SCALES):
        first = [torch.fft.ifft2(x * psi).abs() for psi in banks[j]]
        expected += [u.mean(dim=(1, 2)) for u in first]
        for k in range(j + 1, SCALES):
            expected += [
                torch.fft.ifft2(torch.fft.fft2(u) * psi).abs().mean(dim=(1, 2)) for u in first for psi in banks[k]
            ]
    definition = torch.stack(expected, dim=1).clamp_min(FLOOR)
    found = coefficients(images)[:, 2:].exp()
    # Coarse scales are computed on smaller grids, which costs a little of the filters' tails.
    assert ((found - definition).abs() / definition).max() < 0.03


def test_orientation_scale_and_channels(textures: Textures) -> None:
    assert coefficients(textures(1, seed=0)[0]).shape == (3, 242)
    colour = coefficients(textures(1, seed=0, channels=3)[0])
    assert colour.shape == (3, 3 * 242)
    assert torch.equal(colour[:, :242], colour[:, 242:484])


@settings(deadline=None, max_examples=10)
@given(dy=st.integers(0, 31), dx=st.integers(0, 31))
def test_shifting_a_texture_changes_nothing(textures: Textures, dy: int, dx: int) -> None:
    images, _ = textures(1, seed=0)
    torch.testing.assert_close(coefficients(images.roll((dy, dx), (2, 3))), coefficients(images), rtol=0, atol=2e-2)


def test_features_tell_textures_apart(textures: Textures) -> None:
    known, labels = textures(6, seed=0)
    unseen, truth = textures(10, seed=1)
    features = Scattering.fit(known)
    assert features.name == "scattering-64"
    assert features(unseen).dtype == torch.float64
    assert features(unseen).shape == (30, 17), "N - 1 axes at most"
    nearest = torch.cdist(features(unseen), features(known)).argmin(dim=1)
    assert (labels[nearest] == truth).double().mean() > 0.9


def test_fitted_features_are_centred_uncorrelated_and_ordered(textures: Textures) -> None:
    images, _ = textures(8, seed=0)
    projected = Scattering.fit(images, dimensions=5)(images)
    covariance = projected.T @ projected / (len(images) - 1)
    torch.testing.assert_close(projected.mean(dim=0), torch.zeros(5, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(covariance, covariance.diagonal().diag(), atol=1e-8, rtol=0)
    assert (covariance.diagonal().diff() <= 0).all()


def test_flat_images_are_finite_and_no_images_no_features() -> None:
    flat = torch.full((3, 1, 32, 32), 7, dtype=torch.uint8)
    fitted = Scattering.fit(flat)
    assert torch.isfinite(fitted(flat)).all()
    assert fitted(flat[:0]).shape == (0, 2)


def test_stored_features_are_bit_for_bit_the_same(textures: Textures) -> None:
    images, _ = textures(4, seed=0)
    fitted = Scattering.fit(images, dimensions=6)
    assert torch.equal(fitted.axes, Scattering.fit(images, dimensions=6).axes)
    restored = Scattering.from_state(load(save(fitted.state())))
    assert restored.name == fitted.name
    assert torch.equal(restored(images), fitted(images))


def test_bad_images_are_named(textures: Textures) -> None:
    images, _ = textures(1, seed=0)
    with pytest.raises(ValueError, match="at least two images"):
        Scattering.fit(images[:1])
    with pytest.raises(ValueError, match="another number of channels than 3"):
        Scattering.fit(images)(textures(1, seed=0, channels=3)[0])
