"""Dagster definitions of trust: scores when the truth arrives, licences from the scores."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.declare import WHEN_READY, days_of, table_asset
from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.tables import LICENCES, SCORES
from pulse_resources.evidence import fingerprint
from pulse_resources.lake import Snapshot
from pulse_resources.lake.io_manager import CONFIG, INPUTS
from pulse_resources.lake.partitions import blocks_of
from pulse_resources.lake.resource import DeltaLake

SCORED_DAYS = 25
JUDGED_DAYS = 120


class LicenceConfig(dg.Config):
    """Thresholds of the licence gate; see ``pulse_assets.trust.licences.Policy``."""

    window_targets: int = 90
    min_targets: int = 30
    coverage_band: float = 0.05


@table_asset(SCORES, group="trust", deps=[SERIES, FORECASTS], code_version="1", automation=WHEN_READY)
def scores(context: dg.AssetExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> dg.Output[pa.RecordBatchReader]:
    """Score every forecast whose truth was first released on a day of the range."""
    days = days_of(context)
    snapshot = lake.lake().snapshot()
    silver = snapshot.read(SERIES, as_of=days[-1], columns=["as_of", "unique_id", "ds", "y", "flags"])
    snapshot.pin(FORECASTS)
    tables = (_scored(snapshot, silver, block) for block in blocks_of(days, SCORED_DAYS))
    batches = (batch for table in tables for batch in table.to_batches())
    reader = pa.RecordBatchReader.from_batches(SCORES.schema, batches)
    return dg.Output(reader, metadata={INPUTS: snapshot.versions, "days": len(days)})


def _scored(snapshot: Snapshot, silver: pa.Table, days: list[date]) -> pa.Table:
    from pulse_assets.trust.scoring import first_releases, lookback, score, wanted_forecasts

    inside = (pc.field("as_of") >= pa.scalar(days[0])) & (pc.field("as_of") <= pa.scalar(days[-1]))
    truths = first_releases(silver.filter(inside))
    recent = pc.field("year") >= lookback(days).year
    made = snapshot.read(FORECASTS, as_of=days[-1], where=recent & wanted_forecasts(truths))
    return SCORES.cast(score(made, truths))


@table_asset(LICENCES, group="trust", deps=[SERIES, FORECASTS, SCORES], code_version="1", automation=WHEN_READY)
def licences(
    context: dg.AssetExecutionContext, config: LicenceConfig, lake: dg.ResourceParam[DeltaLake]
) -> dg.Output[pa.RecordBatchReader]:
    """Decide for each series and model whether its forecasts of the day may be used."""
    from pulse_assets.trust.judge import judge

    days = days_of(context)
    snapshot = lake.lake().snapshot()
    snapshot.pin(SERIES, FORECASTS, SCORES)
    tables = judge(snapshot, blocks_of(days, JUDGED_DAYS), config.model_dump())
    batches: Iterator[pa.RecordBatch] = (batch for table in tables for batch in table.to_batches())
    return dg.Output(
        pa.RecordBatchReader.from_batches(LICENCES.schema, batches),
        metadata={INPUTS: snapshot.versions, CONFIG: fingerprint(config.model_dump()), "days": len(days)},
    )
