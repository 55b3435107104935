"""The verdict: whether the accepted synthetic images should be merged into the training set. This is the only rule.

One figure decides, the endpoint (`classifiers.endpoint`): the expected cost of a part where costs were stated, else
balanced accuracy. In words, for real test images that no generator, filter or feature extractor has seen:

do_not_merge, when any of these holds
    1. No synthetic image was accepted, so there is nothing to merge.
    2. With the synthetic images the endpoint is no better than without.
    3. It is significantly worse. (Then 2 holds as well; it makes the sentence stronger.)
    4. One class is significantly harmed, even if the others gain: it is found less often than before or, where costs
       were stated, a part would cost more if all defects of the line were of that class. Kinds of defects are mixed on
       the line as nobody knows, and a defect that slips through costs more than an average shows. This allows for the
       number of classes looked at (Bonferroni).
    5. No costs were stated, and the whole interval of the change in missed defects, all classes together, lies above
       zero. With costs, misses and false rejects have a price each: 2 says whether their exchange pays on the whole,
       4 whether it pays for every kind of defect.

merge, when none of those holds and all of these do
    6. The endpoint is significantly better, at the level of this comparison.
    7. The test set has at least `MIN_GROUPS` independent images; near-duplicates count once. It shows two classes at
       least, and good parts where a class holds these; with costs, `MIN_GROUPS` independent good and defective parts
       each. Each arm was trained at least `MIN_SEEDS` times.
    8. No costs were stated, and the lower end of the interval of the macro-F1 gain is no more than `F1_TOLERANCE` below
       zero: it sees a small class drowned in false alarms, which the recalls hardly do. With costs these are paid for.
    9. No costs were stated, and where a class holds the good parts no more defects are called good on the whole, all
       classes together, however few they are. (Without such a class nothing is let through; 4 and 5 guard the classes.)
    10. Where the arm with synthetic images was given another augmentation or sampling than the one without, 6 and 9
       hold too against real images trained on in that same way (the control), and no class is significantly harmed.
       Otherwise a better recipe would pass for a gain.
    11. The same holds against every other way of training on real images alone (the rivals): which of them the test
        favours is not known when the one to compare with is chosen.

"Significantly" needs both: the whole interval on one side of zero, which knows how far runs differ (and generators,
where several were trained), and a randomisation test that agrees, which stays honest where only a handful of images
changed. As 6, 10 and 11 must all hold, several comparisons of one run make a wrong "merge" less likely, not more.
Several runs on the same, or a growing, test set make it more likely, so each further one has a smaller level
(`bootstrap.spent_alpha`), which 6, 10 and 11 go by; all levels together are 5 %. What speaks against merging keeps the
level of 5 %, as an error there is on the safe side.

inconclusive otherwise: more real test images or more seeds could decide it; where several comparisons have lowered the
level, new test images. Keep the original set until then.

If the synthetic images did nothing at all, the rule would say "merge" in 0 to 2.5 % of first runs, and once or more in
at most 5 % of series of thirty (simulated in tests/classifiers/test_verdict.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from classifiers.bootstrap import Interval
from classifiers.comparison import Change, Gain
from classifiers.endpoint import money
from classifiers.inspection_metrics import InspectionMetrics
from classifiers.levels import ALPHA, MIN_GROUPS, MIN_SEEDS

Decision = Literal["merge", "do_not_merge", "inconclusive"]
F1_TOLERANCE = 0.01


@dataclass(frozen=True)
class Lead:
    """The arm with synthetic images over one of real images alone: in scores, and in misses and false rejects.

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
    if len(class_names) != len(gain.class_groups):
        raise ValueError(f"{len(class_names)} class names for {len(gain.class_groups)} classes; pass one name a class")
    if accepted == 0:
        return Verdict("do_not_merge", "The filter accepted no synthetic image, so the original training set stays.")
    result = _result(gain)
    if harm := _harm(lead, class_names):
        return Verdict("do_not_merge", f"{result}{harm}.")
    if doubt := _doubt(lead, class_names, control, rivals or {}):
        return Verdict("inconclusive", f"{result}{doubt}.")
    undecided = [class_names[k] for k in gain.by_class if not _can_be_harmed(gain, gain.class_groups[k])]
    rest = f"; {_list(undecided)} had too few test images to tell" if undecided else ""
    beside_control = (
        "" if control is None else f"; beside real images under the same augmentation {_brought(control.gain)}"
    )
    return Verdict(
        "merge", f"{result}: the gain is more than chance, and no class was found harmed{rest}{beside_control}."
    )


