import base64
import functools
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.report import Reading, ReportData, render_report
from pipeline.report.line import worth_said
from tests.report_example import HOSTILE, metrics, report_data


class Page(HTMLParser):
    """Tags, addresses and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def spaced(html: str) -> str:
    """The text of a page with single spaces, between cells and tags too."""
    return " ".join(Page(html.replace("<", " <")).text.split())


def figures(html: str) -> list[ElementTree.Element]:
    found = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    return [ElementTree.fromstring(base64.b64decode(text)) for text in found]


def test_the_verdict_comes_first_and_everything_asked_for_is_there() -> None:
    html = render_report(report_data(["crazing", "patches"]))
    page = Page(html)
    said = [
        *("Merge", "With them the classifier is right more often.", "84.0 %", "90.0 %", "+6.0", "+1.3 to +8.7"),
        "Balanced accuracy, without synthetic images",
        *("22", "of 60 generated", "18 real test images", "3 times", "95 % interval:", "Few images a class."),
        *("Real against augmented", "p = 0.013", "70.0 to 90.0", "+2.0", "What is confused with what"),
        *("12.5", "31.8", "8.25", "0.0123", "0.0456", "\N{MINUS SIGN}0.0004"),  # accepted, unchosen, real
        *("15 low confidence", "11 synthetic, 20 real"),
        *("0.91", "0.83", "0.47"),  # precision, coverage, authenticity
        *("scattering-64", "distance 0.31", "realism 1.20", "flips (chosen)", "2 (chosen)"),
        *("Left out: a.png (empty file).", "torch 2.9", "5e1f", "29 min", "seed: 0"),
    ]
    missing = [words for words in said if words not in page.text]
    assert not missing
    assert page.text.index("With them the classifier") < page.text.index("Real against augmented")
    assert page.text.count("How to read") >= 8
    assert len(figures(html)) == 5


@functools.cache
def page_of(verdict: str) -> str:
    return render_report(report_data(["a", "b"], verdict))


@pytest.mark.parametrize(
    ("verdict", "word"), [("merge", "Merge"), ("do_not_merge", "Do not merge"), ("inconclusive", "Inconclusive")]
)
def test_each_verdict_is_said_in_words_and_by_its_own_shape(verdict: str, word: str) -> None:
    assert f"<h1>{word}</h1>" in page_of(verdict)
    others = [page_of(other) for other in ("merge", "do_not_merge", "inconclusive")]
    shapes = {re.search(r"<svg viewBox.*?</svg>", page, re.DOTALL).group() for page in others}  # type: ignore[union-attr]
    assert len(shapes) == 3


def test_hostile_names_stay_text() -> None:
    data = report_data(HOSTILE)
    data = replace(data, title=HOSTILE[0], warnings=HOSTILE, reading=Reading({HOSTILE[1]: 1}, HOSTILE))
    html = render_report(data)
    page = Page(html)
    assert "script" not in page.tags and page.tags.count("h1") == 1
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert HOSTILE[0] in page.text and "größe 面 🙂" in page.text
    drawn = "".join("".join(figure.itertext()) for figure in figures(html))
    assert HOSTILE[0] in drawn and HOSTILE[2] in drawn
    html.encode("utf-8")


@settings(max_examples=10, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=60), min_size=2, max_size=4, unique=True))
def test_any_class_names_make_a_page_without_scripts_or_addresses(classes: list[str]) -> None:
    html = render_report(report_data(classes))
    page = Page(html)
    assert "script" not in page.tags
    assert page.addresses and all(address.startswith("data:image/") for address in page.addresses)
    assert len(figures(html)) == 5


def test_nothing_accepted_is_a_complete_page() -> None:
    bare = metrics(["a", "b"], "do_not_merge")
    bare["gain"] = None
    bare["arms"] = {arm: bare["arms"][arm] for arm in ("real", "balanced", "classical")}
    for row in bare["classes"].values():
        row |= {"accepted": 0, "used": 0, "fid": None, "kid": None, "features": None}
    page = Page(render_report(ReportData(metrics=bare)))
    assert "Do not merge" in page.text and "What became of the synthetic images" in page.text
    assert "with synthetic" not in page.text


@pytest.mark.parametrize("verdict", ["merge", "do_not_merge"])
def test_where_fewer_are_used_than_were_accepted_both_are_said(verdict: str) -> None:
    data = report_data(["crazing", "patches"], verdict)
    all_used = spaced(render_report(data))
    assert "Synthetic images accepted and used 22 of 60 generated" in all_used and "11 used" not in all_used
    data.metrics["classes"]["patches"]["used"] = 5
    text = spaced(render_report(data))
    assert "in the set that was compared 16 used of 22 accepted, of 60 generated" in text
    assert "11 5 used" in text and "11 11 used" not in text
    assert "as the chosen number of synthetic images a real one asks for" in text


def test_a_class_without_a_generator_is_left_out_of_the_figure_of_rejections_only() -> None:
    data = report_data(["a", "rare"])
    del data.metrics["classes"]["rare"]
    page = Page(render_report(data))
    assert page.text.count("11 synthetic") == 1
    assert "rare" in page.text


def test_secrets_are_masked() -> None:
    data = replace(
        report_data(["a", "b"]), config_yaml="weights: https://me:hunter2@host/w\n", warnings=["token=hunter2"]
    )
    assert "hunter2" not in render_report(data)


def test_equal_data_gives_an_equal_page() -> None:
    assert render_report(report_data(["a", "b"])) == page_of("merge")


def test_what_was_seen_in_training_is_said_below_its_curves() -> None:
    data = replace(
        report_data(["a", "b"]), findings={"a": ["Steps 500 to 900: <b>collapse</b>.", "Step 5: password=hunter2"]}
    )
    page = Page(render_report(data))
    assert page.text.index("How the generators learned") < page.text.index("Steps 500 to 900: <b>collapse</b>.")
    assert "hunter2" not in page.text


def test_misses_false_rejects_costs_and_worth_are_said_in_the_lines_own_numbers() -> None:
    text = spaced(render_report(report_data(["good", "scratch"])))
    minus = "\N{MINUS SIGN}"
    for said in (
        "Defects missed 10.0 %",
        f"{minus}4.0 points",
        "Defects missed, per million parts 2,000 900 to 3,100",
        f"{minus}800 {minus}1,400 to {minus}200",
        "Good parts rejected, per million parts 196,000",
        "+9,800",
        "2 % of all parts are defective",
        "Saved on 1,000 parts, at 100 a miss and 2 a false reject",
        f"+1,234 {minus}10.4 to +2,500",
        "kappa = 0.87",
        "worth about 14 further labelled real images of each class, beside the 20 there are",
        "(95 % interval 2 to more than 180;",
        "If the true gain were +3.1 points, roughly 8 in 10 comparisons",
        "over real images under that same one its gain is +5.2 points",
    ):
        assert said in text, said


def worth_of(**changed: Any) -> str:
    data = report_data(["good", "scratch"])
    return spaced(render_report(replace(data, metrics={**data.metrics, "worth": {**data.metrics["worth"], **changed}})))


def test_a_gain_is_put_in_images_only_where_that_is_known() -> None:
    assert "cannot be told from this test: at most 60 of each class" in worth_of(share={"mean": 1, "ci95": [-0.1, 3]})
    assert "did not lower the error in this test" in worth_of(share=None)
    assert "did not save the labelling" in worth_of(share={"mean": -0.2, "ci95": [-0.4, 0]})


@pytest.mark.parametrize("mean", [-0.01, 0.01])
def test_a_loss_within_chance_is_no_more_certain_than_a_gain_within_chance(mean: float) -> None:
    said = worth_of(share={"mean": mean, "ci95": [-0.4, 3.0]})
    assert "cannot be told from this test: at most 60 of each class" in said and "did not save" not in said


def test_what_a_gain_is_worth_is_said_of_each_class_where_these_differ_in_size() -> None:
    worth = metrics(["good", "scratch"])["worth"] | {"images_per_class": None}
    said = worth_said(worth, {"good": 200, "scratch": 10, "dent": 0})
    assert "about 71 % further labelled real images of every class: 142 of good, 7 of scratch (95 %" in said
    assert "more than 900 %" in worth_said(worth | {"share": {"mean": 9.0, "ci95": [1, 9]}}, {"good": 2})


def test_without_good_parts_only_wrong_classes_are_counted() -> None:
    data = report_data(["good", "scratch"])
    nothing = dict.fromkeys(("false_reject_rate", "false_reject_ppm", "miss_ppm"))
    inspection = dict(data.metrics["inspection"]) | {"good": None}
    for arm in ("baseline", "augmented"):
        inspection[arm] = inspection[arm] | nothing
    inspection["change"] = {"miss_rate": None, "saved_per_part": None, **nothing}
    text = spaced(render_report(replace(data, metrics={**data.metrics, "inspection": inspection, "worth": None})))
    assert "Defects given a wrong class 10.0 %" in text and "too few to say" in text
    for absent in ("Good parts rejected", "Saved on", "further labelled", "per million parts 2", "kappa = 0.9"):
        assert absent not in text


def test_a_merge_says_how_to_train_and_another_look_is_counted() -> None:
    data = report_data(["crazing", "patches"])
    data.metrics["gain"]["recipe"]["policy"] = "flips_shift"
    text = spaced(render_report(data))
    assert "How to train with it" in text and "Augmentation: flips shift, of real" in text
    assert "1,200 steps of 16 images, classes drawn equally often" in text
    assert "No more than 50 % of the draws" in text and "The last 20 % of the training steps" in text
    trained_once = "leaves out chance in the training of the generators: this run trained each once"
    assert trained_once in text
    given = spaced(render_report(replace(data, metrics={**data.metrics, "source": {"kind": "foreign", "path": "x"}})))
    assert trained_once not in given and "holds for the synthetic images that were given" in given
    assert "made in other folders on the same test images are not counted; count them yourself" in text
    assert "the second needs p = 0.0076 or less, the third 0.0034, the tenth 0.0003" in text
    assert "comparison number 1 of this folder" in text and "here p = 0.03 or less" in text
    assert "interval that goes with it (+0.8 to +9.2) clear of zero" in text
    third = spaced(render_report(replace(data, metrics={**data.metrics, "comparison_number": 3, "alpha": 0.00338})))
    assert "comparison number 3 of this folder" in third and "here p = 0.0034 or less" in third
    assert "test images once, for the comparison above." in text
    assert "once, for the comparison above, but earlier comparisons may have used them too." in third
    refused = replace(data, metrics={**data.metrics, "verdict": "do_not_merge"})
    assert "How to train with it" not in spaced(render_report(refused))


def test_the_page_says_whose_chance_the_interval_holds() -> None:
    data, left_out = report_data(["crazing", "patches"]), "leaves out chance in the training of the generators"
    once = spaced(render_report(data))
    assert left_out in once and "Setting gan.repeats to 3 or more" in once
    gain = data.metrics["gain"] | {"repeats": 3}
    thrice = spaced(render_report(replace(data, metrics=data.metrics | {"gain": gain})))
    assert left_out not in thrice and "holds chance in the training of the generators too" in thrice
    assert "trained them 3 times" in thrice and "figures of each class are of the first" in thrice
    given = spaced(render_report(replace(data, metrics=data.metrics | {"source": {"kind": "foreign"}})))
    assert left_out not in given and "how far others of the same origin would differ, it does not say" in given


def costing(data: ReportData, cost: dict[str, Any]) -> dict[str, Any]:
    return {arm: row | {"expected_cost": cost, "pass_threshold": 0.875} for arm, row in data.metrics["arms"].items()}


def test_where_costs_decide_the_page_leads_with_them() -> None:
    data = report_data(["good", "scratch"])
    endpoint = {
        "name": "expected_cost",
        "better": "lower",
        "baseline": "classical",
        "augmented": "classical_gan",
        "delta": 3.65,
        "ci95": [2.27, 5.14],
        "ci_alpha": [-0.021, 5.37],
        "p": 0.0004,
        "detectable": 6.5,
        "control": None,
    }
    arms = costing(data, {"mean": 5.07, "ci95": [4, 1234.5]})
    arms["classical_gan"]["expected_cost"] = {"mean": 1.42, "ci95": [0.5, 2.5]}
    costly = replace(data, metrics={**data.metrics, "endpoint": endpoint, "arms": arms})
    costly = replace(costly, choices=replace(data.choices, policies={"none": 4.25, "flips": 3.5}))
    html, minus = render_report(costly), "\N{MINUS SIGN}"
    text = spaced(html)
    for said in (
        "Expected cost of a part, without synthetic images 5.07",
        "with synthetic images 1.42",
        "Saved with synthetic images +3.65 a part 95 % interval +2.27 to +5.14",
        "at 100 a miss, 2 a false reject and 2 % defective parts on the line",
        f"that goes with it ({minus}0.021 to +5.37) clear of zero",
        "If the true gain were +6.5 a part, roughly 8 in 10",
        "That is more than there is to be gained here",
        "5.07 4 to 1,234",
        "costs least on images held out of the training: 0.875 without synthetic images, 0.875 with them",
        "classical augmentation expected cost of a part none 4.25 flips (chosen) 3.5",
    ):
        assert said in text, said
    drawn = "".join("".join(figure.itertext()) for figure in figures(html))
    assert "expected cost of a part (better" in drawn and "Balanced accuracy" not in drawn


def test_a_cost_that_could_not_be_told_is_a_dash() -> None:
    data = report_data(["good", "scratch"], "inconclusive")
    nothing = dict.fromkeys(("delta", "detectable", "control"))
    compared = {"baseline": "classical", "augmented": "classical_gan"}
    unknown = compared | {
        "ci95": [None, None],
        "ci_alpha": [None, None],
        "p": 1.0,
        "name": "expected_cost",
        "better": "lower",
    }
    arms = costing(data, {"mean": None, "ci95": [None, None]})
    page = render_report(replace(data, metrics={**data.metrics, "endpoint": nothing | unknown, "arms": arms}))
    assert "Expected cost of a part, without synthetic images \N{EN DASH}" in spaced(page)
    assert len(figures(page)) == 4  # without that of the arms


def test_a_rare_defect_is_not_rounded_to_none() -> None:
    data = report_data(["good", "patches"])
    inspection = {**data.metrics["inspection"], "good": "good", "prevalence": 0.0004}
    text = spaced(render_report(replace(data, metrics={**data.metrics, "inspection": inspection})))
    assert "assume that 0.04 % of all parts are defective" in text
