"""Says a decision in words: the numbers behind each reason, and what would have to change. Pure."""

from collections.abc import Mapping

from pulse_assets.trust.licensing.gates import HELD, NAIVE, TIERS
from pulse_assets.trust.licensing.policy import Policy

Row = Mapping[str, object]

CHANGES = {
    "DQ_EMPTY": "a usable value must become known",
    "DQ_STALE": "a new value must become known",
    "DQ_SHORT": "more observations must become known",
    "DQ_DUP": "the source must tell one value for each event time",
    "DQ_UNIT_JUMP": "the source must mend the jump, or enough values after it must become known",
    "QUANTILE_CROSS": "the forecast must be made again, with quantiles that rise",
    "NONFINITE": "the forecast must be made again, with finite quantiles",
    "DRIFT_ALARM": "the alarm must end and a new reference be learned, or the model be trained again",
    "REVISION_HIGH": "first releases must be revised by less",
    "MODEL_STALE": "the model must learn again",
    "LINEAGE_MISSING": "forecast and evidence must be made again, with versions that are on the record",
}
"""What lifts each reason whose numbers do not say it already."""


def numbers(code: str, row: Row, trust: Row | None, policy: Policy) -> str:
    """Return the numbers behind a reason, empty where there are none.

    Parameters
    ----------
    code
        One of :data:`.gates.REASONS`.
    row
        Columns of ``gold/licences``.
    trust
        Columns of ``gold/trust`` of the same series, model, bucket and day, if there are any.
    policy
        Thresholds of the day.
    """
    if code == "UNPROVEN":
        unknown = _unknown(row)
        return f"{row['targets']} scored truths" + (f"; unknown: {', '.join(unknown)}" if unknown else "")
    if code == "SKILL_NEG":
        return belief(row, trust)
    if code in ("COV_LOW", "COV_HIGH"):
        return f"{share(row['coverage_80'])} of truths, shrunk to its panel; q {share(row['coverage_80_q'])}"
    if code == "MODEL_STALE":
        return f"{row['model_age_days']} days old, at most {policy.model_age_days:g}"
    if code == "HYSTERESIS":
        return f"{rank_name(row['earned'])} today, at worst {rank_name(row['floor'])} at the six origins before"
    if code == "LINEAGE_MISSING":
        return ", ".join(_untraced(row))
    flags = "forecast_flags" if code in ("QUANTILE_CROSS", "NONFINITE") else "quality_flags"
    return str(row[flags]) if row[flags] != code and code in str(row[flags]) else ""


def belief(row: Row, trust: Row | None) -> str:
    """Return how likely it is to beat naive, and from what."""
    if row["model"] == NAIVE:
        return "naive is what others are compared with"
    if row["trust"] is None:
        return "how likely it is to beat naive is unknown"
    outcomes = trust["calibrated_on"] if trust else 0
    grounds = f"calibrated on {outcomes} earlier outcomes" if outcomes else "not calibrated yet"
    return (
        f"the chance that it beats naive over its next 30 truths is {share(row['trust'])}; skill {share(row['skill'])} "
        f"over {row['targets']} truths; {grounds}"
    )


def change(code: str, row: Row, streak: int, policy: Policy) -> str:
    """Return what would have to change for a reason to be lifted.

    Parameters
    ----------
    streak
        At how many origins in a row, today's included, it has earned more than its licence says.
    """
    if code == "UNPROVEN":
        lack = policy.min_targets - float(str(row["targets"]))
        wanted = [f"{lack:g} more scored truths"] if lack > 0 else []
        wanted += [f"a known {name}" for name in _unknown(row)]
        return "needs " + (" and ".join(wanted) or "numbers that can be true")
    if code in ("COV_LOW", "COV_HIGH"):
        band = policy.coverage_band
        return f"needs {0.8 - band:.2g} to {0.8 + band:.2g}, or q from {policy.coverage_q:g}: then it may be chance"
    if code == "SKILL_NEG":
        return f"needs a chance of {policy.tier_c:g} for C, {policy.tier_b:g} for B, {policy.tier_a:g} for A"
    if code == "HYSTERESIS":
        return f"must earn more at seven origins in a row, {streak} so far"
    return CHANGES[code]


def ceiling(row: Row) -> str:
    """Return why a licensed row is in no higher tier than C although it is trusted, or nothing."""
    if row["tier"] != "C" or "HYSTERESIS" in str(row["reasons"]):
        return ""
    if row["model"] == NAIVE:
        return "naive itself is never above C"
    skill = row["skill"]
    return (
        "never above C while it has not beaten naive over the window" if isinstance(skill, float) and skill <= 0 else ""
    )


def rank_name(rank: object) -> str:
    """Return a rank in words.

    Examples
    --------
    >>> rank_name(4), rank_name(1)
    ('tier A', 'held')
    """
    number = int(str(rank))
    return f"tier {TIERS[number]}" if number in TIERS else "held" if number == HELD else "rejected"


def share(value: object) -> str:
    """Return a share with two digits."""
    return f"{value:.2f}" if isinstance(value, float) else "unknown"


def _unknown(row: Row) -> list[str]:
    needed = ("trust", "skill", "coverage_80", "coverage_80_q", "quality", "drift")
    spared = ("trust", "skill") if row["model"] == NAIVE else ()
    return [name for name in needed if row[name] is None and name not in spared]


def _untraced(row: Row) -> list[str]:
    versions = ("forecasts_version", "trust_version", "quality_version", "drift_version")
    lacking = [name.removesuffix("_version") for name in versions if int(str(row[name])) < 0]
    return [f"no version of {name}" for name in lacking] or ["when the model last learned is unknown"]
