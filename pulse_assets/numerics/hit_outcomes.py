"""All that could have happened to a row of days with and without hits, with likelihood ratios and probabilities.

What belongs here: counting for the exact p-values of ``exceedances``, which explains hits and ties.

A row of n days is told by its hits, the runs they form, and whether it begins and ends with one: that fixes the four
transition counts (misses after a miss, hits after a miss, misses after a hit, hits after a hit), and there are few such
rows even where there are too many orders to go through.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, rel_entr, xlog1py, xlogy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEGLIGIBLE = 1e-17
"""Probability of a number of hits below which its orders are not counted."""


class Outcomes(NamedTuple):
    """What could have happened: a statistic for each, and its probability; shapes ``(k,)``, adding up to 1."""

    statistics: Floats
    probabilities: Floats

    def p_value(self, statistic: float, tie: float) -> float:
        """Return the probability of a larger statistic and a part of that of an equal one."""
        slack = 1e-9 * (1 + statistic)  # the same ratio may come out differently rounded
        larger = self.probabilities[self.statistics > statistic + slack].sum()
        equal = self.probabilities[np.abs(self.statistics - statistic) <= slack].sum()
        return float(min(1.0, larger + tie * equal))


def rate_ratio(hits: Ints, n: int, p: float) -> Floats:
    """Return twice the log of the likelihood ratio of the rate seen to the rate promised."""
    ratio = 2 * (rel_entr(hits, n * p) + rel_entr(n - hits, n * (1 - p)))
    return np.asarray(np.maximum(ratio, 0))  # rounding may fall short of 0 where the promise is kept


def independence_ratio(transitions: Ints) -> Floats:
    """Return that of a rate of hits that depends on the day before to one that does not; shape ``(..., 4)``."""
    table = transitions.reshape(*transitions.shape[:-1], 2, 2).astype(np.float64)
    total = table.sum(axis=(-2, -1), keepdims=True)
    expected = table.sum(axis=-1, keepdims=True) * table.sum(axis=-2, keepdims=True) / total
    return np.asarray(np.maximum(2 * rel_entr(table, expected).sum(axis=(-2, -1)), 0))


def coverage_ratio(transitions: Ints, p: float) -> Floats:
    """Return that of a rate of hits that depends on the day before to the one promised; shape ``(..., 4)``."""
    days = transitions.sum(axis=-1)
    hits = transitions[..., 1] + transitions[..., 3]
    same = 2 * (rel_entr(hits, days * p) + rel_entr(days - hits, days * (1 - p)))
    return np.asarray(np.maximum(same, 0)) + independence_ratio(transitions)


@lru_cache(maxsize=64)
def rate_outcomes(n: int, p: float) -> Outcomes:
    """Return the rate ratios of 0 … n hits in n days, whose place is their number of hits."""
    hits = np.arange(n + 1)
    return Outcomes(rate_ratio(hits, n, p), np.exp(_log_choose(n, hits) + xlogy(hits, p) + xlog1py(n - hits, -p)))


@lru_cache(maxsize=64)
def independence_outcomes(hits: int, n: int) -> Outcomes:
    """Return the independence ratios of all orders of some hits in n days, all orders being equally likely."""
    transitions, log_count = _orders(hits, n)
    return Outcomes(independence_ratio(transitions), np.exp(log_count - _log_choose(n, np.array(hits))))


@lru_cache(maxsize=8)
def coverage_outcomes(n: int, p: float) -> Outcomes:
    """Return the coverage ratios of all rows of n days with independent hits of probability p."""
    likely = np.flatnonzero(rate_outcomes(n, p).probabilities > NEGLIGIBLE).tolist()
    statistics, probabilities = [], []
    for hits in likely:
        transitions, log_count = _orders(hits, n)
        statistics.append(coverage_ratio(transitions, p))
        probabilities.append(np.exp(log_count + hits * np.log(p) + (n - hits) * np.log1p(-p)))
    return Outcomes(np.concatenate(statistics), np.concatenate(probabilities))


def _orders(hits: int, n: int) -> tuple[Ints, Floats]:
    """Return transition counts that some hits in n days may have, and the log of how many orders have them."""
    misses = n - hits
    if hits == 0 or misses == 0:
        return np.array([[max(misses - 1, 0), 0, 0, max(hits - 1, 0)]]), np.zeros(1)
    grid = np.meshgrid(np.arange(1, hits + 1), [0, 1], [0, 1], indexing="ij")
    runs, first, last = (axis.ravel() for axis in grid)
    gaps = runs + 1 - first - last  # runs of misses
    possible = (gaps >= 1) & (gaps <= misses)
    runs, first, last, gaps = runs[possible], first[possible], last[possible], gaps[possible]
    transitions = np.stack((misses - gaps, runs - first, runs - last, hits - runs), axis=-1)
    return transitions, _log_choose(hits - 1, runs - 1) + _log_choose(misses - 1, gaps - 1)


def _log_choose(n: int, k: Ints) -> Floats:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
