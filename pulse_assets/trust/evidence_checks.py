"""Asset checks of the evidence behind licences: drift is rare, lineage is whole, tables are what they say."""

from datetime import date, timedelta

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.contract_checks import contract_check
from pulse_assets.declare import days_of
from pulse_assets.pictures import as_markdown
from pulse_assets.trust.evidence_tables import DATA_QUALITY, DRIFT, SHADOW_SCORES
from pulse_assets.trust.tables import CALIBRATED
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import between
from pulse_resources.lake.resource import DeltaLake

RARE = 0.05
DRAWN_DAYS = timedelta(days=126)

data_quality_matches_contract = contract_check(DATA_QUALITY)
drift_matches_contract = contract_check(DRIFT)
shadow_scores_match_contract = contract_check(SHADOW_SCORES)


@dg.asset_check(asset=dg.AssetKey(DRIFT.path), description="Few series drift at once, and no panel does")
def drift_is_rare(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> dg.AssetCheckResult:
    """Warn when more than five in a hundred watched series alarm on the newest day, or a whole panel does."""
    day = days_of(context)[-1]
    columns = ["drift", "unique_id", "model", "state", "q_value"]
    rows = lake.lake().read(DRIFT, columns=columns, where=pc.field("as_of") == day)
    watched = rows.filter(pc.and_(pc.equal(rows["drift"], "model_drift"), pc.not_equal(rows["state"], "learning")))
    alarms = watched.filter(pc.equal(watched["state"], "alarm"))
    panels = rows.filter(pc.and_(pc.equal(rows["drift"], "panel_drift"), pc.equal(rows["state"], "alarm")))
    share = len(alarms) / len(watched) if len(watched) else None
    return dg.AssetCheckResult(
        passed=(share is None or share <= RARE) and not len(panels),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "day": str(day),
            "watched": len(watched),
            "learning": len(rows) - len(watched),
            "alarms": ", ".join(sorted({f"{row['unique_id']} ({row['model']})" for row in alarms.to_pylist()})[:20]),
            "share": "nothing is watched yet: references are being learned" if share is None else share,
            "panels": ", ".join(panels["unique_id"].to_pylist()) or "none",
            "picture": _drawn(lake.lake(), day),
            "discoveries": int(pc.sum(pc.less_equal(watched["q_value"], RARE)).as_py() or 0),
        },
    )


def _drawn(store: Lake, day: date) -> dg.MarkdownMetadataValue:
    from pulse_assets.trust.pictures.sheets import drift_sheet

    watched = pc.field("drift").isin(["model_drift", "prediction_drift"])
    recent = between(day - DRAWN_DAYS, day) & watched
    rows = store.read(DRIFT, columns=["as_of", "unique_id", "state"], where=recent)
    return dg.MetadataValue.md(as_markdown(drift_sheet(rows.to_pandas()), f"drift up to {day}"))


@dg.asset_check(
    asset=dg.AssetKey(CALIBRATED.path),
    blocking=True,
    description="Every forecast that readers may see names its model version and the table versions behind it",
)
def lineage_is_complete(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[DeltaLake]
) -> dg.AssetCheckResult:
    """Stop what stands behind unless every row of the newest day can be traced."""
    day = days_of(context)[-1]
    columns = ["model_version", "forecasts_version", "scores_version", "method"]
    rows = lake.lake().read(CALIBRATED, columns=columns, where=pc.field("as_of") == day)
    untold = pc.or_(pc.equal(rows["model_version"], ""), pc.less(rows["forecasts_version"], 0))
    counts: pa.Table = rows.group_by("method").aggregate([([], "count_all")])
    return dg.AssetCheckResult(
        passed=not pc.any(untold).as_py(),
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "day": str(day),
            "rows": len(rows),
            "untraceable": int(pc.sum(untold).as_py() or 0),
            **dict(zip(counts["method"].to_pylist(), counts["count_all"].to_pylist(), strict=True)),
        },
    )
