"""The compiled pass: four baseline members, every origin, h-step errors and quantiles as they were known.

One walk over a series updates all members. When an observation arrives, the errors of the forecasts made for it become
known and enter a window of the newest ``WINDOW``; the quantiles at an origin come from that window alone. The walk only
moves forward and sums in one fixed order, so no result depends on later data or on how origins are cut into calls.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MEMBERS = 4
DRIFT, EWMA, NAIVE, SEASONAL = range(MEMBERS)
WINDOW = 250
"""Newest errors kept for each member and horizon: one year of weekdays."""
CANCELLED = 100.0
"""An error this many times larger than the sum that it leaves behind has spoilt it: the sum is made afresh."""
ALPHAS: Floats = np.array([0.1, 0.2, 0.4, 0.7])


class State(NamedTuple):
    """Everything a walk needs to go on: S segments, M members, H horizons, W window, A smoothing constants."""

    seen: Ints  # (S,) observations consumed
    forecasts: Floats  # (S, H, M, H) forecasts made at the last H observations
    ring: Floats  # (S, M, H, W) errors in order of arrival
    ranked: Floats  # (S, M, H, W) the same errors ascending
    arrived: Ints  # (S, M, H) errors ever seen
    total: Floats  # (S, M, H) sum over the window of the error, or of its exponential for log series
    level: Floats  # (S, A) exponentially weighted levels
    loss: Floats  # (S, A) their summed absolute one-step errors


def new_state(segments: int, horizon: int) -> State:
    """Return the state before the first observation."""
    errors = (segments, MEMBERS, horizon)
    return State(
        np.zeros(segments, np.int64),
        np.zeros((segments, horizon, MEMBERS, horizon)),
        np.zeros((*errors, WINDOW)),
        np.zeros((*errors, WINDOW)),
        np.zeros(errors, np.int64),
        np.zeros(errors),
        np.zeros((segments, len(ALPHAS))),
        np.zeros((segments, len(ALPHAS))),
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sorted_quantile(values: Floats, count: int, level: float) -> float:
    """Return the quantile of an ascending sample at position ``level·(n+1)``.

    Parameters
    ----------
    values
        Shape ``(>= count,)``, ascending, no NaN.
    count
        How many of them belong to the sample, at least 1.
    level
        Probability in (0, 1). Outside ``1/(n+1) … n/(n+1)`` the extreme value is returned: the sample is too short
        to say more.

    References
    ----------
    Hyndman and Fan (1996), Sample quantiles in statistical packages, definition 6.
    """
    position = level * (count + 1) - 1.0
    if position <= 0.0:
        return float(values[0])
    below = int(position)
    if below >= count - 1:
        return float(values[count - 1])
    low, high = values[below], values[below + 1]
    return float(min(low + (position - below) * (high - low), high))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def prefix_counts(known: Ints, offsets: Ints, after: Ints, until: Ints, ends: Ints) -> Ints:
    """Return how many observations each segment had before each end, 0 where it does not serve; shape ``(S, O)``."""
    counts = np.zeros((len(offsets) - 1, len(ends)), np.int64)
    for segment in range(len(offsets) - 1):
        low, high = offsets[segment], offsets[segment + 1]
        for origin in range(len(ends)):
            if after[segment] < ends[origin] <= until[segment]:
                counts[segment, origin] = np.searchsorted(known[low:high], ends[origin])
    return counts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def revising_rows(ds: Ints, bounds: Ints) -> npt.NDArray[np.bool_]:
    """Return which rows do not extend their series: an earlier-known row has the same or a later event time."""
    found = np.zeros(len(ds), np.bool_)
    for series in range(len(bounds) - 1):
        newest = ds[bounds[series]]
        for row in range(bounds[series] + 1, bounds[series + 1]):
            found[row] = ds[row] <= newest
            newest = max(newest, ds[row])
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def advance(
    values: Floats,
    offsets: Ints,
    counts: Ints,
    target: Ints,
    season: Ints,
    horizon: Ints,
    is_log: npt.NDArray[np.bool_],
    levels: Floats,
    state: State,
    mean: Floats,
    quantiles: Floats,
) -> None:
    """Walk all segments over some origins and fill the rows of the origins that ask for forecasts.

    Parameters
    ----------
    values
        Shape ``(N,)``; logarithms where ``is_log``.
    offsets
        Shape ``(S + 1,)``.
    counts
        Observations known at each origin, shape ``(S, O)``, never falling along O where ``target`` asks.
    target
        First row to fill, shape ``(S, O)``; -1 asks for none. Rows follow by member, then horizon.
    season, horizon
        Steps, shape ``(S,)``.
    is_log
        Whether results are exponentiated, shape ``(S,)``.
    levels
        Probabilities, ascending, shape ``(Q,)``.
    state
        Changed in place.
    mean, quantiles
        Filled, shapes ``(R,)`` and ``(R, Q)``.
    """
    for s in range(len(offsets) - 1):
        y = values[offsets[s] : offsets[s + 1]]
        for origin in range(counts.shape[1]):
            if target[s, origin] < 0:
                continue
            while state.seen[s] < counts[s, origin]:
                _observe(y, s, season[s], horizon[s], is_log[s], state)
            _emit(s, target[s, origin], horizon[s], is_log[s], levels, state, mean, quantiles)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _observe(y: Floats, s: int, season: int, horizon: int, is_log: bool, state: State) -> None:
    """Take in one observation: errors it reveals, smoothing, and the forecasts made from it."""
    t = state.seen[s]
    for h in range(1, min(horizon, t) + 1):
        made = state.forecasts[s, (t - h) % horizon]
        for member in range(made.shape[0]):
            _remember(y[t] - made[member, h - 1], s, member, h - 1, is_log, state)
    best = 0
    for a in range(len(ALPHAS)):
        if t == 0:
            state.level[s, a] = y[0]
        else:
            state.loss[s, a] += abs(y[t] - state.level[s, a])
            state.level[s, a] += ALPHAS[a] * (y[t] - state.level[s, a])
        if state.loss[s, a] < state.loss[s, best]:
            best = a
    slope = (y[t] - y[0]) / t if t > 0 else 0.0
    now = state.forecasts[s, t % horizon]
    for h in range(1, horizon + 1):
        back = t + h - season * ((h + season - 1) // season)
        now[DRIFT, h - 1] = y[t] + h * slope
        now[EWMA, h - 1] = state.level[s, best]
        now[NAIVE, h - 1] = y[t]
        now[SEASONAL, h - 1] = y[back] if back >= 0 else y[t]
    state.seen[s] = t + 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _remember(error: float, s: int, member: int, step: int, is_log: bool, state: State) -> None:
    """Put an error into the window, in arrival order and in rank order, dropping the oldest when it is full."""
    ring, ranked = state.ring[s, member, step], state.ranked[s, member, step]
    count = state.arrived[s, member, step]
    place = count % WINDOW
    gone = 0.0
    if count >= WINDOW:
        oldest = ring[place]
        gone = np.exp(oldest) if is_log else oldest
        hole = np.searchsorted(ranked, oldest)
        size = WINDOW
    else:
        hole = count
        size = count + 1
    while hole + 1 < size and ranked[hole + 1] < error:
        ranked[hole] = ranked[hole + 1]
        hole += 1
    while hole > 0 and ranked[hole - 1] > error:
        ranked[hole] = ranked[hole - 1]
        hole -= 1
    ranked[hole] = error
    ring[place] = error
    total = state.total[s, member, step] - gone + (np.exp(error) if is_log else error)
    if not abs(gone) <= CANCELLED * abs(total):  # what is left is mostly the rounding of what left
        total = np.sum(np.exp(ring[:size])) if is_log else np.sum(ring[:size])
    state.total[s, member, step] = total
    state.arrived[s, member, step] = count + 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _emit(
    s: int, row: int, horizon: int, is_log: bool, levels: Floats, state: State, mean: Floats, quantiles: Floats
) -> None:
    """Fill the rows of one segment at one origin from the newest forecasts and the error windows."""
    made = state.forecasts[s, (state.seen[s] - 1) % horizon]
    for member in range(made.shape[0]):
        for step in range(horizon):
            point = made[member, step]
            size = min(state.arrived[s, member, step], WINDOW)
            average = state.total[s, member, step] / size
            mean[row] = np.exp(point) * average if is_log else point + average
            lowest = -np.inf
            for k in range(len(levels)):
                value = point + sorted_quantile(state.ranked[s, member, step], size, levels[k])
                lowest = max(lowest, np.exp(value) if is_log else value)
                quantiles[row, k] = lowest
            row += 1
