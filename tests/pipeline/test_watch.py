"""A watched folder: every file is looked at once, and not before it has settled."""

import os
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.workspace import Workspace
from pipeline.workspace.watch import SETTLED, arrivals, mark

NOW = 1_700_000_000.0


def arrive(file: Path, age: float = 60) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    os.utime(file, (NOW - age, NOW - age))
    return file


def test_new_files_come_class_by_class_and_once(tmp_path: Path) -> None:
    workspace, folder = Workspace(tmp_path / "workspace"), tmp_path / "incoming"
    files = [arrive(folder / "pit" / "b.png"), arrive(folder / "pit" / "a.png"), arrive(folder / "dent" / "c.png")]
    arrive(folder / ".cache" / "x.png")
    arrive(folder / "pit" / ".partial")
    arrive(folder / "loose.png")
    found = arrivals(workspace, folder, now=NOW)
    assert {name: list(of) for name, of in found.items()} == {"dent": [files[2]], "pit": [files[1], files[0]]}
    workspace.root.mkdir()
    for of in found.values():
        mark(workspace, of)
    assert arrivals(workspace, folder, now=NOW) == {}
    late = arrive(folder / "pit" / "c.png")
    assert list(arrivals(workspace, folder, now=NOW)["pit"]) == [late]
    files[0].write_bytes(b"another picture")  # under a name that was there
    os.utime(files[0], (NOW - 60, NOW - 60))
    assert list(arrivals(workspace, folder, now=NOW)["pit"]) == [files[0], late]
    mark(workspace, found["pit"])  # in the states that were seen then: both are still new
    assert list(arrivals(workspace, folder, now=NOW)["pit"]) == [files[0], late]


def test_what_is_still_being_written_waits_and_its_mask_with_it(tmp_path: Path) -> None:
    workspace, folder = Workspace(tmp_path / "workspace"), tmp_path / "incoming"
    arrive(folder / "pit" / "a.png")
    fresh = arrive(folder / "pit" / "a_mask.png", age=SETTLED / 2)
    other = arrive(folder / "pit" / "b.png")
    assert arrivals(workspace, folder, now=NOW).keys() == {"pit"}
    assert list(arrivals(workspace, folder, now=NOW)["pit"]) == [other]
    assert set(arrivals(workspace, folder, now=NOW + SETTLED)["pit"]) == {folder / "pit" / "a.png", fresh, other}


@pytest.mark.parametrize("name", ["a_mask.png", "a_GT.bmp", "a-label_0.png"])
def test_a_mask_that_comes_later_brings_its_image_again(tmp_path: Path, name: str) -> None:
    workspace, folder = Workspace(tmp_path / "workspace"), tmp_path / "incoming"
    image = arrive(folder / "pit" / "a.png")
    workspace.root.mkdir()
    mark(workspace, arrivals(workspace, folder, now=NOW)["pit"])
    mask = arrive(folder / "pit" / name)
    assert set(arrivals(workspace, folder, now=NOW)["pit"]) == {image, mask}


def test_links_that_leave_their_folder_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    workspace, folder = Workspace(tmp_path / "workspace"), tmp_path / "incoming"
    own, outside = arrive(folder / "pit" / "a.png"), arrive(tmp_path / "secret.png")
    inside, leaves, loop = (folder / "pit" / f"{name}.png" for name in ("inside", "leaves", "loop"))
    inside.symlink_to("a.png")
    leaves.symlink_to(outside)
    loop.symlink_to("loop.png")
    os.mkfifo(folder / "pit" / "pipe.png")
    assert list(arrivals(workspace, folder, now=NOW)["pit"]) == [own, inside]
    assert f"{leaves} is left alone: the link leads to {outside}" in caplog.text and f"{loop} is left" in caplog.text


def test_a_class_that_is_a_link_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "incoming"
    arrive(tmp_path / "elsewhere" / "a.png")
    folder.mkdir()
    (folder / "pit").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(InputError, match=r"serve\.watch: .*pit is a link to a folder; replace it by the folder"):
        arrivals(Workspace(tmp_path / "workspace"), folder, now=NOW)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"serve\.watch = .*nowhere is no folder"):
        arrivals(Workspace(tmp_path), tmp_path / "nowhere")
