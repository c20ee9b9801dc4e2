"""Stores asset outputs in the lake: Dagster partition keys become exactly the partitions that a write replaces.

The only module that translates between Dagster's words and the lake's; it computes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from pulse_resources.errors import ContractError, PartitionError
from pulse_resources.lake.commits import Evidence, Progress
from pulse_resources.lake.contract import TableContract
from pulse_resources.lake.lake import Lake
from pulse_resources.lake.partitions import Partitions, Value, weekdays
from pulse_resources.lake.resource import DeltaLake

INPUTS = "inputs"
"""Output metadata: table → Delta version that the output was computed from."""
CONFIG = "config"
"""Output metadata: fingerprint of the run configuration."""
SEED = "seed"
"""Output metadata: seed of the random numbers, if any were used."""
ALSO_FROM = "also_from"
"""Output metadata: ISO date before the run's range from which on the write replaces all weekdays, too."""
EVOLVE = "pulse/evolve_schema"
"""Asset definition metadata: true lets one write add nullable columns."""

Rows: TypeAlias = pa.Table | pa.RecordBatchReader | pd.DataFrame


def delta_io_manager(contracts: Iterable[TableContract]) -> dg.IOManagerDefinition:
    """Return an IO manager for the given tables; it needs the resource ``lake``."""
    by_name = {contract.name: contract for contract in contracts}

    @dg.io_manager(required_resource_keys={"lake"}, description="Delta tables of the lake, one per asset key")
    def manager(context: dg.InitResourceContext) -> DeltaIOManager:
        resource: DeltaLake = context.resources.lake
        return DeltaIOManager(resource.lake(), by_name)

    return manager


def progress_line(table: str, done: Progress) -> str:
    """Return one line about a write in progress, for people and for the command line's progress bar."""
    return f"{table}: {done.partitions} of {done.of} partitions, {done.rows:,} rows, version {done.version}"


class DeltaIOManager(dg.IOManager):
    """Writes and reads the tables of some contracts."""

    def __init__(self, lake: Lake, contracts: Mapping[str, TableContract]) -> None:
        self.lake = lake
        self.contracts = contracts

    def handle_output(self, context: dg.OutputContext, obj: Rows | None) -> None:
        """Replace the run's partitions of the asset's table, with the evidence in the commit."""
        if obj is None:
            return
        contract = self._contract(context.asset_key)
        rows = pa.Table.from_pandas(obj, preserve_index=False) if isinstance(obj, pd.DataFrame) else obj
        if not isinstance(rows, pa.Table | pa.RecordBatchReader):
            raise ContractError(
                f"{contract.name}: expected an Arrow table, a record batch reader or a data frame, came {type(obj)}"
            )
        commit = self.lake.overwrite(
            contract,
            rows,
            _partitions(context, contract),
            evidence=_evidence(context),
            evolve_schema=bool(context.definition_metadata.get(EVOLVE, False)),
            on_commit=lambda done: context.log.info(progress_line(contract.name, done)),
        )
        one = len(context.asset_partition_keys) == 1  # of a range, every partition's event shows the same metadata
        context.add_output_metadata(
            {
                "dagster/partition_row_count" if one else "rows_of_range": commit.rows,
                "dagster/uri": self.lake.uri(contract.name),
                "dagster/table_name": contract.name,
                "delta_version": commit.version,
                "commits": commit.commits,
            }
        )

    def load_input(self, context: dg.InputContext) -> object:
        """Return the asked partitions as the annotated type: Arrow table (default), data frame or dataset.

        ``AssetIn(metadata={"delta_version": 3})`` reads an older version; a missing table is empty.
        """
        contract = self._contract(context.asset_key)
        where = None
        if contract.partition and context.has_asset_partitions:
            values = _values(contract, context.asset_partition_keys, context.asset_partitions_def)
            where = Partitions.of(contract.partition, values).expression()
        asked = (context.definition_metadata or {}).get("delta_version")
        version = None if asked is None else int(str(asked))
        rows = self.lake.read(contract, where=where, version=version)
        wanted = context.dagster_type.typing_type
        if wanted is pd.DataFrame:
            return rows.to_pandas()
        return ds.dataset(rows) if wanted is ds.Dataset else rows

    def _contract(self, key: dg.AssetKey) -> TableContract:
        name = "/".join(key.path)
        if name not in self.contracts:
            raise ContractError(
                f"no table contract for asset {name!r}; declare one and hand it to build_definitions(contracts=…)"
            )
        return self.contracts[name]


def _partitions(context: dg.OutputContext, contract: TableContract) -> Partitions:
    if contract.partition is None or not context.has_asset_partitions:
        raise PartitionError(
            f"{contract.name}: the IO manager replaces partitions, but the asset or its contract has none. Tables that "
            "only grow are written with Lake.append and reported with MaterializeResult."
        )
    values = _values(contract, context.asset_partition_keys, context.asset_partitions_def)
    earlier = _value(context.output_metadata.get(ALSO_FROM))
    if earlier:
        values = [*weekdays(date.fromisoformat(earlier), max(day for day in values if isinstance(day, date))), *values]
    return Partitions.of(contract.partition, values)


def _values(contract: TableContract, keys: Sequence[str], definition: dg.PartitionsDefinition[Any]) -> list[Value]:
    """Translate partition keys into values of the contract's partition column."""
    assert contract.partition is not None
    kind = contract.type_of(contract.partition)
    if isinstance(definition, dg.MultiPartitionsDefinition):
        raise PartitionError(f"{contract.name}: one partition dimension is supported, the asset has several")
    if not pa.types.is_temporal(kind):
        return list(keys)
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        starts = [definition.time_window_for_partition_key(key).start for key in keys]
    else:
        starts = [datetime.fromisoformat(key) for key in keys]
    if pa.types.is_date(kind):
        return [start.date() for start in starts]
    return [start.astimezone(UTC) if kind.tz else start.replace(tzinfo=None) for start in starts]


def _evidence(context: dg.OutputContext) -> Evidence:
    step, stated = context.step_context, context.output_metadata
    keys = context.asset_partition_keys
    return Evidence(
        run_id=context.run_id,
        asset_key="/".join(context.asset_key.path),
        job=context.job_name,
        partitions=keys[0] if len(keys) == 1 else f"{keys[0]}...{keys[-1]}",
        code_version=step.job_def.asset_layer.get(context.asset_key).code_version or "",
        inputs=_value(stated.get(INPUTS)) or {},
        config=str(_value(stated.get(CONFIG)) or ""),
        seed=_value(stated.get(SEED)),
    )


def _value(metadata: object) -> Any:  # noqa: ANN401 - a metadata value holds what was put in
    return getattr(metadata, "value", metadata)
