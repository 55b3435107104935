"""Write `report.html` from the results of the stages."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline import report as page
from pipeline.config import Config, dump_config
from pipeline.masking import mask_secrets
from pipeline.report.data import Estimate
from pipeline.report.training_pictures import columns_of
from pipeline.stages.records import Choices, Prepared, Selected, Supply, as_pixels, load_images, load_pack
from pipeline.store import RunFolder, code_version, load_tensors, read_json, write_atomically

SHOWN = 12


def report(
    run: RunFolder,
    config: Config,
    source: Path,
    prepared: Prepared,
    supply: Supply,
    selected: Sequence[Selected],
    choices: Choices,
) -> Path:
    """Write `report.html` from `metrics.json` and the records; returns its path."""
    details = read_json(run.store / "comparison.json")
    cards = {t.name: load_tensors(Path(t.model))[1] for t in supply.trained if t.model}
    metrics = read_json(run.metrics)
    data = page.ReportData(
        metrics=metrics,
        title=mask_secrets(source.name),
        confusion={arm: np.array(counts) for arm, counts in details["confusion"].items()},
        recall_intervals={arm: _estimates(recall) for arm, recall in details["recall"].items()},
        gain_recall=_estimates(details["gain_recall"]),
        history={name: columns_of(card["history"]) for name, card in cards.items()},
        findings={name: [found["text"] for found in card["monitor"]["findings"]] for name, card in cards.items()},
        samples={one.class_name: _pairs(prepared, one, choices) for one in selected},
        unfiltered={one.class_name: [as_pixels(i) for i in load_images(one.candidates)[:SHOWN]] for one in selected},
        reading=page.Reading(
            counts={split: sum(of.values()) for split, of in prepared.counts.items()}, notes=prepared.notes
        ),
        choices=page.Choices(
            method=choices.method,
            policies=choices.scores["policy"],
            policy=choices.policy,
            ratios={int(ratio): score for ratio, score in choices.scores["ratio"].items()},
            ratio=choices.ratio,
        ),
        config_yaml=dump_config(config),
        provenance=_provenance(config, source),
        warnings=_warnings(supply, selected, cards),
        checked=metrics["source"]["kind"] == "gan" and all(card.get("seen") is not None for card in cards.values()),
    )
    write_atomically(run.report, page.render_report(data).encode())
    return run.report


def _estimates(intervals: Mapping[str, Mapping[str, Any]]) -> dict[str, Estimate]:
    """Without the classes that have no test image: nothing was measured for them."""
    measured = {name: s for name, s in intervals.items() if None not in s.values()}
    return {name: (s["mean"], s["lo"], s["hi"]) for name, s in measured.items()}


def _pairs(prepared: Prepared, one: Selected, choices: Choices) -> list[page.Pair]:
    """Accepted images evenly spread over their realism, so that the weak ones show too."""
    scores, _ = load_tensors(Path(one.file))
    images, real = load_images(one.candidates), load_pack(prepared.pack).images
    chosen = scores[f"ratio_{choices.ratio}"]
    chosen = chosen[scores["realism"][chosen].argsort(descending=True, stable=True)]
    spread = torch.linspace(0, max(len(chosen) - 1, 0), min(SHOWN, len(chosen))).round().long()
    return [
        page.Pair(
            as_pixels(images[i]),
            as_pixels(real[int(scores["nearest_real"][i])]),
            float(scores["distance"][i]),
            float(scores["realism"][i]),
        )
        for i in chosen[spread].tolist()
    ]


def _provenance(config: Config, source: Path) -> dict[str, Any]:
    return {
        "data set": mask_secrets(source.name),
        "seed": config.seed,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "program": f"ganaug {code_version()}",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _warnings(supply: Supply, selected: Sequence[Selected], cards: Mapping[str, Mapping[str, Any]]) -> list[str]:
    warnings = list(supply.remarks)
    warnings += [f"No generator for {t.name}: {t.failure}" for t in supply.trained if t.failure]
    for name, card in cards.items():
        if card.get("seen") is None:
            warnings.append(
                f"Generator of {name}: it is not recorded which images it, or the one it was fine-tuned from, has "
                "learned from; test images may be among them, and the figures too good. Train it anew, without "
                "gan.init_from."
            )
        warnings += [
            f"Generator of {name}: {found['text']} The filter keeps one of each image."
            for found in card["monitor"]["findings"]
            if found["kind"] == "mode_collapse" and found["open"] and card["monitor"]["kept"] is None
        ]
    for one in selected:
        if one.refused:
            warnings.append(f"Class {one.class_name} was refused as a whole: {one.refused}")
        warnings += [f"{one.class_name}: {warning}" for warning in one.warnings]
    return warnings
