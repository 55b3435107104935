"""Random streams that depend on every bit of their seed.

torch's CPU generator takes the low 32 bits of a seed and drops the others without a word, so seeds are hashed into
32 bits before they get there.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derived_seed(seed: int, *key: int) -> int:
    """Hash a seed in 0..2^128 - 1 and the key of a stream, each in 0..2^32 - 1, into 0..2^32 - 1.

    By numpy's `SeedSequence` with `key` for its spawn key: streams of one seed and different keys are independent, and
    so are those of different seeds, but for collisions of 32 bits (n seeds: about n^2 / 2^33).
    """
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0])


def random_stream(seed: int, *key: int) -> torch.Generator:
    """A CPU generator of its own, seeded by `derived_seed`."""
    return torch.Generator().manual_seed(derived_seed(seed, *key))


@contextmanager
def default_stream(seed: int, *key: int) -> Iterator[None]:
    """Inside, torch's default CPU generator, which initialises weights, draws from `derived_seed`; then it is put back.

    The generators of accelerators stay as they are, which `torch.manual_seed` would seed as well.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, *key))
        yield
