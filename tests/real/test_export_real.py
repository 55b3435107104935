"""neu-steel with its Pascal VOC boxes, exported to every format and read back."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.config import load_config
from pipeline.exporting import FORMATS, export
from pipeline.exporting.sources import Source, read_source
from pipeline.reading import Instance, load

DATASETS = Path(__file__).resolve().parents[2].parent / "shared" / "datasets"

pytestmark = pytest.mark.skipif(not DATASETS.is_dir(), reason="the real data sets are not here")

Boxes = list[tuple[str, tuple[float, ...]]]


def boxes_of(instances: Sequence[Instance]) -> Boxes:
    return sorted((one.label, one.box) for one in instances)


@pytest.fixture(scope="module")
def annotated() -> Source:
    return read_source(
        DATASETS / "neu-steel", load_config(None, [f"data.annotations={DATASETS / 'neu-steel-annotations'}"])
    )


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"mvtec"}))
def test_boxes_come_back_the_same(annotated: Source, tmp_path: Path, form: str) -> None:
    known = {part.sha256: boxes_of(part.instances) for part in annotated.parts}
    assert len(annotated.parts) == 1200 and sum(map(len, known.values())) > 2500
    export(annotated, form, tmp_path / "out")
    reading = load(tmp_path / "out")
    assert dict(zip(reading.frame["sha256"], map(boxes_of, reading.instances), strict=True)) == known
    labels = dict(zip(reading.frame["sha256"], reading.frame["label"], strict=True))
    assert labels == {part.sha256: part.label for part in annotated.parts}


def test_mvtec_has_no_boxes_and_keeps_the_classes(annotated: Source, tmp_path: Path) -> None:
    export(annotated, "mvtec", tmp_path / "out")
    reading = load(tmp_path / "out")
    read = dict(zip(reading.frame["sha256"], reading.frame["label"], strict=True))
    assert read == {part.sha256: part.label for part in annotated.parts}
