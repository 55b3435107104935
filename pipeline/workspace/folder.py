"""A workspace: the images of all defect classes, with their splits, and the run that is kept up to date with them."""

import contextlib
import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipeline.config import Config, load_config
from pipeline.errors import InputError
from pipeline.store import (
    RunFolder,
    digest,
    file_digest,
    hold,
    jsonable,
    make_writable,
    read_json,
    write_atomically,
    write_csv,
    write_json,
)

SETTINGS = """# Settings of this workspace; `pipeline/config/schema.py` has all keys.
data:
  val_fraction: 0 # choices by cross-validation: no class that joins can change what the others train on
gan:
  scope: specialise # a class that joins later is fine-tuned from what the first ones share
"""


@dataclass(frozen=True)
class Row:
    """One image of the workspace; `path` and `mask` are relative to its folder of images, `original` is as it came.

    Images of one `group`, by the user's word or found to show one thing when they came, stay in one split for good.
    """

    path: str
    label: str
    split: str
    mask: str
    group: str
    sha256: str
    added: str
    original: str


@dataclass(frozen=True)
class Workspace:
    """The paths of a workspace under `root`; making the object touches nothing.

    `images/manifest.csv` is the registry: it lists every image with its class and the split that it got when it came,
    and is a data set for any other command too.
    """

    root: Path

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def manifest(self) -> Path:
        return self.images / "manifest.csv"

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def base(self) -> Path:
        return self.root / "base.json"

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.root / "run")

    @property
    def judged(self) -> Path:
        """A folder of results for each delivery of synthetic images that was judged by the workspace's real ones."""
        return self.root / "judged"

    def settings(self, overrides: Iterable[str] | None = None, *, fresh: bool = False) -> Config:
        """The workspace's own configuration with overrides, and the base that its classes share once it is trained.

        Classes that come later are fine-tuned from the same base, until a setting changes that it depends on, or a
        `fresh` one is asked for.
        """
        config = load_config(self.config if self.config.exists() else None, list(overrides or ()))
        if fresh or config.gan.scope != "specialise" or config.gan.init_from or not self.base.exists():
            return config
        kept = read_json(self.base)
        file = (self.run.store / kept["file"]).resolve()  # the run's settings are read again from other places too
        # a setting that is younger than the base was at its default; one of an earlier name fits no settings of now
        trained_for = jsonable(_base_settings(Config()) | kept["for"])
        if trained_for != jsonable(_base_settings(config)) or not file.exists():
            return config
        gan = config.gan.model_copy(update={"init_from": str(file)})
        return config.model_copy(update={"gan": gan})

    def keep_base(self, config: Config) -> None:
        """Remember what the generators of the finished run were fine-tuned from."""
        cards = [read_json(card) for card in sorted((self.run.out / "generators").glob("*/card.json"))]
        # of a class whose training failed, the card may be of an earlier version, which names no `init_from`
        bases = {card["init_from"] for card in cards if card.get("init_from")}
        if config.gan.scope == "specialise" and len(bases) == 1:
            write_json(self.base, {"file": bases.pop(), "for": _base_settings(config)})

    @property
    def removed(self) -> Path:
        return self.root / "removed"

    def former_splits(self) -> dict[str, str]:
        """Digest -> split of images that were removed: should one come again, no test image becomes a training one."""
        record = self.removed / "splits.json"
        return dict(read_json(record)) if record.exists() else {}

    def forget(self, rows: Iterable[Row]) -> None:
        """Remember of removed images the split alone."""
        write_json(self.removed / "splits.json", self.former_splits() | {row.sha256: row.split for row in rows})

    def require(self) -> None:
        """Raise InputError where there is no workspace."""
        if not self.manifest.exists():
            raise InputError(
                f"{self.root} is no workspace; `ganaug class add NAME PATH --workspace {self.root}` starts one."
            )

    @property
    def finished(self) -> Path:
        return self.root / "finished.json"

    @property
    def failure(self) -> Path:
        return self.root / "failed.json"

    def is_current(self) -> bool:
        """Whether the last finished run had the images that there are now."""
        return self.finished.exists() and read_json(self.finished)["manifest"] == self._registry()

    def has_failed(self) -> bool:
        """Whether a run with the images that there are now has failed."""
        return self.failure.exists() and read_json(self.failure) == {"manifest": self._registry()}

    def mark_failed(self) -> None:
        """Note that the run with these images has failed, and would again."""
        write_json(self.failure, {"manifest": self._registry()})

    def is_up_to_date(self, config: Config) -> bool:
        """Whether the last finished run had these settings and this program, and none with others was begun since."""
        if not self.is_current() or not self.run.report.exists():
            return False
        return read_json(self.finished).get("settings") == self._started_with() == self._settings_digest(config)

    def mark_current(self) -> None:
        """Note that the run is finished, with the images that there are and the settings it was started with."""
        write_json(self.finished, {"manifest": self._registry(), "settings": self._started_with()})

    def _registry(self) -> str:
        """Digest of the images that there are now."""
        return file_digest(self.manifest)

    def _started_with(self) -> str:
        """Digest of the last run's settings; empty if there was no run, or one of a version with other settings."""
        try:
            return self._settings_digest(load_config(self.run.config))
        except InputError:
            return ""

    def _settings_digest(self, config: Config) -> str:
        """Of all that can change a result, but for a base of the workspace's own: that follows from the rest."""
        base = config.gan.init_from
        own = base is not None and Path(base).resolve().parent == self.run.store.resolve()
        gan = config.gan.model_copy(update={"init_from": None}) if own else config.gan
        return digest(gan, config.model_dump(mode="json", exclude={"gan", "serve"}), code="pipeline.job")

    def _holds_something_else(self) -> bool:
        ours = {self.config.name, self.images.name}
        return self.root.is_dir() and any(e.name not in ours and e.name[0] != "." for e in self.root.iterdir())

    def rows(self) -> list[Row]:
        """All images, in the order in which they came; none where there is no workspace yet."""
        if not self.manifest.exists():
            return []
        try:
            table = csv.DictReader(io.StringIO(self.manifest.read_text(encoding="utf-8"), newline=""))
            if "spot" in (table.fieldnames or ()):
                raise InputError(f"{self.manifest}: the column spot is called group now; rename it in the first line.")
            return [Row(**{column: row[column] for column in COLUMNS}) for row in table]
        except (KeyError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{self.manifest} is damaged ({error!r}); restore it from a copy.") from None

    def write(self, rows: Iterable[Row]) -> None:
        """Replace the registry."""
        write_csv(self.manifest, COLUMNS, map(asdict, rows))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for this process, and make it if there is none.

        Raises:
            InputError: another process holds it (named), it holds something else, or it cannot be written.
        """
        if not self.manifest.exists() and self._holds_something_else():
            raise InputError(f"{self.root} is not empty and holds no workspace; choose a new folder with --workspace.")
        make_writable(self.root, "--workspace")
        with hold(self.root):
            if not self.config.exists():
                write_atomically(self.config, SETTINGS.encode())
            yield


def _base_settings(config: Config) -> dict[str, object]:
    """All that the training of a shared base depends on, but for the images."""
    gan = config.gan.model_dump(exclude={"init_from", "finetune_steps", "minutes", "repeats"})
    data = {"image_size": config.data.image_size, "upscale": config.generate.upscale, "seed": config.seed}
    return {**gan, **data, "device": config.device, "precision": config.precision}


COLUMNS = [field.name for field in fields(Row)]


def counted_together(run: RunFolder) -> list[RunFolder]:
    """The folders whose comparisons are counted as one series with those of `run`, as they share the test images.

    Those of a workspace's run and of all that it has judged; else `run` alone, whatever was compared elsewhere.
    """
    out = run.out.resolve()
    for workspace in (Workspace(out.parent), Workspace(out.parent.parent)):
        if workspace.manifest.exists() and (out == workspace.run.out or out.parent == workspace.judged):
            return [workspace.run, *map(RunFolder, sorted(workspace.judged.glob("*/")))]
    return [run]
