import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ganaug.candidate_filter import (
    ACCEPTED,
    REASONS,
    ClassCandidates,
    ClassSelection,
    FilterOptions,
    RealClass,
    Remedies,
    filter_class,
)
from ganaug.symmetries import SYMMETRIES

SIZE = 32


def texture(count: int, *, grain: int, seed: int, contrast: float = 1.0) -> Tensor:
    """Random blotches of one grain: what differs between classes is their size, as with real surfaces."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 1, SIZE // grain, SIZE // grain, generator=draw)
    blotches = F.interpolate(coarse, (SIZE, SIZE), mode="bilinear") * (
        20 + 20 * torch.rand(count, 1, 1, 1, generator=draw)
    )
    fine = 3 * torch.randn(count, 1, SIZE, SIZE, generator=draw)
    return (128 + contrast * (blotches + fine)).clamp(0, 255).to(torch.uint8)


def features(images: Tensor) -> Tensor:
    """Log energies of the octaves, the mean and the contrast: float64 [N, 6], blind to where things are."""
    pixels = images.double().mean(1, keepdim=True)
    levels = [pixels]
    for _ in range(4):
        levels.append(F.avg_pool2d(levels[-1], 2))
    bands = [a - F.interpolate(b, scale_factor=2) for a, b in pairwise(levels)]
    contrast = (pixels - pixels.mean((1, 2, 3), keepdim=True)).square().mean((1, 2, 3)).sqrt()
    energies = [band.square().mean((1, 2, 3)).add(1e-3).log() for band in bands]
    return torch.stack([*energies, pixels.mean((1, 2, 3)) / 20, contrast / 10], dim=1)


def real_class(count: int = 24, *, grain: int = 4, seed: int = 0) -> RealClass:
    images = texture(count, grain=grain, seed=seed)
    return RealClass(images, features(images))


def candidates_of(images: Tensor, confidence: Tensor | None = None) -> ClassCandidates:
    sure = torch.full((len(images),), 0.9) if confidence is None else confidence
    return ClassCandidates(images, features(images), sure)


REAL = real_class()
OTHERS = (real_class(8, grain=8, seed=100), real_class(8, grain=2, seed=200))


def filtered(candidates: ClassCandidates, *, wanted: int = 20, real: RealClass = REAL, seed: int = 0) -> ClassSelection:
    return filter_class(candidates, real, FilterOptions(wanted=wanted), others=OTHERS, seed=seed)


def test_good_candidates_pass_and_the_best_subset_is_nearer_than_all_of_them() -> None:
    found = filtered(candidates_of(texture(100, grain=4, seed=1)))
    assert found.refused is None
    assert len(found.accepted) == 20
    assert found.counts["copy"] + found.counts["duplicate"] <= 5
    assert found.closeness.fid < found.unfiltered.fid
    assert found.unfiltered.fid < 3 * found.real_vs_real.fid
    assert found.size == 12
    assert found.warnings == ()


@given(which=st.integers(0, 7), gain=st.floats(0.85, 1.15), offset=st.integers(-8, 8), row=st.integers(0, 23))
@settings(max_examples=15, deadline=None)
def test_copies_of_real_images_are_caught_turned_or_brightened(which: int, gain: float, offset: int, row: int) -> None:
    copy = (SYMMETRIES[which](REAL.images[row : row + 1]).float() * gain + offset).clamp(0, 255).to(torch.uint8)
    found = filtered(candidates_of(torch.cat([texture(5, grain=4, seed=1), copy])))
    assert found.reasons[-1] == "copy"


def test_copies_of_another_class_and_shifted_copies_are_caught() -> None:
    foreign = OTHERS[0].images[3:5].flip(-1)
    shifted = F.pad(REAL.images[:4].float(), (2, 0, 0, 1), mode="reflect")[..., 1:, :SIZE].to(torch.uint8)
    found = filtered(candidates_of(torch.cat([foreign, shifted])))
    assert set(found.reasons) == {"copy"}


def test_new_real_images_are_not_taken_for_copies() -> None:
    for seed in range(3):
        assert filtered(candidates_of(texture(100, grain=4, seed=10 + seed))).counts["copy"] <= 4


def test_twice_the_same_real_image_does_not_blind_the_search_for_copies() -> None:
    images = torch.cat([REAL.images, REAL.images[:3]])
    twins = RealClass(images, features(images))
    found = filtered(candidates_of(torch.cat([texture(30, grain=4, seed=1), REAL.images[5:6].flip(-2)])), real=twins)
    assert found.reasons[-1] == "copy"
    assert found.counts["copy"] <= 3


def test_of_duplicates_the_most_confident_stays() -> None:
    images = texture(12, grain=4, seed=1)
    images[7], images[9] = images[2].flip(-1), torch.rot90(images[2], 1, (-2, -1))
    confidence = torch.full((12,), 0.8)
    confidence[7] = 0.95
    found = filtered(candidates_of(images, confidence))
    assert (found.reasons[2], found.reasons[7], found.reasons[9]) == ("duplicate", ACCEPTED, "duplicate")


def test_a_collapsed_generator_leaves_one_image() -> None:
    one = texture(1, grain=4, seed=1).expand(50, -1, -1, -1)
    noise = torch.randint(-2, 3, one.shape, generator=torch.Generator().manual_seed(0))
    found = filtered(candidates_of((one + noise).clamp(0, 255).to(torch.uint8)))
    assert found.counts["duplicate"] == 49


def test_broken_flat_and_unlikely_candidates_are_named() -> None:
    images = texture(8, grain=4, seed=1)
    images[0] = 77
    images[1] = texture(1, grain=4, seed=2, contrast=0.05)[0]
    images[2] = torch.where(images[2] > 128, 255, 0).to(torch.uint8)
    given = candidates_of(images)
    given.features[3, 0] = torch.nan
    given.confidence[4] = torch.nan
    given.confidence[5] = 0.19
    found = filtered(given)
    expected = ("flat", "flat", "broken", "broken", "broken", "low_confidence", ACCEPTED, ACCEPTED)
    assert found.reasons == expected
    assert found.nearest_real[3] == -1
    assert math.isnan(found.nearest_distance[3])
    assert torch.isfinite(found.realism[[0, 1, 2, 4, 5, 6, 7]]).all()


def test_a_dim_class_is_not_flat_and_a_black_and_white_class_is_not_broken() -> None:
    for make in (
        lambda seed: texture(20, grain=4, seed=seed, contrast=0.05),
        lambda seed: ((texture(20, grain=4, seed=seed) > 128) * 255).to(torch.uint8),
    ):
        real = RealClass(make(0), features(make(0)))
        counts = filtered(candidates_of(make(1)), real=real).counts
        assert (counts["flat"], counts["broken"]) == (0, 0)


@pytest.mark.parametrize("real", [24, 12, 6])
def test_noise_is_refused(real: int) -> None:
    draw = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (60, 1, SIZE, SIZE), generator=draw, dtype=torch.uint8)
    found = filtered(candidates_of(noise), real=real_class(real))
    assert found.refused is not None
    assert "far from the real ones" in found.refused
    assert found.counts["class_refused"] > 10
    assert not any("generate more" in warning for warning in found.warnings)
    assert len(found.accepted) == 0
    assert found.unfiltered.fid > 5 * found.real_vs_real.fid


@pytest.mark.parametrize("grain", [2, 8])
def test_images_of_another_class_are_refused(grain: int) -> None:
    found = filtered(candidates_of(texture(60, grain=grain, seed=1)))
    assert found.refused is not None
    assert found.counts[ACCEPTED] == 0


@pytest.mark.parametrize("real", [24, 12, 6, 4])
def test_a_somewhat_blurred_generator_is_not_refused(real: int) -> None:
    sharp = texture(60, grain=4, seed=1).float()
    blurred = (0.7 * sharp + 0.3 * F.avg_pool2d(sharp, 3, 1, 1, count_include_pad=False)).to(torch.uint8)
    assert filtered(candidates_of(blurred), real=real_class(real)).refused is None


@settings(max_examples=20, deadline=None)
@given(
    count=st.integers(0, 12),
    real=st.integers(1, 8),
    wanted=st.integers(0, 12),
    grain=st.sampled_from([2, 4, 8]),
    seed=st.integers(0, 100),
)
def test_every_candidate_gets_one_reason_and_few_images_never_crash(
    count: int, real: int, wanted: int, grain: int, seed: int
) -> None:
    confidence = torch.rand(count, generator=torch.Generator().manual_seed(seed))
    given = candidates_of(texture(count, grain=grain, seed=seed + 1), confidence)
    known = real_class(real, seed=seed + 500)
    found = filtered(given, wanted=wanted, real=known, seed=seed)
    again = filtered(given, wanted=wanted, real=known, seed=seed)
    assert tuple(found.counts) == (*REASONS, ACCEPTED)
    assert sum(found.counts.values()) == len(found.reasons) == count
    assert found.counts[ACCEPTED] == len(found.accepted) <= wanted
    assert [i for i, reason in enumerate(found.reasons) if reason == ACCEPTED] == found.accepted.tolist()
    assert (found.nearest_real >= 0).all()
    assert (found.nearest_real < real).all()
    assert found.reasons == again.reasons
    assert torch.equal(found.accepted, again.accepted)


def test_accepting_nothing_is_an_answer() -> None:
    found = filtered(candidates_of(texture(10, grain=4, seed=1), torch.zeros(10)))
    assert found.counts["low_confidence"] == 10
    assert found.accepted.shape == (0,)
    assert math.isnan(found.closeness.fid)
    assert math.isfinite(found.unfiltered.fid)
    (warning,) = found.warnings
    assert warning.startswith("0 of the 20 wanted images passed. Only 10 were drawn: raise generate.per_class.")
    assert "10 fell, most often as low confidence: the class scorer does not recognise them" in warning


def test_what_helps_is_said_by_whom_it_is_asked_of() -> None:
    given = Remedies(
        few="were given: ask for more", reasons={"low_confidence": "look at their labels"}, far="ask again"
    )
    options = FilterOptions(wanted=20, remedies=given)
    unsure = candidates_of(texture(10, grain=4, seed=1), torch.zeros(10))
    (warning,) = filter_class(unsure, REAL, options, others=OTHERS, seed=0).warnings
    assert "Only 10 were given: ask for more." in warning and "low confidence: look at their labels." in warning
    noise = torch.randint(0, 256, (60, 1, SIZE, SIZE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    refused = filter_class(candidates_of(noise), REAL, options, others=OTHERS, seed=0).refused
    assert refused is not None and refused.endswith("; ask again.")


def test_where_too_few_were_drawn_no_reason_is_blamed_that_took_none() -> None:
    found = filtered(candidates_of(texture(10, grain=4, seed=1)))
    assert len(found.accepted) == 10
    assert found.warnings == ("10 of the 20 wanted images passed. Only 10 were drawn: raise generate.per_class.",)


def test_where_enough_were_drawn_more_of_the_same_are_not_asked_for() -> None:
    confidence = torch.full((30,), 0.9)
    confidence[5:] = 0
    (warning,) = filtered(candidates_of(texture(30, grain=4, seed=1), confidence)).warnings
    assert "25 fell, most often as low confidence" in warning and "drawn" not in warning


@pytest.mark.parametrize(
    ("real", "message"), [(3, "FID and KID are not measured: 3 real"), (8, "rest on 8 real images")]
)
def test_too_few_real_images_are_said_so(real: int, message: str) -> None:
    found = filtered(candidates_of(texture(40, grain=4, seed=1)), real=real_class(real))
    assert message in found.warnings[0]
    assert math.isnan(found.real_vs_real.fid) == math.isnan(found.closeness.fid) == (real < 4)
    assert len(found.accepted) == 20


def test_nothing_that_was_given_is_altered() -> None:
    given = candidates_of(texture(30, grain=4, seed=1))
    before = [given.images.clone(), given.features.clone(), given.confidence.clone(), REAL.images.clone()]
    filtered(given)
    after = [given.images, given.features, given.confidence, REAL.images]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_unequal_numbers_are_errors() -> None:
    given = candidates_of(texture(4, grain=4, seed=1))
    with pytest.raises(ValueError, match=r"unequal numbers: \[3, 4\]"):
        filtered(replace(given, confidence=given.confidence[:3]))
    with pytest.raises(ValueError, match="24 real images with 5 rows of features"):
        filtered(given, real=RealClass(REAL.images, REAL.features[:5]))
    with pytest.raises(ValueError, match="-1 images are wanted"):
        filtered(given, wanted=-1)
