"""Reads and writes the lake's tables. Knows contracts and Delta; knows nothing of Dagster or of what rows mean."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as fs
from deltalake import DeltaTable, Schema, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from pulse_resources.errors import ContractError, PartitionError, TableMissingError
from pulse_resources.lake.commits import Commit, Evidence, Progress, sync_to_disk, with_retries
from pulse_resources.lake.contract import TableContract
from pulse_resources.lake.encoding import writer_properties
from pulse_resources.lake.faults import crash_point
from pulse_resources.lake.order import in_order
from pulse_resources.lake.partitions import Partitions, add_folder

BLOCK_ROWS = 250_000
"""Rows gathered from a stream before they are committed: about 60 MB of a table with 23 quantiles."""

Reader = Callable[..., pa.Table]


def end_of(as_of: date) -> datetime:
    """Return the first moment after an ``as_of`` day (UTC): rows known strictly before it were known that day."""
    return datetime.combine(as_of + timedelta(days=1), time.min, tzinfo=UTC)


@dataclass(frozen=True)
class Lake:
    """A folder or bucket of Delta tables.

    Parameters
    ----------
    root
        Folder, or ``s3://bucket/prefix``.
    storage_options
        Options of the object store (see delta-rs); ignored for a folder.
    durable
        Sync each commit on a local folder to disk.
    """

    root: str
    storage_options: Mapping[str, str] = field(default_factory=dict)
    durable: bool = True

    def uri(self, table: str) -> str:
        """Return where a table lives."""
        return f"{self.root.rstrip('/')}/{table}"

    def exists(self, contract: TableContract) -> bool:
        """Return whether the table was ever created."""
        return DeltaTable.is_deltatable(self.uri(contract.name), storage_options=dict(self.storage_options))

    def open(self, contract: TableContract, version: int | None = None) -> DeltaTable:
        """Open a table, at its newest or at a given version.

        Raises
        ------
        TableMissingError
            Never written, or that version does not exist.
        """
        try:
            return DeltaTable(self.uri(contract.name), version=version, storage_options=dict(self.storage_options))
        except TableNotFoundError as error:
            raise TableMissingError(
                f"{contract.name} does not exist under {self.root}; materialize it first (`pulse run` does)."
            ) from error
        except (DeltaError, OverflowError) as error:
            raise TableMissingError(
                f"{contract.name} has no readable version {version} under {self.root}: {error}"
            ) from error

    def create(self, contract: TableContract) -> DeltaTable:
        """Open a table, creating it empty if it is missing; safe against other creators."""
        if not self.exists(contract):
            if "://" not in self.root:
                Path(self.uri(contract.name)).mkdir(parents=True, exist_ok=True)
            try:
                DeltaTable.create(
                    self.uri(contract.name),
                    schema=Schema.from_arrow(contract.stored_schema),
                    mode="ignore",
                    partition_by=[contract.physical] if contract.physical else None,
                    description=contract.description,
                    configuration={"delta.checkpointInterval": "50"},
                    storage_options=dict(self.storage_options),
                )
            except DeltaError:
                if not self.exists(contract):  # else another creator came first, which "ignore" does not cover
                    raise
            crash_point("after_create")
        return self.open(contract)

    def overwrite(
        self,
        contract: TableContract,
        rows: pa.Table | pa.RecordBatchReader,
        partitions: Partitions,
        *,
        evidence: Evidence | None = None,
        evolve_schema: bool = False,
        on_commit: Callable[[Progress], None] = lambda _: None,
    ) -> Commit:
        """Replace exactly the given partitions by the given rows.

        A table is one commit. A stream, sorted by the partition column, is cut at partition borders into commits of
        about :data:`BLOCK_ROWS` rows, so memory stays flat; each partition is whole before or after a crash.

        Raises
        ------
        ContractError
            Rows do not match the contract, or the stored table lacks one of its columns.
        PartitionError
            Rows outside the partitions, or a stream that goes back in time. Nothing, or only whole partitions
            before the mistake, were written.
        WriteConflictError
            Concurrent writers won every attempt.
        """
        if contract.partition != partitions.column:
            raise PartitionError(f"{contract.name} is partitioned by {contract.partition!r}, not {partitions.column!r}")
        evidence = evidence or Evidence()
        self.create(contract)
        written = commits = version = done = 0
        for block, piece in _blocks(contract, rows, partitions, extra=evolve_schema):
            table = add_folder(contract, _checked(contract, block, piece, extra=evolve_schema))
            version = self._commit(contract, table, piece.predicate(contract.physical), evidence, evolve_schema)
            written, commits, done = written + len(block), commits + 1, done + len(piece.values)
            on_commit(Progress(done, len(partitions.values), written, version))
            crash_point("after_commit")
        return Commit(contract.name, version, written, commits)

    def append(
        self,
        contract: TableContract,
        rows: pa.Table | Callable[[Reader], pa.Table],
        *,
        app_id: str,
        app_version: int | None = None,
        evidence: Evidence | None = None,
    ) -> Commit:
        """Add rows once, however often the same call is repeated after crashes.

        The commit carries an application transaction and is written through the snapshot that was looked at, so of
        two concurrent calls with one ``app_id`` the slower is fenced and looks again.

        Parameters
        ----------
        rows
            The rows, or a function that takes a reader bound to the snapshot and returns the rows still missing.
        app_id, app_version
            With a version, a call whose version was already committed does nothing. Without, the table's own next
            version is used: then ``rows`` must be a function that leaves out what it finds.
        """
        evidence = evidence or Evidence()
        self.create(contract)

        def attempt(table: DeltaTable) -> Commit:
            done = table.transaction_version(app_id)
            if app_version is not None and done is not None and done >= app_version:
                return Commit(contract.name, table.version(), 0, 0)
            fresh = rows if isinstance(rows, pa.Table) else rows(lambda **wish: _read(contract, table, **wish))
            if not len(fresh):
                return Commit(contract.name, table.version(), 0, 0)
            stored = _fitted(contract, add_folder(contract, in_order(contract.cast(fresh), _order(contract))[0]), table)
            number = app_version if app_version is not None else table.version() + 1
            before = table.version()
            crash_point("before_commit")
            properties = evidence.properties(len(fresh), (app_id, number))
            write_deltalake(
                table, stored, mode="append", writer_properties=writer_properties(stored), commit_properties=properties
            )
            self.make_durable(contract, before)
            crash_point("after_commit")
            return Commit(contract.name, table.version(), len(fresh), 1)

        return with_retries(contract.name, lambda: self.open(contract), attempt)

    def append_missing(
        self, contract: TableContract, rows: pa.Table, *, app_id: str, evidence: Evidence | None = None
    ) -> Commit:
        """Append the rows whose key the table does not hold yet."""
        key, rows = list(contract.key), contract.cast(rows)

        def missing(read: Reader) -> pa.Table:
            return rows.join(read(columns=key), keys=key, join_type="left anti").select(rows.column_names)

        return self.append(contract, missing, app_id=app_id, evidence=evidence)

    def read(
        self,
        contract: TableContract,
        *,
        as_of: date | None = None,
        columns: list[str] | None = None,
        where: pc.Expression | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """Read rows as an Arrow table; a table that does not exist yet is empty.

        Parameters
        ----------
        as_of
            Only what was known by the end of that day (UTC): rows with ``known_at`` before midnight and, where
            the partition column is a date, partitions up to that day.
        columns
            Column names; all of the contract by default.
        where
            Further Arrow filter expression.
        version
            Delta version; the newest by default.

        Raises
        ------
        TableMissingError
            A version was asked for that does not exist.
        """
        if version is None and not self.exists(contract):
            return contract.empty().select(columns or contract.schema.names)
        return _read(contract, self.open(contract, version), as_of=as_of, columns=columns, where=where)

    def snapshot(self) -> "Snapshot":
        """Return a reader that pins each table's version at its first read and remembers it."""
        return Snapshot(self)

    def history(self, contract: TableContract, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the commits of a table, newest first; none for a missing table."""
        return self.open(contract).history(limit) if self.exists(contract) else []

    def _commit(
        self, contract: TableContract, rows: pa.Table, predicate: str, evidence: Evidence, evolve_schema: bool
    ) -> int:
        def attempt(table: DeltaTable) -> int:
            before = table.version()
            crash_point("before_commit")
            write_deltalake(
                table,
                _fitted(contract, rows, table, evolve_schema=evolve_schema),
                mode="overwrite",
                predicate=predicate,
                schema_mode="merge" if evolve_schema else None,
                writer_properties=writer_properties(rows),
                commit_properties=evidence.properties(len(rows)),
            )
            self.make_durable(contract, before)
            return table.version()

        return with_retries(contract.name, lambda: self.open(contract), attempt)

    def make_durable(self, contract: TableContract, before: int) -> None:
        """Sync what a local table gained after version ``before``; its first rows bring its creation along."""
        if self.durable and "://" not in self.root:
            first, above = (before + 1, 0) if before > 0 else (0, len(contract.path) + 1)
            newest = self.open(contract).version()
            sync_to_disk(Path(self.uri(contract.name)).absolute(), range(first, newest + 1), above)


@dataclass
class Snapshot:
    """Reads that see one version of each table for as long as the snapshot lives.

    ``versions`` is what a write records as its inputs; a table that is missing at first stays empty.
    """

    lake: Lake
    versions: dict[str, int] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)

    def pin(self, *contracts: TableContract) -> None:
        """Fix the versions of tables now, before a stream reads them."""
        for contract in contracts:
            if contract.name in self.versions or contract.name in self.missing:
                continue
            if self.lake.exists(contract):
                self.versions[contract.name] = self.lake.open(contract).version()
            else:
                self.missing.add(contract.name)

    def read(self, contract: TableContract, **wish: Any) -> pa.Table:  # noqa: ANN401 - same keywords as Lake.read
        """Read like :meth:`Lake.read`, at the version that this snapshot saw first."""
        self.pin(contract)
        if contract.name in self.missing:
            return contract.empty().select(wish.get("columns") or contract.schema.names)
        return self.lake.read(contract, version=self.versions[contract.name], **wish)


def _read(
    contract: TableContract,
    table: DeltaTable,
    *,
    as_of: date | None = None,
    columns: list[str] | None = None,
    where: pc.Expression | None = None,
) -> pa.Table:
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


def _fitted(contract: TableContract, rows: pa.Table, table: DeltaTable, *, evolve_schema: bool = False) -> pa.Table:
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
    return rows


def _order(contract: TableContract) -> tuple[str, ...]:
    return contract.sort or contract.key


def _checked(contract: TableContract, rows: pa.Table, partitions: Partitions, *, extra: bool) -> pa.Table:
    table = contract.cast(rows, extra=extra)
    partitions.check(contract, table)
    table, unique = in_order(table, _order(contract))
    broken = contract.broken_rules(table, key_is_unique=unique and not contract.sort)
    if broken:
        said = "; ".join(f"{name}: {count} rows" for name, count in broken.items())
        raise ContractError(f"{contract.name}: nothing was written, rows break the contract's rules ({said})")
    return table


def _blocks(
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
