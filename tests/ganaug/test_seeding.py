"""Random streams: all bits of a seed count, and nobody else's stream is touched."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from classifiers.fitting import Recipe, fit
from ganaug.distributed import SingleProcess
from ganaug.families import get_family
from ganaug.sampling import latents
from ganaug.seeding import default_stream, derived_seed, random_stream
from ganaug.spec import Spec
from ganaug.training_loop import Trainer

DCGAN, SPEC = get_family("dcgan"), Spec(size=32, channels=1, conditions=2, latent=16, width=4)
IMAGES = torch.randint(0, 256, (40, 1, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


class Rank(SingleProcess):
    """One of two processes, without the other."""

    size = 2

    def __init__(self, rank: int) -> None:
        self.rank = rank


def make(seed: int = 3, rank: int = 0) -> Trainer:
    options = replace(DCGAN.defaults, batch=8, width=4, latent=8)
    return Trainer(DCGAN, IMAGES, torch.arange(40) % 2, n_conditions=2, options=options, seed=seed, context=Rank(rank))


def weights(trainer: Trainer) -> Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.generator.parameters()])


@given(seed=st.integers(0, 2**63 - 1), bit=st.integers(0, 62))
def test_a_latent_depends_on_every_bit_of_its_seed(seed: int, bit: int) -> None:
    one, other, again = latents(DCGAN, SPEC, torch.tensor([seed, seed ^ (1 << bit), seed]))
    assert not one.equal(other) and one.equal(again)


@given(seed=st.integers(0, 2**63 - 1), key=st.integers(0, 2**32 - 1))
def test_streams_of_one_seed_differ_by_their_keys(seed: int, key: int) -> None:
    assert len({derived_seed(seed), derived_seed(seed, key), derived_seed(seed, key, 0)}) == 3
    assert 0 <= derived_seed(seed, key) < 2**32  # torch would drop higher bits
    assert torch.rand(2, generator=random_stream(seed, key)).equal(torch.rand(2, generator=random_stream(seed, key)))


def test_processes_that_train_together_draw_images_and_noise_of_their_own_and_start_alike() -> None:
    first, second, again = make(rank=0), make(rank=1), make(rank=1)
    for draw in (lambda t: t.batches.draw()[0], lambda t: t.inputs.noise(4)):
        mine, others, same = draw(first), draw(second), draw(again)
        assert not mine.equal(others) and others.equal(same)
    assert weights(first).equal(weights(second))


def test_a_trainer_heeds_the_high_bits_of_its_seed() -> None:
    low, high = make(seed=5), make(seed=5 + 2**32)
    assert not weights(low).equal(weights(high))
    assert not low.inputs.noise(4).equal(high.inputs.noise(4))


def test_the_default_stream_is_lent_and_put_back() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with default_stream(7):
        first = torch.rand(2)
    assert torch.rand(2).equal(expected)
    with default_stream(7):
        assert torch.rand(2).equal(first)


def test_training_on_the_cpu_seeds_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    for module in (torch.cuda, torch.mps, torch.xpu):
        for name in ("manual_seed", "manual_seed_all"):
            monkeypatch.setattr(module, name, seeded.append, raising=False)
    make()
    fit(IMAGES, torch.arange(40) % 2, Recipe(steps=1), classes=2, seed=0)
    assert seeded == []
    torch.manual_seed(0)
    assert seeded  # which is what this test would see
