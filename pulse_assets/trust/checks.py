"""Asset checks of scores, trust and licences; the licence gate blocks everything behind it."""

from datetime import date, timedelta

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.contract_checks import contract_check
from pulse_assets.declare import days_of
from pulse_assets.pictures import as_markdown
from pulse_assets.trust.evidence_tables import LICENCE_CHAIN
from pulse_assets.trust.licensing.chain import verify
from pulse_assets.trust.tables import CALIBRATED, CALIBRATED_SCORES, LICENCE_VALUE, LICENCES, SCORES, TRUST
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import between
from pulse_resources.lake.resource import DeltaLake

COVERAGE_DAYS = timedelta(days=126)
COVERAGE_BAND = 0.05
CHAINED_DAYS = 5
KEYS = ["unique_id", "model", "bucket"]
STATES = ("licensed", "fallback", "held", "scored", "draft", "rejected")

scores_match_contract = contract_check(SCORES)
calibrated_matches_contract = contract_check(CALIBRATED)
calibrated_scores_match_contract = contract_check(CALIBRATED_SCORES)
trust_matches_contract = contract_check(TRUST)
licences_match_contract = contract_check(LICENCES)
licence_value_matches_contract = contract_check(LICENCE_VALUE)


@dg.asset_check(
    asset=dg.AssetKey(LICENCES.path),
    additional_deps=[dg.AssetKey(CALIBRATED.path)],
    blocking=True,
    description="Every forecast of the newest day has a decision with reasons, and at least one series may be served",
)
def licence_gate(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> dg.AssetCheckResult:
    """Stop everything behind the licences unless they are complete, reasoned, and let something through."""
    store, day = lake.lake(), days_of(context)[-1]
    counts = gate_counts(store, day)
    passed = not (counts["unlicensed"] or counts["without_reason"] or counts["served_twice"]) and counts["served"] > 0
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"day": str(day), **counts, "picture": _decisions_drawn(store, day)},
    )


def _decisions_drawn(store: Lake, day: date) -> dg.MarkdownMetadataValue:
    from pulse_assets.trust.pictures.sheets import decisions_sheet

    trust = store.read(TRUST, columns=["as_of", "model", "bucket", "trust"], where=between(day - COVERAGE_DAYS, day))
    licences = store.read(LICENCES, columns=["state", "reasons"], where=pc.field("as_of") == day)
    drawn = decisions_sheet(trust.to_pandas(), licences.to_pandas())
    return dg.MetadataValue.md(as_markdown(drawn, f"trust and licences as of {day}"))


def gate_counts(store: Lake, day: date) -> dict[str, int]:
    """Return what the gate looks at: forecasts without decision, decisions without reason, rows served."""
    today = pc.field("as_of") == day
    decisions = store.read(LICENCES, where=today)
    made = store.read(CALIBRATED, columns=KEYS, where=today).group_by(KEYS).aggregate([])
    missing = made.join(decisions.select(KEYS), keys=KEYS, join_type="left anti")
    unreasoned = decisions.filter(
        pc.and_(pc.not_equal(decisions["state"], "licensed"), pc.equal(decisions["reasons"], ""))
    )
    served = decisions.filter(decisions["serve"])
    states: pa.Table = decisions.group_by("state").aggregate([([], "count_all")])
    by_state = dict(zip(states["state"].to_pylist(), states["count_all"].to_pylist(), strict=True))
    return {
        "unlicensed": len(missing),
        "without_reason": len(unreasoned),
        "served_twice": len(served) - len(served.group_by(["unique_id", "bucket"]).aggregate([])),
        "served": len(served),
        **{state: by_state.get(state, 0) for state in STATES},
    }


@dg.asset_check(
    asset=dg.AssetKey(LICENCE_CHAIN.path),
    additional_deps=[dg.AssetKey(LICENCES.path)],
    blocking=True,
    description="The chain is whole and vouches for the licences of the newest days, row by row",
)
def chain_holds(lake: dg.ResourceParam[DeltaLake]) -> dg.AssetCheckResult:
    """Stop everything behind the chain when a decision, or the chain, was changed."""
    store = lake.lake()
    chain = store.read(LICENCE_CHAIN)
    days = sorted(set(chain["as_of"].to_pylist()))[-CHAINED_DAYS:]
    written = store.read(LICENCES, where=pc.field("as_of").isin(pa.array(days, pa.date32())))
    problems = verify(chain, written, days)
    return dg.AssetCheckResult(
        passed=not problems,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"links": len(chain), "days_read": len(days), "problems": "; ".join(problems[:10]) or "none"},
    )


@dg.asset_check(
    asset=dg.AssetKey(CALIBRATED_SCORES.path),
    description="Over the last months, recalibrated 80 % intervals caught about 80 %",
)
def coverage_in_band(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> dg.AssetCheckResult:
    """Warn when the share of truths within the 80 % interval of any model is more than five points off."""
    from pulse_assets.trust.pictures.sheets import calibration_sheet

    store, day = lake.lake(), days_of(context)[-1]
    recent = (pc.field("as_of") > day - COVERAGE_DAYS) & (pc.field("as_of") <= day)
    raw = store.read(SCORES, columns=["model", "pit"], where=recent)
    rows = store.read(CALIBRATED_SCORES, columns=["model", "covered_80", "pit"], where=recent)
    drawn = calibration_sheet(raw.to_pandas(), rows.to_pandas())
    rows = rows.set_column(1, "covered_80", rows["covered_80"].cast(pa.float64()))
    means = rows.group_by("model").aggregate([("covered_80", "mean"), ([], "count_all")]).sort_by("model").to_pylist()
    off = [mean["model"] for mean in means if abs(mean["covered_80_mean"] - 0.8) > COVERAGE_BAND]
    return dg.AssetCheckResult(
        passed=bool(means) and not off,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "until": str(day),
            "scores": sum(mean["count_all"] for mean in means),
            **{f"coverage of {mean['model']}": mean["covered_80_mean"] for mean in means},
            "picture": dg.MetadataValue.md(as_markdown(drawn, f"calibration as of {day}")),
        },
    )
