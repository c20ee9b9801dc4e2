"""The compiled pass: two reference models, every origin, h-step errors and quantiles as they were known.

One walk over a series updates both models. When an observation arrives, the errors of the forecasts made for it become
known and enter a window of the newest ``WINDOW``; the quantiles at an origin come from that window alone. The walk only
moves forward and sums in one fixed order, so no result depends on later data or on how origins are cut into calls.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MODELS = 2
NAIVE, SEASONAL_NAIVE = range(MODELS)
WINDOW = 250
"""Newest errors kept for each model and horizon: one year of weekdays."""
CANCELLED = 100.0
"""An error this many times larger than the sum that it leaves behind has spoilt it: the sum is made afresh."""


class State(NamedTuple):
    """Everything a walk needs to go on: S segments, M models, H horizons, W window."""

    seen: Ints  # (S,) observations consumed
    forecasts: Floats  # (S, H, M, H) forecasts made at the last H observations
    ring: Floats  # (S, M, H, W) errors in order of arrival
    ranked: Floats  # (S, M, H, W) the same errors ascending
    arrived: Ints  # (S, M, H) errors ever seen
    total: Floats  # (S, M, H) sum over the window of the error, or of its exponential for log series


def new_state(segments: int, horizon: int) -> State:
    """Return the state before the first observation."""
    errors = (segments, MODELS, horizon)
    return State(
        np.zeros(segments, np.int64),
        np.zeros((segments, horizon, MODELS, horizon)),
        np.zeros((*errors, WINDOW)),
        np.zeros((*errors, WINDOW)),
        np.zeros(errors, np.int64),
        np.zeros(errors),
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
        First row to fill, shape ``(S, O)``; -1 asks for none. Rows follow by model, then horizon.
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
    """Take in one observation: the errors it reveals and the forecasts made from it."""
    t = state.seen[s]
    for h in range(1, min(horizon, t) + 1):
        made = state.forecasts[s, (t - h) % horizon]
        for model in range(made.shape[0]):
            _remember(y[t] - made[model, h - 1], s, model, h - 1, is_log, state)
    now = state.forecasts[s, t % horizon]
    for h in range(1, horizon + 1):
        back = t + h - season * ((h + season - 1) // season)
        now[NAIVE, h - 1] = y[t]
        now[SEASONAL_NAIVE, h - 1] = y[back] if back >= 0 else y[t]
    state.seen[s] = t + 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _remember(error: float, s: int, model: int, step: int, is_log: bool, state: State) -> None:
    """Put an error into the window, in arrival order and in rank order, dropping the oldest when it is full."""
    ring, ranked = state.ring[s, model, step], state.ranked[s, model, step]
    count = state.arrived[s, model, step]
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
    total = state.total[s, model, step] - gone + (np.exp(error) if is_log else error)
    if not abs(gone) <= CANCELLED * abs(total):  # what is left is mostly the rounding of what left
        total = np.sum(np.exp(ring[:size])) if is_log else np.sum(ring[:size])
    state.total[s, model, step] = total
    state.arrived[s, model, step] = count + 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _emit(
    s: int, row: int, horizon: int, is_log: bool, levels: Floats, state: State, mean: Floats, quantiles: Floats
) -> None:
    """Fill the rows of one segment at one origin from the newest forecasts and the error windows."""
    made = state.forecasts[s, (state.seen[s] - 1) % horizon]
    for model in range(made.shape[0]):
        for step in range(horizon):
            point = made[model, step]
            size = min(state.arrived[s, model, step], WINDOW)
            average = state.total[s, model, step] / size
            mean[row] = np.exp(point) * average if is_log else point + average
            lowest = -np.inf
            for k in range(len(levels)):
                value = point + sorted_quantile(state.ranked[s, model, step], size, levels[k])
                lowest = max(lowest, np.exp(value) if is_log else value)
                quantiles[row, k] = lowest
            row += 1
