"""A generated image depends on its generator, its condition and its own seed, and on nothing else."""

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ganaug.families import get_family
from ganaug.sampling import BATCH, generate, latents, to_uint8
from ganaug.spec import Spec

FAMILY, SPEC = get_family("dcgan"), Spec(size=32, channels=1, conditions=3, latent=16, width=8)
SEEDS = torch.arange(100, 100 + BATCH + 9)
CONDITIONS = torch.arange(len(SEEDS)) % 3


def network() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = FAMILY.generator(SPEC)
        for step in range(5):  # batch statistics that are not the initial ones
            made(torch.randn(8, 16), torch.arange(8) % 3 * (step % 2))
        for name, weight in made.named_parameters():
            if weight.ndim == 2:  # gains and biases of the conditions
                weight.data += torch.randn_like(weight) * 0.3
            elif "weight" in name:
                weight.data *= 5
    return made


GENERATOR = network()
ALL = generate(FAMILY, GENERATOR, SPEC, SEEDS, CONDITIONS)


@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.integers(0, len(SEEDS) - 1), min_size=1, max_size=2 * BATCH))
def test_any_subset_in_any_order_gives_the_same_pixels(rows: list[int]) -> None:
    chosen = torch.tensor(rows)
    assert generate(FAMILY, GENERATOR, SPEC, SEEDS[chosen], CONDITIONS[chosen]).equal(ALL[chosen])


def test_seed_and_condition_both_matter() -> None:
    assert ALL.shape == (len(SEEDS), 1, 32, 32) and ALL.dtype == torch.uint8
    assert len(ALL.flatten(1).unique(dim=0)) == len(SEEDS)
    assert not generate(FAMILY, GENERATOR, SPEC, SEEDS, (CONDITIONS + 1) % 3).equal(ALL)


def test_a_row_of_noise_is_drawn_from_its_seed_alone() -> None:
    wide = replace(SPEC, latent=4000)
    whole = latents(FAMILY, wide, torch.tensor([5, 2**40, 5]))
    assert whole[0].equal(whole[2]) and not whole[0].equal(whole[1])
    assert whole[1].equal(latents(FAMILY, wide, torch.tensor([2**40]))[0])
    assert abs(whole.mean().item()) < 0.05 and abs(whole.std().item() - 1) < 0.05


def test_progress_counts_up_to_the_number_of_images() -> None:
    seen: list[int] = []
    generate(FAMILY, GENERATOR, SPEC, SEEDS, CONDITIONS, progress=seen.append)
    assert seen == [BATCH, len(SEEDS)]


def test_grey_levels_round_trip() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert to_uint8(levels.float() / 127.5 - 1).equal(levels)
    beyond: Tensor = to_uint8(torch.tensor([-3.0, 3.0]))
    assert beyond.tolist() == [0, 255]
