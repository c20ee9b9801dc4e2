"""The difference of one measure under two scenarios, on the same path numbers, and the error of that difference.

What belongs here: means, quantiles and their intervals. Which measures are compared is decided in ``divergence``.
Pairs that share no random numbers get right errors too, only larger ones.
"""

from math import nan
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from pulse_assets.simulation.world import Floats

MOST_SECTIONS, FEWEST_SECTIONS = 20, 5
CONFIDENCE = 0.95


class Difference(NamedTuple):
    """One measure in a scenario less the same in another.

    Attributes
    ----------
    measure
        ``pnl_usd`` is its mean, ``pnl_usd_q050`` its 5 % quantile.
    step
        Step that it is of; the last one for outcomes at the end.
    difference
        In the measure's unit.
    se
        Standard error; NaN where there are too few paths for it.
    low, high
        Ends of the 95 % interval, by Student's t.
    correlation
        Of the two scenarios' paths; NaN where it is not known or one of them never varies.
    variance_reduction
        How many times as many independent paths would be needed for the same error: 1 without pairing, infinite where
        the difference is the same on every path, NaN where it is not known.
    """

    measure: str
    step: int
    difference: float
    se: float
    low: float
    high: float
    correlation: float
    variance_reduction: float


def mean_difference(measure: str, step: int, values: Floats, against: Floats) -> Difference:
    """Return the difference of two means with its paired error.

    Parameters
    ----------
    measure, step
        What it is of.
    values, against
        Of each path in the scenario and in the other, in the same order, shape ``(N,)``; booleans count as 0 and 1.

    Raises
    ------
    ValueError
        Shapes differ, there are fewer than two paths, or a value is not finite.

    Examples
    --------
    >>> found = mean_difference("pnl_usd", 20, np.array([1.0, 4.0, 7.0]), np.array([2.0, 4.0, 6.0]))
    >>> found.difference, round(found.se, 6), round(found.correlation, 6), round(found.variance_reduction, 6)
    (0.0, 0.57735, 1.0, 13.0)
    """
    a, b = _checked(measure, values, against)
    n, gap = len(a), a - b
    return from_variances(
        measure, step, float(gap.mean()), n, float(a.var(ddof=1)), float(b.var(ddof=1)), float(gap.var(ddof=1))
    )


def quantile_difference(measure: str, step: int, values: Floats, against: Floats, p: float) -> Difference:
    """Return the difference of two quantiles with an error from sections of the paths.

    The paths are cut into up to 20 sections, and the error is that of the sections' differences around the difference
    of all paths, so pairing is kept whatever the distribution.

    Parameters
    ----------
    measure, step, values, against
        As in :func:`mean_difference`.
    p
        Probability, in (0, 1). A section needs a path in the tail: with fewer than ``5 / min(p, 1 - p)`` paths the
        error is NaN.

    Raises
    ------
    ValueError
        As :func:`mean_difference`, or p is not inside (0, 1).

    References
    ----------
    Asmussen and Glynn (2007), Stochastic Simulation: Algorithms and Analysis, chapter III (sectioning).
    """
    if not 0 < p < 1:
        raise ValueError(f"a quantile's probability lies inside (0, 1); came {p}")
    a, b = _checked(measure, values, against)
    difference = float(np.quantile(a, p) - np.quantile(b, p))
    sections = min(MOST_SECTIONS, int(len(a) * min(p, 1 - p)))
    name, correlation = f"{measure}_q{1000 * p:03.0f}", _correlation(a, b)
    if sections < FEWEST_SECTIONS:
        return Difference(name, step, difference, nan, nan, nan, correlation, nan)
    first, second = _section_quantiles(a, p, sections), _section_quantiles(b, p, sections)
    square = float((((first - second) - difference) ** 2).sum()) / (sections - 1)
    apart = float(first.var(ddof=1) + second.var(ddof=1))
    return _with_interval(name, step, difference, np.sqrt(square / sections), sections - 1, correlation, apart, square)


def _checked(measure: str, values: Floats, against: Floats) -> tuple[Floats, Floats]:
    if values.shape != against.shape or values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"{measure}: expected the outcomes of the same two paths or more; came shapes {values.shape} and "
            f"{against.shape}: run both scenarios with the same paths"
        )
    a, b = np.asarray(values, np.float64), np.asarray(against, np.float64)
    broken = ~(np.isfinite(a) & np.isfinite(b))
    if broken.any():
        raise ValueError(
            f"{measure}: {int(broken.sum())} paths have no finite outcome, first number {int(np.argmax(broken))}: "
            "leave such paths out of both scenarios"
        )
    return a, b


def _correlation(a: Floats, b: Floats) -> float:
    return _correlation_of(float(a.var()), float(b.var()), float((a - b).var()))


def _correlation_of(a: float, b: float, gap: float) -> float:
    scale = 2 * np.sqrt(a) * np.sqrt(b)
    return float(np.clip((a + b - gap) / scale, -1, 1)) if scale > 0 else nan


def _section_quantiles(values: Floats, p: float, sections: int) -> Floats:
    size = len(values) // sections
    return np.asarray(np.quantile(values[: sections * size].reshape(sections, size), p, axis=1), np.float64)


def from_variances(
    measure: str, step: int, difference: float, n: int, a: float, b: float, gap: float, is_paired: bool = True
) -> Difference:
    """Return a difference of means with its error.

    Parameters
    ----------
    measure, step, difference
        What it is of, and the difference itself.
    n
        Paths, at least two.
    a, b, gap
        Variances over paths: of both scenarios, and of their difference.
    is_paired
        Whether the last is known; else it is that of independent runs and the correlation NaN.
    """
    correlation = _correlation_of(a, b, gap) if is_paired else nan
    return _with_interval(measure, step, difference, np.sqrt(gap / n), n - 1, correlation, a + b, gap)


def _with_interval(
    measure: str, step: int, difference: float, se: float, freedom: int, correlation: float, apart: float, gap: float
) -> Difference:
    """Add the interval, and how the variance of the paired difference compares with that of independent runs."""
    half = float(se) * float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    reduction = apart / gap if gap > 0 else np.inf
    return Difference(
        measure, step, difference, float(se), difference - half, difference + half, correlation, reduction
    )
