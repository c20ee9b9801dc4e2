"""Any CSV or Parquet file to the long table that the forecast api takes: reads it, and guesses which column is what.

A guess is only made where one reading is left; everything else is an error that says which option settles it.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.stamps import is_text, looks_like_numbers, looks_like_time, numbers, stamps
from pulse_resources.errors import ConfigError
from pulse_resources.sources.csv_text import parse_csv
from pulse_resources.sources.folder import ALIASES

PARQUET, TEXT = (".parquet", ".pq"), (".csv", ".tsv", ".txt")
TIME_NAMES = (*ALIASES["ds"], "year", "step", "ts")
VALUE_NAMES = (*ALIASES["value"], *ALIASES["close"])
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Names:
    """Columns of a file by their meaning; None where it is to be guessed, or where there is none."""

    id: str | None = None
    time: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class LongTable:
    """A file as ``unique_id, ds, y`` (and ``known_at``, where it has that), and where these came from."""

    rows: pa.Table
    names: Names

    @property
    def is_price(self) -> bool:
        """Return whether the values are prices by the name of their column."""
        return (self.names.value or "").lower() in ALIASES["close"]

    def origin(self) -> str:
        """Return in words which column became what."""
        series = f"series from {self.names.id!r}" if self.names.id else "one series"
        return f"{series}, time from {self.names.time!r}, values from {self.names.value!r}"


def read_file(path: Path) -> pa.Table:
    """Read a file; columns of a CSV are text.

    Raises
    ------
    ConfigError
        It is not there, cannot be read, or has lines that are no rows.
    """
    suffix = path.suffix.lower()
    try:
        if not path.is_file():
            raise ConfigError(f"{path} is no file; name a CSV or Parquet file")
        if suffix not in (*PARQUET, *TEXT):
            raise ConfigError(
                f"{path.name} is none of {', '.join((*TEXT, *PARQUET))}; save the table as CSV or Parquet"
            )
        table = pq.ParquetFile(path).read() if suffix in PARQUET else _csv(path)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"{path} cannot be read: {reason}") from error
    if not len(table):
        raise ConfigError(f"{path.name} has no rows; expected a header line and rows below it")
    if len(set(table.column_names)) < table.num_columns:
        raise ConfigError(f"two columns of {path.name} share a name in {', '.join(table.column_names)}; rename one")
    return table


def _csv(path: Path) -> pa.Table:
    rows, problems = parse_csv(path.read_bytes(), path.name)
    if problems:
        first = problems[0]
        more = f", and {len(problems) - 1:,} more such lines" if len(problems) > 1 else ""
        shown = f": {first.original[:80]!r}" if first.original else ""
        raise ConfigError(f"{path.name}: {first.detail}{shown}{more}; mend the file, nothing of it was used")
    return rows


def long_table(table: pa.Table, path: Path, wanted: Names) -> LongTable:
    """Return a table of anyone's as a long one.

    Parameters
    ----------
    table
        As read.
    path
        Where it came from: its stem is the id of a lone series.
    wanted
        Columns that the user named.

    Raises
    ------
    ConfigError
        A column is missing, cannot be told, or holds something else; or the table is wide.
    """
    for name in (wanted.id, wanted.time, wanted.value):
        if name is not None and name not in table.column_names:
            raise ConfigError(f"{path.name} has no column {name!r}; it has {_listed(table.column_names)}")
    table = _without_row_numbers(table, wanted)
    time = wanted.time or _time_name(table, path, wanted)
    table = _without_blank_rows(table, time)
    names = replace(wanted, time=time, id=wanted.id or _id_name(table, time))
    value = wanted.value or _value_name(table, path, names)
    ds = stamps(table[time], time)
    names = replace(names, value=value, id=names.id or _label_name(table, ds, time, value))
    rows = pa.table({"unique_id": _ids(table, path, names), "ds": ds, "y": numbers(table[value], value)})
    if "known_at" in table.column_names and "known_at" not in (time, value):
        rows = rows.append_column("known_at", stamps(table["known_at"], "known_at"))
    return LongTable(rows, names)


def _ids(table: pa.Table, path: Path, names: Names) -> pa.ChunkedArray:
    if names.id is None:
        stem = os.fsencode(path.stem).decode("utf-8", "backslashreplace")
        return pa.chunked_array([pa.repeat(pa.scalar(stem), len(table))])
    column = table[names.id]
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column) if is_text(column) else column


def _without_row_numbers(table: pa.Table, wanted: Names) -> pa.Table:
    """Leave out the nameless first column of row numbers that pandas writes."""
    first = table.column_names[0]
    nameless = first == "" or first.startswith(("Unnamed: 0", "__index_level_"))
    taken = first in (wanted.id, wanted.time, wanted.value)
    return table.drop_columns([first]) if nameless and not taken and looks_like_numbers(table[first]) else table


def _without_blank_rows(table: pa.Table, time: str) -> pa.Table:
    """Leave out rows of delimiters alone, which spreadsheets append."""
    if not is_text(table[time]):
        return table
    filled = pc.not_equal(table[time], "")
    if not pc.all(filled).as_py():
        for name in table.column_names:
            filled = pc.or_(filled, pc.not_equal(table[name].cast(pa.string()), ""))
    if not pc.any(filled).as_py():
        raise ConfigError("all rows are blank; expected rows below the header")
    return table.filter(filled)


def _named(table: pa.Table, aliases: tuple[str, ...], taken: tuple[str | None, ...]) -> str | None:
    """Return the column with the first of some usual names."""
    lower = {name.lower().strip(): name for name in reversed(table.column_names) if name not in taken}
    return next((lower[alias] for alias in aliases if alias in lower), None)


def _time_name(table: pa.Table, path: Path, wanted: Names) -> str:
    others = [name for name in table.column_names if name not in (wanted.id, wanted.value)]
    alike = [name for name in others if looks_like_time(table[name]) and name != "known_at"]
    named = _named(table, TIME_NAMES, (wanted.id, wanted.value))
    if named and named.lower() == "year" and _named(table, ("month", "quarter"), ()):
        raise ConfigError(f"{path.name} spreads time over several columns; join them into one, such as 2024-01")
    found = [named] if named else alike
    if len(found) > 1:
        raise ConfigError(f"{path.name} has several columns of times, {_listed(found)}; choose with --time")
    if not found:
        several = [name for name in others if looks_like_numbers(table[name])]
        label = next((name for name in others if name not in several), None)
        hint = _reshape(path, label, "ds") if len(several) > 2 else "name it with --time"
        raise ConfigError(f"{path.name} has no column of times among {_listed(table.column_names)}; {hint}")
    if looks_like_time(pa.chunked_array([[found[0]]])):
        raise ConfigError(
            f"the first line of {path.name} holds rows already; put a header above, such as unique_id,ds,y"
        )
    return found[0]


def _id_name(table: pa.Table, time: str) -> str | None:
    """Return the column with a usual name for ids; one that never repeats numbers rows, not series."""
    found = _named(table, ALIASES["id"], (time,))
    if found is None or found == "unique_id" or len(table) == 1:
        return found
    return found if pc.count_distinct(table[found]).as_py() < len(table) else None


def _value_name(table: pa.Table, path: Path, names: Names) -> str:
    taken = (names.id, names.time)
    named = _named(table, VALUE_NAMES, taken)
    if named is not None:
        return named
    apart = (*ALIASES["id"], "known_at")
    others = [name for name in table.column_names if name not in taken and name.lower() not in apart]
    found = [name for name in others if looks_like_numbers(table[name])]
    if not found:
        raise ConfigError(
            f"{path.name} has no column of numbers among {_listed(table.column_names)}; name it with --value"
        )
    if len(found) > 1:
        advice = f"choose one with --value, or, if each is a series, {_reshape(path, names.time, 'unique_id')}"
        raise ConfigError(f"{path.name} has several columns of numbers, {_listed(found)}; {advice}")
    return str(found[0])


def _label_name(table: pa.Table, ds: pa.ChunkedArray, time: str, value: str) -> str | None:
    """Return the one column of text where stamps repeat: it must tell the series apart."""
    if pc.count_distinct(ds).as_py() == len(ds):
        return None
    labels = [name for name in table.column_names if name not in (time, value) and _is_label(table[name])]
    if len(labels) > 1:
        raise ConfigError(
            f"time stamps repeat, so there are several series; choose their column with --id: {_listed(labels)}"
        )
    return labels[0] if labels else None


def _is_label(column: pa.ChunkedArray) -> bool:
    if pa.types.is_dictionary(column.type):
        return True
    return is_text(column) and not looks_like_time(column) and not looks_like_numbers(column)


def _reshape(path: Path, keep: str | None, column: str) -> str:
    """Return how a wide table becomes a long one."""
    read = "read_parquet" if path.suffix.lower() in PARQUET else "read_csv"
    other = repr(keep) if keep is not None else "[]"
    melt = f"melt({other}, var_name={column!r}, value_name='y')"
    return f"it looks wide; make it long with pandas.{read}({path.name!r}).{melt}.to_csv('long.csv', index=False)"


def _listed(names: list[str]) -> str:
    more = f", … ({len(names):,} in all)" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more
