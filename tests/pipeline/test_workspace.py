"""Classes of a workspace: what is recorded, what is refused, and that nothing of the user's is lost."""

import errno
import shutil
import stat
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import Config, Settings, dump_config, overrides_of
from pipeline.errors import InputError, JobError
from pipeline.reading import read_dataset
from pipeline.store import read_json, write_json
from pipeline.workspace import Workspace, add_images, remove_class
from pipeline.workspace.archive import unpack
from pipeline.workspace.listing import class_states
from tests import tiny
from tests.pipeline.conftest import Ganaug

CONFIG = Config()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def folder_of(tmp_path: Path, name: str, count: int = 10, first_seed: int = 0) -> Path:
    return tiny.write_dataset(tmp_path / f"{name}-{first_seed}", {name: count}, first_seed=first_seed) / name


def zipped(folder: Path, archive: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.iterdir()):
            file.write(path, prefix + path.name)
    return archive


@pytest.mark.parametrize("how", ["folder", "files", "zip", "zip with a folder inside"])
def test_images_come_as_a_folder_as_files_or_packed(tmp_path: Path, workspace: Workspace, how: str) -> None:
    folder = folder_of(tmp_path, "grain")
    sources = {
        "folder": [folder],
        "files": sorted(folder.iterdir()),
        "zip": [zipped(folder, tmp_path / "a.zip")],
        "zip with a folder inside": [zipped(folder, tmp_path / "b.ZIP", "grain/")],
    }[how]
    before = tiny.contents(folder)
    added = add_images(workspace, "a defect", sources, CONFIG)
    assert added.counts == {"train": 7, "test": 3} and added.known == 0 and not added.problems
    rows = workspace.rows()
    assert {row.original for row in rows} == set(before) and {row.label for row in rows} == {"a defect"}
    assert {row.sha256 for row in rows} == set(before.values())
    assert {tiny.contents(workspace.images)[row.path] for row in rows} == set(before.values())  # the very same bytes
    assert tiny.contents(folder) == before
    assert not list(workspace.root.glob(".incoming*"))


def test_a_workspace_is_a_data_set(tmp_path: Path, workspace: Workspace) -> None:
    for name in tiny.TEXTURES:
        add_images(workspace, name, [folder_of(tmp_path, name)], CONFIG)
    reading = read_dataset(workspace.images)
    assert reading.classes == sorted(tiny.TEXTURES) and len(reading.images) == 30
    assert Counter(reading.frame["split"]) == {"train": 21, "test": 9}


def test_an_image_keeps_its_split_whatever_comes_later(tmp_path: Path, workspace: Workspace) -> None:
    add_images(workspace, "grain", [folder_of(tmp_path, "grain")], CONFIG)
    first = {row.sha256: row.split for row in workspace.rows()}
    add_images(workspace, "blobs", [folder_of(tmp_path, "blobs")], CONFIG)
    more = add_images(workspace, "grain", [folder_of(tmp_path, "grain", 14, 4)], CONFIG)
    assert more.known == 6 and sum(more.counts.values()) == 8
    now = {row.sha256: row.split for row in workspace.rows()}
    assert first.items() <= now.items() and len(now) == 28


def test_a_near_duplicate_joins_the_split_of_its_group(tmp_path: Path, workspace: Workspace) -> None:
    folder = folder_of(tmp_path, "blobs")
    add_images(workspace, "blobs", [folder], CONFIG)
    again = tmp_path / "again"
    again.mkdir()
    for path in folder.iterdir():  # under a lamp that is a little brighter
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        brighter = np.clip(image.astype(np.int16) + 12, 0, 255).astype(np.uint8)
        (again / path.name).write_bytes(cv2.imencode(".png", brighter)[1].tobytes())
    add_images(workspace, "blobs", [again], CONFIG)
    splits: dict[str, set[str]] = {}
    for row in workspace.rows():
        splits.setdefault(row.original, set()).add(row.split)
    assert len(workspace.rows()) == 20 and all(len(of) == 1 for of in splits.values())


def test_masks_come_along(tmp_path: Path, workspace: Workspace) -> None:
    folder = folder_of(tmp_path, "lines")
    for path in sorted(folder.iterdir()):
        mask = np.zeros((32, 32), np.uint8)
        mask[8:20, 8:20] = 255
        (folder / f"{path.stem}_mask.png").write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    add_images(workspace, "lines", [folder], CONFIG)
    rows = workspace.rows()
    assert len(rows) == 10 and all((workspace.images / row.mask).is_file() and row.mask for row in rows)


