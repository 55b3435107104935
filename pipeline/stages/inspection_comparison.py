"""Inspection metrics of the comparison: misses, false rejects, parts per million, costs, gain in labelled images."""

from collections.abc import Mapping, Sequence
from typing import Any

from classifiers.bootstrap import Interval, Ints
from classifiers.comparison import Change
from classifiers.endpoint import Costs, Endpoint, balanced_accuracy, expected_cost
from classifiers.inspection_metrics import InspectionMetrics, inspection_metrics, per_million
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.reading import is_good
from pipeline.stages.records import Prepared


def good_class(config: Config, classes: Sequence[str]) -> str | None:
    """The class of good parts: `inspection.good`, or the one class whose name says so.

    Raises:
        InputError: `inspection.good` is no class of the data set.
    """
    asked = config.inspection.good
    if asked is not None and asked not in classes:
        raise InputError(
            f"inspection.good = {asked!r} is no class; choose among {', '.join(classes)}, or leave it out."
        )
    named = [name for name in classes if is_good(name)]
    return asked or (named[0] if len(named) == 1 else None)


def require_good_class(config: Config, classes: Sequence[str]) -> None:
    """Raise InputError where `inspection.good` is no class, or costs are stated and no class holds good parts."""
    if good_class(config, classes) is None and _costs(config):
        raise InputError(
            "inspection.cost_miss and inspection.cost_false_reject need a class of good parts; name it with "
            f"inspection.good (the classes: {', '.join(classes)}), or leave the costs out."
        )


def endpoint_of(config: Config, classes: Sequence[str], truth: Ints) -> Endpoint:
    """The figure that decides: the expected cost where costs are stated, else balanced accuracy over `truth` int64 [N].

    Raises:
        InputError: as `require_good_class`.
    """
    require_good_class(config, classes)
    good, costs = good_class(config, classes), _costs(config)
    if good is None or costs is None:
        return balanced_accuracy(truth, len(classes))
    return expected_cost(len(classes), good=classes.index(good), prevalence=config.inspection.prevalence, costs=costs)


def compare_inspection(
    config: Config, prepared: Prepared, truth: Ints, groups: Ints, baseline: Ints, augmented: Ints
) -> InspectionMetrics | None:
    """Misses and false rejects of two arms; None where no test image has a defect."""
    good = good_class(config, prepared.classes)
    label = None if good is None else prepared.classes.index(good)
    if (truth == label).all():
        return None
    return inspection_metrics(
        truth,
        baseline,
        augmented,
        groups,
        classes=len(prepared.classes),
        good=label,
        resamples=config.evaluate.resamples,
        seed=config.seed,
    )


def inspection_record(
    config: Config, prepared: Prepared, found: InspectionMetrics | None, endpoint: Change
) -> dict[str, Any]:
    """What `metrics.json` says under `inspection`: both arms' rates, what changes, and the agreement between them.

    What is saved is the change of `endpoint`, where that is a cost and `classifiers.verdict` could weigh it.
    """
    q, costs = config.inspection, _costs(config)
    stated: dict[str, Any] = {"good": good_class(config, prepared.classes), "prevalence": q.prevalence}
    if costs:
        stated["costs"] = {"miss": costs.miss, "false_reject": costs.false_reject}
    if found is None:
        return stated
    saved = endpoint.interval if costs and found.miss and found.false_reject else None
    shares = {"miss_rate": q.prevalence, "false_reject_rate": 1 - q.prevalence} if found.after.false_reject else {}
    rates = [_rates(arm.miss, arm.false_reject, shares, "mean") for arm in (found.before, found.after)]
    missed = [_by_name(arm.missed, prepared.classes) for arm in (found.before, found.after)]
    change = _rates(found.miss, found.false_reject, shares, "delta")
    return stated | {
        "baseline": rates[0] | {"missed": missed[0]},
        "augmented": rates[1] | {"missed": missed[1]},
        "change": change | {"saved_per_part": estimate(saved, "delta")},
        "kappa": found.kappa,
    }


def _costs(config: Config) -> Costs | None:
    q = config.inspection
    return None if q.cost_miss is None or q.cost_false_reject is None else Costs(q.cost_miss, q.cost_false_reject)


def estimate(interval: Interval | None, name: str) -> dict[str, Any] | None:
    """An interval as `metrics.json` has it: its centre under `name`, its ends under `ci95`."""
    return None if interval is None else {name: interval.mean, "ci95": [interval.lo, interval.hi]}


def _rates(
    miss: Interval | None, false_reject: Interval | None, shares: Mapping[str, float], centre: str
) -> dict[str, Any]:
    """Rates or changes of rates, and what they come to in a million parts where `shares` says of how many."""
    found = {"miss_rate": miss, "false_reject_rate": false_reject}
    parts = {
        name.replace("_rate", "_ppm"): per_million(rate, shares[name]) if rate and name in shares else None
        for name, rate in found.items()
    }
    return {name: estimate(rate, centre) for name, rate in (found | parts).items()}


def _by_name(missed: Mapping[int, Interval], classes: Sequence[str]) -> dict[str, Any]:
    return {classes[label]: estimate(interval, "mean") for label, interval in missed.items()}
