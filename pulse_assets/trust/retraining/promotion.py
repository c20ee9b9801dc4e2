"""Whether a challenger has shown in the shadow that it is better than the champion. Pure.

The evidence is looked at every day, so it is judged by bounds that hold at all looks.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.numerics.comparison import diebold_mariano
from pulse_assets.numerics.sequential import LEVEL, confidence_sequence

PROMOTE, REJECT, KEEP = "promote", "reject", "keep"
BETTER, WORSE, TIRED = "SHADOW_BETTER", "SHADOW_WORSE", "SHADOW_UNDECIDED"
COVERAGE_LOST, SEGMENT_WORSE = "COVERAGE_LOST", "SEGMENT_WORSE"
SUPERSEDED = "SUPERSEDED"
"""The refit of the quarter has learned more than the challenger."""
NOMINAL = 0.8
COLUMNS = {
    "as_of": pa.date32(),
    "family": pa.string(),
    "challenger": pa.date32(),
    "series": pa.int64(),
    **dict.fromkeys(("difference", "wis_challenger", "wis_champion"), pa.float64()),
    **dict.fromkeys(("covered_80_challenger", "covered_80_champion"), pa.float64()),
    "segments": pa.string(),
}
"""What is read of ``ops/shadow_scores``."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a challenger must clear.

    Parameters
    ----------
    level
        Probability with which a challenger that is no better is ever promoted, and one that is no worse rejected.
    least_days
        Days with truths before anything is decided: the bounds rest on a central limit theorem.
    most_days
        Days with truths after which a challenger that was not promoted is rejected.
    coverage_band
        By how much its coverage of 80 % may lie farther from 80 % than the champion's.
    segment_loss
        Share by which it may lose more than the champion in any segment.
    segment_days
        Days with truths from which on a segment counts: on fewer, chance decides.
    """

    level: float = LEVEL
    least_days: int = 20
    most_days: int = 250
    coverage_band: float = 0.02
    segment_loss: float = 0.05
    segment_days: int = 20


BAR = Bar()


class Verdict(NamedTuple):
    """What is to be done with a challenger, why (codes), and the numbers behind it; numbers are finite or None."""

    outcome: str
    reasons: tuple[str, ...]
    evidence: Mapping[str, object]


def decide(rows: pa.Table, bar: Bar = BAR) -> Verdict:
    """Return what the shadow scores of one challenger say.

    It is promoted once the lower bound of the mean difference is above 0, its coverage is no worse and no segment is
    lost; rejected once the upper bound is below 0, or too many days have shown neither. Otherwise it stays.

    Parameters
    ----------
    rows
        Rows of ``ops/shadow_scores`` of one challenger, in any order. Rows whose difference is no number are left out;
        without rows nothing is decided.
    bar
        What it must clear.

    Raises
    ------
    ValueError
        The rows are of several challengers, or tell a day twice.

    Examples
    --------
    >>> decide(pa.table({name: pa.array([], kind) for name, kind in COLUMNS.items()})).outcome
    'keep'
    """
    rows = _ordered(rows)
    days = len(rows)
    if not days:
        return Verdict(KEEP, (), {"days": 0})
    difference = rows["difference"].to_numpy()
    bounds = confidence_sequence(difference, bar.level, linked=True)
    lower, upper = float(bounds.lower[-1]), float(bounds.upper[-1])
    coverage, segments = _coverage(rows), _segments(rows, bar)
    statistic, p_value = diebold_mariano(difference, np.zeros(days), h=1)
    held_back = (
        *((COVERAGE_LOST,) if not _keeps_coverage(coverage, bar) else ()),
        *((SEGMENT_WORSE,) if any(gain < -bar.segment_loss for gain in segments.values()) else ()),
    )
    evidence = {
        "days": days,
        "truths": int(pc.sum(rows["series"]).as_py()),
        "difference": _number(float(difference.mean())),
        "lower": _number(lower),
        "upper": _number(upper),
        "dm": _number(statistic),
        "dm_p": _number(p_value),
        "wis_challenger": _number(float(pc.mean(rows["wis_challenger"]).as_py())),
        "wis_champion": _number(float(pc.mean(rows["wis_champion"]).as_py())),
        "coverage_80_challenger": _number(coverage[0]),
        "coverage_80_champion": _number(coverage[1]),
        "segments": {name: _number(gain) for name, gain in sorted(segments.items())},
    }
    outcome, reasons = _outcome(days, lower, upper, held_back, bar)
    return Verdict(outcome, reasons, evidence)


def _outcome(
    days: int, lower: float, upper: float, held_back: tuple[str, ...], bar: Bar
) -> tuple[str, tuple[str, ...]]:
    if days < bar.least_days:
        return KEEP, ()
    if lower > 0 and not held_back:
        return PROMOTE, (BETTER,)
    if upper < 0:
        return REJECT, (WORSE,)
    if days >= bar.most_days:
        return REJECT, (TIRED, *(held_back if lower > 0 else ()))
    return KEEP, held_back if lower > 0 else ()


def _ordered(rows: pa.Table) -> pa.Table:
    challengers = rows.select(["family", "challenger"]).group_by(["family", "challenger"]).aggregate([])
    if len(challengers) > 1:
        raise ValueError(
            f"expected the shadow scores of one challenger; came {challengers.to_pylist()[:5]}: filter by family and "
            "challenger"
        )
    if len(pc.unique(rows["as_of"])) < len(rows):
        raise ValueError(f"expected one row a day; came {len(rows)} of {len(pc.unique(rows['as_of']))} days")
    return rows.filter(pc.is_finite(rows["difference"])).sort_by("as_of")


def _coverage(rows: pa.Table) -> tuple[float, float]:
    """Return the share of all truths within the 80 % intervals of challenger and champion."""
    weights = rows["series"].to_numpy().astype(np.float64)
    parts = (rows[f"covered_80_{who}"].to_numpy() for who in ("challenger", "champion"))
    challenger, champion = (float((weights * part).sum() / weights.sum()) for part in parts)
    return challenger, champion


def _keeps_coverage(coverage: tuple[float, float], bar: Bar) -> bool:
    """Return whether the challenger's coverage is hardly farther from where it should be; an unknown one is not."""
    challenger, champion = (abs(part - NOMINAL) for part in coverage)
    return challenger <= champion + bar.coverage_band


def _segments(rows: pa.Table, bar: Bar) -> dict[str, float]:
    """Return by which share the challenger loses less than the champion in each segment that was seen often enough."""
    sums: dict[str, list[float]] = {}
    for text in rows["segments"].to_pylist():
        for name, (challenger, champion) in json.loads(text).items():
            total = sums.setdefault(name, [0.0, 0.0, 0.0])
            for place, part in enumerate((challenger, champion, 1.0)):
                total[place] += part
    return {
        name: 1 - challenger / champion
        for name, (challenger, champion, days) in sums.items()
        if days >= bar.segment_days and champion > 0
    }


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
