"""Says in words why the forecasts of one series may be used or not, and makes every decision again. Reads only."""

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from jobs.one_series import meant
from jobs.report import newest_origin
from pulse_assets.trust.evidence_tables import DRIFT, LICENCE_CHAIN
from pulse_assets.trust.licensing.chain import chain_problems, day_problems
from pulse_assets.trust.licensing.gates import REASONS, decide, evidence_of
from pulse_assets.trust.licensing.policy import Policy
from pulse_assets.trust.tables import CALIBRATED, LICENCES, TRUST
from pulse_resources.errors import ConfigError
from pulse_resources.lake import Lake

Row = dict[str, object]


def explain(lake: Lake, which: str, as_of: date | None) -> str:
    """Return all decisions about one series on a day, in words, with the numbers behind every reason.

    Raises
    ------
    ConfigError
        No series or more than one is meant, or nothing was decided about it on that day.
    TableMissingError
        Nothing was licensed yet.
    """
    day = as_of or newest_origin(lake)
    unique_id = meant(lake, which, day)
    today = pc.field("as_of") == day
    licences = lake.read(LICENCES, where=today)
    ours = licences.filter(pc.equal(licences["unique_id"], unique_id)).sort_by(
        [("serve", "descending"), ("model", "ascending"), ("bucket", "ascending")]
    )
    if not len(ours):
        raise ConfigError(
            f"nothing was decided about {unique_id} on {day}: the day was not computed, or the series not known yet"
        )
    this = today & (pc.field("unique_id") == unique_id)
    chain = lake.read(LICENCE_CHAIN)
    policy = _policy(chain, day)
    trust = {(row["model"], row["bucket"]): row for row in lake.read(TRUST, where=this).to_pylist()}
    parts = [f"{unique_id} as of {day}", ""]
    for row in ours.to_pylist():
        parts += [*_decision(row, trust.get((row["model"], row["bucket"])), policy), ""]
    parts += [*_confidence(lake.read(CALIBRATED, where=this)), "", *_drift(lake.read(DRIFT, where=this)), ""]
    parts += _vouched(chain, licences, ours, policy, day)
    return "\n".join(parts)


def _decision(row: Row, trust: Row | None, policy: Policy) -> list[str]:
    tier = f", tier {row['tier']}" if row["tier"] else ""
    mark = "  <- take this one" if row["serve"] else ""
    lines = [f"{row['model']}, {row['bucket']} steps ahead: {row['state']}{tier}{mark}"]
    codes = str(row["reasons"]).split()
    lines += [f"  {code}: {REASONS[code]}{_numbers(code, row, trust, policy)}" for code in codes]
    if not codes:
        lines.append(f"  no gate was hit{_numbers('SKILL_NEG', row, trust, policy)}")
    if row["state"] == "fallback":
        lines.append("  nothing about this series is licensed: naive is shown in its place, under that mark")
    lines.append(f"  expires after {row['expires_on']}; data quality {_share(row['quality'])}, drift {row['drift']}")
    return lines


def _numbers(code: str, row: Row, trust: Row | None, policy: Policy) -> str:
    """Return the numbers behind a reason, and what would have to change."""
    if code == "UNPROVEN":
        lack = [name for name in ("trust", "coverage_80", "quality", "drift") if row[name] is None]
        lack = [name for name in lack if not (name == "trust" and row["model"] == "naive")]
        return f": {row['targets']} scored truths, needs {policy.min_targets:g}" + (
            f"; unknown: {', '.join(lack)}" if lack else ""
        )
    if code == "SKILL_NEG" and row["trust"] is not None:
        over = trust["calibrated_on"] if trust else 0
        return (
            f": the chance that it beats naive over its next 30 truths is {_share(row['trust'])} (C needs "
            f"{policy.tier_c:g}, B {policy.tier_b:g}, A {policy.tier_a:g}); skill {_share(row['skill'])} over "
            f"{row['targets']} truths; {f'calibrated on {over} earlier outcomes' if over else 'not calibrated yet'}"
        )
    if code in ("COV_LOW", "COV_HIGH"):
        return (
            f": {_share(row['coverage_80'])}, shrunk to its panel; accepted are {0.8 - policy.coverage_band:g} to "
            f"{0.8 + policy.coverage_band:g} where q is below {policy.coverage_q:g}; q {_share(row['coverage_80_q'])}"
        )
    if code == "MODEL_STALE":
        return f": {row['model_age_days']} days, at most {policy.model_age_days:g}"
    if code == "HYSTERESIS":
        return f": rank {row['earned']} today, lowest of the six origins before {row['floor']}"
    return f": {row['quality_flags']}" if code.startswith("DQ_") else ""


def _confidence(rows: pa.Table) -> list[str]:
    if not len(rows):
        return ["Confidence: no forecast on this day"]
    return ["Confidence: recalibrated 80 % intervals"] + [
        f"  {row['model']}, h {row['h']}: {row['q100']:.6g} to {row['q900']:.6g} around {row['q500']:.6g} "
        f"({row['method']}, {row['targets']} truths; {row['model_version']}, "
        f"gold/forecasts version {row['forecasts_version']})"
        for row in rows.sort_by([("model", "ascending"), ("h", "ascending")]).to_pylist()
    ]


def _drift(rows: pa.Table) -> list[str]:
    lines = ["Drift"]
    for row in rows.sort_by([("model", "ascending"), ("drift", "ascending")]).to_pylist():
        numbers = "" if row["p_value"] is None else f", p {row['p_value']:.3g}, q {_share(row['q_value'])}"
        lines.append(f"  {row['model']}, {row['drift']}: {row['state']} over {row['targets']} truths{numbers}")
    return lines if len(rows) else ["Drift: nothing is watched"]


def _vouched(chain: pa.Table, licences: pa.Table, ours: pa.Table, policy: Policy, day: date) -> list[str]:
    """Say whether decisions add up again, and whether the chain vouches for the day."""
    again = decide(evidence_of(licences), policy)
    names = ("state", "tier", "reasons", "serve")
    differs = [name for name in names if list(getattr(again, name)) != licences[name].to_pylist()]
    made = "every decision of the day adds up again from its row" if not differs else f"DOES NOT ADD UP: {differs}"
    problems = [*chain_problems(chain), *day_problems(chain, {day: licences})]
    held = "the chain vouches for the day" if not problems else "THE CHAIN DOES NOT HOLD: " + "; ".join(problems)
    first = ours.slice(0, 1).to_pylist()[0]
    versions = ", ".join(
        f"{name.removesuffix('_version')} {first[name]}"
        for name in ("forecasts_version", "trust_version", "quality_version", "drift_version")
    )
    return [f"Evidence: table versions {versions}", f"Audit: {made}; {held}."]


def _policy(chain: pa.Table, day: date) -> Policy:
    import json

    rows = chain.filter(pc.equal(chain["as_of"], pa.scalar(day))).sort_by("number").to_pylist()
    return Policy.of(json.loads(rows[-1]["policy"])) if rows else Policy()


def _share(value: object) -> str:
    return "unknown" if value is None else f"{value:.2f}"
