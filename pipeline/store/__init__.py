"""What a run keeps on disk: whole or not at all, verified when read, named by the digest of what it was made from."""

from pipeline.store.atomic_files import (
    StoreError,
    cached_json,
    cached_tensors,
    load_tensors,
    prune,
    read_json,
    replace_folder,
    save_tensors,
    write_atomically,
    write_csv,
    write_json,
)
from pipeline.store.digests import content_digest, digest, file_digest, jsonable
from pipeline.store.runfolder import SPLITS, RunFolder, hold, make_writable
from pipeline.store.sources import code_version

__all__ = [
    "SPLITS",
    "RunFolder",
    "StoreError",
    "cached_json",
    "cached_tensors",
    "code_version",
    "content_digest",
    "digest",
    "file_digest",
    "hold",
    "jsonable",
    "load_tensors",
    "make_writable",
    "prune",
    "read_json",
    "replace_folder",
    "save_tensors",
    "write_atomically",
    "write_csv",
    "write_json",
]
