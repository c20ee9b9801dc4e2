"""Which partitions a write replaces or a read wants, as a predicate over the logical partition column.

Pure: no storage, no Dagster. Physical folders (year, month) are derived from the logical values and only prune.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from pulse_resources.errors import PartitionError
from pulse_resources.lake.contract import Physical, TableContract

Value: TypeAlias = date | datetime | str
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Partitions:
    """A set of values of one partition column, sorted, without repetition, not empty."""

    column: str
    values: tuple[Value, ...]

    @classmethod
    def of(cls, column: str, values: Sequence[Value]) -> "Partitions":
        """Build from values in any order; timestamps with a zone become UTC, as the lake stores them.

        Raises
        ------
        PartitionError
            No value at all: a write that replaces nothing is a mistake.
        """
        if not values:
            raise PartitionError(f"no partition of {column!r} was asked for; name at least one")
        return cls(column, tuple(sorted({_in_utc(value) for value in values})))

    @property
    def is_weekday_range(self) -> bool:
        """True for two or more dates that leave out no weekday in between."""
        first, last = self.values[0], self.values[-1]
        if len(self.values) == 1 or isinstance(first, datetime | str) or not isinstance(last, date):
            return False
        return list(self.values) == weekdays(first, last)

    def predicate(self, physical: Physical | None) -> str:
        """Return the SQL predicate for delta-rs; folder values come first, because they prune."""
        column = self.column
        if self.is_weekday_range:
            logical = (
                f"{column} >= {_literal(self.values[0])} AND {column} <= {_literal(self.values[-1])} "
                f"AND date_part('dow', {column}) BETWEEN 1 AND 5"
            )
        else:
            logical = f"{column} IN ({', '.join(_literal(value) for value in self.values)})"
        if physical is None:
            return logical
        folders = sorted({folder_of(value, physical) for value in self.values})
        return f"{physical} IN ({', '.join(map(str, folders))}) AND {logical}"

    def expression(self) -> pc.Expression:
        """Return the same set as an Arrow filter expression."""
        field = pc.field(self.column)
        if self.is_weekday_range:
            weekday = pc.day_of_week(field) < SATURDAY
            return (field >= pa.scalar(self.values[0])) & (field <= pa.scalar(self.values[-1])) & weekday
        return field.isin(pa.array(self.values))

    def check(self, contract: TableContract, rows: pa.Table) -> None:
        """Refuse rows outside the set, naming some of them.

        Raises
        ------
        PartitionError
            At least one row lies outside.
        """
        came = pc.unique(rows[self.column]).to_pylist()
        outside = sorted(set(came) - set(self.values))
        if outside:
            raise PartitionError(
                f"{contract.name}: rows with {self.column} = {_shown(outside)} lie outside the partitions being "
                f"written ({_shown(list(self.values))}); nothing was written. Filter them out or widen the range."
            )


def between(first: date, last: date) -> pc.Expression:
    """Return the filter for rows whose ``as_of`` lies in a range of days, ends included.

    Examples
    --------
    >>> days = pa.table({"as_of": [date(2024, 1, 1), date(2024, 1, 2)]})
    >>> len(days.filter(between(date(2024, 1, 2), date(2024, 1, 9))))
    1
    """
    return (pc.field("as_of") >= pa.scalar(first)) & (pc.field("as_of") <= pa.scalar(last))


def weekdays(first: date, last: date) -> list[date]:
    """Return Monday to Friday from first to last, both included.

    Examples
    --------
    >>> [str(day) for day in weekdays(date(2024, 1, 5), date(2024, 1, 8))]
    ['2024-01-05', '2024-01-08']
    """
    span = (last - first).days + 1
    days = (first + timedelta(days=step) for step in range(span))
    return [day for day in days if day.weekday() < SATURDAY]


def blocks_of(days: Sequence[date], size: int) -> list[list[date]]:
    """Cut days into consecutive blocks of at most ``size``."""
    return [list(days[low : low + size]) for low in range(0, len(days), size)]


def folder_of(value: Value, physical: Physical) -> int:
    """Return the folder of a date or timestamp: 2024, or 202403."""
    if not isinstance(value, date):
        raise PartitionError(f"folders by {physical} need a date or timestamp, came {value!r}")
    return value.year if physical == "year" else value.year * 100 + value.month


def add_folder(contract: TableContract, rows: pa.Table) -> pa.Table:
    """Append the folder column on the way to disk, right behind the contract's own columns."""
    if contract.physical is None:
        return rows
    values = rows[contract.partition]
    folders = {folder_of(value, contract.physical) for value in pc.min_max(values).as_py().values() if value}
    if len(folders) == 1:
        folder = pa.repeat(pa.scalar(folders.pop(), pa.int32()), len(rows))
    else:
        folder = pc.year(values)
        if contract.physical == "month":
            folder = pc.add(pc.multiply(folder, 100), pc.month(values))
        folder = folder.cast(pa.int32())
    return rows.add_column(len(contract.columns), contract.stored_schema.field(contract.physical), folder)


def _in_utc(value: Value) -> Value:
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


def _literal(value: Value) -> str:
    if isinstance(value, datetime):
        zone = 'Some("UTC")' if value.tzinfo else "None"
        return f"arrow_cast('{value.isoformat()}', 'Timestamp(Microsecond, {zone})')"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return "'" + value.replace("'", "''") + "'"


def _shown(values: Sequence[Value]) -> str:
    texts = [str(value) for value in values]
    return ", ".join(texts) if len(texts) <= 4 else f"{texts[0]}, {texts[1]}, … {texts[-1]} ({len(texts)} in all)"
