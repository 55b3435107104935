"""The manifest is the data set: one row an image, its lineage checked, written the same byte for byte every time."""

import csv
import io
import math
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import pandera.pandas as pa

from pipeline.errors import InputError, JobError
from pipeline.store import write_csv

TEXT = ["path", "label", "split", "source", "sha256", "mask", "generator", "nearest_real", "decision"]
REQUIRED_INTEGERS = ["group", "width", "height"]
NUMBERS = ["confidence", "realism", "nearest_real_distance"]
DIGITS = 6  # significant decimal digits of a float, beyond what single precision repeats across machines


def _inside(paths: pd.Series) -> pd.Series:
    def ok(path: str) -> bool:
        pure = PurePosixPath(path)
        return bool(path) and "\0" not in path and not pure.is_absolute() and ".." not in pure.parts

    return paths.map(ok)


def _one_split(keys: pd.Series, splits: pd.Series) -> bool:
    return bool((splits.groupby(keys).nunique() <= 1).all())


def _never_tested_on(frame: pd.DataFrame) -> bool:
    """No synthetic image is a validation or test image.

    Two real images of different pieces may become equal when they are shrunk (`merge.size`); those of one piece share a
    group, which has a rule of its own.
    """
    synthetic = frame.loc[frame["source"] == "synthetic", "sha256"]
    return not synthetic.isin(frame.loc[frame["split"] != "train", "sha256"]).any()


def _lineage(frame: pd.DataFrame) -> bool:
    """Every synthetic row names its generator and the real training image that it is nearest to.

    Images that were drawn here have a seed too, images that were given have none; no data set mixes the two.
    """
    synthetic = frame[frame["source"] == "synthetic"]
    ancestors = set(frame.loc[(frame["source"] == "real") & (frame["split"] == "train"), "path"])
    named = (synthetic["generator"] != "") & synthetic["nearest_real"].isin(ancestors)
    return bool(named.all() and synthetic["seed"].notna().nunique() <= 1)


def _column(kind: Any, *checks: pa.Check, nullable: bool = False) -> pa.Column:
    return pa.Column(kind, list(checks), nullable=nullable)


SCHEMA = pa.DataFrameSchema(
    {
        "path": pa.Column(str, pa.Check(_inside, error="paths are relative and stay inside the data set"), unique=True),
        "label": _column(str, pa.Check(lambda s: s != "", error="every image has a class")),
        "split": _column(str, pa.Check.isin(["train", "val", "test"])),
        "source": _column(str, pa.Check.isin(["real", "synthetic"])),
        "sha256": _column(str, pa.Check.str_matches(r"^[0-9a-f]{64}$")),
        "group": _column("int64", pa.Check.ge(0)),
        "width": _column("int64", pa.Check.gt(0)),
        "height": _column("int64", pa.Check.gt(0)),
        "mask": _column(str),
        "generator": _column(str),
        "seed": _column("Int64", pa.Check.ge(0), nullable=True),
        "confidence": _column("float64", pa.Check.in_range(0, 1), nullable=True),
        "realism": _column("float64", nullable=True),
        "nearest_real": _column(str),
        "nearest_real_distance": _column("float64", nullable=True),
        "decision": _column(str),
    },
    checks=[
        pa.Check(
            lambda f: (f["source"] == "real") | (f["split"] == "train"), error="synthetic images exist only in train"
        ),
        pa.Check(lambda f: _one_split(f["group"], f["split"]), error="a group lies in one split"),
        pa.Check(_never_tested_on, error="a synthetic image is no validation or test image"),
        pa.Check(_lineage, error="a synthetic image names its generator, its seed if drawn, and a real training image"),
    ],
    strict=True,
    ordered=True,
)
COLUMNS = list(SCHEMA.columns)


def write_manifest(frame: pd.DataFrame, path: Path) -> None:
    """Check ``frame`` against SCHEMA and write it as UTF-8 CSV with "\\n" line ends, atomically.

    Columns of the wrong but convertible dtype are converted. Raises JobError when a rule is broken; nothing is written.
    """
    try:
        table = SCHEMA.validate(_typed(frame), lazy=True).itertuples(index=False)
        write_csv(path, COLUMNS, (dict(zip(COLUMNS, map(_field, row), strict=True)) for row in table))
    except (pa.errors.SchemaErrors, KeyError, TypeError, ValueError) as error:
        raise JobError(f"{path} was not written, it would break its own rules: {_explain(error)}.") from error


def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest and check it against SCHEMA; empty fields are "" in text columns and missing in number columns.

    Raises InputError when the file is absent, not a manifest, or breaks a rule.
    """
    try:
        rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), strict=True))
        header, body = (rows[0], rows[1:]) if rows else ([], [])
        if header != COLUMNS:
            raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
        if any(len(row) != len(COLUMNS) for row in body):
            raise ValueError("a row has too few or too many fields")
        return SCHEMA.validate(_typed(pd.DataFrame(body, columns=COLUMNS, dtype=str)), lazy=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); run `ganaug merge` to write it.") from error
    except (pa.errors.SchemaErrors, csv.Error, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not a valid manifest: {_explain(error)}; restore it or run `ganaug merge`."
        ) from error


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    typed = frame.copy()
    for name in typed.columns.intersection(TEXT):
        typed[name] = typed[name].astype(object).where(typed[name].notna(), "").astype(str)
    for name in typed.columns.intersection(REQUIRED_INTEGERS):
        typed[name] = typed[name].astype("int64")
    for name in typed.columns.intersection(NUMBERS):
        typed[name] = _empty_as_missing(typed[name]).astype("float64").map(_rounded)
    if "seed" in typed:
        typed["seed"] = _empty_as_missing(typed["seed"]).map(lambda v: pd.NA if pd.isna(v) else int(v)).astype("Int64")
    return typed


def _empty_as_missing(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna() & (column.astype(object) != ""), None)


def _rounded(value: float) -> float:
    return value if math.isnan(value) else float(f"{value:.{DIGITS}g}")


def _field(value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


def _explain(error: Exception) -> str:
    if not isinstance(error, pa.errors.SchemaErrors):
        return str(error)
    named = []
    for row in error.failure_cases.itertuples():
        if row.schema_context == "Column":
            named.append(f"{row.column}: {row.check} ({row.failure_case!r})")
        elif row.check in ("column_in_dataframe", "column_in_schema"):
            named.append(f"column {row.failure_case!r} is {'missing' if 'dataframe' in row.check else 'unknown'}")
        else:
            named.append(str(row.check))
    return "; ".join(list(dict.fromkeys(named))[:3])
