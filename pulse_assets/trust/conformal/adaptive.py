"""Adaptive conformal inference for many rows at once: where on the scale of normal scores each quantile belongs. Pure.

A row is one series, model and horizon. Each of its 23 levels has a *rate*, the level that the empirical quantile of the
newest 60 scores is asked for. After each truth the rates of a central interval move apart or together, fast, and both
to one side, slowly, so that a bias moves an interval and does not only widen it. What counts is the threshold that was
*issued* at the origin, so long-run coverage is that of the intervals which readers saw.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.special import ndtri

from pulse_assets.numerics.normal_scores import KNOTS
from pulse_assets.numerics.quantiles import LEVELS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WINDOW = 60
"""Newest scores of a row that its thresholds are quantiles of."""
STEP = 0.02
"""How far one truth moves the width of an interval, in coverage; half of it falls on either end."""
CENTRE = 0.25
"""How much less it moves where the interval lies: chasing every turn of luck would cost more than a bias does."""
OWN, OWN_SHARE = 50, 0.3
"""Independent scores from which on own quantiles count for their share; the rest is the pool's shape at own scale."""
LENT = 20
"""Scores that the pool's scale counts for."""
EDGE, BEYOND = 0.002, 20.0
"""Where normal scores of rates go on in a straight line, and how steeply."""
MEMORY_DAYS = 2_000
"""Older scores are forgotten: a window of 60 months fits."""
LEAST = 8
"""Scores, own or pooled, below which nothing is moved."""
REACH = 2.0
"""A threshold never lies farther out than this times the largest score of the window: no interval is infinite."""
SLACK = 0.25
"""How far a rate may leave [0, 1] before it is held: beyond, errors would have to be paid back for years."""

NEVER = -(10**6)
RAW, POOLED, ACI, TRACKING = range(4)
METHODS = ("raw", "pooled", "aci", "tracking")


class State(NamedTuple):
    """What R rows have learned, changed in place.

    Attributes
    ----------
    window
        Newest scores, shape ``(R, 60)``, a ring: the score number i stands at ``i % 60``.
    days
        Days since 1970 on which these became known, shape ``(R, 60)``.
    seen
        Scores seen so far, shape ``(R,)``.
    rates
        Adaptive levels, shape ``(R, 23)``.
    """

    window: Floats
    days: Ints
    seen: Ints
    rates: Floats


def fresh_state(rows: int) -> State:
    """Return the state of rows that have learned nothing.

    Examples
    --------
    >>> fresh_state(2).rates.shape
    (2, 23)
    """
    ring = (rows, WINDOW)
    return State(np.zeros(ring), np.full(ring, NEVER), np.zeros(rows, np.int64), np.tile(LEVELS, (rows, 1)))


def learn(state: State, rows: Ints, scores: Floats, issued: Floats, overlap: Ints, day: int) -> None:
    """Take in one truth for each of some rows.

    Parameters
    ----------
    state
        Of R rows.
    rows
        Which, shape ``(k,)``, each at most once.
    scores
        Normal scores of the truths, shape ``(k,)``; NaN is no truth and changes nothing.
    issued
        Thresholds that were issued for them, shape ``(k, 23)``; NaN where none were, which leaves the rates alone.
    overlap
        Horizons, shape ``(k,)``: neighbouring errors share all but one of so many steps, so each teaches that much
        less.
    day
        On which they became known, in days since 1970.
    """
    _learn(state.window, state.days, state.seen, state.rates, rows, scores, issued, STEP / np.sqrt(overlap), day)


def held(state: State, rows: Ints, day: int) -> Ints:
    """Return how many scores of the last 2,000 days the windows of some rows hold on a day, shape ``(k,)``."""
    return np.asarray((state.days[rows] > day - MEMORY_DAYS).sum(axis=1))


