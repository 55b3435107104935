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


def small(image: Image, limit: int) -> str:
    """A uint8 [H, W] or [H, W, 3] image as a `data:` address of at most about `limit` bytes: PNG if it fits, else JPEG.

    The JPEG is as good as fits; at its coarsest it is taken whatever its length.
    """
    exact = png(image)
    if len(exact) <= limit:
        return exact
    picture, address = Pillow.fromarray(np.ascontiguousarray(image)), ""
    for quality in (90, 80, 65, 45, 25, 10):
        file = io.BytesIO()
        picture.save(file, format="JPEG", quality=quality)
        address = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
        if len(address) <= limit:
            break
    return address


def svg(figure: Figure) -> str:
    """A figure as an SVG `data:` address; equal figures give equal text."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        # Text stays text in the file: the reader's fonts draw it, not the ones that are missing a glyph here.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode("ascii")
