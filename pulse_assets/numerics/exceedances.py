"""Backtests of value at risk: whether losses exceed it as often as promised, and independently of each other.

An exceedance or *hit* is a loss beyond the value at risk. What belongs here: tests on hits alone. How large the losses
beyond it were is judged in ``shortfall``.

Hits are few, so chi-squared is a poor guide: of 250 days at 1 %, Kupiec's test would reject a correct model 9.5 % of
the time at a level of 5 %. The p-values here come from all that could have happened instead, to about 1e-11. Few hits
also mean that one outcome may be likely by itself, and ``tie`` says what part of it counts as "at least as extreme":

* 1: a p-value never understates. At 5 % these tests reject a correct model 1 to 5 % of the time (250 to 2,500 days at
  1, 2.5 and 5 %).
* 1/2: mid-p, the same for equal input and nearer the level: Kupiec's rejects 3.8 to 5.7 % (but 1.4 % of 250 days at
  1 %, where nothing lies between 1.4 and 9.5 %), the test of coverage 2.9 to 6.4 %, that of independence 1.9 to 4.6 %.
* a fresh uniform number for each test: exactly the level. Drawing them in a fixed order from
  ``np.random.Generator(np.random.Philox(seed))`` makes that repeatable.
"""

from math import erfc, exp, nan, sqrt
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from pulse_assets.numerics.hit_outcomes import (
    coverage_outcomes,
    coverage_ratio,
    independence_outcomes,
    independence_ratio,
    rate_outcomes,
)

Bools = npt.NDArray[np.bool_]


class Backtest(NamedTuple):
    """A likelihood ratio, at least 0, with its p-value from all outcomes and the one that chi-squared would give."""

    statistic: float
    p_value: float
    asymptotic: float


UNKNOWN = Backtest(nan, nan, nan)


class Christoffersen(NamedTuple):
    """Days by hit the day before and hit (``misses_after_miss``, …), and the tests made of them.

    ``independence`` compares the rate of hits after a hit with that after none; ``coverage`` compares both with the
    rate promised.
    """

    transitions: tuple[int, int, int, int]
    independence: Backtest
    coverage: Backtest


def kupiec(hits: int, n: int, p: float, tie: float = 0.5) -> Backtest:
    """Test whether exceedances happen as often as promised: the proportion-of-failures likelihood ratio.

    Parameters
    ----------
    hits
        Exceedances seen, 0 to n.
    n
        Forecasts made.
    p
        Promised probability of an exceedance, in (0, 1): 0.01 for a 99 % value at risk.
    tie
        Part of the probability of what was seen that counts, in [0, 1]: see the module.

    Returns
    -------
    Backtest
        The p-value is that of the binomial distribution, outcomes ordered by likelihood ratio; the asymptotic one that
        of chi-squared with 1 degree of freedom. NaN where n is 0.

    Raises
    ------
    ValueError
        ``hits`` is not among 0 … n, p not inside (0, 1), or tie outside [0, 1].

    References
    ----------
    Kupiec (1995), Techniques for verifying the accuracy of risk measurement models. Mid-p: Lancaster (1961),
    Significance tests in discrete distributions.

    Examples
    --------
    >>> found = kupiec(hits=4, n=250, p=0.01)
    >>> [round(value, 6) for value in found]
    [0.769138, 0.4606, 0.380484]
    """
    if not 0 <= hits <= n:
        raise ValueError(f"hits must lie between 0 and n; came {hits} of {n}")
    _check_probabilities(p, tie)
    if n == 0:
        return UNKNOWN
    outcomes = rate_outcomes(n, p)
    statistic = float(outcomes.statistics[hits])
    return Backtest(statistic, outcomes.p_value(statistic, tie), erfc(sqrt(statistic / 2)))