def thresholds(state: State, rows: Ints, pool: Floats, overlap: Ints, day: int) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Return the normal scores at which the quantiles of some rows are to be taken, and by which method.

    Parameters
    ----------
    state
        Of R rows.
    rows
        Which, shape ``(k,)``.
    pool
        Quantiles of the scores of comparable rows at the 23 levels, shape ``(k, 23)``; NaN where there are none.
    overlap
        Horizons, shape ``(k,)``.
    day
        On which they are issued, in days since 1970.

    Returns
    -------
    array, array
        Thresholds, shape ``(k, 23)``, finite and never falling; places in :data:`METHODS`, shape ``(k,)``.
    """
    found, method = np.empty((len(rows), len(LEVELS))), np.empty(len(rows), np.int8)
    rates = state.rates[rows]
    asked = ndtri(np.clip(rates, EDGE, 1 - EDGE)) + BEYOND * (rates - np.clip(rates, EDGE, 1 - EDGE))
    since = day - MEMORY_DAYS
    _thresholds(state.window, state.days, state.rates, rows, pool, asked, overlap, since, found, method)
    return found, method


def pooled_quantiles(state: State, rows: Ints, day: int) -> Floats:
    """Return the quantiles of all scores in the windows of some rows, shape ``(23,)``; NaN for fewer than 8 scores."""
    scores = state.window[rows][state.days[rows] > day - MEMORY_DAYS]
    return np.quantile(scores, LEVELS) if len(scores) >= LEAST else np.full(len(LEVELS), np.nan)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _learn(
    window: Floats,
    days: Ints,
    seen: Ints,
    rates: Floats,
    rows: Ints,
    scores: Floats,
    issued: Floats,
    steps: Floats,
    day: int,
) -> None:
    for place in range(len(rows)):
        row, score = rows[place], scores[place]
        if np.isnan(score):
            continue
        window[row, seen[row] % WINDOW] = score
        days[row, seen[row] % WINDOW] = day
        seen[row] += 1
        if np.isnan(issued[place, 0]):
            continue
        _turn(rates[row], score, issued[place], steps[place])


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _turn(rates: Floats, score: float, issued: Floats, step: float) -> None:
    """Move the rates of one row after a truth: the width of each interval fast, where it lies slowly."""
    last = len(rates) - 1
    for low in range(len(rates) // 2 + 1):
        high = last - low
        miss_low = LEVELS[low] - (1.0 if score <= issued[low] else 0.0)
        miss_high = LEVELS[high] - (1.0 if score <= issued[high] else 0.0)
        width, centre = 0.5 * step * (miss_high - miss_low), 0.5 * CENTRE * step * (miss_high + miss_low)
        rates[low] = min(max(rates[low] + centre - width, -SLACK), 1.0 + SLACK)
        if high > low:
            rates[high] = min(max(rates[high] + centre + width, -SLACK), 1.0 + SLACK)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _conformal(ordered: Floats, rate: float) -> float:
    """Return the conformal quantile of ordered scores, in a straight line out to twice the largest beyond its range."""
    count = len(ordered)
    place = rate * (count + 1) - 1.0
    reach = REACH * max(abs(ordered[0]), abs(ordered[-1]), 1.0)
    if place <= 0.0:  # at a rate of -1/4 the whole reach is used
        share = min(-place / (1.0 + SLACK * (count + 1)), 1.0)
        return ordered[0] + share * (min(-reach, ordered[0]) - ordered[0])  # type: ignore[no-any-return]
    if place >= count - 1.0:
        share = min((place - count + 1.0) / (1.0 + SLACK * (count + 1)), 1.0)
        return ordered[-1] + share * (max(reach, ordered[-1]) - ordered[-1])  # type: ignore[no-any-return]
    low = int(place)
    return ordered[low] + (place - low) * (ordered[low + 1] - ordered[low])  # type: ignore[no-any-return]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _shaped(pool: Floats, at: float) -> float:
    """Return the pool's quantile at a normal score, in a straight line beyond its ends."""
    last = len(KNOTS) - 1
    right = min(max(int(np.searchsorted(KNOTS, at)), 1), last)
    share = (at - KNOTS[right - 1]) / (KNOTS[right] - KNOTS[right - 1])
    return pool[right - 1] + share * (pool[right] - pool[right - 1])  # type: ignore[no-any-return]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _scale(own: Floats, pool: Floats, count: float) -> float:
    """Return how wide a row's scores are against the pool's, drawn towards 1 where they are few."""
    common = max(_mean_square(pool), 1e-12)
    mine = _mean_square(own) if len(own) else common
    return np.sqrt((count * mine + LENT * common) / ((count + LENT) * common))  # type: ignore[no-any-return]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _mean_square(values: Floats) -> float:
    total = 0.0
    for value in values:
        total += value * value
    return total / len(values)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _thresholds(
    window: Floats,
    days: Ints,
    rates: Floats,
    rows: Ints,
    pool: Floats,
    asked: Floats,
    overlap: Ints,
    since: int,
    found: Floats,
    method: npt.NDArray[np.int8],
) -> None:
    for place in range(len(rows)):
        row = rows[place]
        ordered = np.sort(window[row][days[row] > since])
        count = len(ordered) / overlap[place]
        own = OWN_SHARE * min(count / OWN, 1.0) if len(ordered) >= LEAST else 0.0
        lent = not np.isnan(pool[place, 0])
        shape = pool[place] if lent else KNOTS
        scale = _scale(ordered, shape, count)
        outside = False
        for level in range(len(LEVELS)):
            other = scale * _shaped(shape, asked[place, level])
            mine = _conformal(ordered, rates[row, level]) if own > 0.0 else other
            found[place, level] = own * mine + (1.0 - own) * other
            outside |= rates[row, level] <= 0.0 or rates[row, level] >= 1.0
        found[place] = np.sort(found[place])
        if len(ordered) < LEAST:
            method[place] = POOLED if lent else RAW
        else:
            method[place] = TRACKING if outside else ACI
