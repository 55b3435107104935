"""Symptoms in a training's history: checks of its rows, each a generator of the spans where it holds.

A span once found stays as rows are added, at most it grows.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median, pstdev
from typing import NamedTuple

Row = Mapping[str, float]
Rows = Sequence[Row]

WINDOW, STRIDE = 40, 10  # rows that are looked at together, and rows between two looks: 800 and 200 steps
EARLY = 10  # rows that tell what is usual at the start
SURE = 0.97  # share of real images scored above generated ones, from which a discriminator is sure
EVEN = 0.2  # accuracy within this of 0.5 is balanced
VANISHED = 0.01  # gradient norm, that at the start being 1
GROWTH, FLOOR = 10.0, 50.0  # times the level at the start, and the level, from which growth is divergence
SWINGS = 4  # of a loss or of FID within a window: two full turns
FID_SWING = 3.0  # ratio of FID at two turning points; with tens of images, 2 is chance


class Span(NamedTuple):
    """First and last row where a check found something, and its figure at the last."""

    first: int
    last: int
    figure: float


def _windows(rows: Rows) -> Iterator[tuple[int, Rows]]:
    for start in range(0, len(rows) - WINDOW + 1, STRIDE):
        yield start, rows[start : start + WINDOW]


def _column(rows: Rows, name: str) -> list[float]:
    return [row[name] for row in rows if name in row]


def _strong_discriminator(rows: Rows, wasserstein: bool) -> Iterator[Span]:
    for start, window in () if wasserstein else _windows(rows):
        accuracy = fmean(_column(window, "accuracy"))
        if accuracy >= SURE:
            yield Span(start, start + WINDOW - 1, accuracy)


def _balanced(rows: Rows, wasserstein: bool) -> Iterator[Span]:
    for start, window in _windows(rows):
        accuracy = fmean(_column(window, "accuracy"))
        if abs(accuracy - 0.5) <= EVEN:
            yield Span(start, start + WINDOW - 1, accuracy)


def _vanishing_gradients(rows: Rows, wasserstein: bool) -> Iterator[Span]:
    """The generator's gradient is next to nothing while the discriminator is sure (Arjovsky & Bottou 2017)."""
    early = max(_column(rows[:EARLY], "gradient_g"), default=0.0)
    for start, window in _windows(rows):
        left = median(_column(window, "gradient_g")) / max(early, 1e-30)
        if left < VANISHED and fmean(_column(window, "accuracy")) >= SURE:
            yield Span(start, start + WINDOW - 1, left)


def _divergence(rows: Rows, wasserstein: bool) -> Iterator[Span]:
    """Losses, or the gap between the scores, grow through each third of a window, to a level that means nothing."""

    def level(row: Row) -> float:
        values = [row["loss_d"], row["score_real"] - row["score_fake"]] + ([] if wasserstein else [row["loss_g"]])
        return max(map(abs, values))

    levels = [level(row) for row in rows]
    early = median(levels[:EARLY] or [0.0])
    for start, _ in _windows(rows):
        third = WINDOW // 3
        a, b, c = (median(levels[start + i * third : start + (i + 1) * third]) for i in range(3))
        if a < b < c and c > max(FLOOR, GROWTH * early):
            yield Span(start, start + WINDOW - 1, c)


def _oscillation(rows: Rows, wasserstein: bool) -> Iterator[Span]:
    """A loss turns again and again by more than its own level, or FID by a factor, neither calming down nor drifting.

    Of a Wasserstein pair the discriminator's loss alone counts: the generator's follows the critic's free offset.
    """
    for name in ("loss_d",) if wasserstein else ("loss_d", "loss_g"):
        smooth = _without_spikes(_column(rows, name))
        for start, _ in _windows(rows):
            values = smooth[start : start + WINDOW]
            swing = _lasting_swing(values, max(1.0, median(map(abs, values))))
            if swing:
                yield Span(start, start + WINDOW - 1, swing)
    at = [i for i, row in enumerate(rows) if row.get("fid", 0.0) > 0]
    for part in (at[k - 2 * SWINGS : k] for k in range(2 * SWINGS, len(at) + 1)):
        swing = _lasting_swing([math.log(rows[i]["fid"]) for i in part], math.log(FID_SWING))
        if swing:
            yield Span(part[0], part[-1], math.exp(swing))


def _without_spikes(values: list[float]) -> list[float]:
    """Each value's median with the two before it: what lasts for one row only is gone."""
    return [median(values[max(0, i - 2) : i + 1]) for i in range(len(values))]


def _lasting_swing(values: Sequence[float], size: float) -> float:
    """Mean swing of values that swing by `size` or more and go on doing so about one level, otherwise 0."""
    swings = [abs(swing) for swing in swings_of(values, size)]
    if len(swings) < SWINGS:
        return 0.0
    before, after = values[: len(values) // 2], values[len(values) // 2 :]
    calms = pstdev(after) < 0.7 * pstdev(before)
    drifts = abs(fmean(after) - fmean(before)) > 0.5 * fmean(swings)
    return 0.0 if calms or drifts else fmean(swings)


def swings_of(values: Sequence[float], size: float) -> list[float]:
    """Differences between successive turning points; a turn counts once the values have come back by `size`."""
    turns: list[float] = []
    low = high = values[0]
    rising: bool | None = None
    for value in values:
        low, high = min(low, value), max(high, value)
        if rising is not True and value - low >= size:
            turns, rising, high = [*turns, low], True, value
        elif rising is not False and high - value >= size:
            turns, rising, low = [*turns, high], False, value
    if rising is not None:
        turns.append(high if rising else low)
    return [b - a for a, b in pairwise(turns)]


CHECKS: dict[str, Callable[[Rows, bool], Iterator[Span]]] = {
    "oscillation": _oscillation,
    "divergence": _divergence,
    "vanishing_gradients": _vanishing_gradients,
    "strong_discriminator": _strong_discriminator,
    "balanced": _balanced,
}


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans that overlap or follow one another without a gap, as one."""
    whole: list[Span] = []
    for span in sorted(spans):
        if whole and span.first <= whole[-1].last + 1:
            first, last, figure = whole.pop()
            span = Span(first, *((span.last, span.figure) if span.last >= last else (last, figure)))
        whole.append(span)
    return whole
