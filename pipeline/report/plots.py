"""The report's figures: narrow enough for a phone; shape and hatching repeat what colour says, for grey prints."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ganaug.candidate_filter import REASONS
from pipeline.report.data import Estimate, History
from pipeline.report.data_urls import svg
from pipeline.report.formatting import arm_name, printable, spoken

WIDTH = 4.8  # inches; 460 CSS pixels
BASELINE, AUGMENTED, OTHER, INK, PALE = "#0b3c6f", "#e08a00", "#8a8a8a", "#222222", "#d5d5d5"
MARKERS = {BASELINE: "o", AUGMENTED: "D", OTHER: "o"}
REJECTED = [("#c9c9c9", "////"), ("#efefef", "...."), ("#9d9d9d", ""), ("#dddddd", "xxxx"), ("#b3b3b3", "----")]
LONGEST_NAME = 32
MOST_POINTS = 160

STYLE: Any = {
    "text.parse_math": False,  # a class may be called $x$
    "text.usetex": False,
    "svg.fonttype": "none",  # the reader's fonts know more scripts than ours
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": "#ececec",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "hatch.linewidth": 0.5,
    "figure.constrained_layout.use": True,
}


def _styled(draw: Callable[..., Figure]) -> Callable[..., str]:
    @wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> str:
        with matplotlib.rc_context(STYLE):
            return svg(draw(*args, **kwargs))

    return drawn


def _rows(names: Sequence[str], *, row_height: float = 0.32, margin: float = 0.75) -> tuple[Figure, Axes]:
    """A figure with one labelled row a name, the first on top."""
    figure = Figure(figsize=(WIDTH, margin + row_height * len(names)))
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), [printable(name, LONGEST_NAME) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    return figure, axes


def _interval(
    axes: Axes, row: float, estimate: Estimate, colour: str, label: str | None = None, *, scale: float = 100.0
) -> None:
    mean, low, high = (scale * value for value in estimate)
    axes.plot([low, high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
    inside = "white" if colour == AUGMENTED else colour
    axes.plot([mean], [row], MARKERS[colour], color=colour, markersize=7, markeredgewidth=1.6, mfc=inside, label=label)


@_styled
def arms_plot(
    arms: Mapping[str, Estimate], baseline: str | None, augmented: str | None, *, label: str, scale: float = 1.0
) -> Figure:
    """A figure of each arm, times `scale`, with its interval; the two that the verdict compares stand out."""
    figure, axes = _rows([arm_name(arm) for arm in arms])
    for row, (arm, estimate) in enumerate(arms.items()):
        colour = BASELINE if arm == baseline else AUGMENTED if arm == augmented else OTHER
        role = {baseline: "compared: without synthetic", augmented: "compared: with synthetic"}.get(arm)
        _interval(axes, row, estimate, colour, role, scale=scale)
        if role:
            axes.get_yticklabels()[row].set_fontweight("bold")
    axes.set_xlabel(label)
    axes.margins(x=0.08)
    if baseline in arms or augmented in arms:
        figure.legend(loc="outside upper right", ncols=2, handletextpad=0.2, columnspacing=1)
    return figure


@_styled
def gain_plot(gains: Mapping[str, Estimate]) -> Figure:
    """Differences (with minus without synthetic images) and their intervals about the zero line."""
    figure, axes = _rows(list(gains))
    axes.axvline(0, color=INK, linewidth=1.2)
    for row, estimate in enumerate(gains.values()):
        _interval(axes, row, estimate, AUGMENTED)
    reach = 110 * max([abs(value) for estimate in gains.values() for value in estimate] + [0.01])
    axes.set_xlim(-reach, reach)
    axes.set_xlabel("percentage points (worse ← 0 → better)")
    return figure


@_styled
def recall_plot(classes: Sequence[str], baseline: Mapping[str, Estimate], augmented: Mapping[str, Estimate]) -> Figure:
    """Share of each class's test images that were found, without and with synthetic images."""
    figure, axes = _rows(classes, row_height=0.44)
    for shift, estimates, colour, label in (
        (-0.15, baseline, BASELINE, "without synthetic"),
        (0.15, augmented, AUGMENTED, "with synthetic"),
    ):
        named = False
        for row, name in enumerate(classes):
            if name in estimates:
                _interval(axes, row + shift, estimates[name], colour, None if named else label)
                named = True
    axes.set_xlabel("found among the real test images of the class, %")
    axes.set_xlim(right=101.5)
    figure.legend(loc="outside upper right", ncols=2, handletextpad=0.2, columnspacing=1)
    return figure


