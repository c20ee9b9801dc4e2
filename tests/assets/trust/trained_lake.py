"""A lake with a little silver, and the runs that forecast it and register its models."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa

from pulse_assets.catalogue import TABLES
from pulse_assets.forecasting.assets import forecast_members, forecasts
from pulse_assets.operations.assets import lineage
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.models_assets import models
from pulse_resources.compute import Compute
from pulse_resources.lake import Evidence, Lake
from pulse_resources.lake.io_manager import delta_io_manager
from pulse_resources.lake.partitions import Partitions, weekdays
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market
from pulse_resources.registry import Registry
from tests.registries import fresh_registry

NOW = datetime(2024, 6, 28, 23, tzinfo=UTC)
FIRST, LAST = date(2023, 10, 2), date(2024, 5, 10)
PRICES, RATES = "B price", "B rate"
QUARTER = date(2024, 3, 31)
"""Last day before the refit that serves the newest days."""


def silver() -> pa.Table:
    """Four prices and two rates, known on the evening of their day."""
    rng, frames = np.random.default_rng(8), []
    days = pd.bdate_range(FIRST, LAST, tz="UTC")
    for place in range(6):
        kind, unit = ("price", "USD") if place < 4 else ("rate", "percent")
        walk = np.cumsum(rng.standard_t(5, len(days))) * 0.01
        y = 50 * np.exp(walk) if kind == "price" else 3 + 10 * walk
        frame = pd.DataFrame({"as_of": days.date, "unique_id": f"t:{kind}{place}", "ds": days, "y": y})
        frames.append(frame.assign(kind=kind, unit=unit))
    rows = pd.concat(frames).assign(
        known_at=lambda frame: frame["ds"] + pd.Timedelta(hours=22),
        freq="B",
        calendar="weekday",
        source="t",
        flags="",
    )
    return SERIES.cast(pa.Table.from_pandas(rows, preserve_index=False))


@dataclass(frozen=True)
class Trained:
    """A lake and a registry, and the runs that fill them."""

    lake: Lake
    registry: Registry

    def _run(
        self,
        asset: dg.AssetsDefinition,
        *,
        config: Mapping[str, object] | None = None,
        days: tuple[date, date] | None = None,
    ) -> dg.ExecuteInProcessResult:
        resources = {
            "lake": DeltaLake(root=self.lake.root, durable=False),
            "lake_io": delta_io_manager(TABLES),
            "compute": Compute(mode="inline"),
            "market": Market(now=NOW.isoformat()),
            "registry": self.registry,
        }
        names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
        return dg.materialize(
            [asset],
            resources=resources,
            run_config={"ops": {asset.op.name: {"config": dict(config)}}} if config else None,
            tags=dict(zip(names, map(str, days), strict=True)) if days else None,
            raise_on_error=False,
        )

    def forecast(self, first: date, last: date) -> dg.ExecuteInProcessResult:
        """Materialize forecasts of a range of days."""
        return self._run(forecasts, days=(first, last))

    def tell_members(self, first: date, last: date) -> dg.ExecuteInProcessResult:
        """Materialize what forecasts are made of."""
        return self._run(forecast_members, days=(first, last))

    def register(self, **config: object) -> dg.ExecuteInProcessResult:
        """Materialize the trained models."""
        return self._run(models, config=config)

    def record(self) -> dg.ExecuteInProcessResult:
        """Materialize the lineage."""
        return self._run(lineage)


def trained_lake(folder: Path) -> Trained:
    """Return a lake with silver only, and an empty registry."""
    lake = Lake(str(folder / "lake"), durable=False)
    days = Partitions.of("as_of", weekdays(FIRST, LAST))
    lake.overwrite(SERIES, silver(), days, evidence=Evidence(run_id="silver", asset_key=SERIES.name))
    return Trained(lake, fresh_registry(folder / "home"))


def error_of(result: dg.ExecuteInProcessResult) -> str:
    """Return why a run failed."""
    assert not result.success
    data = result.failure_data_for_node(result.get_step_failure_events()[0].step_key)
    error = data.error.cause or data.error
    return f"{error.cls_name}: {error.message}"
