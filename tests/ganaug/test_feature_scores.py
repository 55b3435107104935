"""Every score against the formulas of torchmetrics on the same features, and what each is for."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from ganaug.metrics import (
    FeatureScores,
    authentic,
    authenticity,
    disjoint_halves,
    feature_scores,
    feature_scores_over,
    frechet_distance,
    inception_score,
    kernel_distance,
    kernel_distance_subsets,
    manifold,
    matched_sets,
)
from ganaug.seeding import derived_seed

CLOSE = 1e-4


def cloud(rows: int, columns: int = 16, *, seed: int, spread: float = 1.0, shift: float = 0.0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    mix = torch.randn(columns, columns, generator=draw, dtype=torch.float64) / columns**0.5
    return torch.randn(rows, columns, generator=draw, dtype=torch.float64) @ mix * spread + shift


def pair(seed: int = 0) -> tuple[Tensor, Tensor]:
    return cloud(90, seed=seed), cloud(120, seed=seed + 1, spread=1.3, shift=0.3)


class Identity(nn.Module):
    """Lets torchmetrics take features for images."""

    num_features = 16

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize("seed", range(3))
def test_frechet_distance_is_that_of_torchmetrics(seed: int) -> None:
    generated, real = pair(seed)
    ours = frechet_distance(generated, real)
    metric = FrechetInceptionDistance(Identity())
    metric.update(real, real=True)
    metric.update(generated, real=False)
    assert ours == pytest.approx(metric.compute().item(), rel=CLOSE)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save:UserWarning")
@pytest.mark.parametrize("seed", range(3))
def test_kernel_distance_is_that_of_torchmetrics(seed: int) -> None:
    generated, real = pair(seed)
    metric = KernelInceptionDistance(Identity(), subsets=1, subset_size=80)  # one subset: all images
    metric.update(real[:80], real=True)
    metric.update(generated[:80], real=False)
    theirs, _ = metric.compute()
    assert kernel_distance(generated[:80], real[:80]) == pytest.approx(theirs.item(), rel=CLOSE)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save:UserWarning")
def test_mean_and_deviation_over_subsets_are_those_of_torchmetrics() -> None:
    generated, real = pair()
    metric = KernelInceptionDistance(Identity(), subsets=30, subset_size=40)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(5))  # it draws its subsets, real ones first, from the global generator
        mean, std = (value.item() for value in metric.compute())
    ours = kernel_distance_subsets(real, generated, subsets=30, size=40, seed=5)
    assert ours == (pytest.approx(mean, rel=CLOSE), pytest.approx(std, rel=CLOSE))


@given(seed=st.integers(0, 1000), k=st.integers(1, 5))
def test_the_shares_are_their_definitions_written_out(seed: int, k: int) -> None:
    """arXiv 1904.06991, equation 2, both ways round, and arXiv 2002.09797, equations 4 and 5."""
    generated, real = cloud(12, 3, seed=seed).numpy(), cloud(15, 3, seed=seed + 1).numpy()
    radius = [sorted(np.linalg.norm(real - x, axis=1))[k] for x in real]  # the first is the row itself
    reach = [sorted(np.linalg.norm(generated - y, axis=1))[k] for y in generated]
    apart = np.array([[np.linalg.norm(x - y) for y in generated] for x in real])
    inside = [[apart[i, j] <= radius[i] for j in range(12)] for i in range(15)]
    found = manifold(torch.from_numpy(generated), torch.from_numpy(real), k=k)
    covered = [[apart[i, j] <= reach[j] for j in range(12)] for i in range(15)]
    assert found.precision == pytest.approx(np.mean(np.any(inside, axis=0)))
    assert found.recall == pytest.approx(np.mean(np.any(covered, axis=1)))
    assert found.density == pytest.approx(np.sum(inside) / (k * 12))
    assert found.coverage == pytest.approx(np.mean([any(row) for row in inside]))


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save:UserWarning")
def test_inception_score_is_that_of_torchmetrics() -> None:
    """In equal parts; torchmetrics divides by one less in the deviation."""
    logits = 3 * cloud(200, 7, seed=1)
    metric = InceptionScore(Identity(), splits=10)
    metric.update(logits)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        mean, std = (value.item() for value in metric.compute())
        torch.manual_seed(5)
        ours = inception_score(logits[torch.randperm(200)].softmax(dim=1), splits=10)
    assert ours == (pytest.approx(mean, rel=CLOSE), pytest.approx(std * 0.9**0.5, rel=CLOSE))


@given(classes=st.integers(1, 9), each=st.integers(1, 5))
def test_inception_score_spans_one_to_the_number_of_classes(classes: int, each: int) -> None:
    sure = torch.eye(classes).repeat(each, 1)
    assert inception_score(sure, splits=1).mean == pytest.approx(classes)
    assert inception_score(torch.full_like(sure, 1 / classes), splits=each) == pytest.approx((1, 0))
    assert inception_score(sure[:1].expand(each, -1), splits=1).mean == pytest.approx(1)  # one class alone


@pytest.mark.parametrize(
    ("probabilities", "splits", "message"),
    [
        (torch.ones(4), 1, "give .N, K."),
        (torch.ones(4, 0), 1, "give .N, K."),
        (torch.ones(4, 2), 1, "softmax"),
        (torch.tensor([[1.5, -0.5]]), 1, "softmax"),
        (torch.full((4, 2), torch.nan), 1, "softmax"),
        (torch.full((4, 2), 0.5), 5, "4 images cannot be split into 5 parts"),
        (torch.full((0, 2), 0.5), 1, "0 images cannot be split"),
    ],
)
def test_what_has_no_inception_score_says_why(probabilities: Tensor, splits: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inception_score(probabilities, splits=splits)


@given(seed=st.integers(0, 1000), rows=st.integers(1, 20), reals=st.integers(2, 20))
def test_authenticity_is_its_definition_written_out(seed: int, rows: int, reals: int) -> None:
    generated, real = cloud(rows, 3, seed=seed), cloud(reals, 3, seed=seed + 1)
    expected = []
    for g in generated:
        nearest = min(range(reals), key=lambda i: (g - real[i]).norm().item())
        around = min((real[nearest] - real[j]).norm().item() for j in range(reals) if j != nearest)
        expected.append((g - real[nearest]).norm().item() > around)
    assert authentic(generated, real).tolist() == expected
    assert authenticity(generated, real) == pytest.approx(sum(expected) / rows)


def test_copies_and_near_copies_are_not_authentic_but_new_images_are() -> None:
    real = cloud(60, seed=0)
    assert authenticity(real, real) == 0
    assert authenticity(real + 0.01 * cloud(60, seed=1), real) == 0
    assert authenticity(real[:3], torch.cat([real, real])) == 0, "a copy of an image that is there twice is a copy"
    assert authenticity(cloud(60, seed=0, shift=5.0), real) == 1


@pytest.mark.parametrize(("rows", "reals", "message"), [(0, 5, "no generated images"), (3, 1, "at least 2 are needed")])
def test_too_few_images_have_no_authenticity(rows: int, reals: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        authenticity(cloud(rows, seed=0), cloud(reals, seed=1))


def test_scores_together_are_the_scores_alone() -> None:
    generated, real = pair()
    found = feature_scores(generated, real)
    assert found.fid == frechet_distance(generated, real) and found.kid == kernel_distance(generated, real)
    assert found[2:6] == tuple(manifold(generated, real))
    assert found.authenticity == authenticity(generated, real)


def test_over_sets_they_are_averaged_at_one_size() -> None:
    generated, real = pair()
    sets = list(matched_sets(generated, real, size=30, splits=8, seed=0))
    assert {(a.shape, b.shape) for a, b in sets} == {((30, 16), (30, 16))}
    each = [feature_scores(a, b) for a, b in sets]
    found = feature_scores_over(sets)
    assert tuple(found) == FeatureScores._fields
    for name in found:
        values = [getattr(one, name) for one in each]
        assert found[name] == (pytest.approx(np.mean(values)), pytest.approx(np.std(values)))
    among = feature_scores_over(disjoint_halves(real, size=30, splits=8, seed=0))
    assert among["fid"].mean < found["fid"].mean and among["precision"].mean > found["precision"].mean


@pytest.mark.parametrize("size", [1, 91])
def test_subsets_that_cannot_be_drawn_are_an_error(size: int) -> None:
    with pytest.raises(ValueError, match=f"Sets of {size} cannot be drawn from 90 generated and 120 real"):
        kernel_distance_subsets(*pair(), size=size, seed=0)
