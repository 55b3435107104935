"""Images and figures as `data:` addresses, so that the report is one file."""

import base64
import io
import warnings

import numpy as np
from matplotlib.figure import Figure
from PIL import Image as Pillow

from pipeline.report.data import Image


def png(image: Image) -> str:
    """A uint8 [H, W], [H, W, 1] or [H, W, 3] image as a PNG `data:` address."""
    file = io.BytesIO()
    plain = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    Pillow.fromarray(np.ascontiguousarray(plain)).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def svg(figure: Figure) -> str:
    """A figure as an SVG `data:` address; equal figures give equal text."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        # Text stays text in the file: the reader's fonts draw it, not the ones that are missing a glyph here.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode("ascii")
