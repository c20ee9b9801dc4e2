"""Asset checks of forecasts."""

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.contract_checks import contract_check
from pulse_assets.declare import days_of
from pulse_assets.forecasting.tables import FORECASTS, MEMBER_WEIGHTS
from pulse_assets.signals.tables import SERIES
from pulse_resources.lake.resource import DeltaLake

forecasts_match_contract = contract_check(FORECASTS)
forecast_members_match_contract = contract_check(MEMBER_WEIGHTS)


@dg.asset_check(
    asset=dg.AssetKey(FORECASTS.path),
    additional_deps=[dg.AssetKey(SERIES.path)],
    blocking=True,
    description="No forecast speaks of an event whose value was already known at its origin",
)
def nothing_forecast_is_known(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[DeltaLake]
) -> dg.AssetCheckResult:
    """Join the newest day's forecasts with what was known that day: no pair may meet."""
    day, store = days_of(context)[-1], lake.lake()
    made = store.read(FORECASTS, columns=["unique_id", "ds"], where=pc.field("as_of") == day)
    kind = SERIES.type_of("ds")
    oldest = pc.min(made["ds"]) if len(made) else pa.scalar(None, kind)
    known = store.read(SERIES, as_of=day, columns=["unique_id", "ds"], where=pc.field("ds") >= oldest)
    met = made.join(known, keys=["unique_id", "ds"], join_type="inner")
    return dg.AssetCheckResult(
        passed=len(met) == 0,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"forecasts": len(made), "already_known": len(met)},
    )
