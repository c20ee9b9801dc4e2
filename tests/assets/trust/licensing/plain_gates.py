"""The licence gates, one row at a time and as plainly as they can be written, to check the fast ones against."""

import math
from collections.abc import Mapping, Sequence

from pulse_assets.trust.licensing.policy import Policy

Row = Mapping[str, object]
RANKS = {0: None, 1: None, 2: "C", 3: "B", 4: "A"}


def known(value: object, low: float = -math.inf, high: float = math.inf) -> bool:
    return isinstance(value, float) and math.isfinite(value) and low <= value <= high


def hits(row: Row, policy: Policy) -> list[str]:
    """Return the reasons but for HYSTERESIS."""
    found, flags = [], str(row["quality_flags"]).split()
    found += [code for code in ("DQ_EMPTY", "DQ_STALE", "DQ_SHORT", "DQ_DUP", "DQ_UNIT_JUMP") if code in flags]
    found += [code for code in ("QUANTILE_CROSS", "NONFINITE") if code in str(row["forecast_flags"]).split()]
    naive = row["model"] == "naive"
    shares = [row["coverage_80"], row["coverage_80_q"], row["quality"], *([] if naive else [row["trust"]])]
    proven = known(row["targets"], policy.min_targets) and all(known(share, 0, 1) for share in shares)
    proven = proven and row["drift"] in ("none", "learning", "warn", "alarm") and (naive or known(row["skill"]))
    found += [] if proven else ["UNPROVEN"]
    found += ["DRIFT_ALARM"] if row["drift"] == "alarm" else []
    if row["coverage_80_q"] < policy.coverage_q:  # type: ignore[operator]
        found += ["COV_LOW"] if row["coverage_80"] < 0.8 - policy.coverage_band else []  # type: ignore[operator]
        found += ["COV_HIGH"] if row["coverage_80"] > 0.8 + policy.coverage_band else []  # type: ignore[operator]
    found += ["SKILL_NEG"] if not naive and row["trust"] < policy.tier_c else []  # type: ignore[operator]
    found += ["REVISION_HIGH"] if "REVISION_HIGH" in flags else []
    found += ["MODEL_STALE"] if row["model_age_days"] > policy.model_age_days else []  # type: ignore[operator]
    learns = row["model"] not in ("naive", "seasonal_naive")
    return found + (
        ["LINEAGE_MISSING"] if not row["traced"] or (learns and not known(row["model_age_days"], 0)) else []
    )


def rank_of(row: Row, found: Sequence[str], policy: Policy) -> int:
    """Return the rank that a row earns today."""
    if found:
        return 0 if found[0].startswith("DQ_") or found[0] in ("QUANTILE_CROSS", "NONFINITE") else 1
    if row["model"] == "naive" or not row["skill"] > 0:  # type: ignore[operator]
        return 2
    tiers = (policy.tier_c, policy.tier_b, policy.tier_a)
    return 1 + sum(row["trust"] >= tier for tier in tiers)  # type: ignore[operator]


def plain(rows: Sequence[Row], policy: Policy) -> list[tuple[str, str | None, int, str, bool]]:
    """Return state, tier, rank earned, reasons and whether to serve, of all rows of a day."""
    reasons = [hits(row, policy) for row in rows]
    earned = [rank_of(row, found, policy) for row, found in zip(rows, reasons, strict=True)]
    ranks = [min(rank, max(int(str(row["floor"])), 1)) for row, rank in zip(rows, earned, strict=True)]
    served = set()
    for group in {(row["unique_id"], row["bucket"]) for row in rows}:
        own = [k for k, row in enumerate(rows) if (row["unique_id"], row["bucket"]) == group]
        open_ = [k for k in own if ranks[k] >= 2 or (ranks[k] == 1 and rows[k]["model"] == "naive")]
        served |= {min(open_, key=lambda k: worse_first(rows[k], ranks[k]))} if open_ else set()
    made = []
    for k, row in enumerate(rows):
        if ranks[k] >= 2:
            state = "licensed"
        elif ranks[k] == 0:
            state = "rejected"
        else:
            few = "draft" if not row["targets"] > 0 else "scored" if row["targets"] < policy.min_targets else "held"  # type: ignore[operator]
            state = "fallback" if k in served else few
        words = [*reasons[k], *(["HYSTERESIS"] if ranks[k] < earned[k] else [])]
        made.append((state, RANKS[ranks[k]], earned[k], " ".join(words), k in served))
    return made


def worse_first(row: Row, rank: int) -> tuple[float, float, float, bool, str]:
    """Return what orders rows from best to worst."""
    naive = row["model"] == "naive"
    trust, skill = (0.5, 0.0) if naive else (row["trust"], row["skill"])
    return -rank, -trust, -skill, not naive, str(row["model"])  # type: ignore[operator]
