"""The generator of one class of a run, loaded for exploring its latent space."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from classifiers.scattering import Scattering
from ganaug.families import Family
from ganaug.latent_space import Layout, layout_of
from ganaug.sampling import BATCH, generate, latents, to_float
from ganaug.spec import Spec
from pipeline.config import Config
from pipeline.errors import InputError, JobError
from pipeline.job import recall_job
from pipeline.stages import conditioning_inputs
from pipeline.stages.publish import sentence_embedding
from pipeline.stages.records import Pack, load_pack
from pipeline.stages.trained_models import generator_of, require_current
from pipeline.store import RunFolder, load_tensors, read_json


@dataclass(frozen=True)
class Model:
    """The generator of one class of a run, with the condition and the conditioning input that it draws from.

    With a family that takes one, every picture of a sheet has the same conditioning input, that of the seed
    `conditioning_seed`, so that only the latent differs. The run's super-resolver, if any, is not applied.
    """

    run: RunFolder
    config: Config
    name: str
    card: dict[str, Any]
    family: Family
    spec: Spec
    generator: nn.Module
    condition: int
    conditioning_seed: int

    @property
    def layout(self) -> Layout:
        return layout_of(self.family, self.spec)

    def latents(self, seeds: Sequence[int]) -> Tensor:
        """The latents `[N, D]` that these seeds stand for, as `ganaug generate` draws them."""
        return latents(self.family, self.spec, torch.tensor(seeds))

    def pictures(self, z: Tensor, condition: int | None = None) -> Tensor:
        """Images `uint8 [N, C, S, S]`; without conditioning inputs the same pixels as the candidates'."""
        asked = torch.full((len(z),), self.condition if condition is None else condition)
        conditioning = (
            None
            if self.conditioning_input is None
            else self.conditioning_input.expand(len(z), *self.conditioning_input.shape[1:])
        )
        return generate(self.family, self.generator, self.spec, asked, asked, conditioning_inputs=conditioning, z=z)

    @torch.no_grad()
    def draw(self, z: Tensor) -> Tensor:
        """Float images `[N, C, S, S]` in [-1, 1]."""
        self.generator.eval()
        conditioning_input = [] if self.conditioning_input is None else [to_float(self.conditioning_input)]
        parts = []
        for part in torch.split(z, BATCH):
            conditioning = [
                t.expand(len(part), *t.shape[1:]) for t in (torch.tensor([self.condition]), *conditioning_input)
            ]
            parts.append(self.generator(part, *conditioning))
        return torch.cat(parts)

    @cached_property
    def conditioning_input(self) -> Tensor | None:
        """The conditioning input `[1, ...]`, as `ganaug generate` draws it for the seed; None for other families."""
        if not self.spec.conditioning_channels:
            return None
        kind, asked = self.card["conditioning_input"]["kind"], self.config.generate.description
        label, seed = int(self.pack.labels[self.real[0]]), torch.tensor([self.conditioning_seed])
        if kind == "text":
            embedding = sentence_embedding(self.run.sentences(self.name))
            return (
                embedding([asked])
                if asked
                else conditioning_inputs.draw_sentences(self.pack, label, seed, embedding).conditioning_inputs
            )
        side = self.spec.size // self.spec.scale
        return conditioning_inputs.draw(kind, self.pack, label, seed, side).conditioning_inputs

    @cached_property
    def pack(self) -> Pack:
        """What the generator was trained on."""
        file = self.run.stored("pack", self.card["data_digest"])
        if not file.exists():
            raise InputError(
                f"{file} is gone, and with it the real images; `ganaug train --out {self.run.out}` makes it again."
            )
        return load_pack(str(file))

    @cached_property
    def real(self) -> Tensor:
        """Indices into the pack of the training images of the class, `int64`."""
        train = self.pack.of("train")
        return train[torch.tensor([self.pack.rows[i]["label"] == self.name for i in train.tolist()])]

    @cached_property
    def extractor(self) -> Scattering:
        """Features fitted on all training images, as the filter's."""
        return Scattering.fit(self._at_side(self.pack.of("train")))

    @cached_property
    def real_features(self) -> Tensor:
        """Features `float64 [M, F]` of the real images."""
        return self.extractor(self._at_side(self.real))

    def features(self, images: Tensor) -> Tensor:
        """Features `float64 [N, F]` of float images, which are not rounded to grey levels."""
        return self.extractor((images + 1) * 127.5)

    def _at_side(self, index: Tensor) -> Tensor:
        """Images of the pack at the side that the generator draws, before super-resolution."""
        return conditioning_inputs.shrunk(self.pack.images[index], self.spec.size)


def load_model(run: RunFolder, name: str, condition: int | None = None, *, conditioning_seed: int = 0) -> Model:
    """The generator of a class, as `generators/CLASS/` has it.

    Raises:
        InputError: no run, no such class, a class without generator, or a condition that it does not know.
        JobError: the card is of an earlier version, or the weights do not fit the networks of this one.
    """
    config, _ = recall_job(run)
    _check_class(run, name)
    card = read_json(run.card(name))
    require_current(run.card(name), card)
    known = card["conditions"]
    if condition is not None and condition not in known:
        raise InputError(f"--condition {condition}: class {name} is drawn by {', '.join(map(str, known))}.")
    try:
        family, spec, generator = generator_of(load_tensors(run.model(name))[0], card, config.generate.truncation)
    except (ValueError, TypeError, RuntimeError):
        raise JobError(
            f"{run.model(name)} is of another version; `ganaug train --out {run.out}` trains it anew."
        ) from None
    asked = known[0] if condition is None else condition
    return Model(run, config, name, card, family, spec, generator, asked, conditioning_seed)


def _check_class(run: RunFolder, name: str) -> None:
    drawn = sorted(card.parent.name for card in run.generator("any").parent.glob("*/card.json"))
    if name in drawn:  # compared, never joined: a name is no path
        return
    if not drawn:
        raise InputError(f"{run.out} has no generator yet; `ganaug train --out {run.out}` trains them.")
    packs = sorted(run.store.glob("pack-*.safetensors"), key=lambda file: file.stat().st_mtime)
    if packs and name in {row["label"] for row in load_pack(str(packs[-1])).rows}:
        raise InputError(
            f"Class {name} has no generator: too few training images, or its training failed (see {run.log}). "
            f"These have one: {', '.join(drawn)}."
        )
    close = difflib.get_close_matches(name, drawn, n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    raise InputError(f"--class {name}: {run.out} has no such class; it draws {', '.join(drawn)}.{meant}")
