"""The commands and their exit statuses: 0 done, 1 the job failed, 2 the input or the configuration is wrong."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ganaug.families import FAMILIES
from pipeline.store import RunFolder
from tests import tiny
from tests.conftest import Finished
from tests.pipeline.conftest import Ganaug


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["latent", "traverse", "--help"], ["run", "--sped"]])
def test_help_and_usage_import_no_library_but_the_command_lines_own(words: list[str]) -> None:
    look = (
        "import sys\nfrom flows.cli import main\n"
        f"sys.argv = {['ganaug', *words]!r}\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'torch', 'numpy', 'pandas', 'scipy', 'cv2', 'prefect', 'httpx', 'yaml'}))"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "", done.stderr


@pytest.mark.parametrize("module", ["pipeline.config", "pipeline.store", "pipeline.errors", "flows.server"])
def test_settings_and_files_need_no_torch(module: str) -> None:
    look = f"import sys, {module}; print('torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "False False\n", done.stderr


def test_out_inside_the_data_set_leaves_nothing_behind(ganaug: Ganaug, tmp_path: Path) -> None:
    source = tiny.write_dataset(tmp_path / "data", {"lines": 6, "grain": 6})
    before = sorted(source.rglob("*"))
    for out in (source / "out", source / "lines" / "out", source, tmp_path):
        status, _, err = ganaug("run", source, "--out", out, *tiny.as_arguments())
        assert status == 2 and "lie in one another" in err and "--out" in err
    assert sorted(source.rglob("*")) == before


def test_families_are_listed_with_paper_and_defaults(ganaug: Ganaug) -> None:
    status, out, _ = ganaug("families", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert status == 0 and rows.keys() == FAMILIES.keys()
    for name, family in FAMILIES.items():
        assert rows[name]["paper"] == family.paper and rows[name]["defaults"]["steps"] == family.defaults.steps
    status, out, _ = ganaug("families")
    assert status == 0 and all(family.paper in out for family in FAMILIES.values())


def test_inspect_reads_and_changes_nothing(ganaug: Ganaug, textures_folder: Path) -> None:
    before = tiny.contents(textures_folder)
    status, out, _ = ganaug("inspect", str(textures_folder), "--json")
    found = json.loads(out)
    assert status == 0 and found["images"] == 36 and found["classes"].keys() == tiny.TEXTURES.keys()
    assert found["errors"] == []
    status, out, _ = ganaug("inspect", str(textures_folder))
    assert status == 0 and "36 images" in out
    assert tiny.contents(textures_folder) == before


def test_inspect_reads_as_it_is_told(ganaug: Ganaug, textures_folder: Path) -> None:
    status, out, _ = ganaug("inspect", str(textures_folder), "--layout", "class_folders")
    assert status == 0 and "read as  class_folders" in out
    status, _, err = ganaug("inspect", str(textures_folder), "--layout", "mvtec")
    assert status == 2 and "is not of the layout mvtec" in err
    status, _, err = ganaug("inspect", str(textures_folder), "--layout", "folders")
    assert status == 2 and "data.layout" in err and "class_folders" in err


def test_inspect_ends_with_status_2_where_a_run_would_stop(ganaug: Ganaug, tmp_path: Path) -> None:
    tiny.write_dataset(tmp_path / "data", {"grain": 4, "lines": 4})
    shutil.copy(next((tmp_path / "data" / "grain").iterdir()), tmp_path / "data" / "lines" / "same.png")
    status, out, err = ganaug("inspect", str(tmp_path / "data"), "--json", "--pairs", str(tmp_path / "pairs"))
    (error,) = json.loads(out)["errors"]  # the whole record is there all the same
    assert status == 2 and "two classes" in error and "1 reason" in err


@pytest.mark.parametrize("stage", ["train", "generate", "filter", "merge", "evaluate", "report"])
def test_a_stage_of_a_finished_run_computes_nothing(ganaug: Ganaug, finished: Finished, stage: str) -> None:
    before = tiny.times(finished.run.store / "fits")
    dataset = tiny.contents(finished.run.dataset)
    status, out, err = ganaug(stage, "--out", str(finished.run.out))
    assert (status, out) == (0, f"{stage}: done, see {finished.run.out}\n"), err
    assert "train all classes" not in err and tiny.times(finished.run.store / "fits") == before
    assert tiny.contents(finished.run.dataset) == dataset


def test_stages_do_what_is_missing_and_no_more(ganaug: Ganaug, finished: Finished, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(finished.run.out, run.out)
    for lost in (run.metrics, run.report, run.manifest):
        lost.unlink()
    shutil.rmtree(run.generator("grain"))
    assert ganaug("train", "--out", str(run.out))[0] == 0
    assert run.model("grain").exists() and not run.manifest.exists()
    assert ganaug("merge", "--out", str(run.out))[0] == 0
    assert run.manifest.read_bytes() == finished.run.manifest.read_bytes() and not run.metrics.exists()
    assert ganaug("evaluate", "--out", str(run.out), "--set", "evaluate.seeds=1")[0] == 0
    arms = json.loads(run.metrics.read_text())["arms"]
    assert {len(arm["seeds"]) for arm in arms.values()} == {1} and not run.report.exists()
    assert "seeds: 1" in run.config.read_text()
    assert ganaug("report", "--out", str(run.out))[0] == 0 and run.report.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "gan.stpes=5"], r"'gan\.stpes'.*Did you mean 'gan\.steps'\?"),
        (["--set", "gan.steps=many"], r"'gan\.steps'.*'many'.*a whole number at least 1"),
        (["--set", "gan.family=dcgna"], r"gan\.family.*'dcgna'.*dcgan"),
        (["--set", "gan.scope=perclass"], r"gan\.scope.*Did you mean 'per_class'\?"),
        (["--set", "evaluate.model=resnet81"], r"evaluate\.model.*did you mean 'resnet18'"),
        (["--set", "evaluate.policies=[flops]"], r"evaluate\.policies.*'flops'.*flips"),
        (["--set", "evaluate.arms=[real,gna]"], r"evaluate\.arms.*gna.*Did you mean 'gan'\?"),
        (["--set", "evaluate.arms=[real]"], r"at least one of .*gan"),
        (["--set", "gan.steps"], r"not KEY=VALUE"),
        (["--config", "absent.yaml"], r"absent\.yaml cannot be read"),
        (["--speed", "fast"], r"No such option.*--speed"),
    ],
)
def test_a_wrong_configuration_is_one_or_two_lines(
    ganaug: Ganaug, tmp_path: Path, textures_folder: Path, words: list[str], said: str
) -> None:
    status, out, err = ganaug("run", str(textures_folder), "--out", str(tmp_path / "run"), *words)
    assert (status, out) == (2, "") and re.search(said, err), err
    assert len([line for line in err.splitlines() if not re.match(r"Usage|Try|[╭│╰]|$", line)]) <= 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", ["file", "below a file"])
def test_an_output_that_cannot_be_written_is_refused_at_once(
    ganaug: Ganaug, tmp_path: Path, textures_folder: Path, place: str
) -> None:
    (tmp_path / "out").write_text("mine")
    out = tmp_path / "out" if place == "file" else tmp_path / "out" / "run"
    status, _, err = ganaug("run", str(textures_folder), "--out", str(out), *tiny.as_arguments())
    assert status == 2 and f"{out} cannot be written" in err and "--out" in err and len(err.splitlines()) == 1
    assert (tmp_path / "out").read_text() == "mine"


def test_a_stage_without_a_run_says_how_to_start_one(ganaug: Ganaug, tmp_path: Path) -> None:
    status, _, err = ganaug("filter", "--out", str(tmp_path / "nothing"))
    assert status == 2 and "holds no run; start one with `ganaug run" in err
    assert not (tmp_path / "nothing").exists()


def test_secrets_are_masked_on_the_terminal(ganaug: Ganaug, tmp_path: Path) -> None:
    status, _, err = ganaug("run", "https://me:hunter2@example.org/set", "--out", str(tmp_path / "run"))
    assert status == 2 and "does not exist" in err and "hunter2" not in err and "***@" in err
