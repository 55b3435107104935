"""From the run's results to the page."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.batch_plan import REAL_LAST, SYNTHETIC_SHARE
from classifiers.bootstrap import spent_alpha
from pipeline.report import formatting, plots
from pipeline.report.data import Estimate, ReportData
from pipeline.report.data_urls import png
from pipeline.report.environment import as_text, page_environment
from pipeline.report.line import line_rows, worth_said

SPLITS = {"train": "training", "val": "validation", "test": "test"}
MOST_PAIRS, MOST_UNFILTERED = 12, 24  # a class; more only make the file large


def render_report(data: ReportData) -> str:
    """The whole report as one HTML text: no script, no network; equal data, equal text.

    Everything that a user could have named (classes, files, notes) is escaped; secrets are masked.
    """
    environment = page_environment()
    environment.filters |= {
        "percent": formatting.percent,
        "points": formatting.points,
        "number": formatting.number,
        "duration": formatting.duration,
        "arm": formatting.arm_name,
        "png": png,
    }
    environment.globals |= {
        "percent_range": formatting.percent_range,
        "points_range": formatting.points_range,
        "figure": formatting.figure,
        "figure_range": formatting.figure_range,
        "improvement": formatting.improvement,
        "spent_alpha": spent_alpha,
        "improvement_range": formatting.improvement_range,
    }
    return as_text(environment.get_template("template.html.j2").render(_view(data)))


def _view(data: ReportData) -> dict[str, Any]:
    """What the template needs beyond the data itself: figures and sums."""
    metrics = data.metrics
    gain = metrics.get("gain")
    arms = metrics.get("arms") or {}
    endpoint = metrics["endpoint"]
    source = metrics.get("source", {}).get("kind", "gan")
    compared = (gain["baseline"], gain["augmented"]) if gain else ()
    baseline, augmented = compared or (None, None)
    classes = list(metrics["dataset"]["classes"])
    generated = metrics.get("classes") or {}
    counts = metrics["dataset"]["counts"]
    return {
        "data": data,
        "metrics": metrics,
        "verdict": metrics["verdict"],
        "verdict_word": formatting.VERDICTS[metrics["verdict"]],
        "gain": gain,
        "endpoint": endpoint,
        "endpoint_name": formatting.ENDPOINTS[endpoint["name"]],
        "more_than_there_is": _more_than_there_is(
            endpoint, arms[baseline][endpoint["name"]]["mean"] if baseline in arms else None
        ),
        "arms": arms,
        "compared": compared,
        "baseline": baseline,
        "augmented": augmented,
        "classes": classes,
        "generated": generated,
        **formatting.MADE[source],
        "totals": {key: sum(row[key] for row in generated.values()) for key in ("generated", "accepted", "used")},
        "counts": counts,
        "splits": SPLITS,
        "test_images": sum((counts.get("test") or {}).values()),
        "seeds": max((row["seed"] + 1 for arm in arms.values() for row in arm.get("seeds") or ()), default=0),
        "repeats": gain.get("repeats", 1) if gain else 1,
        "given": source == "foreign",
        "recall": _recall(data, classes),
        "matrices": {arm: list(_matrix(data.confusion[arm])) for arm in compared if arm in data.confusion},
        "other_matrices": {
            arm: list(_matrix(counted)) for arm, counted in data.confusion.items() if arm not in compared
        },
        "inspection": metrics.get("inspection") or {},
        "line_rows": line_rows(metrics.get("inspection") or {}),
        "synthetic_share": SYNTHETIC_SHARE,
        "real_last": REAL_LAST,
        "worth_said": worth_said(metrics.get("worth"), counts.get("train") or {}),
        "figures": _figures(data, classes, baseline, augmented),
        "histories": {
            name: plots.history_plot(history) for name, history in data.history.items() if len(history["step"])
        },
        "samples": {name: list(pairs)[:MOST_PAIRS] for name, pairs in data.samples.items() if len(pairs)},
        "unfiltered": {name: list(images)[:MOST_UNFILTERED] for name, images in data.unfiltered.items() if len(images)},
    }


def _figures(data: ReportData, classes: list[str], baseline: str | None, augmented: str | None) -> dict[str, str]:
    arms, gain, endpoint = data.metrics.get("arms") or {}, data.metrics.get("gain"), data.metrics["endpoint"]
    rejections = {name: row for name, row in (data.metrics.get("classes") or {}).items() if row.get("generated")}
    without, with_ = (data.recall_intervals.get(arm or "", {}) for arm in (baseline, augmented))
    figures = {}
    found = {arm: _estimate(row[endpoint["name"]], "mean") for arm, row in arms.items()}
    measured = {arm: estimate for arm, estimate in found.items() if None not in estimate}
    if measured:
        in_money = endpoint["name"] == "expected_cost"
        figures["arms"] = plots.arms_plot(
            measured,
            baseline,
            augmented,
            label="expected cost of a part (better ← lower)" if in_money else "balanced accuracy, %",
            scale=1.0 if in_money else 100.0,
        )
    if gain:
        figures["gain"] = plots.gain_plot(_gains(gain, endpoint, data.gain_recall))
    if without and with_:
        figures["recall"] = plots.recall_plot(classes, without, with_)
    if rejections:
        figures["rejections"] = plots.rejections_plot(rejections)
    return figures


def _estimate(score: Mapping[str, Any], centre: str) -> Estimate:
    return score[centre], score["ci95"][0], score["ci95"][1]


def _more_than_there_is(endpoint: Mapping[str, Any], baseline: float | None) -> bool:
    """Whether even a faultless classifier would not gain what the test could detect over the baseline's figure."""
    if baseline is None or endpoint["detectable"] is None:
        return False
    lacking = baseline if endpoint["better"] == "lower" else 1 - baseline
    return bool(endpoint["detectable"] > lacking)


def _gains(gain: Mapping[str, Any], endpoint: Mapping[str, Any], recall: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Differences in percentage points, of which a cost is none."""
    overall = {"Accuracy, all images": "accuracy", "Macro F1": "macro_f1"}
    rows = {said: _estimate(gain[key], "delta") for said, key in overall.items()}
    if endpoint["name"] == "balanced_accuracy":
        rows = {formatting.ENDPOINTS["balanced_accuracy"]: _estimate(endpoint, "delta")} | rows
    return rows | {f"Found: {name}": estimate for name, estimate in recall.items()}


def _recall(data: ReportData, classes: list[str]) -> dict[str, dict[str, tuple[float | None, ...]]]:
    """Recall of each arm and class with its interval, without where none was given."""
    arms = data.metrics.get("arms") or {}
    return {
        arm: {
            name: data.recall_intervals.get(arm, {}).get(name, ((row.get("recall") or {}).get(name), None, None))
            for name in classes
        }
        for arm, row in arms.items()
    }


def _matrix(counted: NDArray[np.int64]) -> Iterator[list[tuple[int, float]]]:
    """Rows of (count, share of the true class); counts are summed over the seeds."""
    table = np.asarray(counted)
    for row in table:
        total = max(int(row.sum()), 1)
        yield [(int(count), int(count) / total) for count in row]
