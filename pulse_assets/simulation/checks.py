"""Asset checks of simulations and of how past ones did."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import product

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.contract_checks import contract_check
from pulse_assets.declare import days_of
from pulse_assets.simulation.retrodiction.names import PORTFOLIO, PULSE
from pulse_assets.simulation.tables import DIVERGENCE, RETRODICTION, RULE_AUDIT, RUNS, SIMULATION_RISK, SIMULATIONS
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import between
from pulse_resources.lake.resource import DeltaLake

MOST_GRAVITY = 0.30
"""Share of a variable's movement that the learned correction may be."""
RULE_DAYS = timedelta(days=91)
ALWAYS_SHARE = 0.99
"""Share of paths on which a rule fires from which it does not depend on its condition."""
ORIGINS = 250
ORIGIN_DAYS = timedelta(days=400)
"""Days in which there are as many origins."""
TAILS = (("var_95", 0.05), ("var_99", 0.01))
LEAST_P = 0.01
SHOWN = 20

simulations_match_contract = contract_check(SIMULATIONS)
simulation_risk_matches_contract = contract_check(SIMULATION_RISK)
rule_audit_matches_contract = contract_check(RULE_AUDIT)
scenario_divergence_matches_contract = contract_check(DIVERGENCE)
simulation_runs_match_contract = contract_check(RUNS)
retrodiction_matches_contract = contract_check(RETRODICTION)


@dg.asset_check(
    asset=dg.AssetKey(SIMULATION_RISK.path),
    blocking=True,
    description="No path of the run's days has left the numbers that a computer can hold",
)
def no_path_breaks(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> dg.AssetCheckResult:
    """Fail where a scenario has paths that are not finite: all that was made of them is wrong."""
    broken = above(lake.lake(), days_of(context), "broken_paths", 0.0)
    return dg.AssetCheckResult(
        passed=not broken, severity=dg.AssetCheckSeverity.ERROR, metadata={"broken_paths": broken}
    )


@dg.asset_check(
    asset=dg.AssetKey(SIMULATION_RISK.path),
    description="The learned correction is at most 30 % of what any variable moves",
)
def gravity_explains_little(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[DeltaLake]
) -> dg.AssetCheckResult:
    """Warn where the residual explains more than a residual should: dynamics or rules lack something."""
    large = above(lake.lake(), days_of(context), "gravity_share", MOST_GRAVITY)
    return dg.AssetCheckResult(
        passed=not large, severity=dg.AssetCheckSeverity.WARN, metadata={"most": MOST_GRAVITY, "above_it": large}
    )


@dg.asset_check(
    asset=dg.AssetKey(RULE_AUDIT.path),
    description="Over three months every active rule fired on some path of some scenario, and none on nearly all",
)
def rules_fire_sometimes_not_always(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[DeltaLake]
) -> dg.AssetCheckResult:
    """Warn of rules that are idle or unconditional."""
    day = days_of(context)[-1]
    never, always = idle_and_constant_rules(lake.lake(), day)
    return dg.AssetCheckResult(
        passed=not never and not always,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"until": str(day), "never_fired": never, "always_fired": always},
    )


@dg.asset_check(
    asset=dg.AssetKey(RETRODICTION.path),
    description="Over 250 days, losses of the even portfolio exceeded its one-day value at risk as often as promised",
)
def var_exceedances_are_as_promised(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[DeltaLake]
) -> dg.AssetCheckResult:
    """Warn where so many or few exceedances have a probability below 1 %, if the world is right."""
    found = exceedances(lake.lake(), days_of(context)[-1])
    unlikely = [name for name, each in found.items() if each["p_value"] < LEAST_P]
    return dg.AssetCheckResult(
        passed=bool(found) and not unlikely,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"unlikely": unlikely, **{name: dict(each) for name, each in found.items()}},
    )


def idle_and_constant_rules(store: Lake, day: date) -> tuple[list[str], list[str]]:
    """Return active rules that never fired in three months, and those that fired on nearly all paths all the time."""
    recent = (pc.field("as_of") > day - RULE_DAYS) & (pc.field("as_of") <= day) & (pc.field("state") == "active")
    rows = store.read(RULE_AUDIT, columns=["rule", "paths_fired", "paths"], where=recent)
    sums = rows.group_by("rule").aggregate([("paths_fired", "sum"), ("paths", "sum")]).sort_by("rule").to_pylist()
    never = [each["rule"] for each in sums if each["paths_fired_sum"] == 0]
    always = [each["rule"] for each in sums if each["paths_fired_sum"] >= ALWAYS_SHARE * each["paths_sum"]]
    return never, always


def exceedances(store: Lake, day: date) -> dict[str, dict[str, float]]:
    """Return by mode and level how often the last days' losses of the portfolio exceeded its one-step value at risk."""
    from pulse_assets.numerics.exceedances import kupiec

    recent = (pc.field("as_of") > day - ORIGIN_DAYS) & (pc.field("as_of") <= day)
    chosen = (pc.field("engine") == PULSE) & (pc.field("variable") == PORTFOLIO) & (pc.field("step") == 1)
    columns = ["as_of", "mode", "actual", *(name for name, _ in TAILS)]
    rows = store.read(RETRODICTION, columns=columns, where=recent & chosen)
    found = {}
    for mode, (name, p) in product(sorted(set(rows["mode"].to_pylist())), TAILS):
        mine = rows.filter(pc.equal(rows["mode"], mode)).sort_by([("as_of", "descending")]).slice(0, ORIGINS)
        known = mine.filter(pc.is_valid(pc.subtract(mine["actual"], mine[name])))
        hits = int(pc.sum(pc.less(known["actual"], known[name]).cast(pa.int64())).as_py() or 0)
        found[f"{mode} {name}"] = {
            "days": len(known),
            "exceeded": hits,
            "expected": p * len(known),
            "p_value": kupiec(hits, len(known), p).p_value,
        }
    return found


def above(store: Lake, days: Sequence[date], measure: str, most: float) -> list[str]:
    """Return what lies above a bound, a line each, the first twenty."""
    inside = between(days[0], days[-1])
    above = (pc.field("measure") == measure) & (pc.field("value") > most)
    rows = store.read(SIMULATION_RISK, columns=["as_of", "scenario", "name", "value"], where=inside & above)
    return [f"{row['as_of']} {row['scenario']} {row['name']}: {row['value']:g}" for row in rows.to_pylist()[:SHOWN]]
