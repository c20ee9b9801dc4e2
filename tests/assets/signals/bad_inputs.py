"""Files that are wrong, each in one way, and what is to be said about them; most hold one good row besides."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

GOOD_DAY = "2024-06-03"


@dataclass(frozen=True)
class Bad:
    """One wrong file: how to write it, the reason that it gives, and whether a good row of it must land."""

    name: str
    write: Callable[[Path], None]
    reason: str
    lands: bool = True


def _csv(name: str, reason: str, lines: str | bytes, *, header: str = "date,close", lands: bool = True) -> Bad:
    body = lines if isinstance(lines, bytes) else lines.encode()
    good = f"{GOOD_DAY},7\n".encode() if lands else b""
    return Bad(f"{name}.csv", lambda path: _write(path, header.encode() + b"\n" + good + body), reason, lands)


def _file(name: str, reason: str, body: bytes) -> Bad:
    return Bad(name, lambda path: _write(path, body), reason, lands=False)


def _write(path: Path, body: bytes) -> None:
    path.write_bytes(body)


def _link_outside(path: Path) -> None:
    outside = path.parent.parent / "outside.csv"
    outside.write_text(f"date,close\n{GOOD_DAY},1\n")
    path.symlink_to(outside)


def _two_equal_names(path: Path) -> None:
    days, prices = pa.array([GOOD_DAY]), pa.array([1.0])
    pq.write_table(pa.table([days, prices, prices], names=["date", "close", "close"]), path)


MATRIX = (
    _csv("wrong_type", "wrong_type", "2024-06-04,ten\n"),
    _csv("wrong_date", "wrong_type", "2024-31-31,7\n"),
    _csv("nan_price", "missing_value", "2024-06-04,NaN\n"),
    _csv("infinite_price", "not_finite", "2024-06-04,inf\n"),
    _csv("negative_price", "not_positive", "2024-06-04,-7\n"),
    _csv("duplicate_key", "duplicate_key", f"{GOOD_DAY},8\n"),
    _csv("future", "future_timestamp", "2190-01-01,7\n"),
    _csv("huge_field", "field_too_large", "2024-06-04," + "9" * 100_000 + "\n"),
    _csv("not_utf8", "not_utf8", b"2024-06-04,caf\xe9\n"),
    _csv("fields", "wrong_field_count", "2024-06-04,7,8\n"),
    _csv("open_quote", "open_quote", '2024-06-04,"7\n'),
    _csv("markup", "wrong_type", "2024-06-04,[/red] [bold\n"),
    _csv("missing_column", "missing_column", "2024-06-04,7\n", header="date,volume", lands=False),
    _csv("equal_names", "bad_header", "2024-06-04,7,8\n", header="date,close,close", lands=False),
    _csv("header_only", "empty_file", "", lands=False),
    _file("latin_header.csv", "bad_header", b"date,close,W\xe4hrung\n2024-06-04,7,EUR\n"),
    _file("empty.csv", "empty_file", b""),
    _file("blank.csv", "empty_file", b" \n\n"),
    _file("broken.parquet", "unreadable_file", b"PAR1 no more PAR1"),
    _file("empty.parquet", "unreadable_file", b""),
    Bad("outside.csv", _link_outside, "link_outside_folder", lands=False),
    Bad("nowhere.csv", lambda path: path.symlink_to("gone.csv"), "unreadable_file", lands=False),
    Bad("circle.csv", lambda path: path.symlink_to("circle.csv"), "unreadable_file", lands=False),
    Bad("equal_names.parquet", _two_equal_names, "bad_header", lands=False),
    Bad(
        "no_rows.parquet",
        lambda path: pq.write_table(pa.table({"date": pa.nulls(0), "close": pa.nulls(0)}), path),
        "empty_file",
        lands=False,
    ),
    Bad(
        os.fsdecode(b"na\xefve.csv"),
        lambda path: _write(path, b"date,close\n2024-06-04,ten\n"),
        "wrong_type",
        lands=False,
    ),
)


def shown(name: str) -> str:
    """Return a file name as the quarantine shows it."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
