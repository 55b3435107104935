"""The section that says what a comparison means on the line: rows of a table, and what the gain is worth in images."""

from collections.abc import Mapping
from typing import Any

from pipeline.report import words

Cell = tuple[str, str]  # what is said, and its range in small print


def line_rows(quality: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows `{"name", "cells"}` of `quality` in metrics.json; none where nothing could be missed."""
    if "change" not in quality:
        return []
    without, with_, change = quality["baseline"], quality["augmented"], quality["change"]
    missed = "Defects missed" if quality["good"] else "Defects given a wrong class"
    rows = []
    for name, rate, per_million in (
        (missed, "miss_rate", "missed_ppm"),
        ("Good parts rejected", "false_reject_rate", "false_reject_ppm"),
    ):
        if without[rate] is not None:
            rates = [_cell(arm[rate], words.percent, words.percent_range) for arm in (without, with_)]
            cells = [*rates, _cell(change[rate], words.points, words.points_range, "delta", " points")]
            rows.append({"name": name, "cells": cells})
            counts = [_cell(arm[per_million], words.count, words.count_range) for arm in (without, with_)]
            difference = with_[per_million]["mean"] - without[per_million]["mean"]
            rows.append({"name": f"{name}, per million parts", "cells": [*counts, (words.count(difference, "+"), "")]})
    if change["saved_per_part"] is not None:
        saved = change["saved_per_part"]
        cell = words.number(1000 * saved["delta"]), " to ".join(words.number(1000 * end) for end in saved["ci95"])
        rows.append({"name": "Saved on 1,000 parts, at your costs", "cells": [("", ""), ("", ""), cell]})
    return rows


def worth_said(worth: Mapping[str, Any] | None) -> str:
    """One sentence on what the gain is worth in labelled images; empty where it was not measured."""
    if worth is None:
        return ""
    images = worth["images_per_class"]
    (low, high), there = images["ci95"], worth["curve"][-1]["images_per_class"]
    if images["mean"] <= 0:
        return "The synthetic images did not save the labelling of any real ones."
    most = worth["most"] * there
    ends = [f"more than {most:.0f}" if end >= most else f"{end:.0f}" for end in (images["mean"], low, high)]
    said = (
        f"The gain is worth about {ends[0]} more labelled real images of each class, beside the {there:.0f} that there "
        f"are (95 % interval {ends[1]} to {ends[2]}; read off how the error falls with more real images)."
    )
    return said.replace("about more", "more").replace("-", words.MINUS)


def _cell(score: Mapping[str, Any], say: Any, say_range: Any, centre: str = "mean", unit: str = "") -> Cell:
    return say(score[centre]) + unit, say_range(*score["ci95"])
