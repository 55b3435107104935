"""Unpack a ZIP archive of images, or refuse it whole before anything is written."""

import contextlib
import lzma
import shutil
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from pipeline.errors import InputError

MOST_FILES = 200_000
MOST_RATIO = 1000  # unpacked over packed bytes; images hardly shrink, so a ratio like this is an attack
UNSUSPICIOUS = 1_000_000  # bytes below which a ratio says nothing: a blank image may shrink that far


def unpack(archive: Path, into: Path) -> None:
    """Unpack `archive` into the empty folder `into`.

    Raises:
        InputError: no ZIP archive, damaged or encrypted; an entry that is a link, has an absolute path or leaves the
            folder; more files, a higher compression or more bytes than can be meant, or than the disk has room for;
            an archive that cannot be read or a folder that cannot be written.
    """
    with copying(f"{archive} cannot be unpacked into {into.parent}"):
        try:
            with ZipFile(archive) as source:
                entries = [entry for entry in source.infolist() if not entry.is_dir()]
                _refuse(archive, entries, shutil.disk_usage(into).free)
                for entry in entries:
                    target = into.joinpath(*PurePosixPath(entry.filename).parts)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with source.open(entry) as packed, target.open("xb") as file:
                        shutil.copyfileobj(packed, file)  # zipfile reads no more than the entry declares
        except (BadZipFile, NotImplementedError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise InputError(f"{archive} cannot be unpacked ({error}); pack it again as a plain ZIP file.") from None
        except FileExistsError as error:
            raise InputError(f"{archive} holds two files called {Path(error.filename).name!r}; rename one.") from None


@contextlib.contextmanager
def copying(failure: str) -> Iterator[None]:
    """Raise InputError, which `failure` begins, where the disk does not do what is asked for inside."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{failure} ({error.strerror or error}); free some space there, or check the permissions of both."
        ) from None


def _refuse(archive: Path, entries: list[ZipInfo], free: int) -> None:
    total, packed = sum(e.file_size for e in entries), sum(e.compress_size for e in entries)
    if not entries:
        raise InputError(f"{archive} is empty; pack the images of one class.")
    if len(entries) > MOST_FILES:
        raise InputError(f"{archive} holds {len(entries):,} files, more than {MOST_FILES:,}; give a folder instead.")
    if total > UNSUSPICIOUS and total > MOST_RATIO * max(packed, 1):
        raise InputError(f"{archive} would grow {total // max(packed, 1):,} times when unpacked: that is no image set.")
    if total > free:
        raise InputError(
            f"{archive} unpacks to {total / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free; free some space."
        )
    for entry in entries:
        name, parts = entry.filename, PurePosixPath(entry.filename).parts
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"{archive} holds the link {name!r}; pack the files themselves.")
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or name[1:2] == ":":
            raise InputError(f"{archive} holds {name!r}, which leads out of the folder; pack the files by plain names.")
        if entry.flag_bits & 1:
            raise InputError(f"{archive} is encrypted; pack it without a password.")
        if entry.file_size > UNSUSPICIOUS and entry.file_size > MOST_RATIO * max(entry.compress_size, 1):
            raise InputError(f"{archive}: {name!r} would grow more than {MOST_RATIO} times when unpacked.")
