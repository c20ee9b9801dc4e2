"""Dagster definition of retrodiction: silver as of each day in, how its simulation of weeks before did out."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.declare import days_of, table_asset
from pulse_assets.pictures import as_markdown
from pulse_assets.signals.tables import SERIES
from pulse_assets.simulation.assets import READ
from pulse_assets.simulation.retrodiction.names import BLOCK_DAYS, ENGINES, FREE, MODES
from pulse_assets.simulation.tables import RETRODICTION
from pulse_resources.compute import Compute
from pulse_resources.evidence import fingerprint
from pulse_resources.lake.io_manager import CONFIG, INPUTS, SEED
from pulse_resources.lake.resource import DeltaLake


class RetrodictionConfig(dg.Config):
    """What is simulated from the past and scored; see ``pulse_assets.simulation.retrodiction.wanted.Wanted``."""

    world: str = "auto"
    rules: str = "default"
    paths: int = 2000
    horizon: int = 20
    steps: list[int] = [1, 5, 10, 20]  # noqa: RUF012 - pydantic copies it
    engines: list[str] = [*ENGINES]  # noqa: RUF012 - as above
    modes: list[str] = [*MODES]  # noqa: RUF012 - as above
    seed: int = 0
    fall_percent: float = 5.0
    block_days: float = BLOCK_DAYS
    learned_correction: bool = False
    energy_members: int = 1000


@table_asset(RETRODICTION, group="simulation", deps=[SERIES], code_version="1")
def retrodiction(
    context: dg.AssetExecutionContext,
    config: RetrodictionConfig,
    lake: dg.ResourceParam[DeltaLake],
    compute: dg.ResourceParam[Compute],
) -> dg.Output[pa.RecordBatchReader]:
    """Simulate from the weekday some steps before every day of the range, and score against what the day knows."""
    from pulse_assets.simulation.retrodiction.days import retrodict_range

    days, snapshot = days_of(context), lake.lake().snapshot()
    silver = snapshot.read(SERIES, as_of=days[-1], columns=READ)
    made = retrodict_range(silver, days, config.model_dump(), compute, context.log.info)
    data_version = snapshot.versions.get(SERIES.name, -1)
    stamped = (_stamped(rows, data_version) for rows in _told(context, made, days[-1]))
    batches = (batch for rows in stamped for batch in rows.to_batches())
    return dg.Output(
        pa.RecordBatchReader.from_batches(RETRODICTION.schema, batches),
        metadata={
            INPUTS: snapshot.versions,
            CONFIG: fingerprint(config.model_dump()),
            SEED: config.seed,
            "days": len(days),
        },
    )


def _stamped(rows: pa.Table, data_version: int) -> pa.Table:
    return RETRODICTION.cast(rows.append_column("data_version", pa.array(np.full(len(rows), data_version))))


def _told(context: dg.AssetExecutionContext, tables: Iterator[pa.Table], day: date) -> Iterator[pa.Table]:
    """Pass rows on, and say at the end what they say together.

    For the last partition only: what an output carries is copied to each of the run's partitions.
    """
    from pulse_assets.simulation.pictures.plots import pit_histogram
    from pulse_assets.simulation.retrodiction.days import compact
    from pulse_assets.simulation.retrodiction.report import report
    from pulse_assets.simulation.retrodiction.text import as_text

    kept: list[pa.Table] = []
    for rows in tables:
        kept.append(compact(rows))
        yield rows
    whole = pa.concat_tables(kept).unify_dictionaries()
    free = whole.filter(pc.equal(whole["mode"].cast(pa.string()), FREE)).select(["engine", "pit"]).to_pandas()
    told = {
        "report": dg.MetadataValue.md(as_text(report(whole))),
        "pit": dg.MetadataValue.md(as_markdown(pit_histogram(free), f"where what happened lay, up to {day}")),
    }
    context.add_asset_metadata(told, context.asset_key, str(day))
