"""Reads one snapshot of a table: which columns, known by when, through which file system."""

from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as fs
from deltalake import DeltaTable

from pulse_resources.errors import PartitionError
from pulse_resources.lake.contract import TableContract


def end_of(as_of: date) -> datetime:
    """Return the first moment after an ``as_of`` day (UTC): rows known strictly before it were known that day."""
    return datetime.combine(as_of + timedelta(days=1), time.min, tzinfo=UTC)


def read_table(
    contract: TableContract,
    table: DeltaTable,
    *,
    as_of: date | None = None,
    columns: list[str] | None = None,
    where: pc.Expression | None = None,
) -> pa.Table:
    """Read one snapshot of a table; see :meth:`~pulse_resources.lake.lake.Lake.read`."""
    if as_of is not None:
        known = _known_by(contract, as_of)
        where = known if where is None else where & known
    dataset: ds.Dataset = table.to_pyarrow_dataset(filesystem=_native(table.table_uri))
    declared = contract.stored_schema.names
    wanted = columns or [*contract.schema.names, *(name for name in dataset.schema.names if name not in declared)]
    rows = dataset.to_table(columns=[name for name in wanted if name in dataset.schema.names], filter=where)
    for name in wanted:
        if name not in rows.column_names:  # an older version, from before the column was added
            rows = rows.append_column(name, pa.nulls(len(rows), contract.type_of(name)))
    return rows.cast(pa.schema([_plain(contract, rows.schema.field(name)) for name in wanted]))


def _native(uri: str) -> fs.FileSystem | None:
    """Return Arrow's own file system for a local table, None for an object store.

    delta-rs hands Arrow a file system written in Python. Its files may be closed on a thread of Arrow's while the
    interpreter ends, which then aborts the process (seen in one of seven runs on a busy machine, November 2026).
    """
    path = uri.removeprefix("file://")
    return None if "://" in path else fs.SubTreeFileSystem(unquote(path), fs.LocalFileSystem())


def _plain(contract: TableContract, came: pa.Field) -> pa.Field:
    declared = came.name in contract.schema.names
    return contract.schema.field(came.name).with_nullable(True) if declared else came


def _known_by(contract: TableContract, as_of: date) -> pc.Expression:
    names = contract.schema.names
    filters = []
    if "known_at" in names:
        filters.append(pc.field("known_at") < pa.scalar(end_of(as_of), contract.type_of("known_at")))
    if contract.partition and pa.types.is_date(contract.type_of(contract.partition)):
        filters.append(pc.field(contract.partition) <= pa.scalar(as_of))
    if not filters:
        raise PartitionError(
            f"{contract.name} has neither `known_at` nor a date partition: it cannot be read as of a day"
        )
    return filters[0] if len(filters) == 1 else filters[0] & filters[1]
