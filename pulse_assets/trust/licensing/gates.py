"""The licence gates: evidence of many rows in, one state a row out, with every reason recorded. Pure.

States: ``draft`` (nothing scored yet), ``scored`` (too little to judge), ``held`` (not shown to be usable),
``rejected`` (must not be used), ``licensed`` in tier A, B or C, and ``fallback``: the naive forecast of a series of
which nothing is licensed, to be used only under that mark. Missing evidence is the reason ``UNPROVEN``, never a pass.
A licence speaks of forecasts made at one origin and expires with them, see :func:`.serving.state_on`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.trust.licensing.policy import Policy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

NAIVE = "naive"
LEARNS_NOTHING = (NAIVE, "seasonal_naive")
"""Models without an age; any other whose age is unknown cannot be traced."""
EVEN = 0.5
"""Probability with which naive beats itself: what other models' trust is compared with where both are open."""
REASONS = {
    "DQ_EMPTY": "it has no usable values",
    "DQ_STALE": "nothing new became known for longer than its frequency allows",
    "DQ_SHORT": "too few observations, or too wild ones, for a forecast with quantiles",
    "DQ_DUP": "one event time was told with different values at one moment",
    "DQ_UNIT_JUMP": "its level jumped as if its unit had changed",
    "QUANTILE_CROSS": "quantiles fall where they should rise",
    "NONFINITE": "quantiles are not finite",
    "UNPROVEN": "there is too little evidence to judge it",
    "DRIFT_ALARM": "the model's errors on it have changed",
    "COV_LOW": "80 % intervals caught clearly fewer truths than they claim",
    "COV_HIGH": "80 % intervals caught clearly more truths than they claim",
    "SKILL_NEG": "it is less likely than not to beat the naive forecast",
    "REVISION_HIGH": "what is told first is later revised by too much",
    "MODEL_STALE": "the model has not learned for too long",
    "LINEAGE_MISSING": "it cannot be traced to a model and table versions",
    "HYSTERESIS": "it earned this rank, but not at seven origins in a row yet",
}
"""Reason codes in the order of the gates, in words."""
REJECTING = ("DQ_EMPTY", "DQ_STALE", "DQ_SHORT", "DQ_DUP", "DQ_UNIT_JUMP", "QUANTILE_CROSS", "NONFINITE")
REJECTED, HELD, TIER_C, TIER_B, TIER_A = range(5)
"""Ranks."""
TIERS = {TIER_C: "C", TIER_B: "B", TIER_A: "A"}
DRIFTS = ("none", "learning", "warn", "alarm")
"""From best to worst; ``learning`` is no fault."""
VERSIONS = ("forecasts_version", "trust_version", "quality_version", "drift_version")
ROUNDING = 1e-9


@dataclass(frozen=True)
class Evidence:
    """What N rows (series, model, bucket) are judged by; NaN and None are missing evidence.

    Parameters
    ----------
    model, unique_id, bucket
        Names.
    targets, skill, trust, coverage_80, coverage_80_q, quality
        See ``gold/licences``.
    quality_flags, forecast_flags
        Codes, separated by blanks.
    drift
        One of :data:`DRIFTS`, or None.
    model_age_days
        NaN for models that learn nothing.
    traced
        Whether all table versions are known.
    floor
        Lowest rank earned at the six origins before, :data:`HELD` where one is missing.
    """

    unique_id: Texts
    model: Texts
    bucket: Texts
    targets: Floats
    skill: Floats
    trust: Floats
    coverage_80: Floats
    coverage_80_q: Floats
    quality: Floats
    quality_flags: Texts
    forecast_flags: Texts
    drift: Texts
    model_age_days: Floats
    traced: Bools
    floor: Ints


@dataclass(frozen=True)
class Decisions:
    """State, tier, rank earned, reasons and whether to serve, each of shape ``(N,)``."""

    state: Texts
    tier: Texts
    serve: Bools
    earned: Ints
    reasons: Texts


def decide(evidence: Evidence, policy: Policy, chosen: Bools | None = None) -> Decisions:
    """Run the gates, then choose for each series and bucket the row to serve.

    Rows do not depend on each other but for ``fallback`` and ``serve``, nor on their order.

    Parameters
    ----------
    evidence
        Rows of one day.
    policy
        Thresholds.
    chosen
        Which rows were chosen among all of the day, shape ``(N,)``, where only some are here; None: choose.
    """
    hits = gate_hits(evidence, policy)
    earned = ranks(evidence, hits, policy)
    rank = np.minimum(earned, np.maximum(evidence.floor, HELD))
    hits["HYSTERESIS"] = rank < earned
    serve = _open(evidence, rank) & (_best(evidence, rank) if chosen is None else chosen)
    tier = np.array([TIERS.get(one) for one in rank.tolist()], object)
    return Decisions(_states(evidence, rank, serve, policy), tier, serve, earned, joined(hits))


def _states(evidence: Evidence, rank: Ints, serve: Bools, policy: Policy) -> Texts:
    targets = np.nan_to_num(evidence.targets)
    return np.select(
        [rank == REJECTED, rank >= TIER_C, serve, targets == 0, targets < policy.min_targets],
        ["rejected", "licensed", "fallback", "draft", "scored"],
        "held",
    ).astype(object)


