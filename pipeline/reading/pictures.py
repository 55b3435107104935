"""Pictures of image pairs side by side, for a person who decides whether they show one part."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.reading.duplicates import Pair
from pipeline.reading.reader import Reading

HEIGHT = 256  # pixels; smaller images are enlarged without smoothing, larger ones shrunk
GAP = 8  # pixels of grey between the two


def write_pairs(reading: Reading, pairs: Sequence[Pair], folder: Path) -> list[Path]:
    """Write each pair as ``pair-001.png`` and so on into ``folder``, in the order given; returns the files.

    Raises InputError when the folder is inside the data set, holds anything already, or cannot be written.
    """
    target = folder.resolve()
    if target.is_relative_to(reading.root):
        raise InputError(f"--pairs {folder} is inside the data set; give a folder elsewhere.")
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise InputError(f"--pairs {folder} is not empty; give a new folder.")
        files = []
        for number, pair in enumerate(pairs, start=1):
            file = target / f"pair-{number:03}.png"
            picture = np.hstack(_beside(reading.images[pair.first], reading.images[pair.second]))
            file.write_bytes(cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())
            files.append(file)
        return files
    except OSError as error:
        raise InputError(f"--pairs {folder} cannot be written ({error.strerror}); give another folder.") from error


def _beside(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [_scaled(one), np.full((HEIGHT, GAP, 3), 128, np.uint8), _scaled(other)]


def _scaled(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    width = max(1, round(image.shape[1] * HEIGHT / image.shape[0]))
    method = cv2.INTER_AREA if image.shape[0] > HEIGHT else cv2.INTER_NEAREST
    scaled = cv2.resize(image, (width, HEIGHT), interpolation=method)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_GRAY2RGB) if scaled.ndim == 2 else scaled, np.uint8)
