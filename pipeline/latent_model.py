"""The generator of one class of a run, loaded to be looked into."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from classifiers.scattering import Scattering
from ganaug.explore import Layout, layout_of
from ganaug.families import Family
from ganaug.sampling import BATCH, generate, latents, to_float
from ganaug.spec import Spec
from pipeline.config import Config
from pipeline.errors import InputError, JobError
from pipeline.job import recall_job
from pipeline.stages import guides
from pipeline.stages.models import generator_of
from pipeline.stages.publish import sentence_embedding
from pipeline.stages.records import Pack, load_pack
from pipeline.store import RunFolder, load_tensors, read_json


@dataclass(frozen=True)
class Model:
    """The generator of one class of a run, the condition that it is asked by, and the guide that it is shown.

    A family with guides makes every picture of a sheet from the same one, that of the seed `guided_by`: what differs is
    then the latent's doing. An enlarger of the run is left out.
    """

    run: RunFolder
    config: Config
    name: str
    card: dict[str, Any]
    family: Family
    spec: Spec
    generator: nn.Module
    condition: int
    guided_by: int

    @property
    def layout(self) -> Layout:
        return layout_of(self.family, self.spec)

    def latents(self, seeds: Sequence[int]) -> Tensor:
        """The latents `[N, D]` that these seeds stand for, as `ganaug generate` draws them."""
        return latents(self.family, self.spec, torch.tensor(seeds))

    def pictures(self, z: Tensor, condition: int | None = None) -> Tensor:
        """Images `uint8 [N, C, S, S]`; without guides the same pixels as the candidates'."""
        asked = torch.full((len(z),), self.condition if condition is None else condition)
        shown = None if self.guide is None else self.guide.expand(len(z), *self.guide.shape[1:])
        return generate(self.family, self.generator, self.spec, asked, asked, guides=shown, z=z)

    @torch.no_grad()
    def draw(self, z: Tensor) -> Tensor:
        """Float images `[N, C, S, S]` in [-1, 1]."""
        self.generator.eval()
        guide = [] if self.guide is None else [to_float(self.guide)]
        parts = []
        for part in torch.split(z, BATCH):
            told = [t.expand(len(part), *t.shape[1:]) for t in (torch.tensor([self.condition]), *guide)]
            parts.append(self.generator(part, *told))
        return torch.cat(parts)

    @cached_property
    def guide(self) -> Tensor | None:
        """The guide `[1, ...]`, as `ganaug generate` draws it for the seed; None where the family takes none."""
        if not self.spec.guide:
            return None
        kind, asked = self.card["guide"]["kind"], self.config.generate.description
        label, seed = int(self.pack.labels[self.real[0]]), torch.tensor([self.guided_by])
        if kind == "text":
            embedding = sentence_embedding(self.run.sentences(self.name))
            return embedding([asked]) if asked else guides.draw_sentences(self.pack, label, seed, embedding).guides
        side = self.spec.size // self.spec.scale
        return guides.draw(kind, self.pack, label, seed, side).guides

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
        """Images of the pack at the side that is drawn: an enlarger would follow where it is smaller."""
        return guides.shrunk(self.pack.images[index], self.spec.size)


def load_model(run: RunFolder, name: str, condition: int | None = None, *, guided_by: int = 0) -> Model:
    """The generator of a class, as `generators/CLASS/` has it.

    Raises:
        InputError: no run, no such class, a class without generator, or a condition that it does not know.
        JobError: the weights do not fit the networks of this version.
    """
    config, _ = recall_job(run)
    _check_class(run, name)
    card = read_json(run.card(name))
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
    return Model(run, config, name, card, family, spec, generator, asked, guided_by)


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