def test_all_masks_of_an_image_come_along_as_they_are_read(tmp_path: Path, workspace: Workspace) -> None:
    folder = folder_of(tmp_path, "lines")
    for path in sorted(folder.iterdir()):
        for k in range(2):
            mask = np.zeros((32, 32), np.uint8)
            mask[2 + 14 * k : 8 + 14 * k, 4:20] = 1 + k
            (folder / f"{path.stem}-label_{k}.bmp").write_bytes(cv2.imencode(".bmp", mask)[1].tobytes())
    add_images(workspace, "lines", [folder], CONFIG)
    rows = workspace.rows()
    assert len(rows) == 10
    for row in rows:
        mask = cv2.imread(str(workspace.images / row.mask), cv2.IMREAD_UNCHANGED)
        assert np.unique(mask).tolist() == [0, 255] and np.count_nonzero(mask) == 2 * 6 * 16


def test_what_cannot_be_recorded_leaves_the_workspace_as_it_was(tmp_path: Path, workspace: Workspace) -> None:
    grain = folder_of(tmp_path, "grain")
    add_images(workspace, "grain", [grain], CONFIG)
    before = workspace.manifest.read_bytes()

    def refused(name: str, *sources: Path) -> str:
        with pytest.raises(InputError) as error:
            add_images(workspace, name, sources, CONFIG)
        return str(error.value)

    assert "is in class 'grain' already" in refused("other", next(iter(sorted(grain.iterdir()))))
    assert "is a path, not a name" in refused("../grain", grain)
    assert "differ only by case" in refused("Grain", folder_of(tmp_path, "blobs"))
    assert "does not exist" in refused("new", tmp_path / "nowhere")
    assert "give one class's folder" in refused("new", grain.parent)
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.png").write_text("no image")
    assert "none of its 1 image file(s) can be read" in refused("new", bad)
    blobs = folder_of(tmp_path, "blobs", 3, 30)
    (blobs / "a.png").write_text("no image")
    assert "1 of 4 files are bad" in refused("new", blobs)
    assert "or any number of image files" in refused("new", grain, blobs)
    assert "or any number of image files" in refused("new", zipped(blobs, tmp_path / "b.zip"), blobs / "blobs-30.png")
    assert workspace.manifest.read_bytes() == before and not list(workspace.root.glob(".incoming*"))


def test_a_first_try_that_fails_leaves_the_way_free(tmp_path: Path, workspace: Workspace) -> None:
    workspace.root.mkdir()
    workspace.config.write_text("gan:\n  steps: 9\n")  # may be written before the first class
    with pytest.raises(InputError, match="does not exist"):
        add_images(workspace, "grain", [tmp_path / "nowhere"], CONFIG)
    assert add_images(workspace, "grain", [folder_of(tmp_path, "grain")], CONFIG).counts == {"train": 7, "test": 3}
    assert workspace.settings().gan.steps == 9


def test_an_image_that_comes_again_mends_what_was_lost_and_brings_its_mask(
    tmp_path: Path, workspace: Workspace
) -> None:
    folder = folder_of(tmp_path, "grain")
    add_images(workspace, "grain", [folder], CONFIG)
    rows = workspace.rows()
    whole = tiny.contents(workspace.images / "grain")
    (workspace.images / rows[0].path).write_bytes(b"")
    (workspace.images / rows[1].path).unlink()
    picture = rows[2].original
    mask = folder / f"{Path(picture).stem}_mask.png"
    mask.write_bytes(tiny.encoded(np.full((32, 32), 255)))
    added = add_images(workspace, "grain", [folder], CONFIG)
    assert added.counts == {} and added.known == 10
    assert whole.items() <= tiny.contents(workspace.images / "grain").items()
    again = workspace.rows()
    assert [row.split for row in again] == [row.split for row in rows] and again[2].mask and not again[0].mask


def alter(file: Path) -> bytes:
    """Turn an image around and save it; returns what the file held."""
    before = file.read_bytes()
    image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    file.write_bytes(tiny.encoded(image[::-1]))
    return before


