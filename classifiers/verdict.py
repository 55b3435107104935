"""The verdict: whether the accepted synthetic images should be merged into the training set. This is the only rule.

In words, for real test images that no generator, filter or feature extractor has seen:

do_not_merge, when any of these holds
    1. No synthetic image was accepted, so there is nothing to merge.
    2. The classifier trained with the synthetic images gets no more test images right than the one without.
    3. It gets significantly fewer right. (Then 2 holds as well; it makes the sentence stronger.)
    4. One class is found significantly less often than before, even if the others gain: a defect that slips through
       costs more than an average shows. This allows for the number of classes looked at (Bonferroni).
    5. The whole interval of the change in missed defects, all classes together, lies above zero.
    6. Costs were stated, and the whole interval of what is saved lies below zero.

merge, when none of those holds and all of these do
    7. The classifier trained with the synthetic images gets significantly more test images right.
    8. The lower end of the interval of the macro-F1 gain, in which small classes count as much as large ones, is no
       more than `F1_TOLERANCE` below zero.
    9. The test set has at least `MIN_GROUPS` independent images; near-duplicates count once. It shows two classes at
       least, and good parts where a class holds these. Each arm was trained at least `MIN_SEEDS` times.
    10. Not more defects are missed on the whole, all classes together, however few they are.
    11. Where costs were stated, something is saved.
    12. Where the arm with synthetic images was given another augmentation or sampling than the one without, 7, 10 and
        11 hold too against real images trained on in that same way (the control), and no class is found significantly
        less often. Otherwise a better recipe would pass for a gain.
    13. The same holds against every other way of training on real images alone (the rivals): which of them the test
        favours is not known when the one to compare with is chosen.

"Significantly" needs both: the whole 95 % interval on one side of zero, which knows how far runs differ, and a
randomisation test that agrees, which stays honest where only a handful of images changed. As 7, 12 and 13 must all
hold, several comparisons make a wrong "merge" less likely, not more.

inconclusive otherwise: more real test images or more seeds could decide it. Keep the original set until then.

If the synthetic images did nothing at all, the rule would say "merge" in 0 to 2.5 % of runs (simulated in
tests/classifiers/test_verdict.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from classifiers.bootstrap import ALPHA, MIN_GROUPS, MIN_SEEDS, Interval
from classifiers.comparison import Gain
from classifiers.inspection_metrics import InspectionMetrics

Decision = Literal["merge", "do_not_merge", "inconclusive"]
F1_TOLERANCE = 0.01


@dataclass(frozen=True)
class Lead:
    """The arm with synthetic images over one of real images alone: in images right, and in misses and costs.

    `inspection` is None where no test image has a defect.
    """

    gain: Gain
    inspection: InspectionMetrics | None = None


@dataclass(frozen=True)
class Verdict:
    """The decision, and one sentence that gives its reason with the figures."""

    decision: Decision
    reason: str


def decide(
    lead: Lead,
    *,
    accepted: int,
    class_names: Sequence[str],
    control: Lead | None = None,
    rivals: Mapping[str, Lead] | None = None,
) -> Verdict:
    """Apply the rule above; `lead` is over the arm of real images that was chosen to compare with.

    `accepted` counts synthetic images, `class_names` are in label order. `control` is the lead over real images under
    the recipe of the synthetic arm, where that is another one. `rivals` are the leads over the other real-only arms.

    Raises:
        ValueError: the number of class names is not that of the classes compared.
    """
    gain = lead.gain
    if len(class_names) != len(gain.recall):
        raise ValueError(f"{len(class_names)} class names for {len(gain.recall)} classes; pass one name a class")
    if accepted == 0:
        return Verdict("do_not_merge", "The filter accepted no synthetic image, so the original training set stays.")
    result = _result(gain)
    if harm := _harm(lead, class_names):
        return Verdict("do_not_merge", f"{result}{harm}.")
    if doubt := _doubt(lead, class_names, control, rivals or {}):
        return Verdict("inconclusive", f"{result}{doubt}.")
    undecided = [name for name, n in zip(class_names, gain.recall_groups, strict=True) if not _can_be_harmed(gain, n)]
    rest = f"; {_list(undecided)} had too few test images to tell" if undecided else ""
    beside_control = (
        "" if control is None else f"; beside real images under the same augmentation {_brought(control.gain)}"
    )
    return Verdict(
        "merge", f"{result}: the gain is more than chance, and no class was found harmed{rest}{beside_control}."
    )


def _harm(lead: Lead, class_names: Sequence[str]) -> str:
    """What speaks against merging (points 2 to 6), empty if nothing does."""
    gain, inspection = lead.gain, lead.inspection
    if gain.accuracy.mean < 0 and _significant(gain.accuracy, gain.p):
        return ": the synthetic images do harm"
    if harmed := _harmed_class(gain, class_names):
        return f", but {harmed}"
    if gain.accuracy.mean <= 0:
        return ": no gain was measured"
    if inspection and inspection.miss and inspection.miss.lo > 0:
        return f", but {_missed(inspection)}"
    if inspection and inspection.saved and inspection.saved.hi < 0:
        return ", but at the stated costs that is dearer than without them, by more than chance"
    return ""


def _doubt(lead: Lead, class_names: Sequence[str], control: Lead | None, rivals: Mapping[str, Lead]) -> str:
    """What is missing for "merge" (points 7 to 13), empty if nothing is."""
    gain = lead.gain
    if unfit := _unfit(lead):
        return f", but {unfit}"
    if not _is_gain(gain):
        return ": this may be chance; more real test images or seeds could decide it"
    if gain.macro_f1.lo < -F1_TOLERANCE:
        return f", but small classes may lose: macro-F1 changes by {_f1(gain)}"
    if price := _price(lead):
        return f", but {price}"
    if control is not None and (short := _shortfall(control, class_names)):
        return f", but beside real images under the same augmentation and sampling {short}"
    for arm, over in sorted(rivals.items(), key=lambda item: item[1].gain.accuracy.mean):
        if short := _shortfall(over, class_names):
            return (
                f", but beside the arm {arm!r} of real images alone, which had not been chosen to compare with, "
                f"{short}; measure again on other test images"
            )
    return ""


def _unfit(lead: Lead) -> str:
    """What the test lacks (point 9), empty if nothing."""
    gain, inspection = lead.gain, lead.inspection
    if gain.groups < MIN_GROUPS:
        return f"only {gain.groups} of these are independent of one another and a verdict needs at least {MIN_GROUPS}"
    if np.count_nonzero(gain.recall_groups) < 2:
        return "all of these are of one class"
    if inspection and inspection.good is not None and not gain.recall_groups[inspection.good]:
        return "none of these is a good part, so false rejects cannot be measured"
    if gain.seeds < MIN_SEEDS:
        return f"a verdict needs at least {MIN_SEEDS} runs to see how far they differ; raise evaluate.seeds"
    return ""


def _shortfall(lead: Lead, class_names: Sequence[str]) -> str:
    """Why the lead over an arm that was not chosen does not do (points 12 and 13), empty if it does."""
    if not _is_gain(lead.gain):
        return _brought(lead.gain)
    harmed = _harmed_class(lead.gain, class_names)
    return f"it recognises {harmed}" if harmed else _price(lead)


def _price(lead: Lead) -> str:
    """Why more images right are no gain for the line (points 10 and 11), empty if they are."""
    inspection = lead.inspection
    if inspection is None:
        return ""
    if inspection.after.miss.mean > inspection.before.miss.mean:
        return _missed(inspection)
    if inspection.costs and inspection.saved is None:
        return f"to weigh the stated costs takes {MIN_GROUPS} independent images of good and of defective parts"
    if inspection.saved and inspection.saved.mean <= 0:
        return "at the stated costs nothing is saved"
    return ""


def _significant(change: Interval, p: float, alpha: float = ALPHA) -> bool:
    """Whether a change is more than chance, either way: the interval and the randomisation test have to agree."""
    return (change.lo > 0 or change.hi < 0) and p <= alpha


def _is_gain(gain: Gain) -> bool:
    """Whether significantly more test images are right (point 7 of the rule)."""
    return gain.accuracy.mean > 0 and _significant(gain.accuracy, gain.p)


def _brought(gain: Gain) -> str:
    points = f"{100 * gain.accuracy.mean:+.1f} points"
    return f"the synthetic images bring {points} (95 % interval {_range(gain.accuracy)}, p = {gain.p:.2g})"


def _missed(inspection: InspectionMetrics) -> str:
    more = 100 * (inspection.after.miss.mean - inspection.before.miss.mean)
    known = f"95 % interval {_range(inspection.miss)}" if inspection.miss else "too few test images for an interval"
    return f"{more:.1f} percentage points more of the defects are missed ({known})"


def _can_be_harmed(gain: Gain, independent: int) -> bool:
    """Whether the randomisation test of a class could come out significant: its least p is 2 / 2^n of n images.

    Half of what is asked for, as the test is a random one.
    """
    return 2.0 ** (1 - independent) <= ALPHA / len(gain.recall) / 2


def _list(names: Sequence[str]) -> str:
    shown = [repr(name) for name in names[:3]] + ([f"{len(names) - 3} more"] if len(names) > 3 else [])
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _harmed_class(gain: Gain, class_names: Sequence[str]) -> str:
    """The class that loses most, if one is harmed."""
    harmed = [k for k in range(len(class_names)) if is_harmed(gain, k)]
    if not harmed:
        return ""
    worst = min(harmed, key=lambda k: gain.recall[k].mean)
    return f"{_points(gain.recall[worst].mean)} of class {class_names[worst]!r}, which is more than chance"


def is_harmed(gain: Gain, label: int) -> bool:
    """Whether a class is found significantly less often with the synthetic images (point 4 of the rule)."""
    change = gain.recall[label]
    return change.mean < 0 and _significant(change, gain.recall_p[label], ALPHA / len(gain.recall))


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
