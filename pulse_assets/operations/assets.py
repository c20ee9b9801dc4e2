"""Dagster definitions of the pipeline's own evidence: lineage after every run, upkeep every week."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.catalogue import TABLES
from pulse_assets.declare import table_spec
from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.operations.lineage import lineage_rows
from pulse_assets.operations.tables import LINEAGE, TABLE_HEALTH
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.evidence_tables import LICENCE_CHAIN
from pulse_assets.trust.tables import LICENCES, SCORES
from pulse_resources.evidence import evidence_of
from pulse_resources.lake import Lake
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.lake.upkeep import compact, health, vacuum
from pulse_resources.market import Market

WITNESSED = (SERIES, FORECASTS, SCORES, LICENCES, LICENCE_CHAIN)


class UpkeepConfig(dg.Config):
    """How long deleted files stay readable by time travel; at least seven days."""

    retention_hours: int = 24 * 30


@dg.multi_asset(
    name="lineage", specs=[table_spec(LINEAGE, group="operations", deps=WITNESSED, code_version="1")], can_subset=False
)
def lineage(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[DeltaLake]
) -> Iterator[dg.MaterializeResult[None]]:
    """Copy what the commits of all tables say about themselves into one table, before log retention removes it."""
    store = lake.lake()
    held = store.read(LINEAGE, columns=["table", "version"]).group_by("table").aggregate([("version", "max")])
    newest = dict(zip(held["table"].to_pylist(), held["version_max"].to_pylist(), strict=True))
    others = [table for table in TABLES if table.name != LINEAGE.name]
    rows = pa.concat_tables(
        [lineage_rows(table.name, store.history(table), newest.get(table.name, -1)) for table in others]
    )
    commit = store.append_missing(LINEAGE, rows, app_id="lineage", evidence=evidence_of(context))
    yield dg.MaterializeResult(metadata={"commits_added": commit.rows, "delta_version": commit.version})


@dg.multi_asset(
    name="upkeep", specs=[table_spec(TABLE_HEALTH, group="operations", deps=[], code_version="1")], can_subset=False
)
def upkeep(
    context: dg.AssetExecutionContext,
    config: UpkeepConfig,
    lake: dg.ResourceParam[DeltaLake],
    market: dg.ResourceParam[Market],
) -> Iterator[dg.MaterializeResult[None]]:
    """Compact and vacuum every table, and note its state."""
    store, now = lake.lake(), market.clock()
    rows = [
        {"measured_at": now, **_round(store, table.name, config.retention_hours)}
        for table in TABLES
        if store.exists(table)
    ]
    table = pa.Table.from_pylist(rows, schema=TABLE_HEALTH.schema.remove_metadata())
    commit = store.append_missing(TABLE_HEALTH, table, app_id="upkeep", evidence=evidence_of(context))
    small = pc.sum(table["small_files"]).as_py() or 0
    yield dg.MaterializeResult(
        metadata={"tables": len(rows), "small_files_left": small, "delta_version": commit.version}
    )


def _round(store: Lake, name: str, retention_hours: int) -> dict[str, object]:
    contract = next(table for table in TABLES if table.name == name)
    vacuumed = vacuum(store, contract, retention_hours)  # first, because it refuses a retention that is too short
    compacted, _ = compact(store, contract)
    state = health(store, contract)
    counts = {field: getattr(state, field) for field in ("table", "version", "rows", "files", "bytes", "small_files")}
    return {**counts, "files_compacted": compacted, "files_vacuumed": vacuumed}
