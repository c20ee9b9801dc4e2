"""A folder of CSV and Parquet files: bars, or any series with an id, a time and a value."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pulse_resources.errors import ConfigError
from pulse_resources.sources.csv_text import parse_csv
from pulse_resources.sources.protocol import BronzeTable, Delivery, Problem, Traits

ALIASES = {
    "ds": ("ds", "date", "timestamp", "time", "datetime", "day"),
    "id": ("unique_id", "symbol", "ticker", "series_id", "series", "name", "id"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close", "price", "last", "adj close"),
    "value": ("y", "value"),
    "volume": ("volume",),
    "known_at": ("known_at",),
}
SUFFIXES = (".csv", ".parquet")


class FolderSource:
    """Reads every ``.csv`` and ``.parquet`` file below a folder.

    Parameters
    ----------
    name
        Name of the source; it prefixes the ids of its series.
    path
        The folder. Links that lead out of it are refused.
    columns
        ``{ours: theirs}`` for columns whose names are not understood: ours are ``ds, id, open, high, low, close,
        value, volume, known_at``. Without an id column the file's name without suffix is the id.
    kind, unit, freq, calendar, lag_hours
        See :class:`~pulse_resources.sources.protocol.Traits`. A file with a ``close`` column holds bars and
        defaults to kind ``price``, one with ``y`` or ``value`` holds series of kind ``other``.
    """

    def __init__(
        self,
        name: str,
        path: str,
        columns: Mapping[str, str] | None = None,
        kind: str | None = None,
        unit: str = "unknown",
        freq: str | None = None,
        calendar: str = "weekday",
        lag_hours: float = 22.0,
    ) -> None:
        self.name = name
        self.path = Path(path).expanduser()
        if not isinstance(columns, Mapping | None):
            raise ConfigError(f"source {name!r}: expected `columns` as ours: theirs, came {columns!r}")
        self.columns = dict(columns or {})
        self.kind = kind
        self.traits = Traits(
            kind or "price", str(unit), None if freq is None else str(freq), str(calendar), float(lag_hours)
        )
        unknown = sorted(set(self.columns) - set(ALIASES))
        if unknown:
            raise ConfigError(f"source {name!r}: columns {unknown} are none of ours; ours are {sorted(ALIASES)}")
        if not self.path.is_dir():
            raise ConfigError(f"source {name!r}: {self.path} is no folder; create it or mend `path`")

    def fingerprint(self) -> str:
        """Return a digest over names, sizes and modification times of all files."""
        digest = hashlib.blake2b(repr((self.columns, self.traits)).encode(), digest_size=12)
        for path in self._files():
            state = path.lstat()
            digest.update(f"{_shown(path.relative_to(self.path))}|{state.st_size}|{state.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def fetch(self, since: Mapping[str, datetime]) -> Iterator[Delivery]:  # noqa: ARG002 - files are read whole
        """Yield one delivery a file, in order of their names."""
        for path in self._files():
            origin = _shown(path.relative_to(self.path))
            rows, problems = self._read(path, origin)
            yield self._delivery(rows, problems, _shown(Path(path.stem)), origin)

    def _files(self) -> list[Path]:
        found = (path for path in self.path.rglob("*") if path.suffix.lower() in SUFFIXES)
        return sorted(path for path in found if path.is_file() or path.is_symlink())

    def _read(self, path: Path, origin: str) -> tuple[pa.Table, list[Problem]]:
        target = Path(os.path.realpath(path))  # unlike resolve(), no error for a link to itself
        if not target.is_relative_to(self.path.resolve()):
            detail = "the link leads out of the folder; copy the file into it instead"
            return pa.table({}), [Problem("link_outside_folder", detail, "", origin)]
        if not target.is_file():
            return pa.table({}), [Problem("unreadable_file", "the link leads nowhere", "", origin)]
        try:
            if path.suffix.lower() == ".csv":
                return parse_csv(path.read_bytes(), origin)
            return _parquet(path, origin)
        except (pa.ArrowException, OSError) as error:
            return pa.table({}), [Problem("unreadable_file", f"{type(error).__name__}: {str(error)[:300]}", "", origin)]

    def _delivery(self, rows: pa.Table, problems: list[Problem], stem: str, origin: str) -> Delivery:
        names = self._names(rows.column_names)
        if not rows.column_names:
            return Delivery("market_bars", rows, self.traits, origin, tuple(problems))
        table: BronzeTable = "macro_vintages" if "value" in names and "close" not in names else "market_bars"
        wanted = {"id": "series_id" if table == "macro_vintages" else "symbol"}
        rows = rows.select(list(names.values())).rename_columns([wanted.get(ours, ours) for ours in names])
        if "id" not in names:
            rows = rows.append_column(wanted["id"], pa.array([stem] * len(rows), pa.string()))
        return Delivery(table, rows, self._traits(table), origin, tuple(problems))

    def _names(self, came: list[str]) -> dict[str, str]:
        """Return ours → theirs for the columns that are understood; explicit names win over aliases."""
        lower = {name.lower().strip(): name for name in reversed(came)}
        found = {ours: theirs for ours, theirs in self.columns.items() if theirs in came}
        for ours, aliases in ALIASES.items():
            theirs = next((lower[alias] for alias in aliases if alias in lower), None)
            if ours not in found and ours not in self.columns and theirs is not None and theirs not in found.values():
                found[ours] = theirs
        return found

    def _traits(self, table: BronzeTable) -> Traits:
        kind = self.kind or ("price" if table == "market_bars" else "other")
        return Traits(kind, self.traits.unit, self.traits.freq, self.traits.calendar, self.traits.lag_hours)


def _shown(path: Path) -> str:
    """Return a path as text that can be stored: bytes of its name that are no UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _parquet(path: Path, origin: str) -> tuple[pa.Table, list[Problem]]:
    rows = pq.ParquetFile(path).read()
    if len(set(rows.column_names)) < len(rows.column_names):
        return pa.table({}), [Problem("bad_header", f"two columns share a name in {rows.column_names}", "", origin)]
    problems = [] if len(rows) else [Problem("empty_file", "expected rows, came none", "", origin)]
    return rows, problems
