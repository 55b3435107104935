"""The manifest: exact round trips, stable bytes, and rules that a broken lineage cannot pass."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError, JobError
from pipeline.manifest import COLUMNS, SCHEMA, read_manifest, write_manifest

DESIGN = (
    "path label split source sha256 group width height mask generator seed confidence realism nearest_real "
    "nearest_real_distance decision"
)


def row(path: str, **changes: object) -> dict[str, object]:
    digest = hashlib.sha256(path.encode()).hexdigest()
    plain = {"path": path, "label": "dent", "split": "train", "source": "real", "sha256": digest}
    sizes = {"group": int(digest[:8], 16), "width": 64, "height": 48}
    empty = {"mask": "", "generator": "", "seed": None, "confidence": None, "realism": None}
    return {**plain, **sizes, **empty, "nearest_real": "", "nearest_real_distance": None, "decision": "", **changes}


def synthetic(path: str, **changes: object) -> dict[str, object]:
    lineage = {"generator": "dcgan", "seed": 2**40, "confidence": 0.91, "realism": 1.25, "nearest_real": "a.png"}
    return row(
        path, **{"source": "synthetic", **lineage, "nearest_real_distance": 3.5, "decision": "accepted", **changes}
    )


def frame(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=COLUMNS)


def good() -> pd.DataFrame:
    return frame(row("a.png"), row("t.png", split="test"), synthetic("s.png"))


def test_the_columns_are_those_of_the_design() -> None:
    assert list(SCHEMA.columns) == COLUMNS == DESIGN.split()


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(good(), path)
    back = read_manifest(path)
    assert back["seed"].tolist() == [pd.NA, pd.NA, 2**40]
    assert back["generator"].tolist() == ["", "", "dcgan"]
    assert back["confidence"].isna().tolist() == [True, True, False]
    assert str(back["group"].dtype) == "int64"
    first = path.read_bytes()
    write_manifest(back, path)
    assert path.read_bytes() == first
    assert first.startswith(",".join(COLUMNS).encode() + b"\na.png,dent,train,real,") and first.endswith(b"accepted\n")
    assert b"\r" not in first


def test_images_that_were_given_have_no_seed(tmp_path: Path) -> None:
    given_rows = [synthetic(f"{name}.png", seed=None, generator=f"renders/{name}.png") for name in "su"]
    write_manifest(frame(row("a.png"), *given_rows), tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv")["seed"].isna().all()


name = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=30)
odd = st.sampled_from(
    ["NA", "nan", "null", "", "1e5", '"', "a,b", "a\nb", "a\r\nb", "\r", " x ", "=1+1", "'", "\ufeffx", "\u2028"]
)
number = st.none() | st.floats(-1e9, 1e9)


@settings(max_examples=60, deadline=None)
@given(st.lists(name.filter(lambda n: n not in (".", "..")), min_size=1, max_size=6, unique=True), odd, number)
def test_odd_names_and_numbers_round_trip(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], remark: str, value: float | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.csv"
    rows = [row("a.png"), *(row(f"d/{n}", decision=remark, mask=f"m/{n}", nearest_real_distance=value) for n in names)]
    write_manifest(frame(*rows), path)
    back = read_manifest(path)
    assert back["path"].tolist() == ["a.png", *(f"d/{n}" for n in names)]
    assert back["mask"].tolist() == ["", *(f"m/{n}" for n in names)]
    assert back["decision"].tolist()[1:] == [remark] * len(names)
    stored = back["nearest_real_distance"].tolist()[1]
    assert np.isnan(stored) if value is None else stored == pytest.approx(value, rel=1e-5)
    written = path.read_bytes()
    write_manifest(back, path)
    assert path.read_bytes() == written


def test_the_bytes_forget_noise_in_the_last_digits(tmp_path: Path) -> None:
    one, two = good(), good()
    two.loc[2, "confidence"] = np.nextafter(0.91, 1)
    write_manifest(one, tmp_path / "one.csv")
    write_manifest(two, tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


BROKEN: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "repeated path": (lambda: frame(row("a.png"), row("a.png")), "path"),
    "absolute path": (lambda: frame(row("/a.png")), "stay inside"),
    "path that climbs": (lambda: frame(row("d/../../a.png")), "stay inside"),
    "no class": (lambda: frame(row("a.png", label="")), "has a class"),
    "unknown split": (lambda: frame(row("a.png", split="unused")), "split"),
    "unknown source": (lambda: frame(row("a.png", source="painted")), "source"),
    "bad digest": (lambda: frame(row("a.png", sha256="abc")), "sha256"),
    "synthetic test image": (lambda: frame(row("a.png"), synthetic("s.png", split="test")), "only in train"),
    "group in two splits": (lambda: frame(row("a.png", group=1), row("t.png", split="test", group=1)), "one split"),
    "synthetic image that is tested on": (
        lambda: frame(row("a.png"), synthetic("s.png", sha256="0" * 64), row("t.png", split="val", sha256="0" * 64)),
        "no validation or test image",
    ),
    "descended from a test image": (
        lambda: frame(row("a.png"), row("t.png", split="test"), synthetic("s.png", nearest_real="t.png")),
        "real training image",
    ),
    "descended from a synthetic image": (
        lambda: frame(row("a.png"), synthetic("s.png"), synthetic("u.png", nearest_real="s.png")),
        "real training image",
    ),
    "no ancestor": (lambda: frame(row("a.png"), synthetic("s.png", nearest_real="")), "real training image"),
    "no generator": (lambda: frame(row("a.png"), synthetic("s.png", generator="")), "names its generator"),
    "no seed": (lambda: frame(row("a.png"), synthetic("s.png"), synthetic("u.png", seed=None)), "its seed"),
    "missing column": (lambda: good().drop(columns="decision"), "decision"),
    "column too many": (lambda: good().assign(extra=1), "extra"),
    "column order": (lambda: good()[[*COLUMNS[1:], COLUMNS[0]]], "order"),
    "no group": (lambda: good().assign(group=None), "."),
    "confidence above one": (lambda: frame(row("a.png"), synthetic("s.png", confidence=1.5)), "confidence"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_manifest_is_neither_written_nor_read(tmp_path: Path, fault: str) -> None:
    build, words = BROKEN[fault]
    path = tmp_path / "manifest.csv"
    write_manifest(good(), path)
    before = path.read_bytes()
    with pytest.raises(JobError, match=words):
        write_manifest(build(), path)
    assert path.read_bytes() == before
    build().to_csv(path, index=False)
    with pytest.raises(InputError, match=r"manifest\.csv is not a valid manifest"):
        read_manifest(path)


def test_what_is_no_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path / "absent.csv")
    for content in (b"", b"path,label\na,b\n", b"\xff\xfe", ",".join(COLUMNS).encode() + b"\na.png\n", b'"open'):
        (tmp_path / "bad.csv").write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.csv is not a valid manifest"):
            read_manifest(tmp_path / "bad.csv")


def test_a_name_that_utf8_cannot_hold_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(JobError):
        write_manifest(frame(row("a.png"), row("b.png", mask="bad\udcff.png")), tmp_path / "m.csv")
