"""Asset checks of ingestion and silver."""

from datetime import timedelta

import dagster as dg
import pyarrow.compute as pc

from pulse_assets.contract_checks import contract_check
from pulse_assets.declare import days_of
from pulse_assets.expectation_checks import expectation_check
from pulse_assets.signals.expectations import suite
from pulse_assets.signals.tables import INGESTS, SERIES
from pulse_resources.lake.reading import end_of
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market

RECENT = timedelta(days=5)
EXPECTED_DAYS = timedelta(days=45)
REFUSED_SHARE = 0.01

series_matches_contract = contract_check(SERIES)


@dg.asset_check(asset=dg.AssetKey(INGESTS.path), description="Every configured source answered at its last look")
def sources_answered(lake: dg.ResourceParam[DeltaLake], market: dg.ResourceParam[Market]) -> dg.AssetCheckResult:
    """Warn about sources whose last look failed, or that refuse more than one row in a hundred."""
    looks = lake.lake().read(INGESTS).sort_by([("started_at", "ascending")]).to_pylist()
    last = {look["source"]: look for look in looks}
    names = [source.name for source in market.sources()]
    failed = {name: last[name]["error"] if name in last else "never looked at" for name in names}
    failed = {name: error for name, error in failed.items() if error}
    refused = {
        name: last[name]["rows_quarantined"]
        for name in names
        if name in last and last[name]["rows_quarantined"] > REFUSED_SHARE * max(last[name]["rows_delivered"], 1)
    }
    return dg.AssetCheckResult(
        passed=not failed and not refused,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"failed": failed, "mostly_refused": refused, "sources": len(names)},
    )


@dg.asset_check(asset=dg.AssetKey(SERIES.path), description="The newest partition of the run holds recent observations")
def latest_partition_is_recent(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[DeltaLake], market: dg.ResourceParam[Market]
) -> dg.AssetCheckResult:
    """Warn when nothing became known in the five days before the newest partition ended.

    Freshness is judged against the partition, so that backfilling an old day neither hides nor raises an alarm.
    """
    day = days_of(context)[-1]
    window = pc.field("as_of") >= day - 4 * RECENT
    known = lake.lake().read(SERIES, as_of=day, columns=["known_at"], where=window)["known_at"]
    newest = pc.max(known).as_py()
    lag = end_of(day) - newest if newest else None
    return dg.AssetCheckResult(
        passed=lag is not None and lag <= RECENT,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "partition": str(day),
            "newest_known_at": str(newest),
            "lag_days": lag.total_seconds() / 86400 if lag else "nothing known in the last twenty days",
            "days_behind_the_clock": (market.clock().date() - day).days,
        },
    )


meets_expectations = expectation_check(
    SERIES, suite, recent=EXPECTED_DAYS, description="Great Expectations suite over the newest weeks of silver"
)
