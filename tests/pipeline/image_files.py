"""Image files of many kinds, made from known arrays: some by libraries, and byte by byte what these do not write."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 32, 48  # multiples of 16, for tiles
Array = NDArray[Any]


def noise(largest: int, *channels: int, seed: int = 0) -> Array:
    """Whole numbers 0..largest, ``[H, W]`` or ``[H, W, channels]``; the largest occurs in four pixels side by side."""
    kind = np.uint8 if largest < 256 else np.uint16
    found = np.random.default_rng(seed).integers(0, largest + 1, (HEIGHT, WIDTH, *channels)).astype(kind)
    found[:2, :2] = largest
    return found


def png(samples: Array, bits: int, colour_type: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of samples ``[H, W]`` or ``[H, W, C]``; ``chunks`` (name, body) stand before the data."""
    rows = samples.reshape(len(samples), -1)
    lines = [row.astype(">u2").tobytes() if bits == 16 else packed(row, bits) for row in rows]
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + line for line in lines))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


def packed(row: Array, bits: int) -> bytes:
    """Samples of 1 to 8 bits, the first in the highest bits."""
    return np.packbits((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).tobytes()


def bmp(
    rows: list[bytes],
    bits: int,
    *,
    masks: tuple[int, ...] = (),
    palette: bytes = b"",
    top_down: bool = False,
    runs: bytes = b"",
) -> bytes:
    """A BMP with an information header of 40 bytes, or of 108 where four masks are given.

    ``runs`` stand for the rows: run lengths of 8 or 4 bits.
    """
    rows = [row + b"\0" * (-len(row) % 4) for row in (rows if top_down else rows[::-1])]
    size = 108 if len(masks) == 4 else 40
    height = -HEIGHT if top_down else HEIGHT
    kind = 3 if masks else {8: 1, 4: 2}[bits] if runs else 0
    header = struct.pack("<IiiHHIIiiII", size, WIDTH, height, 1, bits, kind, len(runs), 0, 0, len(palette) // 4, 0)
    header += struct.pack(f"<{len(masks)}I", *masks) + b"\0" * (52 if len(masks) == 4 else 0)
    start = 14 + len(header) + len(palette)
    body = runs or b"".join(rows)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + palette + body


def tiff(samples: Array, **options: Any) -> bytes:
    """A TIFF that tifffile writes; of one page, without its own description."""
    buffer = io.BytesIO()
    options.setdefault("photometric", "rgb" if samples.ndim == 3 else "minisblack")
    tifffile.imwrite(buffer, samples, metadata=None, **options)
    return buffer.getvalue()


def bare_tiff(samples: Array, bits: int, sample_format: int, photometric: int, **tags: list[int]) -> bytes:
    """A TIFF ``[H, W, C]`` of a strip for each 16 rows, of any numbers; ``tags`` are named ``t338=[0]`` (SHORTs).

    Compressed as tag 259 says, of differences as tag 317 says; of 1 to 7 and 9 to 15 bits, the samples are packed.
    """
    channels = samples.shape[2]
    entries = {256: [WIDTH], 257: [HEIGHT], 258: [bits] * channels, 259: [1], 262: [photometric], 277: [channels]}
    entries |= {278: [16], 284: [1], 339: [sample_format] * channels}
    entries |= {int(name[1:]): values for name, values in tags.items()}
    predictor = entries.get(317, [1])[0]
    parts = [strip(samples[top : top + 16], bits, entries[259][0], predictor) for top in range(0, len(samples), 16)]
    data = b"".join(parts)
    starts = [8 + sum(map(len, parts[:k])) for k in range(len(parts))]
    longs = {273: starts, 279: [len(part) for part in parts]}
    body, spill, count = b"", b"", len(entries) + len(longs)
    after = 8 + len(data) + 2 + 12 * count + 4
    for tag, values in sorted((entries | longs).items()):
        kind = 4 if tag in longs else 3
        stored = struct.pack("<" + ("I" if kind == 4 else "H") * len(values), *values)
        if len(stored) > 4:
            place, spill = struct.pack("<I", after + len(spill)), spill + stored
        else:
            place = stored.ljust(4, b"\0")
        body += struct.pack("<HHI", tag, kind, len(values)) + place
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", count) + body + bytes(4) + spill


def strip(samples: Array, bits: int, compression: int, predictor: int) -> bytes:
    """The bytes of rows ``[rows, W, C]``."""
    if predictor == 2:
        whole = samples.view(f"u{samples.itemsize}")
        samples = np.diff(whole, axis=1, prepend=np.zeros_like(whole[:, :1]))
    if predictor == 3:  # of one channel
        highest_first = samples.astype(samples.dtype.newbyteorder(">")).view(np.uint8)
        planes = highest_first.reshape(*samples.shape[:2], samples.itemsize).swapaxes(1, 2).reshape(len(samples), -1)
        samples = np.diff(planes, axis=1, prepend=np.zeros_like(planes[:, :1]))
    rows = samples.reshape(len(samples), -1)
    data = b"".join(row.tobytes() if bits in (8, 16, 32, 64) else packed(row, bits) for row in rows)
    name = {5: "tiff_lzw", 8: "tiff_adobe_deflate", 32773: "packbits", 50000: "zstd"}.get(compression)
    return compressed(data, name) if name else data


def compressed(data: bytes, name: str) -> bytes:
    """As Pillow's libtiff compresses one row of bytes."""
    file = encoded(np.frombuffer(data, np.uint8)[None], "TIFF", compression=name)
    with Image.open(io.BytesIO(file)) as image:
        start, length = image.tag_v2[273][0], image.tag_v2[279][0]
    return file[start : start + length]


def encoded(samples: Array, kind: str, mode: str | None = None, **options: Any) -> bytes:
    """What Pillow writes."""
    buffer = io.BytesIO()
    image = Image.fromarray(samples)
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()