def test_an_image_that_was_altered_is_mended_by_its_original_alone(tmp_path: Path, workspace: Workspace) -> None:
    folders = {name: folder_of(tmp_path, name) for name in ("grain", "lines")}
    for name, folder in folders.items():
        add_images(workspace, name, [folder], CONFIG)
    whole, registry = tiny.contents(workspace.images), workspace.manifest.read_bytes()
    first = {row.label: row for row in reversed(workspace.rows())}
    for row in first.values():
        alter(workspace.images / row.path)
    (workspace.images / workspace.rows()[1].path).unlink()
    blobs = folder_of(tmp_path, "blobs")
    with pytest.raises(InputError) as refused:
        add_images(workspace, "blobs", [blobs], CONFIG)
    told = str(refused.value)
    assert f"{workspace.images / first['grain'].path} is missing or not the file that was recorded" in told
    assert f"add the original, {first['grain'].original}, to class 'grain' again" in told and "2 more" in told
    with pytest.raises(InputError, match="to class 'lines' again"):  # but those of its own class are mended
        add_images(workspace, "grain", [folders["grain"]], CONFIG)
    assert add_images(workspace, "lines", [folders["lines"]], CONFIG).known == 10
    assert tiny.contents(workspace.images) == whole and workspace.manifest.read_bytes() == registry
    assert add_images(workspace, "blobs", [blobs], CONFIG).counts == {"train": 7, "test": 3}


