"""The quality department's numbers in a real run: the good class, what is missed, and the learning curve."""

from collections import Counter
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.job import run_job
from pipeline.stages.images_worth import PARTS, part_of
from pipeline.stages.inspection_comparison import good_class
from pipeline.stages.records import load_pack
from pipeline.store import RunFolder
from tests import tiny
from tests.conftest import Finished


@pytest.mark.parametrize(
    ("classes", "asked", "found"),
    [
        (["crack", "free"], None, "free"),
        (["Good", "crack"], None, "Good"),
        (["crack", "pit"], None, None),
        (["good", "ok"], None, None),  # which of them, a person must say
        (["good", "ok"], "ok", "ok"),
        (["crack", "pit"], "pit", "pit"),
    ],
)
def test_the_good_class_is_the_one_named_so(classes: list[str], asked: str | None, found: str | None) -> None:
    config = tiny.settings(*([] if asked is None else [f"inspection.good={asked}"]))
    assert good_class(config, classes) == found


def test_a_good_class_that_is_none_is_refused_before_training(tmp_path: Path, textures_folder: Path) -> None:
    run = RunFolder(tmp_path / "out")
    run.prepare()
    with pytest.raises(InputError, match=r"inspection\.good = 'fine' is no class; choose among blobs, grain, lines"):
        run_job(run, tiny.settings("inspection.good=fine"), textures_folder)
    assert not (run.out / "generators").exists()


def test_one_cost_alone_is_refused() -> None:
    with pytest.raises(InputError, match="cost_miss and cost_false_reject go together"):
        tiny.settings("inspection.cost_miss=3")


def test_costs_and_a_good_class_reach_metrics_and_repeat_no_training(finished: Finished, copied: RunFolder) -> None:
    """Costs may choose another arm, and that one's control and learning curve be trained; nothing is trained twice."""
    fits = tiny.times(copied.store / "fits")
    settings = (
        "inspection.good=grain",
        "inspection.cost_miss=50",
        "inspection.cost_false_reject=1",
        "inspection.prevalence=0.1",
    )
    metrics = run_job(copied, tiny.settings(*settings), finished.source)
    assert fits.items() <= tiny.times(copied.store / "fits").items()
    inspection, arms = metrics["inspection"], metrics["arms"]
    assert inspection["good"] == "grain" and inspection["prevalence"] == 0.1
    assert inspection["costs"] == {"miss": 50, "false_reject": 1}
    for role in ("baseline", "augmented"):
        rates, recall = inspection[role], arms[metrics["gain"][role]]["recall"]
        assert rates["false_reject_rate"]["mean"] == pytest.approx(1 - recall["grain"])
        assert rates["missed"].keys() == {"blobs", "lines"}
        assert rates["miss_ppm"]["mean"] == pytest.approx(1e5 * rates["miss_rate"]["mean"])
    assert set(inspection["change"].values()) == {None}  # a dozen test images are too few
    endpoint = metrics["endpoint"]
    assert endpoint["name"] == "expected_cost" and endpoint["better"] == "lower"
    for role in ("baseline", "augmented"):
        rates = inspection[role]
        cost = 0.1 * 50 * rates["miss_rate"]["mean"] + 0.9 * rates["false_reject_rate"]["mean"]
        assert endpoint[role] == metrics["gain"][role]
        assert arms[endpoint[role]]["expected_cost"]["mean"] == pytest.approx(cost)
    before, after = (arms[endpoint[role]]["expected_cost"]["mean"] for role in ("baseline", "augmented"))
    assert endpoint["delta"] == pytest.approx(before - after)
    assert "Expected cost of a part, without synthetic images" in copied.report.read_text(encoding="utf-8")


def test_a_look_at_the_same_images_with_other_eyes_is_one_more(finished: Finished, copied: RunFolder) -> None:
    costs = tiny.settings("inspection.good=grain", "inspection.cost_miss=50", "inspection.cost_false_reject=1")
    comparisons = [run_job(copied, config, finished.source) for config in (costs, costs, finished.config)]
    # the same once more is none, as is the first
    assert [metrics["comparison_number"] for metrics in comparisons] == [2, 2, 1]
    assert comparisons[0]["alpha"] == pytest.approx(comparisons[2]["alpha"] / 4) == pytest.approx(0.0076, abs=1e-4)
    assert {**comparisons[0], "seconds": 0} == {**comparisons[1], "seconds": 0}
    assert {**comparisons[2], "seconds": 0} == {**finished.metrics, "seconds": 0}


def test_costs_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="both 0, so nothing could be saved"):
        tiny.settings("inspection.cost_miss=0", "inspection.cost_false_reject=0")


def test_the_curve_ends_at_the_baseline(finished: Finished) -> None:
    metrics = finished.metrics
    curve, counts = metrics["worth"]["curve"], metrics["dataset"]["counts"]["train"]
    assert [point["images"] for point in curve] == [6, 12, sum(counts.values())]  # of 8 a class: 2, 4, 8
    assert metrics["worth"]["images_per_class"] == 8
    assert curve[-1]["accuracy"] == pytest.approx(metrics["arms"][metrics["gain"]["baseline"]]["accuracy"]["mean"])


def test_parts_are_stratified_nested_and_differ_between_seeds(finished: Finished) -> None:
    pack = load_pack(str(next(finished.run.store.glob("pack-*"))))
    train = pack.of("train").tolist()
    quarter, half = (part_of(train, pack, share, 3) for share in PARTS)
    assert set(quarter) < set(half) < set(train)
    assert Counter(pack.labels[list(half)].tolist()) == dict.fromkeys(range(3), 4)
    assert part_of(train, pack, 0.5, 4) != half == part_of(train, pack, 0.5, 3)


def test_the_curve_can_be_left_out(finished: Finished, copied: RunFolder) -> None:
    metrics = run_job(copied, tiny.settings("inspection.learning_curve=false"), finished.source, until="evaluate")
    assert metrics["worth"] is None
