"""Reads and writes the lake's tables. Knows contracts and Delta; knows nothing of Dagster or of what rows mean."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, Schema, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from pulse_resources.errors import PartitionError, TableMissingError
from pulse_resources.lake.commits import Commit, Evidence, Progress, sync_to_disk, with_retries
from pulse_resources.lake.contract import TableContract
from pulse_resources.lake.encoding import writer_properties
from pulse_resources.lake.faults import crash_point
from pulse_resources.lake.partitions import Partitions, add_folder
from pulse_resources.lake.reading import read_table
from pulse_resources.lake.writing import blocks, checked, fitted

Reader = Callable[..., pa.Table]


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
        about :data:`~pulse_resources.lake.writing.BLOCK_ROWS` rows, so memory stays flat; each partition is whole
        before or after a crash.

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
        for block, piece in blocks(contract, rows, partitions, extra=evolve_schema):
            table = checked(contract, block, extra=evolve_schema)
            piece.check(contract, table)
            table = add_folder(contract, table)
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
            fresh = rows if isinstance(rows, pa.Table) else rows(lambda **wish: read_table(contract, table, **wish))
            if not len(fresh):
                return Commit(contract.name, table.version(), 0, 0)
            stored = fitted(contract, add_folder(contract, checked(contract, fresh)), table)
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
        return read_table(contract, self.open(contract, version), as_of=as_of, columns=columns, where=where)

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
                fitted(contract, rows, table, evolve_schema=evolve_schema),
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