def test_an_image_that_was_mended_keeps_its_group_and_split(tmp_path: Path, workspace: Workspace) -> None:
    folder = folder_of(tmp_path, "blobs")
    add_images(workspace, "blobs", [folder], CONFIG)
    row = next(row for row in workspace.rows() if row.split == "test")
    original = alter(workspace.images / row.path)
    both = tmp_path / "both"
    both.mkdir()
    (both / "original.png").write_bytes(original)
    image = cv2.imread(str(both / "original.png"), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    (both / "brighter.png").write_bytes(tiny.encoded(image.astype(np.int16) + 12))
    assert add_images(workspace, "blobs", [both], CONFIG).counts == {"test": 1}
    assert workspace.rows()[-1].group == row.group


def test_a_line_that_is_deleted_ends_the_matter(tmp_path: Path, workspace: Workspace) -> None:
    add_images(workspace, "grain", [folder_of(tmp_path, "grain")], CONFIG)
    rows = workspace.rows()
    alter(workspace.images / rows[3].path)
    workspace.write([*rows[:3], *rows[4:]])
    add_images(workspace, "lines", [folder_of(tmp_path, "lines")], CONFIG)
    assert len(workspace.rows()) == 19


def test_a_mask_alone_is_no_image(tmp_path: Path, workspace: Workspace) -> None:
    mask = tmp_path / "a_mask.png"
    mask.write_bytes(tiny.encoded(tiny.texture("grain", 0)))
    with pytest.raises(InputError, match=r"a_mask\.png is named as a mask, but its image is not there"):
        add_images(workspace, "grain", [mask], CONFIG)


def test_a_mask_whose_image_is_not_among_the_others_is_refused(tmp_path: Path, workspace: Workspace) -> None:
    folder = folder_of(tmp_path, "grain")
    first = min(folder.iterdir())
    for stem in (first.stem, "lost"):
        mask = np.zeros_like(tiny.texture("grain", 0))
        (folder / f"{stem}_GT.png").write_bytes(tiny.encoded(mask))
    with pytest.raises(InputError, match=r"lost_GT\.png is named as a mask, but its image is not there"):
        add_images(workspace, "grain", [folder], CONFIG)


def test_images_that_come_one_at_a_time_fill_both_splits(tmp_path: Path, workspace: Workspace) -> None:
    for file in sorted(folder_of(tmp_path, "grain", 14).iterdir()):
        add_images(workspace, "grain", [file], CONFIG)
    assert Counter(row.split for row in workspace.rows()) == {"train": 10, "test": 4}


def test_a_class_that_comes_back_has_the_splits_it_had(tmp_path: Path, workspace: Workspace) -> None:
    for seed in (0, 20, 40):  # in batches, so that a new draw would be another one
        add_images(workspace, "grain", [folder_of(tmp_path, "grain", 10, seed)], CONFIG)
    before = {row.sha256: row.split for row in workspace.rows()}
    add_images(workspace, "grain", [remove_class(workspace, "grain")], CONFIG)
    assert {row.sha256: row.split for row in workspace.rows()} == before


def test_a_folder_that_is_none_of_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear sir")
    with pytest.raises(InputError, match="holds no workspace"):
        add_images(Workspace(tmp_path), "grain", [folder_of(tmp_path.parent, "grain", 4, 90)], CONFIG)
    assert {path.name for path in tmp_path.iterdir()} == {"letters.txt"}


def test_a_class_that_is_removed_is_kept_aside(tmp_path: Path, workspace: Workspace) -> None:
    for name in ("grain", "lines"):
        add_images(workspace, name, [folder_of(tmp_path, name)], CONFIG)
    images = set(tiny.contents(workspace.images / "grain").values())
    removed = remove_class(workspace, "grain")
    assert {row.label for row in workspace.rows()} == {"lines"}
    assert set(tiny.contents(removed).values()) == images and not (workspace.images / "grain").exists()
    with pytest.raises(InputError, match="has no class 'grain'; it has lines"):
        remove_class(workspace, "grain")
    add_images(workspace, "grain", [removed], CONFIG)
    assert len(workspace.rows()) == 20


class Killed(BaseException):
    """As by the operating system: nothing of the program runs after it."""


def killed(*_: object, **__: object) -> Any:
    raise Killed


@pytest.mark.parametrize("before", ["Workspace.forget", "Workspace.write", "shutil.move"])
def test_a_class_whose_removal_was_killed_can_be_removed_again(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    for name in ("grain", "lines"):
        add_images(workspace, name, [folder_of(tmp_path, name)], CONFIG)
    splits = {row.sha256: row.split for row in workspace.rows()}
    with monkeypatch.context() as patch:
        patch.setattr(f"pipeline.workspace.classes.{before}", killed)
        with pytest.raises(Killed):
            remove_class(workspace, "grain")
    remembered = {row.sha256: row.split for row in workspace.rows()} | workspace.former_splits()
    assert remembered == splits
    removed = remove_class(workspace, "grain")
    assert len(tiny.contents(removed)) == 10 and not (workspace.images / "grain").exists()
    assert {row.label for row in workspace.rows()} == {"lines"}
    for file in sorted(removed.iterdir()):  # one at a time, so that a new draw would be another one
        add_images(workspace, "grain", [file], CONFIG)
    assert {row.sha256: row.split for row in workspace.rows()} == splits


def test_a_class_without_its_folder_can_be_removed_and_nothing_else(tmp_path: Path, workspace: Workspace) -> None:
    add_images(workspace, "grain", [folder_of(tmp_path, "grain")], CONFIG)
    for name, fault in {"..": "starts with a dot", "manifest.csv": "has no class", "a/b": "is a path"}.items():
        with pytest.raises(InputError, match=fault):
            remove_class(workspace, name)
    shutil.rmtree(workspace.images / "grain")
    remove_class(workspace, "grain")
    with pytest.raises(InputError, match=r"it has none\. If it was taken out before, `ganaug class update --workspace"):
        remove_class(workspace, "grain")


def test_links_are_followed_inside_their_folder_alone(tmp_path: Path, workspace: Workspace) -> None:
    outside, folder = folder_of(tmp_path, "lines", 1), folder_of(tmp_path, "grain")
    leaves, inside = folder / "leaves.png", folder / "inside.png"
    leaves.symlink_to(outside / "lines-00.png")
    inside.symlink_to("grain-00.png")
    with pytest.raises(
        InputError, match=r"leaves\.png cannot be added: the link leads to .*lines-00\.png; copy the file"
    ):
        add_images(workspace, "grain", [folder / "grain-01.png", leaves], CONFIG)
    with pytest.raises(InputError, match="is no regular file"):
        add_images(workspace, "grain", [Path("/dev/null")], CONFIG)
    assert add_images(workspace, "grain", [inside], CONFIG).counts == {"train": 1}


@pytest.mark.parametrize("how", ["a file", "below a file", "nowhere to write"])
def test_a_workspace_that_cannot_be_is_named(tmp_path: Path, how: str) -> None:
    (tmp_path / "file").write_text("dear sir")
    root = {
        "a file": tmp_path / "file",
        "below a file": tmp_path / "file" / "below",
        "nowhere to write": Path("/proc/nowhere/workspace"),
    }[how]
    with pytest.raises(InputError) as refused:
        add_images(Workspace(root), "grain", [folder_of(tmp_path, "grain", 4)], CONFIG)
    assert str(refused.value).startswith(f"{root} cannot be written (")
    assert str(refused.value).endswith("); choose another folder with --workspace.")


def full(*_: object, **__: object) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("what", ["copyfile", "copyfileobj"])
def test_a_full_disk_is_said_so(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    source = folder_of(tmp_path, "grain", 1) / "grain-00.png"
    if what == "copyfileobj":
        source = zipped(source.parent, tmp_path / "grain.zip")
    monkeypatch.setattr(shutil, what, full)
    with pytest.raises(InputError, match=r"No space left on device\); free some space") as refused:
        add_images(workspace, "grain", [source], CONFIG)
    assert str(refused.value).startswith(f"{source} cannot be") and str(workspace.root) in str(refused.value)


# Settings: what the classes share, and whether a run would change anything


def with_base(workspace: Workspace, *overrides: str) -> Workspace:
    """A workspace whose finished run has trained a base with these settings."""
    card = workspace.run.card("grain")
    write_json(card, {"init_from": "generator-1.safetensors"})
    write_json(workspace.run.store / "generator-1.safetensors", {})
    workspace.keep_base(workspace.settings(["gan.scope=specialise", *overrides]))
    return workspace


def test_the_base_is_kept_beside_a_card_of_an_earlier_version(workspace: Workspace) -> None:
    write_json(workspace.run.card("lines"), {"base": "generator-0.safetensors"})
    assert read_json(with_base(workspace).base)["file"] == "generator-1.safetensors"


def test_a_setting_that_is_younger_than_the_base_does_not_outdate_it(workspace: Workspace) -> None:
    with_base(workspace, "gan.batch=16")
    kept = read_json(workspace.base)
    for young in ("devices", "conditioning_input", "patience"):
        del kept["for"][young]
    write_json(workspace.base, kept)

    def base(*overrides: str) -> str | None:
        return workspace.settings(["gan.scope=specialise", *overrides]).gan.init_from

    assert base("gan.batch=16") is not None and base("gan.batch=16", "gan.finetune_steps=9") is not None
    assert base() is None and base("gan.batch=16", "gan.patience=100") is None


def finish(workspace: Workspace, *overrides: str) -> None:
    """Leave what a run with these settings leaves."""
    start(workspace, *overrides)
    workspace.run.report.write_text("the report")
    workspace.mark_current()


def start(workspace: Workspace, *overrides: str) -> None:
    workspace.run.out.mkdir(exist_ok=True)
    workspace.run.config.write_text(dump_config(workspace.settings(overrides)))


def test_a_workspace_that_is_named_from_elsewhere_is_the_same(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_images(workspace, "grain", [folder_of(tmp_path, "grain")], CONFIG)
    with_base(workspace)
    monkeypatch.chdir(tmp_path)
    finish(Workspace(Path("workspace")))
    monkeypatch.chdir(workspace.root)
    assert workspace.is_up_to_date(workspace.settings()) and Workspace(Path()).is_up_to_date(workspace.settings())


def test_a_run_is_up_to_date_with_the_images_and_the_settings_it_had(tmp_path: Path, workspace: Workspace) -> None:
    def is_up_to_date(*overrides: str) -> bool:
        return workspace.is_up_to_date(workspace.settings(overrides))

    add_images(workspace, "grain", [folder_of(tmp_path, "grain")], CONFIG)
    assert not is_up_to_date()
    finish(workspace)
    with_base(workspace)  # which the settings name from now on
    assert workspace.settings().gan.init_from and is_up_to_date() and is_up_to_date("serve.keep_days=3")
    assert not is_up_to_date("evaluate.seeds=9") and not is_up_to_date("gan.init_from=another.safetensors")
    start(workspace, "gan.steps=9")  # and does not get to its end
    assert not is_up_to_date() and not is_up_to_date("gan.steps=9")
    finish(workspace, "gan.steps=9")
    assert is_up_to_date("gan.steps=9") and not is_up_to_date()
    workspace.run.config.write_text("of: another version\n")
    assert not is_up_to_date("gan.steps=9")
    finish(workspace)
    workspace.run.report.unlink()
    assert not is_up_to_date()
    finish(workspace)
    add_images(workspace, "lines", [folder_of(tmp_path, "lines")], CONFIG)
    assert not is_up_to_date()


# The command


@pytest.fixture
def updates(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | None], list[Any]]:
    """Put in the place of the flow what leaves a finished run or raises; it tells the settings it was called with."""
    told: list[Any] = []

    def replace_by(error: BaseException | None) -> list[Any]:
        def update(root: str, settings: dict[str, Any]) -> dict[str, Any]:
            told.append(settings)
            if error:
                raise error
            finish(workspace, *overrides_of(Settings.model_validate(settings)))
            return {"verdict": "helped"}

        monkeypatch.setattr("flows.workspace.update", update)
        return told

    return replace_by


def test_an_update_goes_on_where_a_removal_was_stopped(
    tmp_path: Path, workspace: Workspace, ganaug: Ganaug, updates: Callable[[BaseException | None], list[Any]]
) -> None:
    where, setting = ("--workspace", workspace.root), ("--set", "evaluate.policies=[flips, none]")
    for name in tiny.TEXTURES:
        add_images(workspace, name, [folder_of(tmp_path, name)], CONFIG)
    command = f"`ganaug class update --workspace {workspace.root} --set 'evaluate.policies=[flips, none]'` goes on"

    updates(KeyboardInterrupt())
    status, _, told = ganaug("class", "remove", "grain", *where, *setting)
    assert status == 130 and told == f"Interrupted; {command} from where it was.\n"
    updates(JobError("filter: out of memory."))
    status, _, told = ganaug("class", "remove", "blobs", *where, *setting)
    assert status == 1 and told == f"ganaug: filter: out of memory.\n{command} from where it was.\n"
    status, _, told = ganaug("class", "remove", "blobs", *where)
    assert status == 2 and "class update" in told

    called = updates(None)
    called.clear()
    assert ganaug("class", "update", *where, *setting)[0] == 0 and called == [
        {"evaluate": {"policies": ["flips", "none"]}}
    ]
    status, told, _ = ganaug("class", "update", *where, *setting)
    assert status == 0 and "is up to date already" in told and str(workspace.run.report) in told and len(called) == 1
    assert ganaug("class", "update", *where)[0] == 0 and len(called) == 2


def test_an_update_needs_a_workspace(tmp_path: Path, ganaug: Ganaug) -> None:
    status, _, told = ganaug("class", "update", "--workspace", tmp_path / "none")
    assert status == 2 and "is no workspace" in told and not (tmp_path / "none").exists()


def test_an_addition_that_is_interrupted_names_the_update(
    tmp_path: Path, workspace: Workspace, ganaug: Ganaug, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_class(*_: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.workspace.add_class", add_class)
    folder = folder_of(tmp_path, "grain")
    status, _, told = ganaug("class", "add", "grain", folder, "--workspace", workspace.root)
    assert status == 130 and told.startswith("Interrupted; the same command, or `ganaug class update --workspace")


def test_the_list_says_what_there_is(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(InputError, match="is no workspace"):
        class_states(workspace)
    add_images(workspace, "grain", [folder_of(tmp_path, "grain")], CONFIG)
    (state,) = class_states(workspace)
    assert (state.name, state.train, state.test, state.generator, state.gain) == ("grain", 7, 3, "none", None)


# Archives (the folder they would be unpacked into must stay as it was)


def packed(archive: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(archive, "w", compression) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return archive


@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "/etc/out.png", "C:/out.png", "a\\..\\out.png"])
def test_an_entry_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    archive, into = packed(tmp_path / "a.zip", {"fine.png": b"x"}), tmp_path / "deep" / "into"
    into.mkdir(parents=True)
    entry = zipfile.ZipInfo("x")
    entry.filename = name
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(entry, b"x")
    with pytest.raises(InputError, match="leads out of the folder"):
        unpack(archive, into)
    assert list(into.iterdir()) == [] and not list(tmp_path.rglob("out.png"))


def test_links_bombs_encryption_and_rubbish_are_refused(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    packed(tmp_path / "bomb.zip", {"a.png": b"\0" * 50_000_000}, zipfile.ZIP_DEFLATED)
    (tmp_path / "text.zip").write_text("no archive")
    packed(tmp_path / "empty.zip", {})
    whole = packed(tmp_path / "whole.zip", {"a.png": b"x" * 1000}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:500])
    secret = bytearray(whole)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        secret[secret.index(mark) + offset] |= 1
    (tmp_path / "secret.zip").write_bytes(secret)
    for name, said in {
        "link": "holds the link 'link.png'",
        "bomb": "would grow",
        "text": "cannot be unpacked",
        "empty": "is empty",
        "cut": "cannot be unpacked",
        "secret": "is encrypted",
    }.items():
        with pytest.raises(InputError, match=said):
            unpack(tmp_path / f"{name}.zip", into)
        assert list(into.iterdir()) == []


NAMES = st.from_regex(r"[a-zé ]{1,8}(/[a-z]{1,5})?\.png", fullmatch=True)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=50), min_size=1))
def test_plain_archives_come_out_as_they_went_in(entries: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "into"
        into.mkdir()
        unpack(packed(Path(folder) / "a.zip", entries), into)
        assert {p.relative_to(into).as_posix(): p.read_bytes() for p in into.rglob("*") if p.is_file()} == entries