@_styled
def rejections_plot(classes: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Candidates of each class: accepted, and rejected by reason."""
    found = {reason for row in classes.values() for reason in row["rejected"]}
    reasons = sorted(found, key=lambda reason: (REASONS.index(reason) if reason in REASONS else len(REASONS), reason))
    figure, axes = _rows(list(classes), row_height=0.36, margin=0.8 + 0.17 * (len(reasons) // 2 + 1))
    left = np.array([float(row["accepted"]) for row in classes.values()])
    height = range(len(classes))
    axes.barh(height, left, color=BASELINE, edgecolor="white", height=0.62, label="accepted")
    for place, reason in enumerate(reasons):
        colour, hatch = REJECTED[place % len(REJECTED)]
        counts = np.array([float(row["rejected"].get(reason, 0)) for row in classes.values()])
        axes.barh(
            height,
            counts,
            left=left,
            color=colour,
            hatch=hatch,
            edgecolor="#6e6e6e",
            linewidth=0.4,
            height=0.62,
            label=printable(f"rejected: {spoken(reason)}", 34),
        )
        left = left + counts
    axes.set_xlabel("synthetic images")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper left", ncols=2, columnspacing=1.2, handlelength=1.6)
    return figure


@_styled
def history_plot(history: History) -> Figure:
    """Losses of the two networks and, where measured, FID and KID along the training."""
    distances = [name for name in ("fid", "kid") if any(_finite(history.get(name, ())))]
    figure = Figure(figsize=(WIDTH, 1.75 + 1.15 * len(distances)))
    panels = figure.subplots(
        1 + len(distances), 1, sharex=True, squeeze=False, height_ratios=[1.3, *[1] * len(distances)]
    )
    losses = panels[0, 0]
    for column, colour, style, label in (
        ("loss_d", BASELINE, "-", "discriminator"),
        ("loss_g", AUGMENTED, "--", "generator"),
    ):
        steps, values = _thinned(history, column)
        losses.plot(steps, values, style, color=colour, linewidth=1.4, label=label)
    losses.set_ylabel("loss")
    figure.legend(loc="outside upper right", ncols=2)
    for axes, name in zip(panels[1:, 0], distances, strict=True):
        steps, values = _measured(history, name)
        axes.plot(steps, values, "o-", color=INK, linewidth=1.2, markersize=4)
        axes.set_ylabel(name.upper())
        axes.set_ylim(bottom=min(0.0, *values))
    panels[-1, 0].set_xlabel("training step")
    return figure


def _finite(column: Sequence[float | None]) -> list[bool]:
    return [value is not None and bool(np.isfinite(value)) for value in column]


def _measured(history: History, column: str) -> tuple[list[float], list[float]]:
    values, steps = history.get(column, ()), history["step"]
    kept = [(step, value) for step, value, fine in zip(steps, values, _finite(values), strict=False) if fine]
    return [float(step or 0) for step, _ in kept], [float(value or 0) for _, value in kept]


def _thinned(history: History, column: str) -> tuple[list[float], list[float]]:
    """At most `MOST_POINTS` points, each the mean over its stretch of training."""
    steps, values = _measured(history, column)
    if len(steps) <= MOST_POINTS:
        return steps, values
    thin_steps, thin_values = (
        [float(part.mean()) for part in np.array_split(np.array(column), MOST_POINTS)] for column in (steps, values)
    )
    return thin_steps, thin_values