def gate_hits(evidence: Evidence, policy: Policy) -> dict[str, Bools]:
    """Return where each gate is hit, by reason in the order of the gates; HYSTERESIS is decided by ranks."""
    flags = {code: _flagged(evidence.quality_flags, code) for code in REJECTING[:5]}
    flags |= {code: _flagged(evidence.forecast_flags, code) for code in REJECTING[5:]}
    is_naive = evidence.model == NAIVE
    ageless = ~(evidence.model_age_days >= 0) & ~np.isin(evidence.model, LEARNS_NOTHING)
    off = evidence.coverage_80_q < policy.coverage_q
    return {
        **flags,
        "UNPROVEN": _unproven(evidence, is_naive, policy),
        "DRIFT_ALARM": evidence.drift == "alarm",
        "COV_LOW": off & (evidence.coverage_80 < 0.8 - policy.coverage_band),
        "COV_HIGH": off & (evidence.coverage_80 > 0.8 + policy.coverage_band),
        "SKILL_NEG": ~is_naive & (evidence.trust < policy.tier_c),
        "REVISION_HIGH": _flagged(evidence.quality_flags, "REVISION_HIGH"),
        "MODEL_STALE": evidence.model_age_days > policy.model_age_days,
        "LINEAGE_MISSING": ~evidence.traced | ageless,
    }


def _unproven(evidence: Evidence, is_naive: Bools, policy: Policy) -> Bools:
    proven = (evidence.targets >= policy.min_targets) & np.isfinite(evidence.targets)
    for share in (evidence.coverage_80, evidence.coverage_80_q, evidence.quality):
        proven &= _is_share(share)
    proven &= is_naive | (_is_share(evidence.trust) & np.isfinite(evidence.skill))
    return np.asarray(~(proven & np.isin(evidence.drift, DRIFTS)))


def _is_share(values: Floats) -> Bools:
    return (values >= -ROUNDING) & (values <= 1 + ROUNDING)


def ranks(evidence: Evidence, hits: dict[str, Bools], policy: Policy) -> Ints:
    """Return the rank that the evidence of the day alone earns.

    Naive is never above C, nor what did not beat it over the window: a copy of naive may be trusted as far as its
    panel is, but no further than naive.
    """
    is_naive = evidence.model == NAIVE
    trust = np.where(is_naive, policy.tier_c, evidence.trust)
    earned = np.where(trust >= policy.tier_a, TIER_A, np.where(trust >= policy.tier_b, TIER_B, TIER_C))
    earned = np.where(is_naive | ~(evidence.skill > 0), np.minimum(earned, TIER_C), earned)
    held = np.any([hit for code, hit in hits.items() if code not in REJECTING], axis=0)
    earned = np.where(held | ~(trust >= policy.tier_c), HELD, earned)
    rejected = np.any([hits[code] for code in REJECTING], axis=0)
    return np.where(rejected, REJECTED, earned).astype(np.int64)


def joined(hits: dict[str, Bools]) -> Texts:
    """Return the codes that are hit in each row, separated by blanks."""
    names = [name for name in REASONS if name in hits]
    code = np.zeros(len(next(iter(hits.values()))), np.int64)
    for bit, name in enumerate(names):
        code |= hits[name].astype(np.int64) << bit
    values, place = np.unique(code, return_inverse=True)
    words = [" ".join(name for bit, name in enumerate(names) if value >> bit & 1) for value in values.tolist()]
    return np.array(words, object)[place] if len(code) else np.empty(0, object)


def _flagged(flags: Texts, code: str) -> Bools:
    known = {text: code in text.split() for text in set(flags)}
    return np.array([known[text] for text in flags], bool)


def _open(evidence: Evidence, rank: Ints) -> Bools:
    """Return what may be served: what is licensed, and naive where that is held."""
    return np.asarray((rank >= TIER_C) | ((evidence.model == NAIVE) & (rank == HELD)))


def _best(evidence: Evidence, rank: Ints) -> Bools:
    """Return the best row of each series and bucket: of those that may be served by rank, then trust, then skill.

    Naive beside itself has even odds and no skill, and wins ties; then the first in alphabetical order does.
    """
    count = len(rank)
    if not count:
        return np.zeros(0, bool)
    is_naive = evidence.model == NAIVE
    group = np.unique([f"{one}\n{other}" for one, other in zip(evidence.unique_id, evidence.bucket, strict=True)],
                      return_inverse=True)[1]  # fmt: skip
    trust, skill = (
        np.where(is_naive, even, np.nan_to_num(values, nan=-np.inf))
        for values, even in ((evidence.trust, EVEN), (evidence.skill, 0.0))
    )
    order = np.lexsort((evidence.model.astype(str), ~is_naive, -skill, -trust, -rank, ~_open(evidence, rank), group))
    first = np.ones(count, bool)
    first[1:] = np.diff(group[order]) != 0
    best = np.zeros(count, bool)
    best[order[first]] = True
    return best


def evidence_of(rows: pa.Table) -> Evidence:
    """Return the evidence that rows of ``gold/licences`` carry: a decision can be made again from its row alone."""
    floats = ("targets", "skill", "trust", "coverage_80", "coverage_80_q", "quality", "model_age_days")
    texts = ("unique_id", "model", "bucket", "quality_flags", "forecast_flags", "drift")
    versions = [rows[name].to_numpy() for name in VERSIONS]
    return Evidence(
        **{name: rows[name].cast(pa.float64()).to_numpy().astype(np.float64) for name in floats},
        **{name: np.array(rows[name].to_pylist(), object) for name in texts},
        traced=np.all([version >= 0 for version in versions], axis=0),
        floor=rows["floor"].to_numpy().astype(np.int64),
    )