def christoffersen(hits: Bools, p: float, tie: float = 0.5) -> Christoffersen:
    """Test whether exceedances come independently of the day before, and at the promised rate as well.

    Under independence all orders of the hits seen are equally likely, whatever their rate, which gives the exact
    p-value of the first test; the second adds up over all numbers of hits. The first day only counts as one before.

    Parameters
    ----------
    hits
        Shape ``(n,)``, whether each day exceeded, in order of time and without gaps.
    p
        Promised probability of an exceedance, in (0, 1).
    tie
        Part of the probability of what was seen that counts, in [0, 1]: see the module. A single hit, or none, says
        nothing of independence, so with 1/2 its p-value is about 1/2.

    Returns
    -------
    Christoffersen
        Asymptotic p-values have 1 and 2 degrees of freedom. NaN for fewer than 2 days.

    Raises
    ------
    ValueError
        ``hits`` is not 1-d and boolean, p not inside (0, 1), or tie outside [0, 1].

    References
    ----------
    Christoffersen (1998), Evaluating interval forecasts, sections 3.2 and 3.3. Exact tests in place of asymptotic ones:
    Dufour (2006), Monte Carlo tests with nuisance parameters; here outcomes are few enough to count.

    Examples
    --------
    >>> hits = np.zeros(250, bool)
    >>> hits[[20, 21, 22, 100, 180, 181]] = True
    >>> found = christoffersen(hits, 0.01)
    >>> found.transitions, round(found.independence.statistic, 6), round(found.coverage.statistic, 6)
    ((240, 3, 3, 3), 15.915297, 19.499235)
    """
    hits = np.asarray(hits)
    if hits.ndim != 1 or hits.dtype != np.bool_:
        raise ValueError(f"hits must be 1-d and boolean, one a day; came {hits.dtype} of shape {hits.shape}")
    _check_probabilities(p, tie)
    if len(hits) < 2:
        return Christoffersen((0, 0, 0, 0), UNKNOWN, UNKNOWN)
    days = len(hits)
    transitions = np.bincount(2 * hits[:-1] + hits[1:], minlength=4)
    alone, promised = float(independence_ratio(transitions)), float(coverage_ratio(transitions, p))
    orders, rows = independence_outcomes(int(hits.sum()), days), coverage_outcomes(days, p)
    counts = transitions.tolist()
    return Christoffersen(
        transitions=(counts[0], counts[1], counts[2], counts[3]),
        independence=Backtest(alone, orders.p_value(alone, tie), erfc(sqrt(alone / 2))),
        coverage=Backtest(promised, rows.p_value(promised, tie), exp(-promised / 2)),
    )


def basel_zone(hits: int, n: int, p: float = 0.01) -> Literal["green", "yellow", "red"]:
    """Return the zone of the Basel traffic light; with 250 days at 1 %, green to 4 exceedances and red from 10.

    Parameters
    ----------
    hits
        Exceedances seen, 0 to n; 0 is green.
    n
        Forecasts made, at least 1.
    p
        Promised probability of an exceedance, in (0, 1).

    Returns
    -------
    str
        Yellow from the number at which a correct model has as many or fewer with 95 %, red from that of 99.99 %.

    Raises
    ------
    ValueError
        There is no forecast, ``hits`` is not among 0 … n, or p not inside (0, 1).

    References
    ----------
    Basel Committee on Banking Supervision (1996), Supervisory framework for the use of "backtesting" in conjunction
    with the internal models approach to market risk capital requirements, section III.

    Examples
    --------
    >>> [basel_zone(hits, 250) for hits in (4, 5, 9, 10)]
    ['green', 'yellow', 'yellow', 'red']
    """
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"expected at least 1 forecast and hits between 0 and n; came {hits} of {n}")
    _check_probabilities(p, 1.0)
    as_few = float(bdtr(hits, n, p))
    if hits == 0 or as_few < 0.95:
        return "green"
    return "yellow" if as_few < 0.9999 else "red"


def _check_probabilities(p: float, tie: float) -> None:
    if not 0 < p < 1:
        raise ValueError(f"the promised probability must lie inside (0, 1); came {p}")
    if not 0 <= tie <= 1:
        raise ValueError(f"the part of a tie that counts must lie in [0, 1]; came {tie}")
