"""One strip or tile of a TIFF: from compressed bytes to samples."""

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import TiffPage

DIFFERENCES, FLOAT_DIFFERENCES = 2, 3  # predictors
Shape = tuple[int, int, int]


def unpack(page: TiffPage, data: bytes, shape: Shape) -> NDArray[Any]:
    """The samples ``[rows, columns, channels]`` of a strip or tile, in memory that ``shape`` bounds.

    uint8, uint16, float32 or float64 in the machine's byte order. Raises what numpy and Pillow raise on damage.
    """
    rows, columns, channels = shape
    bits = page.bitspersample
    line = (columns * channels * bits + 7) // 8  # bytes; each row starts with a new one
    if page.compression != 1 or page.fillorder != 1:
        data = _by_libtiff(page, data, rows, line)
    stored = np.frombuffer(data, np.uint8, rows * line).reshape(rows, line)
    if bits % 8:
        return _of_bits(stored, bits, columns * channels).reshape(shape)
    if page.predictor == FLOAT_DIFFERENCES:
        return _of_float_differences(stored, shape, bits // 8)
    whole = stored.view(f"{page.parent.byteorder}u{bits // 8}").astype(f"=u{bits // 8}").reshape(shape)
    if page.predictor == DIFFERENCES:
        whole = np.cumsum(whole, axis=1, dtype=whole.dtype)
    return whole.view(f"=f{bits // 8}") if page.sampleformat == 3 else whole


def _by_libtiff(page: TiffPage, data: bytes, rows: int, line: int) -> bytes:
    """Decompress to ``rows * line`` bytes: libtiff, in Pillow, reads them as grey pixels of a file made around them."""
    tags = {256: line, 257: rows, 258: 8, 259: int(page.compression), 262: 1, 266: int(page.fillorder), 273: 0}
    tags |= {277: 1, 278: rows, 279: len(data)}
    start = 8 + 2 + 12 * len(tags) + 4
    tags[273] = start
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    file = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data
    with Image.open(io.BytesIO(file), formats=("TIFF",)) as image:
        return image.tobytes()


def _of_bits(stored: NDArray[np.uint8], bits: int, count: int) -> NDArray[Any]:
    """Rows ``[rows, count]`` of samples of 1 to 15 bits, the first in the highest ones."""
    kind = np.uint8 if bits < 8 else np.uint16
    samples = np.zeros((len(stored), count), kind)
    for row, line in zip(samples, stored, strict=True):  # row by row, as a byte for each bit takes much memory
        singles = np.unpackbits(line, count=count * bits).reshape(count, bits)
        for k in range(bits):
            row |= singles[:, k] * kind(1 << (bits - 1 - k))
    return samples


def _of_float_differences(stored: NDArray[np.uint8], shape: Shape, size: int) -> NDArray[Any]:
    """Undo Adobe's predictor for floats: rows of differences between bytes, first all the highest bytes, and so on."""
    rows, columns, channels = shape
    steps = stored.reshape(rows, columns * size, channels)
    planes = np.cumsum(steps, axis=1, dtype=np.uint8).reshape(rows, size, columns * channels)
    samples = np.ascontiguousarray(planes.swapaxes(1, 2)).view(f">f{size}")
    return samples.astype(f"=f{size}").reshape(shape)
