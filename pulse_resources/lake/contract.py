"""A table declared once: columns with types, units and descriptions, key, partitions, order and rules.

From a contract come the empty table, the cast at the border, the schema check, the column notes in the user
interface and the reference page. Nothing here touches storage.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from pulse_resources.errors import ContractError

Physical = Literal["year", "month"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, Arrow type, what it means, its unit, and whether null is allowed."""

    name: str
    type: pa.DataType
    description: str
    unit: str | None = None
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that must hold for every row.

    Parameters
    ----------
    name
        Short name in snake case; it is the reason that quarantine and checks report.
    says
        The rule in words, as it continues "expected …".
    holds
        Takes the table, returns one boolean a row; null counts as broken.
    """

    name: str
    says: str
    holds: Callable[[pa.Table], pa.ChunkedArray]


@dataclass(frozen=True)
class TableContract:
    """The declaration of one Delta table.

    Parameters
    ----------
    name
        ``layer/table``; it is the asset key and the path below the lake's root.
    description
        One sentence: what one row is.
    columns
        All columns in order.
    key
        Columns that identify a row.
    partition
        Logical partition column, of type date, timestamp or string; None for a table that only grows.
    physical
        Folders on disk by year or month of the partition column, which must then be a date or timestamp.
    sort
        Order of the rows within one write; defaults to the key.
    rows_per_day
        Expected rows a partition, for the file-size check.
    rules
        What must hold for every row besides types and keys.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition: str | None = None
    physical: Physical | None = None
    sort: tuple[str, ...] = ()
    rows_per_day: int = 1_000
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        named = {column.name for column in self.columns}
        asked = {*self.key, *self.sort, *([self.partition] if self.partition else [])}
        if not asked <= named:
            raise ContractError(f"{self.name}: {sorted(asked - named)} named by the contract but not among its columns")
        if self.physical and not (self.partition and pa.types.is_temporal(self.type_of(self.partition))):
            raise ContractError(f"{self.name}: folders by {self.physical} need a date or timestamp partition column")

    @property
    def path(self) -> list[str]:
        """Asset key components."""
        return self.name.split("/")

    @cached_property
    def schema(self) -> pa.Schema:
        """Arrow schema as users see it, with description and unit as field metadata."""
        return pa.schema([_field(column) for column in self.columns])

    @cached_property
    def stored_schema(self) -> pa.Schema:
        """Arrow schema on disk: :attr:`schema` and the folder column, if any."""
        if self.physical is None:
            return self.schema
        note = {"description": f"{self.physical} of {self.partition}; makes the folders"}
        return self.schema.append(pa.field(self.physical, pa.int32(), nullable=False, metadata=note))

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change when columns, key or partitions change."""
        shape = [[c.name, str(c.type), c.unit, c.nullable] for c in self.columns]
        text = json.dumps([self.name, shape, self.key, self.partition, self.physical])
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def type_of(self, column: str) -> pa.DataType:
        """Return the Arrow type of a column."""
        if column not in self.schema.names:
            raise ContractError(f"{self.name}: no column {column!r}; the contract has {self.schema.names}")
        return self.schema.field(column).type

    def empty(self) -> pa.Table:
        """Return the table without rows."""
        return self.schema.empty_table()

    def cast(self, rows: pa.Table, *, extra: bool = False) -> pa.Table:
        """Return the rows with exactly the contract's columns, types and order.

        Parameters
        ----------
        rows
            Any column order; missing nullable columns become null.
        extra
            Keep columns that the contract does not name, at the end.

        Raises
        ------
        ContractError
            A column is missing, surplus, of a type that does not convert without loss, or null where it must not be.

        Examples
        --------
        >>> import pyarrow as pa
        >>> days = TableContract("demo/days", "a day", (Column("n", pa.int64(), "count"),), key=("n",))
        >>> days.cast(pa.table({"n": pa.array([1], pa.int8())})).schema.field("n").type
        DataType(int64)
        """
        surplus = [name for name in rows.column_names if name not in self.schema.names]
        if surplus and not extra:
            raise ContractError(
                f"{self.name}: unexpected columns {surplus}; expected {self.schema.names}. "
                "Drop them, or add them to the contract and write with evolve_schema=True."
            )
        arrays = [self._cast_column(rows, column) for column in self.columns]
        fields = [*self.schema, *(rows.schema.field(name) for name in surplus)]
        return pa.table([*arrays, *(rows[name] for name in surplus)], schema=pa.schema(fields))

    def _cast_column(self, rows: pa.Table, column: Column) -> pa.ChunkedArray:
        if column.name not in rows.column_names:
            if column.nullable:
                return pa.chunked_array([pa.nulls(len(rows), column.type)])
            raise ContractError(
                f"{self.name}: column {column.name!r} ({column.type}) is missing; came {rows.column_names}"
            )
        array = rows[column.name]
        try:
            array = array if array.type == column.type else _cast(array, column.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ContractError(
                f"{self.name}.{column.name}: expected {column.type}, came {array.type}: {str(error)[:200]}"
            ) from error
        if array.null_count and not column.nullable:
            raise ContractError(f"{self.name}.{column.name}: {array.null_count} of {len(array)} values are null")
        return array

    def broken_rules(self, rows: pa.Table, *, key_is_unique: bool = False) -> dict[str, int]:
        """Return how many rows break each rule (only rules that are broken), duplicates in the key included.

        ``key_is_unique`` says that the caller has already seen that, which saves the grouping.
        """
        counts = {rule.name: int(pc.sum(pc.invert(mask_of(rule, rows))).as_py() or 0) for rule in self.rules}
        if not key_is_unique and len(rows):
            groups = rows.group_by(list(self.key)).aggregate([([], "count_all")]).num_rows
            counts["key_is_unique"] = len(rows) - groups
        return {name: count for name, count in counts.items() if count}


def mask_of(rule: Rule, rows: pa.Table) -> pa.ChunkedArray:
    """Return which rows satisfy a rule; null counts as broken."""
    return pc.fill_null(rule.holds(rows), fill_value=False)


def _cast(array: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Cast without loss; Arrow alone would cut the time of day off a timestamp that becomes a date."""
    cast = array.cast(kind)
    if pa.types.is_date(kind) and pa.types.is_timestamp(array.type) and not cast.cast(array.type).equals(array):
        raise pa.ArrowInvalid("a time of day would be lost")
    return cast


def _field(column: Column) -> pa.Field:
    note = {"description": column.description} | ({"unit": column.unit} if column.unit else {})
    return pa.field(column.name, column.type, nullable=column.nullable, metadata=note)