def _harm(lead: Lead, class_names: Sequence[str]) -> str:
    """What speaks against merging (points 2 to 5), empty if nothing does."""
    gain, inspection = lead.gain, lead.inspection
    if gain.endpoint.interval.mean < 0 and _significant(gain.endpoint):
        return ": the synthetic images do harm"
    if harmed := _harmed_class(gain, class_names):
        return f", but {harmed}"
    if gain.endpoint.interval.mean <= 0:
        return ": no gain was measured"
    if not _priced(gain) and inspection and inspection.miss and inspection.miss.lo > 0:
        return f", but {_missed(inspection)}"
    return ""


def _doubt(lead: Lead, class_names: Sequence[str], control: Lead | None, rivals: Mapping[str, Lead]) -> str:
    """What is missing for "merge" (points 6 to 11), empty if nothing is."""
    gain = lead.gain
    if unfit := _unfit(lead):
        return f", but {unfit}"
    if not _is_gain(gain):
        if gain.comparison_number > 1 and _significant(gain.endpoint):
            return (
                f": a single comparison would call that more than chance, but this is comparison number "
                f"{gain.comparison_number} on these test images, which needs p = {gain.alpha:.2g} or less and an "
                "interval clear of zero at that level; as every further one needs more, measure again on new test "
                "images, in another folder"
            )
        return ": this may be chance; more real test images or seeds could decide it"
    if not _priced(gain) and gain.macro_f1.lo < -F1_TOLERANCE:
        return f", but small classes may lose: macro-F1 changes by {_f1(gain)}"
    if missed := _more_missed(lead):
        return f", but {missed}"
    if control is not None and (short := _shortfall(control, class_names)):
        return f", but beside real images under the same augmentation and sampling {short}"
    for arm, over in sorted(rivals.items(), key=lambda item: item[1].gain.endpoint.interval.mean):
        if short := _shortfall(over, class_names):
            return (
                f", but beside the arm {arm!r} of real images alone, which had not been chosen to compare with, "
                f"{short}; measure again on other test images"
            )
    return ""


def _unfit(lead: Lead) -> str:
    """What the test lacks (point 7), empty if nothing."""
    gain, inspection = lead.gain, lead.inspection
    if gain.groups < MIN_GROUPS:
        return f"only {gain.groups} of these are independent of one another and a verdict needs at least {MIN_GROUPS}"
    if np.count_nonzero(gain.class_groups) < 2:
        return "all of these are of one class"
    if inspection and inspection.good is not None and not gain.class_groups[inspection.good]:
        return "none of these is a good part, so false rejects cannot be measured"
    if _priced(gain) and (inspection is None or inspection.miss is None or inspection.false_reject is None):
        return f"to weigh the stated costs takes {MIN_GROUPS} independent images of good and of defective parts each"
    if gain.seeds < MIN_SEEDS:
        return f"a verdict needs at least {MIN_SEEDS} runs to see how far they differ; raise evaluate.seeds"
    return ""


def _shortfall(lead: Lead, class_names: Sequence[str]) -> str:
    """Why the lead over an arm that was not chosen does not do (points 10 and 11), empty if it does."""
    if not _is_gain(lead.gain):
        return _brought(lead.gain)
    return _harmed_class(lead.gain, class_names) or _more_missed(lead)


def _priced(gain: Gain) -> bool:
    """Whether misses and false rejects have a stated price."""
    return gain.name == "expected_cost"


def _more_missed(lead: Lead) -> str:
    """Where more defects are called good (point 9); empty where none are, or where misses have their price."""
    inspection = lead.inspection
    if inspection is None or inspection.good is None or _priced(lead.gain):
        return ""
    return _missed(inspection) if inspection.after.miss.mean > inspection.before.miss.mean else ""


