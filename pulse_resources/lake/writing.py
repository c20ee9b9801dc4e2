"""Prepares rows for a commit: cut into blocks, cast, checked, sorted, and fitted to what is stored. Commits nothing."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, Schema

from pulse_resources.errors import ContractError, PartitionError
from pulse_resources.lake.contract import TableContract
from pulse_resources.lake.order import in_order
from pulse_resources.lake.partitions import Partitions

BATCH_ROWS = 65_536
"""Rows handed to delta-rs at a time: with one batch for all, checking and encoding cannot overlap."""
BLOCK_ROWS = 250_000
"""Rows gathered from a stream before they are committed: about 60 MB of a table with 23 quantiles."""


def fitted(contract: TableContract, rows: pa.Table, table: DeltaTable, *, evolve_schema: bool = False) -> pa.Table:
    """Make rows fit the stored table: nulls for columns that it has gained and this code does not know."""
    stored = {column.name: column for column in table.schema().fields}
    ours = {column.name: column for column in Schema.from_arrow(rows.schema).fields}
    retyped = [name for name in ours if name in stored and ours[name].type != stored[name].type]
    added = [name for name in ours if name not in stored and not (evolve_schema and ours[name].nullable)]
    lacking = [name for name in stored if name not in ours and not stored[name].nullable]
    if retyped or added or lacking:
        raise ContractError(
            f"{contract.name}: the stored table has other columns than the contract (of another type: {retyped}, only "
            f"in the contract: {added}, only stored: {lacking}). Write once with evolve_schema=True to add nullable "
            "columns; other changes need a new table."
        )
    for column in pa.schema(table.schema().to_arrow()):
        if column.name not in rows.column_names:
            rows = rows.append_column(column.name, pa.nulls(len(rows), column.type))
    return pa.Table.from_batches(rows.to_batches(max_chunksize=BATCH_ROWS), rows.schema)


def order_of(contract: TableContract) -> tuple[str, ...]:
    """Return the columns that rows of one write are sorted by."""
    return contract.sort or contract.key


def checked(contract: TableContract, rows: pa.Table, *, extra: bool = False) -> pa.Table:
    """Cast rows to the contract and put them in order.

    Raises
    ------
    ContractError
        A column does not fit, a rule is broken, or two rows share a key.
    """
    table, unique = in_order(contract.cast(rows, extra=extra), order_of(contract))
    broken = contract.broken_rules(table, key_is_unique=unique and not contract.sort)
    if broken:
        said = "; ".join(f"{name}: {count} rows" for name, count in broken.items())
        raise ContractError(f"{contract.name}: nothing was written, rows break the contract's rules ({said})")
    return table


def blocks(
    contract: TableContract, rows: pa.Table | pa.RecordBatchReader, partitions: Partitions, *, extra: bool
) -> Iterator[tuple[pa.Table, Partitions]]:
    """Cut a stream at partition borders; together the pieces cover all partitions, also those without rows."""
    if isinstance(rows, pa.Table):
        yield rows, partitions
        return
    column, left = partitions.column, list(partitions.values)
    held = None
    newest = None
    for came in rows:
        if not len(came):
            continue
        batch = contract.cast(pa.table(came), extra=extra)  # before the cut: it compares and drops no null
        low, high = pc.min_max(batch[column]).as_py().values()
        if newest is not None and low < newest:
            raise PartitionError(f"{contract.name}: a stream must come in order of {column}; {low} came after {newest}")
        newest = high
        held = batch if held is None else pa.concat_tables([held, batch])
        done = [value for value in left if value < newest]
        if len(held) >= BLOCK_ROWS and done:
            yield held.filter(pc.field(column) < pa.scalar(newest)), Partitions.of(column, done)
            left = left[len(done) :]
            held = held.filter(pc.field(column) >= pa.scalar(newest))
    yield rows.schema.empty_table() if held is None else held, Partitions.of(column, left) if left else partitions
