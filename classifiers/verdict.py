"""The verdict: whether the accepted synthetic images should be merged into the training set. The rule stands here only.

In words, for real test images that no generator, filter or feature extractor has seen:

do_not_merge, when any of these holds
    1. No synthetic image was accepted, so there is nothing to merge.
    2. The classifier trained with the synthetic images gets no more test images right than the one without.
    3. The whole 95 % interval of that gain lies below zero. (Then 2 holds as well; it makes the sentence stronger.)
    4. One class is found significantly less often than before, even if the others gain: a defect that slips through
       costs more than an average shows. "Significantly" allows for the number of classes looked at (Bonferroni), and
       needs both the interval of the class's change below zero and a randomisation test that agrees.

merge, when none of those holds and all of these do
    5. The whole 95 % interval of the accuracy gain lies above zero.
    6. The lower end of the interval of the macro-F1 gain, in which small classes count as much as large ones, is no
       more than `F1_TOLERANCE` below zero.
    7. The test set has at least `MIN_GROUPS` independent images; near-duplicates count once.
    8. Where the arm with synthetic images was given another augmentation than the one without, 5 holds too against real
       images under that same augmentation (the control). Otherwise a better augmentation would pass for a gain.

inconclusive otherwise: more real test images or more seeds could decide it. Keep the original set until then.

If the synthetic images did nothing at all, the rule would say "merge" in about 2 to 3 % of runs (by simulation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from classifiers.bootstrap import ALPHA, MIN_GROUPS, Interval
from classifiers.comparison import Gain

Decision = Literal["merge", "do_not_merge", "inconclusive"]
F1_TOLERANCE = 0.01


@dataclass(frozen=True)
class Verdict:
    """The decision, and one sentence that gives its reason with the figures."""

    decision: Decision
    reason: str


def decide(gain: Gain, *, accepted: int, class_names: Sequence[str], control: Gain | None = None) -> Verdict:
    """Apply the rule above to a comparison; `accepted` counts synthetic images, `class_names` are in label order.

    `control` is the gain over real images under the augmentation of the synthetic arm, where that is another one.

    Raises:
        ValueError: the number of class names is not that of the classes compared.
    """
    if len(class_names) != len(gain.recall):
        raise ValueError(f"{len(class_names)} class names for {len(gain.recall)} classes; pass one name a class")
    if accepted == 0:
        return Verdict("do_not_merge", "The filter accepted no synthetic image, so the original training set stays.")

    harmed = [k for k in range(len(class_names)) if is_harmed(gain, k)]
    result = _result(gain)
    if gain.accuracy.hi < 0:
        return Verdict("do_not_merge", f"{result}: the synthetic images do harm.")
    if harmed:
        worst = min(harmed, key=lambda k: gain.recall[k].mean)
        name, drop = class_names[worst], _points(gain.recall[worst].mean)
        return Verdict("do_not_merge", f"{result}, but {drop} of class {name!r}, which is more than chance.")
    if gain.accuracy.mean <= 0:
        return Verdict("do_not_merge", f"{result}: there is no gain to be had.")
    if gain.groups < MIN_GROUPS:
        return Verdict(
            "inconclusive",
            f"{result}, but only {gain.groups} of these are independent of one another and a verdict needs "
            f"at least {MIN_GROUPS}.",
        )
    if gain.accuracy.lo <= 0:
        return Verdict("inconclusive", f"{result}: this may be chance; more real test images or seeds could decide it.")
    if gain.macro_f1.lo < -F1_TOLERANCE:
        return Verdict("inconclusive", f"{result}, but small classes may lose: macro-F1 changes by {_f1(gain)}.")
    if control is not None and control.accuracy.lo <= 0:
        return Verdict(
            "inconclusive",
            f"{result}, but that may be the work of its other augmentation: over real images under the same one they "
            f"bring {100 * control.accuracy.mean:+.1f} points (95 % interval {_range(control.accuracy)}).",
        )
    return Verdict("merge", f"{result}: the gain is more than chance, and no class is harmed.")


def is_harmed(gain: Gain, label: int) -> bool:
    """Whether a class is found significantly less often with the synthetic images (point 4 of the rule)."""
    return gain.recall[label].hi < 0 and gain.recall_p[label] <= ALPHA / len(gain.recall)


def _result(gain: Gain) -> str:
    runs = "one training run" if gain.seeds == 1 else f"mean of {gain.seeds} training runs"
    return (
        f"With the synthetic images the classifier recognises {_points(gain.accuracy.mean)} of the {gain.images} real "
        f"test images (95 % interval {_range(gain.accuracy)}; {runs})"
    )


def _points(share: float) -> str:
    if round(100 * abs(share), 1) == 0:
        return "no more"
    return f"{100 * abs(share):.1f} percentage points {'more' if share > 0 else 'fewer'}"


def _range(interval: Interval) -> str:
    return f"{100 * interval.lo:+.1f} to {100 * interval.hi:+.1f}"


def _f1(gain: Gain) -> str:
    return f"{100 * gain.macro_f1.mean:+.1f} points (95 % interval {_range(gain.macro_f1)})"
