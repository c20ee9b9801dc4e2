"""The first licence gate: scores in, one state a series and model out, with every reason recorded. Pure.

States: ``rejected`` (must not be used), ``held`` (not shown to be usable), ``licensed`` (tier A, B or C), and
``fallback``: the naive forecast of a series of which nothing is licensed, publishable only under that mark. Missing
evidence is the reason ``UNPROVEN``, never a pass. A licence is about forecasts made at one origin and ends with them.
"""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import ndtri

from pulse_assets.signals.calendars import STEPS_A_YEAR

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NAIVE = "naive"
REASONS = {
    "DQ_STALE": "nothing new became known for longer than its frequency allows",
    "DQ_SHORT": "too few observations, or too wild ones, for a forecast with quantiles",
    "UNPROVEN": "too few scored truths to judge it",
    "COV_LOW": "80 % intervals caught clearly fewer truths than they claim",
    "COV_HIGH": "80 % intervals caught clearly more truths than they claim",
    "SKILL_NEG": "it scored worse than the naive forecast",
}
"""Reason codes in the order of the gates, in words."""
REJECTING = ("DQ_STALE", "DQ_SHORT")


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds of the gate.

    Parameters
    ----------
    window_targets
        Newest truths that count, in steps of the series.
    min_targets
        Truths needed before anything is licensed.
    coverage_band
        Accepted distance of the 80 % interval's coverage from 0.8, once sampling error is allowed for.
    confidence
        Confidence of the Wilson interval that allows for it.
    tier_a, tier_b
        Skill over naive from which tiers A and B begin; C begins at 0.
    """

    window_targets: int = 90
    min_targets: int = 30
    coverage_band: float = 0.05
    confidence: float = 0.95
    tier_a: float = 0.05
    tier_b: float = 0.02

    def as_dict(self) -> dict[str, float]:
        """Return the thresholds by name."""
        return asdict(self)


@dataclass(frozen=True)
class Evidence:
    """What is known about D days × S series × M models; NaN where there is no score.

    Parameters
    ----------
    targets
        Truths scored within the window.
    wis, wis_naive
        Their summed scores and those of the naive forecasts of the same truths, in units of the series.
    covered_80, covered_95
        Their summed shares of covering forecasts.
    stale, short
        Why a series has no forecast at a day, shape ``(D, S)``.
    forecast
        Whether a model has forecasts at a day.
    """

    targets: Floats
    wis: Floats
    wis_naive: Floats
    covered_80: Floats
    covered_95: Floats
    stale: Bools
    short: Bools
    forecast: Bools


@dataclass(frozen=True)
class Decisions:
    """States, tiers, reasons and numbers; each of shape ``(D, S, M)``.

    There is a decision where ``decided``: about every forecast, and about every model of a rejected series. Elsewhere
    states and tiers are None and reasons empty.
    """

    decided: Bools
    state: npt.NDArray[np.object_]
    tier: npt.NDArray[np.object_]
    serve: Bools
    reasons: npt.NDArray[np.object_]
    targets: Floats
    skill: Floats
    coverage_80: Floats
    coverage_95: Floats


def window_days(freq: str, policy: Policy) -> int:
    """Return the weekdays that hold a window of truths of a frequency."""
    steps_a_weekday = min(STEPS_A_YEAR[freq] / STEPS_A_YEAR["B"], 1.0)
    return round(policy.window_targets / steps_a_weekday)


def window_sums(daily: Floats, window: int) -> Floats:
    """Return sums over the newest ``window`` rows, for every row from the ``window``-th on.

    Added row by row in a fixed order, so a sum does not depend on what else is in the array.

    Examples
    --------
    >>> window_sums(np.array([1.0, 2.0, 3.0]), 2)
    array([3., 5.])
    """
    count = len(daily) - window + 1
    total = np.zeros((count, *daily.shape[1:]))
    for back in range(window):
        total += daily[back : back + count]
    return total


def wilson(successes: Floats, trials: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Return the Wilson interval of a proportion; NaN without trials.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference.

    Examples
    --------
    >>> low, high = wilson(np.array([90.0]), np.array([100.0]), 0.95)
    >>> round(low.item(), 6), round(high.item(), 6)
    (0.825634, 0.944771)
    """
    z = ndtri((1 + confidence) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / trials
        middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
        half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return np.asarray(middle - half), np.asarray(middle + half)


def decide(evidence: Evidence, models: tuple[str, ...], policy: Policy) -> Decisions:
    """Run the gates and choose, for each series and day, the row to serve.

    What a model without forecasts at a day has scored before has no say there.

    Parameters
    ----------
    evidence
        Shapes ``(D, S, M)``.
    models
        M names, ``naive`` among them.
    policy
        Thresholds.
    """
    naive = models.index(NAIVE)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        skill = 1 - evidence.wis / evidence.wis_naive
        coverage_80, coverage_95 = (part / evidence.targets for part in (evidence.covered_80, evidence.covered_95))
    skill = np.where(np.isfinite(skill), skill, np.nan)
    hits = _hits(evidence, skill, naive, policy)
    rejected = np.any([hits[reason] for reason in REJECTING], axis=0)
    decided = evidence.forecast | rejected
    hits = {reason: hit & decided for reason, hit in hits.items()}
    held = np.any([hits[reason] for reason in REASONS if reason not in REJECTING], axis=0) & ~rejected
    licensed = decided & ~rejected & ~held
    fallback = np.zeros(decided.shape, bool)
    fallback[:, :, naive] = held[:, :, naive] & ~licensed.any(axis=2)
    state = np.select([rejected, fallback, held], ["rejected", "fallback", "held"], "licensed").astype(object)
    state[~decided] = None
    tier = np.where(skill >= policy.tier_a, "A", np.where(skill >= policy.tier_b, "B", "C")).astype(object)
    tier[~licensed] = None
    serve = _best(np.where(licensed, np.nan_to_num(skill), -np.inf), models) | fallback
    serve &= licensed | fallback
    return Decisions(decided, state, tier, serve, _joined(hits), evidence.targets, skill, coverage_80, coverage_95)


def _hits(evidence: Evidence, skill: Floats, naive: int, policy: Policy) -> dict[str, Bools]:
    """Return where each gate is hit, by reason in the order of the gates."""
    proven = (evidence.targets >= policy.min_targets) & np.isfinite(evidence.wis) & np.isfinite(evidence.covered_80)
    low, high = wilson(evidence.covered_80, evidence.targets, policy.confidence)
    shape = evidence.targets.shape
    worse = ~(skill >= 0) & proven
    worse[:, :, naive] = False
    return {
        "DQ_STALE": np.broadcast_to(evidence.stale[:, :, None], shape),
        "DQ_SHORT": np.broadcast_to(evidence.short[:, :, None], shape),
        "UNPROVEN": ~proven,
        "COV_LOW": proven & (high < 0.8 - policy.coverage_band),
        "COV_HIGH": proven & (low > 0.8 + policy.coverage_band),
        "SKILL_NEG": worse,
    }


def _best(skill: Floats, models: tuple[str, ...]) -> Bools:
    """Return the model of the highest skill in each row; naive wins ties, then the first in alphabetical order."""
    order = sorted(range(len(models)), key=lambda m: (models[m] != NAIVE, models[m]))
    first = np.argmax(skill[:, :, order], axis=2)
    return np.asarray(np.array(order)[first][:, :, None] == np.arange(skill.shape[2]))


def _joined(hits: dict[str, Bools]) -> npt.NDArray[np.object_]:
    code = np.zeros(next(iter(hits.values())).shape, np.int64)
    for bit, hit in enumerate(hits.values()):
        code |= hit.astype(np.int64) << bit
    words = [" ".join(name for bit, name in enumerate(hits) if number >> bit & 1) for number in range(2 ** len(hits))]
    return np.asarray(np.array(words, object)[code])


def servable(forecasts: pa.Table, licences: pa.Table) -> pa.Table:
    """Return the forecasts that may be shown, with ``state``, ``tier`` and ``expires_on`` of their licence.

    The only door through which digests, recommendations and posts read forecasts.
    """
    open_rows = licences.filter(licences["serve"])
    keys = ["as_of", "unique_id", "model"]
    chosen = open_rows.select([*keys, "state", "tier", "reasons", "expires_on"])
    return forecasts.join(chosen, keys=keys, join_type="inner").sort_by([(k, "ascending") for k in (*keys, "h")])
