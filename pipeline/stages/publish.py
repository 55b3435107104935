"""Put the trained generators where a person looks for them: `generators/CLASS/`, each with a card."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.config import Config
from pipeline.descriptions import SentenceEmbedding
from pipeline.errors import JobError
from pipeline.log import RunLog
from pipeline.stages.guides import embedding_of, training_images
from pipeline.stages.models import averaged, by_task
from pipeline.stages.records import Pack, Prepared, Trained, load_pack
from pipeline.stages.seen import require_unseen
from pipeline.store import RunFolder, StoreError, code_version, load_tensors, read_json, save_tensors, write_json

ANEW = "train anew with `ganaug run` or `ganaug class update`"


def publish(run: RunFolder, config: Config, prepared: Prepared, trained: Sequence[Trained]) -> None:
    """Write `generators/CLASS/` with the model that draws the class, the one that enlarges if any, and their card.

    Models that are there already are left as they are, and so is the folder of a class whose training failed.

    Raises:
        JobError: no generator was trained at all, or none that enlarges what the others draw.
    """
    painters, enlarger = by_task(trained)
    if painters and not any(t.model for t in painters):
        raise JobError(f"Every generator failed to train: {painters[0].failure}")
    if enlarger and not enlarger.model:
        raise JobError(f"The generator that enlarges failed to train (generate.upscale): {enlarger.failure}")
    pack = load_pack(prepared.pack)
    enlarging, its_card = averaged(Path(enlarger.model)) if enlarger else ({}, {})
    stay = {name for record in painters for name in (record.conditions if record.model else [record.name])}
    for file in run.generator("any").parent.glob("*/card.json"):
        if file.parent.name not in stay:  # of a run with another configuration or data set
            _withdraw(run, file.parent.name)
    for record in painters:
        if not record.model:
            continue
        weights, card = averaged(Path(record.model))
        for name, conditions in record.conditions.items():
            _save_unless_there(run.model(name), weights, record.digest)
            if enlarger:
                _save_unless_there(run.enlarger(name), enlarging, enlarger.digest)
            else:
                run.enlarger(name).unlink(missing_ok=True)
            if card["guide"] == "text":
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
                    "guide": _guides_of(card, pack, prepared.classes.index(name)),
                    "enlarger": {"generator": enlarger.digest, **_summary(its_card)} if enlarger else None,
                },
            )


def _withdraw(run: RunFolder, name: str) -> None:
    """Remove what `publish` wrote for a class, and its folder unless somebody has put something else there."""
    for file in (run.model(name), run.enlarger(name), run.sentences(name), run.card(name)):
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
    """What a generator has learnt that sentences mean, from `RunFolder.sentences`."""
    return SentenceEmbedding.from_state(load_tensors(Path(file)))


def published(run: RunFolder, prepared: Prepared) -> list[Trained]:
    """The generators that a finished run has left in its folder, to be used as they are on the images there are now.

    Raises:
        InputError: one has learned from images that are test images now.
        JobError: there is none, or one that a card names is gone.
    """
    cards = [read_json(card) for card in sorted((run.out / "generators").glob("*/card.json"))]
    if not cards:
        raise JobError(f"{run.out} holds no generator yet; train first, with `ganaug run` or `ganaug class add`.")
    enlargers = [card["enlarger"] for card in cards if card["enlarger"]]
    scales = {card["generator"]: 1 for card in cards} | {e["generator"]: e["spec"]["scale"] for e in enlargers}
    found = []
    for key, scale in scales.items():
        model = run.stored("generator", key)
        try:
            record = load_tensors(model)[1]
        except (OSError, StoreError) as error:
            raise JobError(f"{model} is gone or damaged ({error}); train again.") from None
        who = f"The generator {record['name']!r} of {run.out}"
        require_unseen(record, prepared, RunLog(run.log), generator=who, mend=ANEW)
        found.append(Trained(record["name"], str(model), key, record["asked"], record["seconds"], scale=scale))
    return found


def _summary(card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "family": card["family"],
        "base": card["base"],
        "spec": card["spec"],
        "options": card["options"],
        "steps": card["step"],
        "seconds": card["seconds"],
        "metrics": card["history"][-1] if card["history"] else {},
        "monitor": card["monitor"],
    }


def _guides_of(card: Mapping[str, Any], pack: Pack, label: int) -> dict[str, Any] | None:
    """The images whose guides are drawn, in the order that `pipeline/stages/guides.py: draw` counts them in."""
    if card["guide"] == "none":
        return None
    return {"kind": card["guide"], "images": [pack.rows[i]["path"] for i in training_images(pack, label).tolist()]}
