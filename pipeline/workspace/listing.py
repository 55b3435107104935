"""What there is in a workspace: images, generators, and what the last comparison said of each class."""

from dataclasses import dataclass

from pipeline.stages.records import load_pack
from pipeline.store import read_json
from pipeline.workspace.folder import Workspace


@dataclass(frozen=True)
class ClassState:
    """One class: images by split; its generator (`none`, `trained`, or `outdated` since images came or went); the last
    comparison's change of its recall and how many of its synthetic images were accepted, None where there was none."""

    name: str
    train: int
    test: int
    generator: str
    gain: float | None
    accepted: int | None


def class_states(workspace: Workspace) -> list[ClassState]:
    """Every class of the registry, sorted by name."""
    workspace.require()
    images: dict[str, dict[str, str]] = {}
    for row in workspace.rows():
        images.setdefault(row.label, {})[row.sha256] = row.split
    run = workspace.run
    metrics = read_json(run.metrics) if run.metrics.exists() else {}
    details = run.store / "comparison.json"
    gains = read_json(details)["gain_recall"] if details.exists() else {}
    seen = _trained_on(workspace)
    states = []
    for name, splits in sorted(images.items()):
        has = run.card(name).exists()
        mine = {sha256 for sha256, split in splits.items() if split != "test"}
        row = metrics.get("classes", {}).get(name, {})
        states.append(
            ClassState(
                name,
                train=len(mine),
                test=len(splits) - len(mine),
                generator="none" if not has else "trained" if seen.get(name) == mine else "outdated",
                gain=gains.get(name, {}).get("mean"),
                accepted=row.get("accepted"),
            )
        )
    return states


def _trained_on(workspace: Workspace) -> dict[str, set[str]]:
    """Class -> digests of the training and validation images that its generator's run had."""
    found: dict[str, set[str]] = {}
    for card in (workspace.run.out / "generators").glob("*/card.json"):
        pack = workspace.run.stored("pack", read_json(card)["data_digest"])
        if pack.exists():
            loaded = load_pack(str(pack))
            for i in [*loaded.of("train").tolist(), *loaded.of("val").tolist()]:
                found.setdefault(loaded.rows[i]["label"], set()).add(loaded.rows[i]["sha256"])
    return found
