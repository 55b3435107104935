"""The report's section on inspection metrics: rows of its table, and the gain as a number of labelled images."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.report import formatting

Cell = tuple[str, str]  # what is said, and its range in small print
Says = Callable[..., str]
TOO_FEW = ("too few to say", "")


def line_rows(inspection: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows `{"name", "cells"}` of `inspection` in metrics.json; none where nothing could be missed."""
    if "change" not in inspection:
        return []
    missed = "Defects missed" if inspection["good"] else "Defects given a wrong class"
    rows = []
    for name, kind in ((missed, "miss"), ("Good parts rejected", "false_reject")):
        rows.append(_row(name, f"{kind}_rate", inspection, (formatting.percent, formatting.percent_range), _points))
        parts = (formatting.count, formatting.count_range)
        rows.append(_row(f"{name}, per million parts", f"{kind}_ppm", inspection, parts, _parts))
    saved = inspection["change"]["saved_per_part"]
    if saved is not None:
        costs = inspection["costs"]
        name = f"Saved on 1,000 parts, at {costs['miss']:g} a miss and {costs['false_reject']:g} a false reject"
        said = [formatting.cost(1000 * value, "+") for value in (saved["delta"], *saved["ci95"])]
        rows.append({"name": name, "cells": [("", ""), ("", ""), (said[0], f"{said[1]} to {said[2]}")]})
    return [row for row in rows if row]


def worth_said(worth: Mapping[str, Any] | None, counts: Mapping[str, int]) -> str:
    """One sentence on what the gain is worth in labelled images; empty where it was not measured.

    `counts` are the training images of each class.
    """
    if worth is None:
        return ""
    share, there = worth["share"], worth["images_per_class"]
    if share is None:
        return "More real images did not lower the error in this test, so the gain cannot be put in images."
    if share["ci95"][1] <= 0:
        return "The synthetic images did not save the labelling of any real ones."
    mean, low, high = (_images(value, worth["most"], there) for value in (share["mean"], *share["ci95"]))
    of = "of each class" if there else "of every class"
    if share["ci95"][0] <= 0:
        return (
            "Whether the synthetic images saved the labelling of any real ones cannot be told from this test: at most "
            f"{high} {of}."
        )
    each = ", ".join(
        f"{_images(share['mean'], worth['most'], n)} of {formatting.printable(name)}" for name, n in counts.items() if n
    )
    beside = f", beside the {there} there are" if there else f": {each}"
    return (
        f"The gain is worth about {mean} further labelled real images {of}{beside} "
        f"(95 % interval {low} to {high}; read off how the error falls with more real images)."
    ).replace("about more", "more")


def _row(
    name: str, key: str, inspection: Mapping[str, Any], says: tuple[Says, Says], change: Callable[[Any], Cell]
) -> dict[str, Any]:
    """Empty where this was not measured."""
    without, with_, differs = (inspection[part].get(key) for part in ("baseline", "augmented", "change"))
    if without is None:
        return {}
    cells = [(says[0](arm["mean"]), says[1](*arm["ci95"])) for arm in (without, with_)]
    return {"name": name, "cells": [*cells, change(differs) if differs else TOO_FEW]}


def _points(change: Mapping[str, Any]) -> Cell:
    return formatting.points(change["delta"]) + " points", formatting.points_range(*change["ci95"])


def _parts(change: Mapping[str, Any]) -> Cell:
    low, high = change["ci95"]
    return formatting.count(change["delta"], "+"), formatting.count_range(low, high, "+")


def _images(share: float, most: float, there: int | None) -> str:
    more = "more than " if share >= most else ""
    return f"{more}{share * there:.0f}" if there else f"{more}{100 * share:.0f} %"
