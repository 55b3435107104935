"""Walks through a latent space: where they lead, what they leave alone, and what they say of the generator."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ganaug import latent_space, smoothness
from ganaug.families import get_family
from ganaug.latent_space import Layout
from ganaug.latents import Codes
from ganaug.spec import Spec

PLAIN, CODED = Layout(6, Codes(0, 0)), Layout(6, Codes(3, 2))
SEEDS = st.integers(0, 2**31)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def coded(n: int, seed: int = 0) -> Tensor:
    """Latents of `CODED` with three numbers beyond."""
    choice = torch.eye(3)[torch.arange(n) % 3]
    return torch.cat([normal(n, 6, seed=seed), choice, normal(n, 2, seed=seed).clamp(-1, 1), normal(n, 3)], dim=1)


@given(SEEDS, st.floats(0, 1))
def test_an_arc_of_unit_vectors_stays_on_the_sphere_at_an_even_pace(seed: int, t: float) -> None:
    a, b = (normal(4, 8, seed=seed + i).double() for i in range(2))
    a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    at = latent_space.slerp(a, b, torch.full((4,), t, dtype=torch.float64))
    torch.testing.assert_close(at.norm(dim=1), torch.ones(4, dtype=torch.float64))
    whole, part = ((a * other).sum(1).clamp(-1, 1).acos() for other in (b, at))
    torch.testing.assert_close(part, t * whole, atol=1e-6, rtol=1e-6)


@given(SEEDS)
def test_an_arc_begins_and_ends_where_it_should(seed: int) -> None:
    a, b = normal(3, 5, seed=seed), normal(3, 5, seed=seed + 1) * 2
    torch.testing.assert_close(latent_space.slerp(a, b, torch.zeros(3)), a)
    torch.testing.assert_close(latent_space.slerp(a, b, torch.ones(3)), b)
    torch.testing.assert_close(latent_space.slerp(a, a, torch.full((3,), 0.3)), a)
    assert latent_space.slerp(a, -a, torch.full((3,), 0.3)).isfinite().all()


def test_half_way_between_normal_latents_is_as_long_as_they_are() -> None:
    a, b = normal(200, 128), normal(200, 128, seed=1)
    half = latent_space.slerp(a, b, torch.full((200,), 0.5))
    assert half.norm(dim=1).mean() == pytest.approx(math.sqrt(128), rel=0.02)
    assert ((a + b) / 2).norm(dim=1).mean() < 0.75 * math.sqrt(128)


def test_a_walk_blends_codes_along_the_line_and_keeps_the_rest() -> None:
    a, b = coded(4), coded(4, seed=1).roll(1, 0)
    at = latent_space.interpolate(a, b, torch.full((4,), 0.25), CODED)
    torch.testing.assert_close(at[:, 6:11], 0.75 * a[:, 6:11] + 0.25 * b[:, 6:11])
    assert at[:, 11:].equal(a[:, 11:])
    torch.testing.assert_close(at[:, :6], latent_space.slerp(a[:, :6], b[:, :6], torch.full((4,), 0.25)))


@given(SEEDS, st.integers(1, 4), st.integers(1, 4))
def test_what_is_added_and_taken_away_again_changes_nothing(seed: int, n: int, m: int) -> None:
    group, target = normal(n, 6, seed=seed), normal(m, 6, seed=seed + 1)
    torch.testing.assert_close(latent_space.arithmetic(group, group, target, PLAIN), target.mean(0))
    moved = latent_space.arithmetic(group + 2, group, target, PLAIN)
    torch.testing.assert_close(moved, target.mean(0) + 2)


def test_arithmetic_ends_on_codes_that_exist() -> None:
    z = coded(6)
    result = latent_space.arithmetic(z[:1], z[1:2], z[2:3], CODED)
    assert sorted(result[6:9].tolist()) == [0, 0, 1] and result[9:11].abs().max() <= 1
    assert result[11:].equal(z[2, 11:])


@pytest.mark.parametrize(("group", "name"), [(0, "with"), (1, "without"), (2, "target")])
def test_an_empty_group_is_named(group: int, name: str) -> None:
    groups = [normal(2, 6) for _ in range(3)]
    groups[group] = torch.empty(0, 6)
    with pytest.raises(ValueError, match=f"'{name}' is empty"):
        latent_space.arithmetic(groups[0], groups[1], groups[2], PLAIN)


def test_a_traversal_of_codes_moves_one_at_a_time_through_all_its_values() -> None:
    family = get_family("infogan")
    assert family.codes is not None
    spec = Spec(32, 1, conditions=2, latent=16, width=8)
    layout = latent_space.layout_of(family, spec)
    (z,) = family.latents(1, spec, family.codes, torch.Generator().manual_seed(0))
    walks = latent_space.traverse_codes(z, layout, 5)
    assert list(walks) == ["category", "code 1", "code 2"]
    first = layout.noise
    assert walks["category"][:, first : layout.values].equal(torch.eye(family.codes.categorical))
    for i, name in enumerate(("code 1", "code 2")):
        assert walks[name][:, layout.values + i].tolist() == [-1, -0.5, 0, 0.5, 1]
    moved = {name: (walk != z).any(0).nonzero().flatten().tolist() for name, walk in walks.items()}
    assert set(moved["category"]) <= set(range(first, layout.values))
    assert (moved["code 1"], moved["code 2"]) == ([layout.values], [layout.values + 1])


def linear(weight: Tensor) -> latent_space.Draw:
    """A generator of images whose 4 pixels are linear in the noise."""
    return lambda z: (z[:, : weight.shape[1]] @ weight.T).view(-1, 1, 2, 2)


def test_directions_of_a_linear_generator_are_its_singular_vectors() -> None:
    weight = normal(4, 6)
    found = latent_space.directions(linear(weight), lambda x: x.flatten(1), normal(3, 6, seed=1), PLAIN, 3)
    _, values, vectors = torch.linalg.svd(weight)
    torch.testing.assert_close((found.vectors @ vectors[:3].T).abs(), torch.eye(3), atol=2e-2, rtol=0)
    torch.testing.assert_close(found.shares.float(), (values**2 / (values**2).sum())[:3], atol=1e-2, rtol=0)


def test_more_directions_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="7 directions of 6 dimensions"):
        latent_space.directions(linear(normal(4, 6)), lambda x: x.flatten(1), normal(1, 6), PLAIN, 7)


def test_following_a_direction_sets_that_part_alone() -> None:
    z, direction = coded(1)[0], torch.nn.functional.normalize(normal(6, seed=3), dim=0)
    places = torch.tensor([-2.0, 0.0, 2.0])
    walk = latent_space.traverse_direction(z, direction, places, CODED)
    torch.testing.assert_close(walk[:, :6] @ direction, places)
    across = walk[:, :6] - (walk[:, :6] @ direction)[:, None] * direction
    torch.testing.assert_close(across, across[:1].expand(3, -1))
    assert walk[:, 6:].equal(z[6:].expand(3, -1))


def test_the_path_length_of_a_linear_generator_is_known() -> None:
    # Orthogonal unit latents: an arc of pi/2, walked at that speed and seen through a doubling.
    a, b = torch.eye(6)[:3], torch.eye(6)[3:]
    lengths = smoothness.path_lengths(
        lambda z: 2 * z.double(), lambda x: x, a.double(), b.double(), torch.tensor([0.1, 0.5, 0.9]), PLAIN
    )
    torch.testing.assert_close(lengths, torch.full((3,), math.pi**2, dtype=torch.float64), rtol=1e-5, atol=0)


def test_the_mean_leaves_the_extremes_out() -> None:
    assert smoothness.trimmed_mean(torch.tensor([1.0] * 300 + [1e9, -1e9])) == 1


def test_the_fastest_quarter_tells_jumps_from_an_even_walk() -> None:
    even, jumps = torch.linspace(0, 1, 17)[:, None], torch.tensor([0, 0, 1, 1, 1, 1, 3, 3, 3, 3, 3, 7, 7, 7, 7, 7, 7.0])
    found = smoothness.fastest_quarters(torch.stack([even, jumps[:, None], torch.zeros(17, 1)]))
    torch.testing.assert_close(found, torch.tensor([0.25, 1, 0.25]))


def test_near_duplicates_are_no_yardstick() -> None:
    real = torch.tensor([[0.0], [0.1], [3.0]])
    assert smoothness.real_distances(real, torch.tensor([0, 0, 1])).tolist() == pytest.approx([3.0, 2.9, 2.9], abs=1e-6)
    assert len(smoothness.real_distances(real, torch.zeros(3).long())) == 0


REAL = normal(40, 4, seed=7)  # training images, as features


def memoriser(z: Tensor) -> Tensor:
    """Whatever the latent, the training image that it comes closest to."""
    return REAL[(z[:, :4] @ REAL.T).argmax(1)]


@pytest.mark.parametrize(
    ("draw", "verdict"),
    [
        (lambda z: z[:, :4], "generalises"),  # the very distribution that the real images are from
        (memoriser, "memorises"),
        (lambda z: 20 + z[:, :4] * 8, "strays"),
        (lambda z: z[:, :4] * 0.01 + 1, "collapsed"),
        (lambda z: z[:, :4].sign() * 1.5, "jumps"),
    ],
)
def test_the_verdict_tells_generators_apart(draw: latent_space.Draw, verdict: str) -> None:
    a, b = normal(64, 6, seed=1), normal(64, 6, seed=2)
    found = smoothness.smoothness(draw, lambda x: x, a, b, PLAIN, REAL, torch.arange(40), seed=0)
    assert found.verdict == verdict, found


def test_without_another_real_image_there_is_no_verdict() -> None:
    a, b = normal(8, 6, seed=1), normal(8, 6, seed=2)
    found = smoothness.smoothness(lambda z: z, lambda x: x[:, :4], a, b, PLAIN, REAL, torch.zeros(40).long(), seed=0)
    assert found.verdict == "unknown" and math.isnan(found.real_nearest) and math.isfinite(found.path_length)
