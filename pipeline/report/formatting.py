"""Formatting of numbers, names and verdicts for the report."""

import math
import unicodedata
from typing import Any

from classifiers.endpoint import money

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"

ARM_NAMES = {
    "real": "Real images only",
    "balanced": "Real, classes balanced",
    "classical": "Real, classical augmentation",
    "gan": "Real + accepted synthetic",
    "gan_unfiltered": "Real + unfiltered synthetic",
    "classical_gan": "Classical + accepted synthetic",
}

MADE = {  # how the synthetic images came about, by `source.kind` of metrics.json
    "gan": {"made": "generated", "order": "in the order in which they were drawn"},
    "foreign": {"made": "given", "order": "in the order of their files"},
}

VERDICTS = {
    "merge": "Merge",
    "do_not_merge": "Do not merge",
    "inconclusive": "Inconclusive",
}

ENDPOINTS = {"balanced_accuracy": "Balanced accuracy", "expected_cost": "Expected cost of a part"}


def arm_name(arm: str) -> str:
    return ARM_NAMES.get(arm, spoken(arm))


def spoken(identifier: str) -> str:
    """`low_confidence` as `low confidence`."""
    return printable(identifier).replace("_", " ")


def printable(text: Any, longest: int = 0) -> str:
    """`text` on one line, without control characters and lone surrogates; cut to `longest` characters if given."""
    clean = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") else c for c in str(text)
    )
    return clean[: longest - 1] + "…" if longest and len(clean) > longest else clean


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, a dash for a missing or infinite value."""
    if value is None or not math.isfinite(value):
        return MISSING
    plain = value == 0 or 1e-4 <= abs(value) < 1e4
    return f"{value:.{digits}g}".replace("-", MINUS) if plain else f"{value:.1e}"


def percent(share: float | None) -> str:
    return MISSING if share is None or not math.isfinite(share) else f"{100 * share:.1f} %"


def points(delta: float | None) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return MISSING if delta is None or not math.isfinite(delta) else f"{100 * delta:+.1f}".replace("-", MINUS)


def percent_range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return MISSING
    return f"{100 * low:.1f} to {100 * high:.1f}"


def points_range(low: float | None, high: float | None) -> str:
    return MISSING if low is None or high is None else f"{points(low)} to {points(high)}"


def count(value: float, sign: str = "") -> str:
    """A number of parts, with separators between thousands."""
    return f"{round(value) + 0:{sign},d}".replace("-", MINUS)


def count_range(low: float, high: float, sign: str = "") -> str:
    return f"{count(low, sign)} to {count(high, sign)}"


def figure(name: str, value: float | None) -> str:
    """The figure of an endpoint: a share as per cent, a cost as money."""
    return percent(value) if name == "balanced_accuracy" else cost(value)


def figure_range(name: str, low: float | None, high: float | None) -> str:
    return percent_range(low, high) if name == "balanced_accuracy" else f"{cost(low)} to {cost(high)}"


def improvement(name: str, delta: float | None) -> str:
    """How much better an endpoint became: percentage points, or money saved a part."""
    return f"{points(delta)} points" if name == "balanced_accuracy" else f"{cost(delta, '+')} a part"


def improvement_range(name: str, low: float | None, high: float | None) -> str:
    return points_range(low, high) if name == "balanced_accuracy" else f"{cost(low, '+')} to {cost(high, '+')}"


def cost(value: float | None, sign: str = "") -> str:
    """Money, as `classifiers.endpoint.money`; a dash for a missing or infinite value."""
    return MISSING if value is None or not math.isfinite(value) else money(value, sign).replace("-", MINUS)


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
