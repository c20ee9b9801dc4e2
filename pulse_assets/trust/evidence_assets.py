"""Dagster definitions of the evidence that licences rest on: data quality, drift, and the chain of decisions."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.declare import WHEN_READY, days_of, table_asset, table_spec
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.assets import LicenceConfig, streamed
from pulse_assets.trust.evidence_tables import DATA_QUALITY, DRIFT, LICENCE_CHAIN
from pulse_assets.trust.tables import LICENCES, SCORES
from pulse_resources.evidence import evidence_of
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import blocks_of, weekdays
from pulse_resources.lake.resource import DeltaLake

WATCHED_DAYS = 120

Rows = dg.Output[pa.RecordBatchReader]


@table_asset(DATA_QUALITY, group="trust", deps=[SERIES], code_version="1", automation=WHEN_READY)
def data_quality(context: dg.AssetExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> Rows:
    """Measure how sound the newest observations of every series are, as known on each day of the range."""
    from pulse_assets.trust.quality_days import quality_days

    days, snapshot = days_of(context), lake.lake().snapshot()
    return streamed(DATA_QUALITY, quality_days(snapshot, blocks_of(days, WATCHED_DAYS)), snapshot, (SERIES,), days)


@table_asset(DRIFT, group="trust", deps=[SERIES, SCORES], code_version="1", automation=WHEN_READY)
def drift(context: dg.AssetExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> Rows:
    """Watch every series and model, and panels as a whole, for change on each day of the range."""
    from pulse_assets.trust.drift_days import drift_days

    days, snapshot = days_of(context), lake.lake().snapshot()
    return streamed(DRIFT, drift_days(snapshot, blocks_of(days, WATCHED_DAYS)), snapshot, (SERIES, SCORES), days)


@dg.multi_asset(
    name="licence_chain",
    specs=[table_spec(LICENCE_CHAIN, group="trust", deps=[LICENCES], code_version="1")],
    can_subset=False,
)
def licence_chain(
    context: dg.AssetExecutionContext, config: LicenceConfig, lake: dg.ResourceParam[DeltaLake]
) -> Iterator[dg.MaterializeResult[None]]:
    """Vouch for every day of licences that was written since the chain was last added to."""
    from pulse_assets.trust.chain_days import chain_rows
    from pulse_assets.trust.licensing.policy import Policy

    store, policy = lake.lake(), Policy.of(config.thresholds)
    days = written_since(
        store, pc.max(store.read(LICENCE_CHAIN, columns=["licences_version"])["licences_version"]).as_py()
    )
    commit = store.append(
        LICENCE_CHAIN,
        lambda _: chain_rows(store.snapshot(), days, policy, context.run.run_id),
        app_id="licence_chain",
        evidence=evidence_of(context),
    )
    yield dg.MaterializeResult(metadata={"days_added": commit.rows, "delta_version": commit.version})


def written_since(store: Lake, version: int | None) -> list[date]:
    """Return the days whose licences were written after a Delta version, oldest first."""
    days: set[date] = set()
    for commit in store.history(LICENCES):
        partitions = commit.get("dagster.partitions", "")
        if commit["version"] > (-1 if version is None else version) and partitions:
            first, _, last = partitions.partition("...")
            days.update(weekdays(date.fromisoformat(first), date.fromisoformat(last or first)))
    return sorted(days)
