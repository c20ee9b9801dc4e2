"""Blocking checks made from table contracts: stored schema, rules and keys, for every partitioned table alike."""

import dagster as dg
import pyarrow as pa

from pulse_assets.declare import days_of
from pulse_resources.lake import TableContract
from pulse_resources.lake.partitions import between
from pulse_resources.lake.resource import DeltaLake

RECHECKED_DAYS = 5


def contract_check(contract: TableContract) -> dg.AssetChecksDefinition:
    """Return the check that a table on disk is what its contract says.

    Rows are checked when they are written; this reads back the newest five days of the run, so that a fault
    below the writer shows, too.
    """

    @dg.asset_check(
        asset=dg.AssetKey(contract.path),
        name="matches_contract",
        blocking=True,
        description="Stored columns, types, keys and rules are those of the table's contract",
    )
    def check(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> dg.AssetCheckResult:
        store = lake.lake()
        stored = pa.schema(store.open(contract).schema().to_arrow())
        wrong = {
            field.name: str(stored.field(field.name).type) if field.name in stored.names else "missing"
            for field in contract.schema
            if field.name not in stored.names or stored.field(field.name).type != field.type
        }
        days = days_of(context)[-RECHECKED_DAYS:]
        inside = between(days[0], days[-1])
        broken = {} if wrong else contract.broken_rules(store.read(contract, where=inside))
        return dg.AssetCheckResult(
            passed=not wrong and not broken,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"wrong_columns": wrong, "broken_rules": broken, "days_read": len(days)},
        )

    return check