def _significant(change: Change, alpha: float = ALPHA) -> bool:
    """Whether a change is more than chance, either way: the interval, of level `1 - alpha`, and p have to agree."""
    return (change.interval.lo > 0 or change.interval.hi < 0) and change.p <= alpha


def _is_gain(gain: Gain) -> bool:
    """Whether the endpoint is significantly better, at the level of this comparison (point 6 of the rule)."""
    return gain.strict.lo > 0 and gain.endpoint.p <= gain.alpha


def _brought(gain: Gain) -> str:
    interval, p = gain.endpoint.interval, f"p = {gain.endpoint.p:.2g}"
    if _priced(gain):
        return f"the synthetic images save {money(interval.mean)} a part (95 % interval {_amounts(interval)}, {p})"
    return (
        f"the synthetic images bring {100 * interval.mean:+.1f} points of balanced accuracy "
        f"(95 % interval {_range(interval)}, {p})"
    )


def _missed(inspection: InspectionMetrics) -> str:
    more = 100 * (inspection.after.miss.mean - inspection.before.miss.mean)
    known = f"95 % interval {_range(inspection.miss)}" if inspection.miss else "too few test images for an interval"
    return f"{more:.1f} percentage points more of the defects are missed ({known})"


def _can_be_harmed(gain: Gain, independent: int) -> bool:
    """Whether the randomisation test of a class could come out significant: its least p is 2 / 2^n of n images.

    Half of what is asked for, as the test is a random one.
    """
    return 2.0 ** (1 - independent) <= ALPHA / len(gain.class_groups) / 2


def _list(names: Sequence[str]) -> str:
    shown = [repr(name) for name in names[:3]] + ([f"{len(names) - 3} more"] if len(names) > 3 else [])
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _harmed_class(gain: Gain, class_names: Sequence[str]) -> str:
    """The class that loses most, if one is harmed."""
    harmed = [k for k in gain.by_class if is_harmed(gain, k)]
    if not harmed:
        return ""
    worst = min(harmed, key=lambda k: gain.by_class[k].interval.mean)
    lost, name = gain.by_class[worst].interval.mean, repr(class_names[worst])
    if _priced(gain):
        return f"it would cost {money(-lost)} a part more if all defects were {name}, which is more than chance"
    return f"it recognises {_points(lost)} of class {name}, which is more than chance"


def is_harmed(gain: Gain, label: int) -> bool:
    """Whether a class is significantly worse off with the synthetic images (point 4 of the rule)."""
    change = gain.by_class[label]
    return change.interval.mean < 0 and _significant(change, ALPHA / len(gain.class_groups))


def _result(gain: Gain) -> str:
    runs = "one training run" if gain.seeds == 1 else f"mean of {gain.seeds} training runs"
    if gain.generators > 1:
        runs += f" with the images of each of {gain.generators} trainings of the generators"
    interval, tested = gain.endpoint.interval, f"{runs} on {gain.images} real test images"
    if not _priced(gain):
        return (
            f"With the synthetic images the classifier recognises {_points(interval.mean)} of the parts, each class "
            f"counting alike (balanced accuracy; 95 % interval {_range(interval)}; {tested})"
        )
    if np.isnan(interval.mean):
        return f"What a part costs with the synthetic images cannot be told ({tested})"
    saved = (
        "as much as without"
        if interval.mean == 0
        else (f"{money(abs(interval.mean))} {'less' if interval.mean > 0 else 'more'}")
    )
    return (
        f"With the synthetic images a part costs {saved} at the stated costs (95 % interval of what is saved "
        f"{_amounts(interval)}; {tested})"
    )


def _amounts(interval: Interval) -> str:
    return f"{money(interval.lo)} to {money(interval.hi)}"


def _points(share: float) -> str:
    if round(100 * abs(share), 1) == 0:
        return "no more"
    return f"{100 * abs(share):.1f} percentage points {'more' if share > 0 else 'fewer'}"


def _range(interval: Interval) -> str:
    return f"{100 * interval.lo:+.1f} to {100 * interval.hi:+.1f}"


def _f1(gain: Gain) -> str:
    return f"{100 * gain.macro_f1.mean:+.1f} points (95 % interval {_range(gain.macro_f1)})"
