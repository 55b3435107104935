"""Prefect artifacts of a run: the verdict as markdown; arms, classes and the last runs as tables."""

import hashlib
import re
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from pipeline.history import history
from pipeline.report import formatting
from pipeline.store import RunFolder

LAST = 20  # runs in the comparison


def mark_of(folder: Path) -> str:
    """Six digits that tell folders of the same name apart."""
    return hashlib.sha256(str(folder).encode()).hexdigest()[:6]


def key_of(run: RunFolder, what: str) -> str:
    """Key of an artifact of a run's folder: the same every time, so that Prefect shows that folder's history."""
    out = run.out.resolve()
    named = re.sub("[^a-z0-9]+", "-", f"{out.parent.name}-{out.name}".lower()).strip("-")
    return f"ganaug-{what}-{named}-{mark_of(out)}"


def publish_results(metrics: dict[str, Any], run: RunFolder) -> None:
    """Attach the artifacts to the flow run."""
    gain, endpoint = metrics["gain"], metrics["endpoint"]
    name = endpoint["name"]
    create_markdown_artifact(
        key=key_of(run, "verdict"),
        description="Whether the synthetic images are worth merging",
        markdown=(
            f"# {formatting.VERDICTS[metrics['verdict']]}\n\n{metrics['reason']}\n\n"
            f"{formatting.ENDPOINTS[name]}, `{gain['augmented']}` over `{gain['baseline']}`: "
            f"{formatting.improvement(name, endpoint['delta'])} better "
            f"(95 % interval {formatting.improvement_range(name, *endpoint['ci95'])}; comparison number "
            f"{metrics['comparison_number']}, significant at p = {metrics['alpha']:.2g} or less).\n\n"
            f"Report: `{run.report}`\n"
        ),
    )
    create_table_artifact(
        key=key_of(run, "arms"),
        description=f"{formatting.ENDPOINTS[name]} and accuracy of every arm on the untouched real test images",
        table=[
            {
                "arm": arm,
                formatting.ENDPOINTS[name].lower(): formatting.figure(name, row[name]["mean"]),
                "its 95 % interval": formatting.figure_range(name, *row[name]["ci95"]),
                "accuracy": formatting.percent(row["accuracy"]["mean"]),
                "macro F1": formatting.percent(row["macro_f1"]["mean"]),
            }
            for arm, row in metrics["arms"].items()
        ],
    )
    create_table_artifact(
        key=key_of(run, "classes"),
        description="What became of the synthetic images, class by class",
        table=[
            {
                "class": name,
                "generated": row["generated"],
                "accepted": row["accepted"],
                "used": row["used"],
                **row["rejected"],
            }
            for name, row in metrics["classes"].items()
        ],
    )

    create_table_artifact(
        key=key_of(run, "compare"),
        description="Endpoint, FID and misses of the last runs in this folder, the newest first",
        table=[
            {
                "finished": row["time"],
                "verdict": formatting.VERDICTS[row["verdict"]],
                "classes": row["classes"],
                "training images": row["images"],
                **_compared(row.get("endpoint")),
                "accuracy, points": f"{100 * row['gain']:+.1f}",
                "FID": None if row["fid"] is None else round(row["fid"], 1),
                "defects missed": None if row["miss_rate"] is None else formatting.percent(row["miss_rate"]),
            }
            for row in history(run, last=LAST)
        ],
    )


def _compared(endpoint: dict[str, Any] | None) -> dict[str, str | None]:
    """What a line of the history says of the endpoint; lines of earlier versions say nothing."""
    if endpoint is None:
        return dict.fromkeys(("endpoint", "better by", "95 % interval"))
    name = endpoint["name"]
    return {
        "endpoint": formatting.ENDPOINTS[name].lower(),
        "better by": formatting.improvement(name, endpoint["delta"]),
        "95 % interval": formatting.improvement_range(name, *endpoint["ci95"]),
    }
