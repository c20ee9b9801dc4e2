"""Dagster definitions of forecasting: silver as of each day in, quantile forecasts out."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.declare import WHEN_READY, days_of, table_asset
from pulse_assets.forecasting.engine import HORIZONS, Forecaster, inline, origin_end
from pulse_assets.forecasting.pack import Panel, pack
from pulse_assets.forecasting.plots import as_markdown, fan_charts
from pulse_assets.forecasting.references import ReferenceBank
from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.signals.tables import SERIES
from pulse_resources.compute import Compute
from pulse_resources.evidence import fingerprint
from pulse_resources.lake.io_manager import CONFIG, INPUTS
from pulse_resources.lake.resource import DeltaLake

PACKED = ["unique_id", "ds", "y", "known_at", "kind", "freq", "calendar"]
DRAWN_MODEL = "naive"


class ForecastConfig(dg.Config):
    """Steps ahead for each frequency."""

    horizons: dict[str, int] = dict(HORIZONS)  # noqa: RUF012 - pydantic copies it


@table_asset(FORECASTS, group="forecasting", deps=[SERIES], code_version="1", automation=WHEN_READY)
def forecasts(
    context: dg.AssetExecutionContext,
    config: ForecastConfig,
    lake: dg.ResourceParam[DeltaLake],
    compute: dg.ResourceParam[Compute],
) -> dg.Output[pa.RecordBatchReader]:
    """Forecast every series from every day of the range, from what was known on that day."""
    days = days_of(context)
    snapshot = lake.lake().snapshot()
    silver = snapshot.read(SERIES, as_of=days[-1], columns=PACKED)
    panel = pack(silver, origin_end(days[0]), origin_end(days[-1]))
    engine = ReferenceBank({**HORIZONS, **config.horizons})
    version = snapshot.versions.get(SERIES.name, -1)
    # for one partition only: what an output carries is copied to each of the run's partitions, up to 70 kB a picture
    context.add_asset_metadata({"fan": dg.MetadataValue.md(_fan(engine, panel, silver, days[-1]))}, None, str(days[-1]))
    tables = (_stamped(table, engine.version, version) for table in engine.forecast(panel, days, compute.map_blocks))
    batches = (batch for table in tables for batch in table.to_batches())
    return dg.Output(
        pa.RecordBatchReader.from_batches(FORECASTS.schema, batches),
        metadata={
            INPUTS: snapshot.versions,
            CONFIG: fingerprint(config.model_dump()),
            "series": len(set(panel.ids)),
            "origins": len(days),
            "model_version": engine.version,
        },
    )


def _stamped(table: pa.Table, model_version: str, data_version: int) -> pa.Table:
    count = len(table)
    table = table.append_column("model_version", pa.array([model_version] * count, pa.string()))
    return FORECASTS.cast(table.append_column("data_version", pa.array(np.full(count, data_version))))


def _fan(engine: Forecaster, panel: Panel, silver: pa.Table, day: date) -> str:
    """Draw the newest origin of the first fresh series."""
    ends = np.array([origin_end(day)])
    fresh = np.flatnonzero(panel.is_fresh(panel.known_counts(ends), ends)[:, 0])[:6]
    made = pa.concat_tables(_one_day(engine, panel.select(fresh), day)) if len(fresh) else None
    if made is None or not len(made):
        return "no series is fresh enough to draw"
    ids = sorted(set(made["unique_id"].to_pylist()))
    frame = made.filter(pc.field("model") == DRAWN_MODEL).to_pandas()
    past = silver.filter(pc.field("unique_id").isin(ids)).select(["unique_id", "ds", "y"]).to_pandas()
    return as_markdown(fan_charts(past, frame, ids), f"forecasts of {DRAWN_MODEL} as of {day}")


def _one_day(engine: Forecaster, panel: Panel, day: date) -> Iterator[pa.Table]:
    return engine.forecast(panel, [day], inline)
