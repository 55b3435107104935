"""Judging given images as a user starts it: the command, the flow's form, and the flow of a workspace."""

from pathlib import Path

import pytest

from flows.artifacts import mark_of
from flows.judge import _result, judge_images
from flows.serve import deployments
from pipeline.config import Settings, parse_overrides
from pipeline.errors import InputError
from pipeline.history import remember
from pipeline.store import RunFolder, read_json
from pipeline.workspace import Workspace, add_images
from tests import tiny
from tests.pipeline.conftest import ganaug  # noqa: F401 (a fixture)
from tests.pipeline.test_judge import give
from tests.report_example import metrics as example

SETTINGS = (*tiny.SETTINGS, "evaluate.seeds=1", "inspection.learning_curve=false", "evaluate.arms=[real,gan]")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two classes, nothing trained."""
    made = Workspace(tmp_path / "line3")
    for name in ("blobs", "grain"):
        add_images(made, name, [tiny.write_dataset(tmp_path / name, {name: 12}) / name], tiny.settings())
    return made


def test_the_command_ends_with_the_verdict_as_run_does(ganaug, textures_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    source, out = give(tmp_path / "renders", ("blobs", "lines"), 6), tmp_path / "out"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    status, said, err = ganaug("judge", textures_folder, source, "--out", out, *settings)
    assert status == 0, err
    metrics = read_json(out / "metrics.json")
    verdict = metrics["verdict"].replace("_", " ").upper()
    assert f"\n{verdict}: {metrics['reason']}\nReport: {out / 'report.html'}\nClassifier: {out}" in said
    assert metrics["source"] == {"kind": "foreign", "path": str(source)}
    status, _, err = ganaug("judge", textures_folder, tmp_path / "absent", "--out", tmp_path / "other", *settings)
    assert status == 2 and "absent does not exist" in err and not (tmp_path / "other").exists()


def test_the_form_of_a_workspace_asks_for_the_images_alone(workspace: Workspace) -> None:
    judging = next(one for one in deployments(workspace, tiny.settings(), ["seed=3"]) if one.name.endswith("-judge"))
    assert judging.parameters == {"workspace": str(workspace.root.resolve()), "settings": {"seed": 3}}
    form = judging._parameter_openapi_schema.model_dump()
    assert set(form["required"]) - judging.parameters.keys() == {"synthetic"}
    field = form["properties"]["synthetic"]
    assert field["description"].startswith("Class folders, or a CSV file") and field["minLength"] == 1


def test_a_workspace_judges_into_a_folder_of_its_own(workspace: Workspace, tmp_path: Path) -> None:
    source = give(tmp_path / "vendor", ("blobs", "grain"), 6)
    images, registry = tiny.contents(workspace.images), workspace.manifest.read_bytes()
    before = RunFolder(workspace.judged / "vendor-1")
    before.out.mkdir(parents=True)
    remember(before, example(["blobs", "grain"]))
    settings = Settings.model_validate(parse_overrides(SETTINGS))
    metrics = judge_images(str(workspace.root), str(source), settings=settings)
    out = workspace.root / "judged" / "vendor"
    assert read_json(out / "metrics.json")["verdict"] == metrics["verdict"] and (out / "report.html").exists()
    assert metrics["dataset"]["classes"] == ["blobs", "grain"]
    assert metrics["comparison_number"] == 2  # as the folder judged before had the same test images
    again = give(tmp_path / "later" / "vendor", ("blobs",), 3)
    assert {_result(workspace, source, "").out.name, _result(workspace, source, "vendor").out.name} == {"vendor"}
    assert _result(workspace, again, "").out.name == f"vendor-{mark_of(again)}"
    assert _result(workspace, again, "second").out.name == "second"
    with pytest.raises(InputError, match=r"judged/vendor holds the judgement of .*vendor; give another name"):
        judge_images(str(workspace.root), str(again), "vendor", settings)
    assert tiny.contents(workspace.images) == images and workspace.manifest.read_bytes() == registry
    assert not workspace.run.out.exists()
