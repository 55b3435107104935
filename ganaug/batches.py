"""Class-balanced batches of the training images, which are kept in memory as uint8."""

import torch
from torch import Tensor

from ganaug.sampling import to_float


class Batches:
    """Draws labelled images, and the conditioning inputs that belong to them.

    Args:
        images: `uint8 [N, C, S, S]`.
        conditions: `int64 [N]`; every condition that occurs is drawn equally often, whatever its number of images.
        conditioning_inputs: `[N, ...]` pictures (uint8), which are flipped with their images, or vectors; None for
            none.
        rng: the stream that every draw comes from.
    """

    def __init__(
        self,
        images: Tensor,
        conditions: Tensor,
        conditioning_inputs: Tensor | None,
        *,
        size: int,
        flips: bool,
        rng: torch.Generator,
        device: torch.device,
    ) -> None:
        self.images, self.conditioning_inputs = (
            images.to(device),
            None if conditioning_inputs is None else conditioning_inputs.to(device),
        )
        self.found: Tensor = conditions.unique()  # type: ignore[no-untyped-call]
        self.pools = [torch.nonzero(conditions == c).squeeze(1) for c in self.found.tolist()]
        self.size, self.flips, self.rng, self.device = size, flips, rng, device

    def conditions(self, n: int, rng: torch.Generator) -> Tensor:
        """Conditions `[n]` alone, as those of a batch."""
        return self.found[torch.randint(len(self.pools), (n,), generator=rng)].to(self.device)

    def draw(self) -> tuple[Tensor, ...]:
        """One batch: float images `[size, C, S, S]` in [-1, 1], conditions `[size]`, conditioning inputs if any."""
        pools = torch.randint(len(self.pools), (self.size,), generator=self.rng)
        index = self._pick([self.pools[i] for i in pools.tolist()], self.rng)
        given = [to_float(t[index]) for t in (self.images, self.conditioning_inputs) if t is not None]
        if self.flips:
            flipped = (torch.rand(self.size, generator=self.rng) < 0.5).to(self.device)[:, None, None, None]
            given = [torch.where(flipped, t.flip(3), t) if t.ndim == 4 else t for t in given]
        images, *conditioning_inputs = given
        return images, self.found[pools].to(self.device), *conditioning_inputs

    def conditioning_inputs_of(self, conditions: Tensor, rng: torch.Generator) -> list[Tensor]:
        """Float conditioning inputs `[n, ...]`, each of a random image of its condition; [] for none."""
        if self.conditioning_inputs is None:
            return []
        of = dict(zip(self.found.tolist(), self.pools, strict=True))
        return [to_float(self.conditioning_inputs[self._pick([of[c] for c in conditions.tolist()], rng)])]

    def _pick(self, pools: list[Tensor], rng: torch.Generator) -> Tensor:
        """A random index from each pool."""
        draws = torch.rand(len(pools), generator=rng).tolist()
        picked = [pool[int(u * len(pool))] for pool, u in zip(pools, draws, strict=True)]
        return torch.stack(picked).to(self.device)
