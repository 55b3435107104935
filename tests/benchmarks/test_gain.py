"""The table of gains: what several splits come to."""

from pathlib import Path

import pytest

from benchmarks.gain.__main__ import few, overview, pooled_gain
from benchmarks.runs import recorded_config, recorded_metrics
from pipeline.config import load_config

NARROW = (-0.001, 0.001)


def test_one_split_speaks_for_itself() -> None:
    assert pooled_gain([0.02], [(-0.01, 0.05)]) == pytest.approx((0.02, 0.03))


def test_splits_that_agree_have_what_their_intervals_come_to() -> None:
    assert pooled_gain([0.02] * 4, [(0.0, 0.04)] * 4) == pytest.approx((0.02, 0.01))


def test_splits_that_differ_widen_the_interval() -> None:
    mean, half = pooled_gain([0.0, 0.02, 0.04], [NARROW] * 3)
    assert mean == pytest.approx(0.02)
    assert half == pytest.approx(4.303 * 0.02 / 3**0.5, rel=1e-3)  # Student's t of two degrees of freedom


GAIN = Path(__file__).parents[2] / "benchmarks" / "gain"


@pytest.mark.parametrize("file", sorted(GAIN.glob("runs/*/*/split-*/config.yaml")), ids=lambda file: str(file.parent))
def test_the_table_goes_on_from_the_runs_that_are_kept(file: Path) -> None:
    split, images = file.parent.name.removeprefix("split-"), file.parent.parent.name
    wanted = load_config(GAIN / "table.yaml", [f"seed={split}", *few(images)])
    assert recorded_config(file.parent) == wanted  # with others the command would refuse the run
    assert overview({images: {int(split): recorded_metrics(file.parent)}})[2].startswith(f"| {images} | 1 |")


def run(
    delta: float, ci95: tuple[float, float], missed: float | None = None, change: object = None
) -> dict[str, object]:
    accuracy, rates = {"accuracy": {"mean": 0.9}}, {"miss_rate": {"mean": missed}, "false_reject_rate": None}
    return {
        "gain": {"accuracy": {"delta": delta, "ci95": ci95}, "baseline": "classical", "augmented": "gan"},
        "arms": {"classical": accuracy, "gan": accuracy},
        "verdict": "merge",
        "worth": {"share": {"mean": 0.5, "ci95": [0.1, 1]}, "images_per_class": 10},
        "inspection": {
            "good": None if missed is None else "free",
            "baseline": rates,
            "augmented": rates,
            "change": {"miss_rate": change, "false_reject_rate": change},
        },
    }


def test_only_a_gain_that_is_more_than_chance_is_put_in_images() -> None:
    said = overview({"10": {0: run(0.02, (-0.01, 0.05))}, "20": {0: run(0.02, (0.01, 0.03))}})
    assert "worth" in said[0] and "images" not in said[2].split("|")[6] and "5 images" in said[3]


def test_missed_defects_are_told_where_a_class_holds_the_good_parts() -> None:
    fewer = {"delta": -0.1, "ci95": [-0.15, -0.05]}
    said = overview({"10": {0: run(0.02, (0.0, 0.04))}, "all": {0: run(0.02, (0.0, 0.04), missed=0.25, change=fewer)}})
    assert "%" not in said[2] and "25.0 → 25.0 %: -10.0 (-15.0 to -5.0)" in said[3]
    assert "75.0 → 75.0 % |" in overview({"all": {0: run(0.02, (0.0, 0.04), missed=0.75)}})[2]


def test_good_parts_rejected_stand_beside_the_missed_defects() -> None:
    tested = run(0.02, (0.0, 0.04), missed=0.25, change={"delta": 0.03, "ci95": [0.01, 0.05]})
    tested["inspection"]["augmented"] = tested["inspection"]["baseline"] | {"false_reject_rate": {"mean": 0.04}}
    tested["inspection"]["baseline"] = tested["inspection"]["baseline"] | {"false_reject_rate": {"mean": 0.01}}
    header, _, row = overview({"all": {0: tested}})
    assert "defects missed | good parts rejected" in header
    assert "1.0 → 4.0 %: +3.0 (+1.0 to +5.0)" in row
