"""What belongs together by the user's word: a column of the manifest, or a pattern in the paths."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.config import Config, load_config
from pipeline.errors import InputError
from pipeline.reading import duplicates_of, load, read_dataset, require_clean
from pipeline.stages.prepare import prepare, read
from pipeline.store import RunFolder
from pipeline.workspace import Workspace, add_images
from tests.pipeline.samples import folder, save, texture


def boards(root: Path, count: int = 8) -> Path:
    """Two shots of every board, different pictures: CLASS/boardK-shot0.png and -shot1.png."""
    for name, seed in (("dent", 0), ("hole", 500)):
        for k in range(count):
            for shot in range(2):
                save(root / name / f"board{k + seed}-shot{shot}.png", texture(seed + 10 * k + shot))
    return root


def together(groups: np.ndarray, paths: list[str]) -> set[frozenset[str]]:
    return {frozenset(paths[i] for i in np.flatnonzero(groups == group)) for group in set(groups.tolist())}


@pytest.mark.parametrize("pattern", [r"(board\d+)", r"(?P<group>board\d+)-(shot)"])
def test_a_pattern_in_the_paths_says_what_belongs_together(tmp_path: Path, pattern: str) -> None:
    save(boards(tmp_path / "data") / "dent" / "odd.png", texture(300))
    darker = (texture(300) * 0.7).astype(np.uint8)
    save(tmp_path / "data" / "dent" / "odd2.png", darker)  # looks like odd.png; looks no longer count
    reading = read(tmp_path / "data", Config(data={"group_pattern": pattern}))
    found = duplicates_of(reading)
    sizes = sorted(map(len, together(found.groups, reading.frame["path"].tolist())))
    assert sizes == [1, 1, *[2] * 16]
    assert any("2 image(s), such as 'dent/odd.png', do not fit" in note for note in reading.notes)
    run = RunFolder(tmp_path / "run")
    prepared = prepare(run, Config(data={"group_pattern": pattern}), tmp_path / "data")
    assert any("34 images form 18 groups" in note for note in prepared.notes)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("(board", "no regular expression"), ("board", "has 0 groups"), (r"(a)(b)", "has 2 groups")],
)
def test_a_pattern_that_cannot_work_is_refused_by_its_key(pattern: str, words: str) -> None:
    with pytest.raises(InputError, match=rf"'data'.*group_pattern = .*{words}"):
        load_config(None, [f"data.group_pattern={pattern}"])


def test_a_pattern_that_fits_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.group_pattern.*fits none of the 12 paths, such as 'dent/0\.png'"):
        read_dataset(folder(tmp_path), group_pattern=r"(serial\d+)")


def listed(root: Path, row: str, header: str = "path,label,split,group") -> Path:
    folder(root)
    lines = [
        row.format(name=name, i=i, split="test" if i == 0 else "train") for name in ("dent", "hole") for i in range(6)
    ]
    table = root / "list.csv"
    table.write_text("\n".join([header, *lines]) + "\n")
    return table


def test_a_column_of_the_manifest_says_what_belongs_together_and_comes_first(tmp_path: Path) -> None:
    table = listed(tmp_path, "{name}/{i}.png,{name},{split},lot {i}")
    reading = read_dataset(table, group_pattern=r"/(\d)\.png")
    assert sorted(set(reading.frame["group"])) == [f"lot {i}" for i in range(6)]
    found = duplicates_of(reading)
    require_clean(reading.frame, found)
    assert together(found.groups, reading.frame["path"].tolist()) == {
        frozenset({f"dent/{i}.png", f"hole/{i}.png"}) for i in range(6)
    }


def test_a_group_on_both_sides_of_a_given_split_stops_a_run_by_name(tmp_path: Path) -> None:
    reading = read_dataset(listed(tmp_path, "{name}/{i}.png,{name},{split},{name}"))
    with pytest.raises(InputError, match=r"group 'dent' is in two splits: 'dent/0\.png' \(test\).*1 more group"):
        require_clean(reading.frame, duplicates_of(reading))


def test_identical_images_count_beside_the_groups_of_the_user(tmp_path: Path) -> None:
    table = listed(tmp_path, "{name}/{i}.png,{name},,{name}{i}")
    save(tmp_path / "dent" / "1.png", texture(0))  # the same as dent/0.png
    groups = duplicates_of(load(table)).groups
    assert groups[0] == groups[1] and len(set(groups.tolist())) == 11


def test_an_image_stored_anew_counts_beside_the_groups_of_the_user(tmp_path: Path) -> None:
    folder(tmp_path / "data")
    again = cv2.imencode(".jpg", texture(0), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    (tmp_path / "data" / "hole" / "again.jpg").write_bytes(again.tobytes())
    reading = load(tmp_path / "data", group_pattern=r"/(\w+)\.\w+$")
    with pytest.raises(InputError, match=r"two classes.*dent/0\.png.*hole/again\.jpg"):
        require_clean(reading.frame, duplicates_of(reading))


def test_the_old_name_of_the_column_is_refused_with_the_new_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"list\.csv: the column spot is called group now"):
        load(listed(tmp_path, "{name}/{i}.png,{name},,x", "path,label,split,spot"))
    workspace = Workspace(tmp_path / "workspace")
    add_images(workspace, "dent", [tmp_path / "dent"], Config())
    workspace.manifest.write_text(workspace.manifest.read_text().replace(",group,", ",spot,"))
    with pytest.raises(InputError, match=r"manifest\.csv: the column spot is called group now"):
        workspace.rows()


def test_a_workspace_keeps_the_shots_of_a_board_in_one_split_whenever_they_come(tmp_path: Path) -> None:
    config = Config(data={"group_pattern": r"(board\d+)"})
    data, workspace = boards(tmp_path / "data"), Workspace(tmp_path / "workspace")
    for shot in range(2):
        add_images(workspace, "dent", sorted((data / "dent").glob(f"*-shot{shot}.png")), config)
    rows = workspace.rows()
    assert {row.group for row in rows} == {f"board{k}" for k in range(8)}
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.group, set()).add(row.split)
    assert len(rows) == 16 and all(len(of) == 1 for of in splits.values())
    assert {row.split for row in rows} == {"train", "test"}
    assert cv2.imread(str(workspace.images / rows[0].path), cv2.IMREAD_GRAYSCALE) is not None
