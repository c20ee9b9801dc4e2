"""Says in words why the forecasts of one series may be used or not, and makes every decision again. Reads only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.one_series import meant
from jobs.report import newest_origin
from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.trust.evidence_tables import DATA_QUALITY, DRIFT, LICENCE_CHAIN
from pulse_assets.trust.licensing.audit import decision_problems, recompute
from pulse_assets.trust.licensing.chain import verify
from pulse_assets.trust.licensing.gates import REASONS, TIERS
from pulse_assets.trust.licensing.policy import Policy
from pulse_assets.trust.licensing.words import belief, ceiling, change, numbers, share
from pulse_assets.trust.tables import CALIBRATED, LICENCES, TRUST
from pulse_resources.errors import ConfigError
from pulse_resources.evidence import fingerprint
from pulse_resources.lake import Lake, TableContract

Row = Mapping[str, object]
Key = tuple[object, object]
EARLIER = 6
RANKS = {tier: rank for rank, tier in TIERS.items()}
EVIDENCE = {
    "forecasts_version": CALIBRATED,
    "trust_version": TRUST,
    "quality_version": DATA_QUALITY,
    "drift_version": DRIFT,
}


@dataclass(frozen=True)
class Case:
    """All that was known about one series when its licences of a day were made.

    Parameters
    ----------
    licences
        Columns of ``gold/licences`` of all series of the day; a decision is made again beside its rivals.
    ours
        Those of the series, in the order in which they are told.
    earlier
        The same of the six weekdays before.
    trust, calibrated, drift, quality
        Rows of the series and day.
    chain
        All of ``ops/licence_chain``.
    """

    unique_id: str
    day: date
    licences: pa.Table
    ours: list[Row]
    earlier: list[Row]
    trust: dict[Key, Row]
    calibrated: list[Row]
    drift: list[Row]
    quality: list[Row]
    chain: pa.Table


def explain(lake: Lake, which: str, as_of: date | None) -> str:
    """Return all decisions about one series on a day, in words, with the numbers behind every reason.

    Raises
    ------
    ConfigError
        No series or more than one is meant, or nothing was decided about it on that day.
    TableMissingError
        Nothing was licensed yet.
    """
    case = _case(lake, which, as_of)
    policy, doubt = _policy(case)
    decisions = [[*_decision(case, row, policy), ""] for row in case.ours]
    parts = [
        [f"{case.unique_id} as of {case.day}", ""],
        *decisions,
        [*_confidence(case.calibrated), ""],
        [*_quality(case.quality), ""],
        [*_drift(case.drift), ""],
        _lineage(lake, case),
        _audit(case, policy, doubt),
    ]
    return "\n".join(line for part in parts for line in part)


def _case(lake: Lake, which: str, as_of: date | None) -> Case:
    day = as_of or newest_origin(lake)
    unique_id = meant(lake, which, day)
    today, this = pc.field("as_of") == day, pc.field("unique_id") == unique_id
    licences = lake.read(LICENCES, where=today)
    ours = licences.filter(pc.equal(licences["unique_id"], unique_id)).sort_by(
        [("serve", "descending"), ("model", "ascending"), ("bucket", "ascending")]
    )
    if not len(ours):
        raise ConfigError(
            f"nothing was decided about {unique_id} on {day}: the day was not computed, or the series not known yet"
        )

    def rows(contract: TableContract, order: str) -> list[Row]:
        found = lake.read(contract, where=today & this)
        return found.sort_by([(name, "ascending") for name in order.split()]).to_pylist()  # type: ignore[no-any-return]

    since = np.busday_offset(np.datetime64(day, "D"), -EARLIER, roll="backward").astype(object)
    before = (pc.field("as_of") >= pa.scalar(since)) & (pc.field("as_of") < pa.scalar(day))
    earlier = lake.read(LICENCES, columns=["as_of", "model", "bucket", "earned"], where=before & this)
    return Case(
        unique_id,
        day,
        licences,
        ours.to_pylist(),
        earlier.sort_by([("as_of", "descending")]).to_pylist(),
        {(row["model"], row["bucket"]): row for row in rows(TRUST, "model bucket")},
        rows(CALIBRATED, "model h"),
        rows(DRIFT, "model drift"),
        rows(DATA_QUALITY, "unique_id"),
        lake.read(LICENCE_CHAIN),
    )


def _decision(case: Case, row: Row, policy: Policy) -> list[str]:
    tier = f", tier {row['tier']}" if row["tier"] else ""
    mark = "  <- take this one" if row["serve"] else ""
    lines = [f"{row['model']}, {row['bucket']} steps ahead: {row['state']}{tier}{mark}"]
    trust = case.trust.get((row["model"], row["bucket"]))
    codes = str(row["reasons"]).split()
    for code in codes:
        behind = numbers(code, row, trust, policy)
        lines.append(f"  {code}: {REASONS[code]}{f': {behind}' if behind else ''}")
        lines.append(f"    {change(code, row, _streak(case, row), policy)}")
    if "SKILL_NEG" not in codes:
        lines.append(f"  {'' if codes else 'no gate was hit: '}{belief(row, trust)}")
    if ceiling(row):
        lines.append(f"  {ceiling(row)}")
    if row["state"] == "fallback":
        lines.append("  nothing about this series is licensed: naive is shown in its place, under that mark")
    lines.append(f"  expires after {row['expires_on']}; data quality {share(row['quality'])}, drift {row['drift']}")
    return lines


def _streak(case: Case, row: Row) -> int:
    """Return at how many origins in a row, today's included, it earned more than it is licensed for."""
    held = RANKS.get(str(row["tier"]), 1)
    ranks = {
        one["as_of"]: int(str(one["earned"]))
        for one in case.earlier
        if (one["model"], one["bucket"]) == (row["model"], row["bucket"])
    }
    streak = 1
    for back in range(1, EARLIER + 1):
        day = np.busday_offset(np.datetime64(case.day, "D"), -back, roll="backward").astype(object)
        if ranks.get(day, 0) <= held:
            break
        streak += 1
    return streak


