"""Clipping to the image, and the examples of docs/annotations.md."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reading.annotations.shapes import clipped, polygons
from pipeline.reading.instances import mask_of
from tests.pipeline.annotated import HEIGHT, WIDTH, layout, only, write
from tests.pipeline.samples import save, texture

DOCS = Path(__file__).resolve().parents[2] / "docs" / "annotations.md"
PAD = 50
corner = st.tuples(st.integers(-PAD, WIDTH + PAD), st.integers(-PAD, HEIGHT + PAD))


@given(st.lists(corner, min_size=3, max_size=6))
def test_what_is_clipped_is_what_lies_on_the_image(corners: list[tuple[int, int]]) -> None:
    wide, high = WIDTH + 2 * PAD, HEIGHT + 2 * PAD
    shifted = mask_of(polygons("dent", [tuple((x + PAD, y + PAD) for x, y in corners)]), high, wide)
    assert shifted is not None
    wanted = shifted[PAD : PAD + HEIGHT, PAD : PAD + WIDTH]
    kept, _ = clipped(polygons("dent", [tuple((float(x), float(y)) for x, y in corners)]), (WIDTH, HEIGHT))
    found = np.zeros((HEIGHT, WIDTH), np.uint8) if kept is None else mask_of(kept, HEIGHT, WIDTH)
    rim = np.zeros((high, wide), np.uint8)
    cv2.polylines(rim, [np.array(corners) + PAD], isClosed=True, color=255, thickness=3)
    assert not ((wanted ^ found) & ~rim[PAD : PAD + HEIGHT, PAD : PAD + WIDTH]).any()
    if kept is not None:
        left, top, width, height = kept.box
        assert left >= 0 and top >= 0 and left + width <= WIDTH and top + height <= HEIGHT


EXAMPLES = re.findall(r"```(\w*)\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("k", range(len(EXAMPLES)))
def test_the_examples_are_read(tmp_path: Path, k: int) -> None:
    suffix, text = EXAMPLES[k]
    save(tmp_path / ("images/a.png" if not suffix else "line1/a.png"), texture(1, 480, 640))
    if suffix:
        write(tmp_path, {f"a.{suffix}": text})
    else:
        rows = [re.split(r"  +", line.strip()) for line in text.splitlines()]
        write(tmp_path, {"labels/a.txt": f"{rows[0][1]}\n{rows[1][0]}\n", "data.yaml": rows[2][1]})
    first = only(layout(tmp_path))[0]
    assert first.label == "scratch" and first.box == pytest.approx((10, 20, 30, 40), abs=0.5)
