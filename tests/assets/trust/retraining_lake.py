"""A lake in which the prices of :mod:`.trained_lake` drift, and the runs that follow it."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa

from pulse_assets.catalogue import TABLES
from pulse_assets.trust.evidence_tables import DRIFT, MODELS, SHADOW_SCORES
from pulse_assets.trust.models_assets import models
from pulse_assets.trust.retraining_assets import model_events, shadow_scores
from pulse_assets.trust.tables import TRUST
from pulse_resources.compute import Compute
from pulse_resources.lake import Lake, TableContract
from pulse_resources.lake.io_manager import delta_io_manager
from pulse_resources.lake.partitions import Partitions, weekdays
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market
from pulse_resources.registry import Registry
from tests.assets.trust.trained_lake import NOW, PRICES, QUARTER

PRICE_IDS = [f"t:price{place}" for place in range(4)]
RATE_IDS = [f"t:rate{place}" for place in (4, 5)]


def rows_of(contract: TableContract, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Return rows of a contract; what is not given is nothing, or null where that is allowed."""
    nothing: dict[str, object] = {}
    for column in contract.columns:
        blank = {pa.string(): "", pa.bool_(): False, pa.date32(): date.min}.get(column.type, 0)
        nothing[column.name] = None if column.nullable or pa.types.is_list(column.type) else blank
    made = [nothing | dict(row) for row in rows]
    return contract.cast(pa.Table.from_pylist(made, schema=contract.schema.remove_metadata()))


def put(lake: Lake, contract: TableContract, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of some days."""
    days = sorted({row["as_of"] for row in rows})
    lake.overwrite(contract, rows_of(contract, rows), Partitions.of("as_of", days))  # type: ignore[arg-type]


def tell_drift(lake: Lake, days: Sequence[date], alarms: Sequence[str]) -> None:
    """Write the drift of a day or more: who alarms."""
    put(
        lake,
        DRIFT,
        [
            {"as_of": day, "drift": "model_drift", "unique_id": name, "model": "pulse",
             "state": "alarm" if name in alarms else "none"}
            for day in days for name in (*PRICE_IDS, *RATE_IDS)
        ],
    )  # fmt: skip


def tell_trust(lake: Lake, days: Sequence[date], trust: float = 0.8) -> None:
    """Write the trust of a day or more, the same in all."""
    put(
        lake,
        TRUST,
        [
            {"as_of": day, "unique_id": name, "model": "pulse", "bucket": "1", "freq": "B", "trust": trust}
            for day in days for name in (*PRICE_IDS, *RATE_IDS)
        ],
    )  # fmt: skip


def tell_models(lake: Lake, family: str, trained_on: date, version: str = "1") -> None:
    """Write that a training is registered."""
    row = {
        "model_version": f"x {family} {trained_on}",
        "family": family,
        "trained_on": trained_on,
        "registered_name": f"pulse-{family.lower().replace(' ', '-')}",
        "registered_version": version,
        "registered_at": datetime(2024, 5, 7, tzinfo=UTC),
    }
    lake.append_missing(MODELS, rows_of(MODELS, [row]), app_id="test")


def tell_shadow(lake: Lake, first: date, last: date, challenger: date, gain: float) -> None:
    """Write shadow scores of prices: a challenger that is better by so many errors of naive, give or take."""
    days = weekdays(first, last)
    noise = 0.02 * np.random.default_rng(4).standard_normal(len(days))
    put(
        lake,
        SHADOW_SCORES,
        [
            {"as_of": day, "family": PRICES, "challenger": challenger, "champion": QUARTER, "series": 4,
             "difference": gain + more, "wis_challenger": 1 - gain, "wis_champion": 1.0,
             "covered_80_challenger": 0.8, "covered_80_champion": 0.8,
             "segments": json.dumps({"mood usual": [1 - gain, 1.0]})}
            for day, more in zip(days, noise.tolist(), strict=True)
        ],
    )  # fmt: skip


def run(
    lake: Lake,
    registry: Registry,
    *assets: dg.AssetsDefinition,
    configs: Mapping[str, Mapping[str, object]] | None = None,
    days: tuple[date, date] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialize assets in one run."""
    resources = {
        "lake": DeltaLake(root=lake.root, durable=False),
        "lake_io": delta_io_manager(TABLES),
        "compute": Compute(mode="inline"),
        "market": Market(now=NOW.isoformat()),
        "registry": registry,
    }
    names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    return dg.materialize(
        list(assets),
        resources=resources,
        run_config={"ops": {name: {"config": dict(config)} for name, config in (configs or {}).items()}},
        tags=dict(zip(names, map(str, days), strict=True)) if days else None,
        raise_on_error=False,
    )


def follow(lake: Lake, registry: Registry, day: date | str = "") -> dict[str, object]:
    """Materialize the record of events of a day; return its metadata."""
    result = run(lake, registry, model_events, configs={"model_events": {"as_of": str(day)}})
    assert result.success
    (event,) = result.asset_materializations_for_node("model_events")
    return {name: value.value for name, value in event.metadata.items()}


def fresh_lake(folder: Path) -> Lake:
    """Return a lake with nothing in it."""
    return Lake(str(folder / "lake"), durable=False)


__all__ = [
    "PRICE_IDS", "RATE_IDS", "follow", "fresh_lake", "models", "put", "rows_of", "run", "shadow_scores", "tell_drift",
    "tell_models", "tell_shadow", "tell_trust",
]  # fmt: skip