def _confidence(rows: list[Row]) -> list[str]:
    if not rows:
        return ["Confidence: no forecast on this day"]
    return ["Confidence: recalibrated 80 % intervals"] + [
        f"  {row['model']}, h {row['h']}: {row['q100']:.6g} to {row['q900']:.6g} around {row['q500']:.6g} "
        f"({row['method']}, {row['targets']} truths; {row['model_version']})"
        for row in rows
    ]


def _quality(rows: list[Row]) -> list[str]:
    if not rows:
        return ["Data quality: unknown"]
    row = rows[0]
    jump, flags = row["jump_z"], f": {row['flags']}" if row["flags"] else ""
    return [
        f"Data quality {share(row['quality'])}{flags}",
        f"  {row['observations']} observations; newest {row['age_days']:.1f} days old, {row['late_share']:.0%} of what "
        f"its frequency allows; {row['missing_share']:.0%} missing, {row['duplicates']} doubled, "
        f"{row['revision_rate']:.0%} revised; the newest {row['flat_run']} are equal; largest shift of level "
        f"{'unknown' if jump is None else f'{jump:.1f} sd'}",
    ]


def _drift(rows: list[Row]) -> list[str]:
    lines = ["Drift"]
    for row in rows:
        chance = "" if row["p_value"] is None else f", p {row['p_value']:.3g}, q {share(row['q_value'])}"
        since = f" since {row['alarm_on']}" if row["alarm_on"] else ""
        which = f"{row['model']}, {row['drift']}" if row["model"] else row["drift"]
        lines.append(f"  {which}: {row['state']}{since} over {row['targets']} truths{chance}")
    return lines if rows else ["Drift: nothing is watched"]


def _lineage(lake: Lake, case: Case) -> list[str]:
    """Return the table versions behind the decisions and who wrote them, and the models behind the forecasts."""
    first, made = case.ours[0], _newest_link(case)
    versions = {contract: first[name] for name, contract in EVIDENCE.items()}
    if case.calibrated:
        versions = {FORECASTS: case.calibrated[0]["forecasts_version"]} | versions
    if made is not None:
        versions[LICENCES] = made["licences_version"]
    lines = ["Evidence"]
    lines += [f"  {contract.name} {_written(lake, contract, version)}" for contract, version in versions.items()]
    models = sorted({(str(row["model"]), str(row["model_version"])) for row in case.calibrated})
    ages = {row["model"]: row["model_age_days"] for row in case.ours if row["model_age_days"] is not None}
    lines += [
        f"  {model}: model version {version}" + (f", last learned {ages[model]} days before" if model in ages else "")
        for model, version in models
    ]
    return [*lines, ""]


def _written(lake: Lake, contract: TableContract, version: object) -> str:
    if not isinstance(version, int) or version < 0:
        return "was missing"
    runs = {commit["version"]: commit.get("dagster.run_id", "") for commit in lake.history(contract)}
    if version not in runs:
        return f"version {version}, no longer in its log"
    return f"version {version}, written by {f'run {runs[version]}' if runs[version] else 'no run on the record'}"


def _audit(case: Case, policy: Policy, doubt: str) -> list[str]:
    """Make the decisions of the day again, and say whether the chain vouches for them."""
    wrong = decision_problems(case.licences, policy)
    wrong += [
        f"{row['model']} {row['bucket']} cannot be made again from its row alone"
        for row in case.ours
        if any(getattr(recompute(row, policy), name) != row[name] for name in ("state", "tier", "earned", "reasons"))
    ]
    wrong += [doubt] if doubt else []
    made = (
        "every decision of the day adds up again from its row" if not wrong else f"DOES NOT ADD UP: {'; '.join(wrong)}"
    )
    problems = verify(case.chain, case.licences, [case.day])
    held = "the chain vouches for the day" if not problems else "THE CHAIN DOES NOT HOLD: " + "; ".join(problems)
    link = _newest_link(case)
    where = "" if link is None else f" (link {link['number']} of {len(case.chain)}, run {link['run_id']})"
    return [f"Audit: {made}; {held}{where}."]


def _newest_link(case: Case) -> Row | None:
    links = case.chain.filter(pc.equal(case.chain["as_of"], pa.scalar(case.day))).sort_by("number").to_pylist()
    return links[-1] if links else None


def _policy(case: Case) -> tuple[Policy, str]:
    """Return the thresholds of the day by the chain, and what is wrong with them, if anything is."""
    link = _newest_link(case)
    named = "the defaults, and no link says by which" if link is None else f"those in link {link['number']}"
    try:
        policy = Policy.of({} if link is None else json.loads(str(link["policy"])))
    except ValueError as error:
        return Policy(), f"this version cannot read {named}: {error}"
    known = {row["policy"] for row in case.ours} == {fingerprint(policy.as_dict())}
    return policy, "" if known else f"decided by other thresholds than {named}"
