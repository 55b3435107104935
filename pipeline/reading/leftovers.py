"""What the files are that no layout uses: pictures of formats that are not read, annotations, rubbish, others."""

import json
import re
from pathlib import Path, PurePosixPath

from pipeline.reading.csv_text import is_manifest

FORMATS: dict[str, str] = {
    ".jp2": "JPEG 2000",
    ".j2k": "JPEG 2000",
    ".jpx": "JPEG 2000",
    ".jxl": "JPEG XL",
    ".gif": "GIF",
    ".pgm": "PGM/PPM",
    ".ppm": "PGM/PPM",
    ".pbm": "PGM/PPM",
    ".pnm": "PGM/PPM",
    ".dcm": "DICOM",
    ".dicom": "DICOM",
    ".heic": "HEIC",
    ".heif": "HEIC",
    ".avif": "AVIF",
    ".raw": "raw",
    ".dng": "camera raw",
    ".cr2": "camera raw",
    ".cr3": "camera raw",
    ".nef": "camera raw",
    ".arw": "camera raw",
    ".psd": "Photoshop",
    ".exr": "OpenEXR",
    ".hdr": "Radiance",
    ".tga": "TGA",
    ".svg": "SVG",
    ".pdf": "PDF",
    ".npy": "NumPy",
    ".npz": "NumPy",
    ".mat": "MATLAB",
    ".mp4": "video",
    ".avi": "video",
    ".mov": "video",
}
STARTS: dict[bytes, str] = {
    b"GIF8": "GIF",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"#?RADIANCE": "Radiance",
}
RUBBISH = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin"})
YOLO_LINE = re.compile(rb"\d+( [0-9.eE+-]+){4,}\s*(\n|$)")
LOOKED_AT = 1 << 16  # bytes at the start of a file


def is_rubbish(name: str) -> bool:
    """Whether an operating system left the file there, or it is hidden."""
    return name.startswith((".", "__MACOSX", "~$")) or name.lower() in RUBBISH


def picture_format(root: Path, path: str) -> str:
    """The name of the image format, of those that are not read, by the file's content or its ending; ``""`` if none."""
    start = _start(root / path)
    named = next((kind for first, kind in STARTS.items() if start.startswith(first)), "")
    if not named and start[4:8] == b"ftyp":
        named = {b"avif": "AVIF", b"heic": "HEIC", b"mif1": "HEIC"}.get(start[8:12], "video")
    if not named and start[128:132] == b"DICM":
        named = "DICOM"
    return named or FORMATS.get(PurePosixPath(path).suffix.lower(), "")


def annotation_format(root: Path, path: str) -> str:
    """The name of the annotation format that a file's content shows; ``""`` where it is none that is known."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == ".csv":
        return "CSV" if is_manifest(root / path) else ""
    if suffix not in (".json", ".xml", ".txt"):
        return ""
    start = _start(root / path)
    if suffix == ".json":
        return _json_format(start)
    if suffix == ".xml":
        return "CVAT" if b"<annotations" in start else "Pascal VOC" if b"<annotation" in start else ""
    return "YOLO" if YOLO_LINE.match(start) else ""


def _json_format(start: bytes) -> str:
    def has(*keys: str) -> bool:
        return all(json.dumps(key).encode() in start for key in keys)

    if has("shapes") and (has("imagePath") or has("imageData") or has("version")):
        return "LabelMe"
    return "COCO" if has("annotations") or has("images") else ""


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(LOOKED_AT)
    except OSError:
        return b""
