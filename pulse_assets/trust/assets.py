"""Dagster definitions of what readers look at: scores, recalibrated forecasts, trust, licences and their worth.

The evidence that licences rest on besides is in :mod:`.evidence_assets`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.declare import WHEN_READY, days_of, table_asset
from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.evidence_tables import DATA_QUALITY, DRIFT
from pulse_assets.trust.tables import CALIBRATED, CALIBRATED_SCORES, LICENCE_VALUE, LICENCES, SCORES, TRUST
from pulse_resources.evidence import fingerprint
from pulse_resources.lake import Snapshot, TableContract
from pulse_resources.lake.io_manager import CONFIG, INPUTS
from pulse_resources.lake.partitions import between, blocks_of
from pulse_resources.lake.resource import DeltaLake

SCORED_DAYS = 25
CALIBRATED_DAYS = 20
JUDGED_DAYS = 120
JUDGED = (CALIBRATED, TRUST, DATA_QUALITY, DRIFT)

Rows = dg.Output[pa.RecordBatchReader]


class LicenceConfig(dg.Config):
    """Thresholds of the licence gates; see ``pulse_assets.trust.licensing.policy.Policy``. Empty: the defaults."""

    thresholds: dict[str, float] = {}  # noqa: RUF012 - pydantic copies it


@table_asset(SCORES, group="trust", deps=[SERIES, FORECASTS], code_version="2", automation=WHEN_READY)
def scores(context: dg.AssetExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> Rows:
    """Score every forecast whose truth was first released on a day of the range."""
    return _scored_days(context, lake, SCORES, FORECASTS)


@table_asset(CALIBRATED, group="trust", deps=[FORECASTS, SCORES], code_version="1", automation=WHEN_READY)
def calibrated(context: dg.AssetExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> Rows:
    """Move the quantiles of every forecast to where the truths known by its origin have shown them to belong."""
    from pulse_assets.trust.calibrated_days import calibrate_days

    days, snapshot = days_of(context), lake.lake().snapshot()
    return streamed(
        CALIBRATED, calibrate_days(snapshot, blocks_of(days, CALIBRATED_DAYS)), snapshot, (FORECASTS, SCORES), days
    )


@table_asset(CALIBRATED_SCORES, group="trust", deps=[SERIES, CALIBRATED], code_version="1", automation=WHEN_READY)
def calibrated_scores(context: dg.AssetExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> Rows:
    """Score every recalibrated forecast whose truth was first released on a day of the range."""
    return _scored_days(context, lake, CALIBRATED_SCORES, CALIBRATED)


@table_asset(TRUST, group="trust", deps=[CALIBRATED_SCORES], code_version="1", automation=WHEN_READY)
def trust(context: dg.AssetExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> Rows:
    """Say how likely each model is to beat naive on each series, from the scores known on each day of the range."""
    from pulse_assets.trust.trust_days import trust_days

    days, snapshot = days_of(context), lake.lake().snapshot()
    return streamed(TRUST, trust_days(snapshot, blocks_of(days, JUDGED_DAYS)), snapshot, (CALIBRATED_SCORES,), days)


@table_asset(LICENCES, group="trust", deps=JUDGED, code_version="2", automation=WHEN_READY)
def licences(context: dg.AssetExecutionContext, config: LicenceConfig, lake: dg.ResourceParam[DeltaLake]) -> Rows:
    """Decide for each series, model and bucket of horizons whether the forecasts of the day may be used."""
    from pulse_assets.trust.licence_days import licence_days

    days, snapshot = days_of(context), lake.lake().snapshot()
    made = licence_days(snapshot, blocks_of(days, JUDGED_DAYS), config.thresholds)
    return streamed(LICENCES, made, snapshot, JUDGED, days, {CONFIG: fingerprint(config.model_dump())})


@table_asset(
    LICENCE_VALUE, group="trust", deps=[LICENCES, CALIBRATED_SCORES, TRUST], code_version="1", automation=WHEN_READY
)
def licence_value(context: dg.AssetExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> Rows:
    """Measure what following the licences was worth on the truths of each day of the range."""
    from pulse_assets.trust.value_days import value_days

    days, snapshot = days_of(context), lake.lake().snapshot()
    return streamed(
        LICENCE_VALUE,
        value_days(snapshot, blocks_of(days, JUDGED_DAYS)),
        snapshot,
        (LICENCES, CALIBRATED_SCORES, TRUST),
        days,
    )


def streamed(
    contract: TableContract,
    tables: Iterable[pa.Table],
    snapshot: Snapshot,
    inputs: Sequence[TableContract],
    days: list[date],
    metadata: Mapping[str, str] | None = None,
) -> Rows:
    """Return tables, made while they are written, as one stream; the versions of their inputs are fixed now."""
    snapshot.pin(*inputs)
    batches = (batch for table in tables for batch in contract.cast(table).to_batches())
    return dg.Output(
        pa.RecordBatchReader.from_batches(contract.schema, batches),
        metadata={INPUTS: snapshot.versions, "days": len(days), **(metadata or {})},
    )


def _scored_days(
    context: dg.AssetExecutionContext, lake: DeltaLake, contract: TableContract, forecasts: TableContract
) -> Rows:
    days, snapshot = days_of(context), lake.lake().snapshot()
    silver = snapshot.read(SERIES, as_of=days[-1], columns=["as_of", "unique_id", "ds", "y", "flags"])
    made = (_scored(snapshot, forecasts, silver, block) for block in blocks_of(days, SCORED_DAYS))
    return streamed(contract, made, snapshot, (SERIES, forecasts), days)


def _scored(snapshot: Snapshot, forecasts: TableContract, silver: pa.Table, days: list[date]) -> pa.Table:
    from pulse_assets.trust.scoring import SCORED_COLUMNS, first_releases, lookback, score, wanted_forecasts

    inside = between(days[0], days[-1])
    truths = first_releases(silver.filter(inside))
    recent = pc.field("year") >= lookback(days).year
    wanted = recent & wanted_forecasts(truths)
    return score(snapshot.read(forecasts, as_of=days[-1], columns=list(SCORED_COLUMNS), where=wanted), truths)
