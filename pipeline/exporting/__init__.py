"""A data set in the format of another tool: images unchanged, masks, boxes, what is synthetic, and lineage."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import InputError, JobError
from pipeline.exporting.coco import write_coco
from pipeline.exporting.csv_table import write_csv_table
from pipeline.exporting.folder import write_folder
from pipeline.exporting.labelme import write_labelme
from pipeline.exporting.limits import notes_on
from pipeline.exporting.mvtec import write_mvtec
from pipeline.exporting.parts import Part
from pipeline.exporting.sources import Source, read_source
from pipeline.exporting.voc import write_voc
from pipeline.exporting.writing import Target
from pipeline.exporting.yolo import remarks_on_yolo, write_yolo
from pipeline.reading.reader import progress_of
from pipeline.store import RunFolder, replace_folder

__all__ = ["FORMATS", "Format", "Part", "Source", "export", "notes_on_export", "read_source"]

UNMARKED = "of a class of defects carry no mark of where the defect is: loaders take them for good ones"
IN_TABLE = "have a group, which stands in lineage.csv alone"
TO_TRAIN = "have no split and became train"
TURNED = "are turned by EXIF; boxes and masks are of the upright image, so load it with its orientation applied"
OTHER_CLASSES = "show defects of other classes than their own"


@dataclass(frozen=True)
class Format:
    """A writer, what becomes of the aspects (`limits.ASPECTS`) that the format lacks, and which it refuses."""

    write: Callable[[Sequence[Part], Target], None]
    lacks: Mapping[str, str]
    refuses: Mapping[str, str] = field(default_factory=dict)
    remarks: Callable[[Sequence[Part]], list[str]] = lambda parts: []


FORMATS: dict[str, Format] = {
    "folder": Format(
        write_folder,
        {
            "no split": "have no split and lie in train/; manifest.csv leaves it open",
            "other class name": "have a class whose folder had to be named otherwise; manifest.csv has its name",
            "boxes alone": "hold boxes without outlines, which stand in instances.json alone",
            "other classes": f"{OTHER_CLASSES}, which stand in instances.json alone",
            "turned": TURNED,
        },
    ),
    "csv": Format(
        write_csv_table,
        {
            "boxes alone": "hold boxes without outlines, which stand in instances.json alone",
            "other classes": f"{OTHER_CLASSES}, which stand in instances.json alone",
            "turned": TURNED,
        },
    ),
    "coco": Format(
        write_coco,
        {"no split": TO_TRAIN, "unmarked": f"{UNMARKED}; only the key label names the class", "turned": TURNED},
    ),
    "yolo": Format(
        write_yolo,
        {
            "no split": TO_TRAIN,
            "unmarked": f"{UNMARKED}; they have no label file, and lineage.csv alone names the class",
            "good by another name": "are good by a name that stands in lineage.csv alone",
            "not its largest defect": "are of another class than their largest defect, as lineage.csv alone says",
            "holes": "have defects with holes, which outlines fill",
            "in parts": "have defects in several parts, which one outline joins",
            "over the edge": "have defects that reach beyond the image, which are cut off there",
            "group": IN_TABLE,
            "deep": "have more than 8 bits, of which YOLO's loaders show 8 at most",
            "TIFF": "are TIFF, which Ultralytics reads and others do not",
            "turned": TURNED,
        },
        remarks=remarks_on_yolo,
    ),
    "voc": Format(
        write_voc,
        {
            "no split": TO_TRAIN,
            "unmarked": f"{UNMARKED}; only label in their XML names the class",
            "good by another name": "are good by a name that stands in lineage.csv alone",
            "not JPEG": "are not JPEG and keep their ending; torchvision's loaders look for NAME.jpg",
            "polygons": "have outlines, which became pixels",
            "overlaps": "have defects that overlap, of which the later one covers the other in the PNG",
            "group": IN_TABLE,
            "turned": TURNED,
        },
    ),
    "mvtec": Format(
        write_mvtec,
        {
            "no split": "have no split: good ones lie in train/, the others in test/",
            "training defects": "are defects for training and lie in test/, their split in lineage.csv alone",
            "validation": "are of the validation split and lie in test/, their split in lineage.csv alone",
            "good by another name": "are good by another name, which is good here",
            "other class name": "have a class whose folder had to be named otherwise; lineage.csv has its name",
            "boxes alone": "hold boxes without outlines, which have no place here",
            "other classes": f"{OTHER_CLASSES}, which have no place here",
            "polygons": "have outlines, which became pixels",
            "group": IN_TABLE,
            "turned": TURNED,
        },
        {"training defects": "are defects for training, and MVTec AD trains on good images alone"},
    ),
    "labelme": Format(write_labelme, {"unmarked": f"{UNMARKED}; only the key label names the class", "turned": TURNED}),
}


def notes_on_export(parts: Sequence[Part], form: str) -> list[str]:
    """What the format `form` cannot say of these images, a line each."""
    return [*notes_on(parts, FORMATS[form].lacks), *FORMATS[form].remarks(parts)]


def export(source: Source, form: str, out: Path, *, allow: bool = False) -> None:
    """Write the source's images as the format `form` into the new folder `out`, whole or not at all.

    Raises:
        InputError: the format refuses some images and `allow` is not set; `out` holds something, is a link, lies in
            the data set or around it or in a run, cannot be made, or has too little room.
        JobError: an image changed since it was read, or the disk failed; `out` is as it was.
    """
    refused = [] if allow else notes_on(source.parts, FORMATS[form].refuses)
    if refused:
        raise InputError(
            f"{' '.join(refused)} Choose another --format, or --allow-training-defects to have them in test/."
        )
    _require_new(out, source.root)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        room = tempfile.TemporaryDirectory(prefix=".tmp-", dir=out.parent)
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}); choose another folder with --out.") from None
    with room as place:
        fresh = Path(place) / "fresh"
        try:
            _require_space(out.parent, source.parts)
            fresh.mkdir()
            with progress_of("export", len(source.parts)) as bar:
                FORMATS[form].write(source.parts, Target(fresh, bar))
            replace_folder(fresh, out)
        except OSError as error:
            raise JobError(
                f"{out} was not written, nothing is left of it ({error}); mend this and try again."
            ) from error


def _require_new(out: Path, root: Path) -> None:
    place = out.resolve()
    if place == root or place in root.parents or root in place.parents:
        raise InputError(f"--out {out} and the data set {root} lie in one another; choose --out elsewhere.")
    run = next((one for one in (place, *place.parents) if _is_run(RunFolder(one))), None)
    if run is not None:
        raise InputError(f"--out {out} lies in the run {run}; choose --out elsewhere.")
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError(f"--out {out} is there already and is no folder; give a new one.")
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"--out {out} is not empty; give a new or an empty folder.")


def _is_run(run: RunFolder) -> bool:
    return run.record.is_file() and run.config.is_file()


def _require_space(place: Path, parts: Sequence[Part]) -> None:
    needed, free = sum(part.file.stat().st_size for part in parts), shutil.disk_usage(place).free
    if free < needed:
        raise InputError(
            f"{place} has {free / 1e6:,.0f} MB free, but the images alone need {needed / 1e6:,.0f} MB; choose another "
            "folder with --out."
        )
