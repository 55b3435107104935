"""A sheet of pictures with a label before each row, above each column and under each picture."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pipeline.store import write_atomically

CELL = 96  # pixels that a picture takes at least; smaller ones are magnified by whole numbers
GAP, LINE, INK, PAPER = 4, 16, (40, 40, 40), (255, 255, 255)


@dataclass(frozen=True)
class Row:
    """Pictures `uint8 [n, C, S, S]` beside each other, and a word under each."""

    label: str
    images: Tensor
    captions: Sequence[str] = ()


def save_sheet(path: Path, rows: Sequence[Row], columns: Sequence[str] = ()) -> None:
    """Save rows, which may differ in length, as one PNG."""
    font = ImageFont.load_default()
    side = rows[0].images.shape[-1] * -(-CELL // rows[0].images.shape[-1])
    margin = int(max(font.getlength(row.label) for row in rows)) + 2 * GAP
    heights = [side + GAP + (LINE if row.captions else 0) for row in rows]
    top = LINE + GAP if columns else GAP
    width = margin + max(len(row.images) for row in rows) * (side + GAP)
    sheet = Image.new("RGB", (width, top + sum(heights)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, text in enumerate(columns):
        pen.text((margin + column * (side + GAP) + side / 2, GAP), text, INK, font, anchor="ma")
    for row, height in zip(rows, heights, strict=True):
        pen.text((GAP, top + side / 2), row.label, INK, font, anchor="lm")
        for column, image in enumerate(row.images):
            left = margin + column * (side + GAP)
            sheet.paste(_picture(image, side), (left, top))
            if column < len(row.captions):
                pen.text((left + side / 2, top + side + 1), row.captions[column], INK, font, anchor="ma")
        top += height
    file = io.BytesIO()
    sheet.save(file, format="PNG", optimize=True)
    write_atomically(path, file.getvalue())


def _picture(image: Tensor, side: int) -> Image.Image:
    pixels = image.permute(1, 2, 0).numpy()
    plain = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(plain)).resize((side, side), Image.Resampling.NEAREST)
