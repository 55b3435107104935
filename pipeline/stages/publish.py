"""Publish the trained generators in `generators/CLASS/`, each with a card."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.config import Config
from pipeline.descriptions import SentenceEmbedding
from pipeline.errors import JobError
from pipeline.log import RunLog
from pipeline.stages.conditioning_inputs import embedding_of, training_images
from pipeline.stages.records import Pack, Prepared, Trained, load_pack
from pipeline.stages.seen import require_unseen
from pipeline.stages.trained_models import ANEW, averaged, by_repeat, by_task, published_cards
from pipeline.store import RunFolder, StoreError, code_version, load_tensors, save_tensors, write_json


def publish(run: RunFolder, config: Config, prepared: Prepared, trained: Sequence[Trained]) -> None:
    """Write `generators/CLASS/` with the model that draws the class, the one that enlarges if any, and their card.

    Those are of the first repeat; the card names the models of the others, which stay in the store. Models that are
    there already are left as they are, and so is the folder of a class whose training failed.

    Raises:
        JobError: no generator was trained at all, or none that enlarges what the others draw.
    """
    generators, super_resolver = by_task(by_repeat(trained)[0])
    if generators and not any(t.model for t in generators):
        raise JobError(f"Every generator failed to train: {generators[0].failure}")
    if super_resolver and not super_resolver.model:
        raise JobError(f"The generator that enlarges failed to train (generate.upscale): {super_resolver.failure}")
    pack = load_pack(prepared.pack)
    enlarging, its_card = averaged(Path(super_resolver.model)) if super_resolver else ({}, {})
    stay = {name for record in generators for name in (record.conditions if record.model else [record.name])}
    for file in run.generator("any").parent.glob("*/card.json"):
        if file.parent.name not in stay:  # of a run with another configuration or data set
            _withdraw(run, file.parent.name)
    for record in generators:
        if not record.model:
            continue
        weights, card = averaged(Path(record.model))
        for name, conditions in record.conditions.items():
            _save_unless_there(run.model(name), weights, record.digest)
            if super_resolver:
                _save_unless_there(run.super_resolver(name), enlarging, super_resolver.digest)
            else:
                run.super_resolver(name).unlink(missing_ok=True)
            if card["conditioning_input"] == "text":
                save_tensors(run.sentences(name), *embedding_of(pack).state())
            else:
                run.sentences(name).unlink(missing_ok=True)
            write_json(
                run.card(name),
                {
                    "class": name,
                    "generator": record.digest,
                    "conditions": sorted(set(conditions)),
                    "data_digest": prepared.digest,
                    "seed": config.seed,
                    "code_version": code_version(),
                    "config": config.gan.model_dump(mode="json"),
                    **_summary(card),
                    "conditioning_input": _conditioning_inputs_of(card, pack, prepared.classes.index(name)),
                    "super_resolver": {"generator": super_resolver.digest, **_summary(its_card)}
                    if super_resolver
                    else None,
                    "repeats": [
                        {"repeat": t.repeat, "generator": t.digest, "scale": t.scale}
                        for t in trained
                        if t.repeat > 0 and name in t.conditions
                    ],
                },
            )


def _withdraw(run: RunFolder, name: str) -> None:
    """Remove what `publish` wrote for a class, and its folder unless somebody has put something else there."""
    for file in (run.model(name), run.super_resolver(name), run.sentences(name), run.card(name)):
        file.unlink(missing_ok=True)
    if not any(run.generator(name).iterdir()):
        run.generator(name).rmdir()


def _save_unless_there(file: Path, weights: dict[str, Tensor], generator: str) -> None:
    """Save the weights, unless the file holds this generator's and is sound."""
    try:
        if load_tensors(file)[1] == {"generator": generator}:
            return
    except (OSError, StoreError):
        pass
    save_tensors(file, weights, {"generator": generator})


def sentence_embedding(file: str | Path) -> SentenceEmbedding:
    """The text embedding that a generator was trained with, from `RunFolder.sentences`."""
    return SentenceEmbedding.from_state(load_tensors(Path(file)))


def published(run: RunFolder, prepared: Prepared) -> list[Trained]:
    """The generators that a finished run has left in its folder, to be used as they are on the images there are now.

    Raises:
        InputError: one has learned from images that are test images now.
        JobError: there is none, one is of an earlier version, or one that a card names is gone.
    """
    cards = published_cards(run)
    if not cards:
        raise JobError(f"{run.out} holds no generator yet; train first, with `ganaug run` or `ganaug class add`.")
    found = []
    for key, scale, repeat in dict.fromkeys(model for card in cards for model in _models(card)):
        model = run.stored("generator", key)
        try:
            record = load_tensors(model)[1]
        except (OSError, StoreError) as error:
            raise JobError(f"{model} is gone or damaged ({error}); train again.") from None
        who = f"The generator {record['name']!r} of {run.out}"
        require_unseen(record, prepared, RunLog(run.log), generator=who, mend=ANEW)
        made = str(model), key, record["asked"], record["seconds"]
        found.append(Trained(record["name"], *made, scale=scale, repeat=repeat))
    return found


def _models(card: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Digest, scale and repeat of each model that a card names."""
    yield card["generator"], 1, 0
    if card["super_resolver"]:
        yield card["super_resolver"]["generator"], card["super_resolver"]["spec"]["scale"], 0
    for one in card.get("repeats", ()):  # cards of earlier versions have none
        yield one["generator"], one["scale"], one["repeat"]


def _summary(card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "family": card["family"],
        "init_from": card["init_from"],
        "spec": card["spec"],
        "options": card["options"],
        "steps": card["step"],
        "seconds": card["seconds"],
        "metrics": card["history"][-1] if card["history"] else {},
        "monitor": card["monitor"],
    }


def _conditioning_inputs_of(card: Mapping[str, Any], pack: Pack, label: int) -> dict[str, Any] | None:
    """The images whose conditioning inputs are drawn, in the order of `conditioning_inputs.py: draw`."""
    if card["conditioning_input"] == "none":
        return None
    return {
        "kind": card["conditioning_input"],
        "images": [pack.rows[i]["path"] for i in training_images(pack, label).tolist()],
    }
