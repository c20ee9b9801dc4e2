"""Dagster definitions of forecasting: silver as of each day in, quantile forecasts and what they are made of out."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.declare import WHEN_READY, days_of, table_asset
from pulse_assets.forecasting.engine import HORIZONS, knows_from, origin_end
from pulse_assets.forecasting.pack import Panel, pack
from pulse_assets.forecasting.plots import fan_charts
from pulse_assets.forecasting.tables import FORECASTS, MEMBER_WEIGHTS
from pulse_assets.pictures import as_markdown
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.evidence_tables import MODEL_EVENTS
from pulse_assets.trust.retraining.promotions import promotions_in_force
from pulse_resources.compute import Compute
from pulse_resources.evidence import fingerprint
from pulse_resources.lake import Snapshot, TableContract
from pulse_resources.lake.io_manager import CONFIG, INPUTS
from pulse_resources.lake.resource import DeltaLake

if TYPE_CHECKING:
    from pulse_assets.forecasting.pooled import PooledEngine

PACKED = ["unique_id", "ds", "y", "known_at", "kind", "freq", "calendar"]
DRAWN_MODEL, DRAWN_SERIES = "pulse", 6


class ForecastConfig(dg.Config):
    """Steps ahead for each frequency."""

    horizons: dict[str, int] = dict(HORIZONS)  # noqa: RUF012 - pydantic copies it


@table_asset(FORECASTS, group="forecasting", deps=[SERIES], code_version="3", automation=WHEN_READY)
def forecasts(
    context: dg.AssetExecutionContext,
    config: ForecastConfig,
    lake: dg.ResourceParam[DeltaLake],
    compute: dg.ResourceParam[Compute],
) -> dg.Output[pa.RecordBatchReader]:
    """Forecast every series from every day of the range, from what was known on that day."""
    days, snapshot = days_of(context), lake.lake().snapshot()
    silver, panel = _known(snapshot, days)
    engine = _engine(snapshot, config, days)
    made = engine.forecast(panel, days, compute.map_blocks)
    return _streamed(FORECASTS, _drawn(context, made, silver, days[-1]), engine, snapshot, config, days, panel)


@table_asset(MEMBER_WEIGHTS, group="forecasting", deps=[SERIES], code_version="2", automation=WHEN_READY)
def forecast_members(
    context: dg.AssetExecutionContext,
    config: ForecastConfig,
    lake: dg.ResourceParam[DeltaLake],
    compute: dg.ResourceParam[Compute],
) -> dg.Output[pa.RecordBatchReader]:
    """Tell which members every pooled forecast of the range is made of, and how they had done by then."""
    days, snapshot = days_of(context), lake.lake().snapshot()
    _, panel = _known(snapshot, days)
    engine = _engine(snapshot, config, days)
    made = engine.members(panel, days, compute.map_blocks)
    return _streamed(MEMBER_WEIGHTS, made, engine, snapshot, config, days, panel)


def _engine(snapshot: Snapshot, config: ForecastConfig, days: list[date]) -> "PooledEngine":
    """Return the engine with the promotions that were recorded before the last day.

    ``ops/model_events`` is no dependency of these assets, because it follows from their scores: a promotion counts from
    the next origin on.
    """
    from pulse_assets.forecasting.pooled import PooledEngine

    events = snapshot.read(MODEL_EVENTS, where=pc.field("as_of") < pa.scalar(days[-1]))
    return PooledEngine({**HORIZONS, **config.horizons}, promotions_in_force(events))


def _known(snapshot: Snapshot, days: list[date]) -> tuple[pa.Table, Panel]:
    """Return silver as of the last day, and packed so that each day can be told what it knew."""
    silver = snapshot.read(SERIES, as_of=days[-1], columns=PACKED)
    return silver, pack(silver, knows_from(days[0]), origin_end(days[-1]))


def _streamed(
    contract: TableContract,
    tables: Iterable[pa.Table],
    engine: "PooledEngine",
    snapshot: Snapshot,
    config: ForecastConfig,
    days: list[date],
    panel: Panel,
) -> dg.Output[pa.RecordBatchReader]:
    from pulse_assets.forecasting.families import families

    data_version, family = snapshot.versions.get(SERIES.name, -1), families(panel)
    stamped = (_stamped(contract, table, engine.model_versions(table, family), data_version) for table in tables)
    batches = (batch for table in stamped for batch in table.to_batches())
    return dg.Output(
        pa.RecordBatchReader.from_batches(contract.schema, batches),
        metadata={
            INPUTS: snapshot.versions,
            CONFIG: fingerprint(config.model_dump()),
            "series": len(set(panel.ids)),
            "origins": len(days),
            "engine_version": engine.version,
            "promotions": len(engine.promotions),
        },
    )


def _stamped(contract: TableContract, table: pa.Table, model_versions: pa.Array, data_version: int) -> pa.Table:
    table = table.append_column("model_version", model_versions)
    return contract.cast(table.append_column("data_version", pa.array(np.full(len(table), data_version))))


def _drawn(
    context: dg.AssetExecutionContext, tables: Iterator[pa.Table], silver: pa.Table, day: date
) -> Iterator[pa.Table]:
    """Pass tables on, and draw the last day as it goes by.

    For one partition only: what an output carries is copied to each of the run's partitions, up to 70 kB a picture.
    """
    newest: list[pa.Table] = []
    for table in tables:
        newest.append(table.filter((pc.field("as_of") == day) & (pc.field("model") == DRAWN_MODEL)))
        yield table
    made = pa.concat_tables(newest).to_pandas() if newest else None
    picture = "no series is fresh enough to draw"
    if made is not None and len(made):
        ids = sorted(set(made["unique_id"]))[:DRAWN_SERIES]
        past = silver.filter(pc.field("unique_id").isin(ids)).select(["unique_id", "ds", "y"]).to_pandas()
        picture = as_markdown(fan_charts(past, made, ids), f"forecasts of {DRAWN_MODEL} as of {day}")
    context.add_asset_metadata({"fan": dg.MetadataValue.md(picture)}, context.asset_key, str(day))
