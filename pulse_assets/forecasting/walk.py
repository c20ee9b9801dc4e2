"""The walk over a series: every filter takes in each observation once, and speaks at every origin asked for.

At a fixed stride the members' forecasts are kept and compared with the truth as it arrives, so the loss of each member
at an origin is a loss of forecasts it really made. The walk only moves forward and sums in one fixed order: what it
says at an origin depends on nothing later, nor on the other origins asked for, bit for bit. It works on arrays of one
:class:`State`, so a later observation continues where the walk stopped.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.forecasting.autoregression import (
    LARGEST_EXPONENT,
    SEASONAL,
    emit_autoregression,
    observe_products,
)
from pulse_assets.forecasting.bank import (
    DEMANDS,
    DRIFT_SHARE,
    HALF,
    HOLT_DAMPING,
    HOLTS,
    LEVELS,
    SEASONS,
    SHARES,
    TREND_DAMPING,
    TRENDS,
    slope_of,
    start_seasons,
    step_demand,
    step_holts,
    step_levels,
    step_season_levels,
    step_trends,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_FAMILIES = ("level", "theta", "level_drift", "trend")
_SEASONAL = ("season_level", "season_theta", "season_trend")
_CHANNEL = (*_FAMILIES, *_SEASONAL, *(f"{name}_2" for name in _SEASONAL))
OF_A_CHANNEL = len(_CHANNEL)
MEMBERS: tuple[str, ...] = (
    *_CHANNEL,
    *(f"log_{name}" for name in _CHANNEL),
    "naive",
    "drift",
    "seasonal_naive",
    "seasonal_naive_2",
    "ar_values",
    "ar_differences",
    "ar_seasonal",
    "demand",
)
"""Members of the pool that the walk makes, in the order of its arrays; ``_2`` is the second season."""
COUNT = len(MEMBERS)
REFERENCE = COUNT
"""Row behind the members: their mean by inverse cubed loss, whose errors tell the spread."""
NAIVE, DRIFT, REPEAT, REPEAT_2, AUTOREGRESSION, DEMAND = (
    MEMBERS.index(name) for name in ("naive", "drift", "seasonal_naive", "seasonal_naive_2", "ar_values", "demand")
)
SHORTEST = 4
"""Observations from which on the filters speak; before that only the naive members do."""
SIGHTED = 8
"""Observations after which it is settled whether autoregressions see logarithms."""
FORGET, FORGET_SPREAD = 0.98, 0.9
"""Weight of a loss against the one that arrives after it."""
FAST, MIDDLE, SLOW = 0.25, 0.07, 0.01
"""Gains of the three means of absolute one-step errors: a week, three weeks and five months of weekdays."""
POSITIVE, LOGS, FAMILY, FILTER, SHARE, ZEROS, FLAGS = range(7)
STATISTICS = ("fast", "middle", "slow", "scale", "count", "lowest", "highest")
"""What the walk says of a series at an origin beside its members: see :func:`walk`."""


class Spec(NamedTuple):
    """What the walks over series of one frequency share; see :func:`spec`."""

    season: int
    season_2: int
    horizon: int
    order: int
    stride: int
    ring: int
    pending: int
    anchors: int


def anchors_of(horizon: int, count: int = 6) -> Ints:
    """Return the steps ahead at which losses are taken, counted from 0, spaced evenly in their logarithm.

    Examples
    --------
    >>> anchors_of(18).tolist()
    [0, 1, 2, 5, 9, 17]
    """
    if horizon <= count:
        return np.arange(horizon)
    return np.unique(np.round(np.geomspace(1, horizon, count)).astype(np.int64)) - 1


def spec(season: int, season_2: int, horizon: int, memory: int = 0) -> Spec:
    """Return the sizes of a walk.

    Parameters
    ----------
    season, season_2
        Steps of the first and second season; below 2 for none.
    horizon
        Steps ahead.
    memory
        Newest observations that must stay at hand for others, for example a ridge on lags.
    """
    stride = max(1, -(-horizon // 4))
    while season > 1 and math.gcd(stride, season) > 1:  # else losses would see some places in the season only
        stride += 1
    order, longest = min(max(season + 1, 6), 26), max(season, season_2, 1)
    ring = 16
    while ring < max(2 * longest, longest + horizon + 2, order + 3, memory):
        ring *= 2
    pending = -(-horizon // stride) + 1
    return Spec(season, season_2, horizon, order, stride, ring, pending, len(anchors_of(horizon)))


class State(NamedTuple):
    """Everything a walk over S series needs to go on; C = 2 channels, J = 2 seasons, m the longest season."""

    seen: Ints  # (S,) observations taken in
    flags: Ints  # (S, FLAGS)
    values: Floats  # (S, C, ring) newest values and logarithms
    trend: Floats  # (S, C, 2) sums of x and t·x
    ends: Floats  # (S, 4) first value, origin of the autoregressions, lowest and highest value
    level: Floats  # (S, C, LEVELS)
    level_loss: Floats  # (S, C, SHARES, LEVELS)
    level_lag: Floats  # (S, C, LEVELS)
    trend_level: Floats  # (S, C, TRENDS)
    trend_slope: Floats
    trend_loss: Floats
    season_level: Floats  # (S, C, J, SEASONS)
    season: Floats  # (S, C, J, m, SEASONS)
    season_loss: Floats  # (S, C, J, 2, SEASONS)
    season_lag: Floats  # (S, C, J, SEASONS)
    holt_level: Floats  # (S, C, J, HOLTS)
    holt_slope: Floats
    holt_season: Floats  # (S, C, J, m, HOLTS)
    holt_loss: Floats
    demand: Floats  # (S, 3, DEMANDS) size, chance, loss
    versions: Floats  # (S, 3, ring) values, differences, seasonal differences
    products: Floats  # (S, 3, order + 1)
    total: Floats  # (S, 3)
    head: Floats  # (S, 3, order + 1)
    pending: Floats  # (S, pending, anchors, COUNT + 1) forecasts that wait for their truth
    made_at: Ints  # (S, pending) observations seen when they were made; -1 for none
    loss: Floats  # (S, COUNT) discounted sums of absolute errors
    weight: Floats  # (S, COUNT) and of their weights
    spread: Floats  # (S, 2, anchors) the same two of the reference, by step ahead
    scale: Floats  # (S, 5) fast, middle, slow errors; sum and number of seasonal differences


def new_state(series: int, sizes: Spec) -> State:
    """Return the state before the first observation."""

    def zeros(*shape: int) -> Floats:
        return np.zeros((series, *shape))

    c, longest, ring, order = 2, max(sizes.season, sizes.season_2, 1), sizes.ring, sizes.order
    flags = np.zeros((series, FLAGS), np.int64)
    flags[:, POSITIVE] = 1
    return State(
        np.zeros(series, np.int64),
        flags,
        zeros(c, ring),
        zeros(c, 2),
        zeros(4),
        zeros(c, LEVELS),
        zeros(c, SHARES, LEVELS),
        zeros(c, LEVELS),
        zeros(c, TRENDS),
        zeros(c, TRENDS),
        zeros(c, TRENDS),
        zeros(c, 2, SEASONS),
        zeros(c, 2, longest, SEASONS),
        zeros(c, 2, 2, SEASONS),
        zeros(c, 2, SEASONS),
        zeros(c, 2, HOLTS),
        zeros(c, 2, HOLTS),
        zeros(c, 2, longest, HOLTS),
        zeros(c, 2, HOLTS),
        zeros(3, DEMANDS),
        zeros(3, ring),
        zeros(3, order + 1),
        zeros(3),
        zeros(3, order + 1),
        zeros(sizes.pending, sizes.anchors, COUNT + 1),
        np.full((series, sizes.pending), -1, np.int64),
        zeros(COUNT),
        zeros(COUNT),
        zeros(2, sizes.anchors),
        zeros(5),
    )


class Row(NamedTuple):
    """The state of one series: views into :class:`State`."""

    flags: Ints
    values: Floats
    trend: Floats
    ends: Floats
    level: Floats
    level_loss: Floats
    level_lag: Floats
    trend_level: Floats
    trend_slope: Floats
    trend_loss: Floats
    season_level: Floats
    season: Floats
    season_loss: Floats
    season_lag: Floats
    holt_level: Floats
    holt_slope: Floats
    holt_season: Floats
    holt_loss: Floats
    demand: Floats
    versions: Floats
    products: Floats
    total: Floats
    head: Floats


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _least(losses: Floats) -> int:
    best = 0
    for g in range(1, losses.shape[0]):
        if losses[g] < losses[best]:
            best = g
    return best


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _best_share(losses: Floats) -> tuple[int, int]:
    share, best = 0, _least(losses[0])
    for k in range(1, SHARES):
        g = _least(losses[k])
        if losses[k, g] < losses[share, best]:
            share, best = k, g
    return share, best


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _span(damping: float, h: float) -> float:
    """Return how many slopes a damped trend gains in h steps."""
    return h if damping == 1.0 else damping * (1.0 - damping**h) / (1.0 - damping)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _emit_channel(n: int, c: int, sizes: Spec, row: Row, steps: Ints, made: Floats) -> None:
    slope, first = slope_of(row.trend[c, 0], row.trend[c, 1], n), c * OF_A_CHANNEL
    simple, theta = _least(row.level_loss[c, 0]), _least(row.level_loss[c, HALF])
    share, drift = _best_share(row.level_loss[c])
    trend = _least(row.trend_loss[c])
    for i in range(len(steps)):
        h = steps[i] + 1.0
        made[i, first] = row.level[c, simple]
        made[i, first + 1] = row.level[c, theta] + 0.5 * slope * (h + row.level_lag[c, theta])
        made[i, first + 2] = row.level[c, drift] + DRIFT_SHARE[share] * slope * (h + row.level_lag[c, drift])
        made[i, first + 3] = row.trend_level[c, trend] + _span(TREND_DAMPING[trend], h) * row.trend_slope[c, trend]
    for j in range(2):
        m = sizes.season if j == 0 else sizes.season_2
        if m < 2 or n < 2 * m + 2:
            continue
        at = first + len(_FAMILIES) + j * len(_SEASONAL)
        flat, half = _least(row.season_loss[c, j, 0]), _least(row.season_loss[c, j, 1])
        holt = _least(row.holt_loss[c, j])
        for i in range(len(steps)):
            h, k = steps[i] + 1.0, (n + steps[i]) % m
            made[i, at] = row.season_level[c, j, flat] + row.season[c, j, k, flat]
            made[i, at + 1] = (
                row.season_level[c, j, half]
                + row.season[c, j, k, half]
                + 0.5 * slope * (h + row.season_lag[c, j, half])
            )
            made[i, at + 2] = (
                row.holt_level[c, j, holt]
                + _span(HOLT_DAMPING[holt], h) * row.holt_slope[c, j, holt]
                + row.holt_season[c, j, k, holt]
            )
    if c == 1:
        for i in range(len(steps)):
            for member in range(first, first + OF_A_CHANNEL):
                made[i, member] = math.exp(min(made[i, member], LARGEST_EXPONENT))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _emit_naive(n: int, sizes: Spec, row: Row, steps: Ints, made: Floats) -> None:
    mask = sizes.ring - 1
    newest = row.values[0, (n - 1) & mask]
    drift = (newest - row.ends[0]) / (n - 1) if n > 1 else 0.0
    for i in range(len(steps)):
        h = steps[i]
        made[i, NAIVE] = newest
        made[i, DRIFT] = newest + (h + 1) * drift
        for j in range(2):
            m = sizes.season if j == 0 else sizes.season_2
            if m > 1 and n >= m:
                made[i, REPEAT + j] = row.values[0, (n + h - m * ((h + m) // m)) & mask]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _emit(n: int, sizes: Spec, row: Row, steps: Ints, made: Floats) -> None:
    """Fill the forecasts of every member from n observations; NaN where a member has nothing to say."""
    for i in range(len(steps)):
        for member in range(COUNT):
            made[i, member] = np.nan
    _emit_naive(n, sizes, row, steps, made)
    if n < SHORTEST:
        return
    flags = row.flags
    for c in range(2):
        if c == 0 or flags[POSITIVE] == 1:
            _emit_channel(n, c, sizes, row, steps, made)
    if n >= SIGHTED and (flags[LOGS] == 0 or flags[POSITIVE] == 1):
        for version in range(3):
            if version < SEASONAL or sizes.season > 1:
                emit_autoregression(
                    n,
                    version,
                    sizes.season,
                    sizes.horizon,
                    sizes.ring - 1,
                    row.versions,
                    row.products,
                    row.total,
                    row.head,
                    flags[LOGS] == 1,
                    row.ends[1],
                    steps,
                    made,
                    AUTOREGRESSION + version,
                )
    if 10 * flags[ZEROS] >= n:
        g = _least(row.demand[2])
        for i in range(len(steps)):
            made[i, DEMAND] = row.demand[0, g] * row.demand[1, g]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _choose_one_step(n: int, sizes: Spec, row: Row) -> None:
    """Note which filter of the first channel lost least, whose one-step errors then tell the pace of the series."""
    flags, counted = row.flags, max(n - 3.0, 1.0)
    flags[SHARE], flags[FILTER] = _best_share(row.level_loss[0])
    flags[FAMILY] = 0
    least = row.level_loss[0, flags[SHARE], flags[FILTER]] / counted
    g = _least(row.trend_loss[0])
    if row.trend_loss[0, g] / counted < least:
        flags[FAMILY], flags[FILTER], least = 1, g, row.trend_loss[0, g] / counted
    for j in range(2):
        m = sizes.season if j == 0 else sizes.season_2
        if m < 2 or n < 3 * m:
            continue
        g = _least(row.holt_loss[0, j])
        if row.holt_loss[0, j, g] / (n - 2 * m) < least:
            flags[FAMILY], flags[FILTER], least = 2 + j, g, row.holt_loss[0, j, g] / (n - 2 * m)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _one_step(
    t: int,
    m: int,
    flags: Ints,
    trend: Floats,
    level: Floats,
    lag: Floats,
    trend_level: Floats,
    trend_slope: Floats,
    holt_level: Floats,
    holt_slope: Floats,
    season: Floats,
) -> float:
    """Return the chosen filter's forecast of observation t. Arrays one by one: a whole row costs 100 ns to pass."""
    g, family = flags[FILTER], flags[FAMILY]
    if family == 0:
        return float(level[0, g] + DRIFT_SHARE[flags[SHARE]] * slope_of(trend[0, 0], trend[0, 1], t) * (1.0 + lag[0, g]))
    if family == 1:
        return float(trend_level[0, g] + TREND_DAMPING[g] * trend_slope[0, g])
    j = family - 2
    return float(holt_level[0, j, g] + HOLT_DAMPING[g] * holt_slope[0, j, g] + season[0, j, t % m, g])


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _settle(x: float, t: int, at_anchor: Ints, made_at: Ints, pending: Floats, loss: Floats, weight: Floats, spread: Floats) -> None:
    """Compare what was forecast for observation t with it."""
    for q in range(len(made_at)):
        h = t - made_at[q]
        if made_at[q] < 0 or h >= len(at_anchor) or at_anchor[h] < 0:
            continue
        i = at_anchor[h]
        for member in range(COUNT):
            error = abs(x - pending[q, i, member])
            spoke = error == error
            loss[member] = loss[member] * (FORGET if spoke else 1.0) + (error if spoke else 0.0)
            weight[member] = weight[member] * (FORGET if spoke else 1.0) + (1.0 if spoke else 0.0)
        error = abs(x - pending[q, i, REFERENCE])
        if error == error:
            spread[0, i] = spread[0, i] * FORGET_SPREAD + error
            spread[1, i] = spread[1, i] * FORGET_SPREAD + 1.0


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _refer(loss: Floats, weight: Floats, made: Floats) -> None:
    """Fill the reference: the members' mean with weights by inverse cubed loss, the naive forecast before any loss."""
    least = np.inf
    for member in range(COUNT):
        if weight[member] > 1.0 and made[0, member] == made[0, member]:
            least = min(least, loss[member] / weight[member])
    for i in range(made.shape[0]):
        total, over = 0.0, 0.0
        for member in range(COUNT):
            if made[i, member] == made[i, member] and weight[member] > 1.0 and least < np.inf:
                mean = loss[member] / weight[member]
                ratio = least / mean if mean > 0.0 else 1.0
                total += ratio**3 * made[i, member]
                over += ratio**3
        made[i, REFERENCE] = total / over if over > 0.0 else made[i, NAIVE]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def walk(
    values: Floats,
    offsets: Ints,
    may_log: npt.NDArray[np.bool_],
    starts: Ints,
    origins: Ints,
    state: State,
    sizes: Spec,
    anchors: Ints,
    made: Floats,
    loss: Floats,
    spread: Floats,
    statistics: Floats,
) -> None:
    """Walk over S series and fill what is said at each of P origins.

    Parameters
    ----------
    values, offsets
        Observations, shape ``(N,)``, finite, and where each series begins, shape ``(S + 1,)``; the first one given is
        the first that the state has not seen.
    may_log
        Whether the second channel may be used while all values are positive, shape ``(S,)``.
    starts, origins
        Series s has the origins ``origins[starts[s]:starts[s + 1]]``: numbers of observations, rising, at least 1.
    state, sizes, anchors
        See :class:`State`, :func:`spec`, :func:`anchors_of`; the state is changed in place.
    made
        Forecasts of the members and the reference, shape ``(P, horizon, >= COUNT + 1)``; NaN where a member has none.
        Further columns are left alone.
    loss
        Their mean absolute errors by then, shape ``(P, >= COUNT)``; NaN before the first.
    spread
        Mean absolute errors of the reference by anchor, shape ``(P, anchors)``; NaN before the first.
    statistics
        Shape ``(P, 7)``: mean absolute one-step errors of the best filter, fast, middle and slow; mean absolute
        seasonal difference (NaN before the first); observations seen; lowest and highest value.
    """
    at_anchor, every = np.full(sizes.horizon, -1), np.arange(sizes.horizon)
    for i in range(len(anchors)):
        at_anchor[anchors[i]] = i
    mask, m1, m2 = sizes.ring - 1, sizes.season, sizes.season_2
    lag_m = max(m1, 1)
    for s in range(len(offsets) - 1):
        row = Row(
            state.flags[s],
            state.values[s],
            state.trend[s],
            state.ends[s],
            state.level[s],
            state.level_loss[s],
            state.level_lag[s],
            state.trend_level[s],
            state.trend_slope[s],
            state.trend_loss[s],
            state.season_level[s],
            state.season[s],
            state.season_loss[s],
            state.season_lag[s],
            state.holt_level[s],
            state.holt_slope[s],
            state.holt_season[s],
            state.holt_loss[s],
            state.demand[s],
            state.versions[s],
            state.products[s],
            state.total[s],
            state.head[s],
        )
        flags, past, trend, ends, scale = row.flags, row.values, row.trend, row.ends, state.scale[s]
        size, chance, demand_loss = row.demand[0], row.demand[1], row.demand[2]
        made_at, waiting = state.made_at[s], state.pending[s]
        losses, weights, spreads = state.loss[s], state.weight[s], state.spread[s]
        t = state.seen[s]
        first = offsets[s] - t
        for p in range(starts[s], starts[s + 1]):
            while t < origins[p]:
                x = values[first + t]
                _settle(x, t, at_anchor, made_at, waiting, losses, weights, spreads)
                if t == 0:
                    ends[0], ends[2], ends[3] = x, x, x
                if t >= SHORTEST:
                    ahead = _one_step(
                        t,
                        m2 if flags[FAMILY] == 3 else m1,
                        flags,
                        trend,
                        row.level,
                        row.level_lag,
                        row.trend_level,
                        row.trend_slope,
                        row.holt_level,
                        row.holt_slope,
                        row.holt_season,
                    )
                    error, start = abs(x - ahead), 1.0 / (t - 3.0)
                    scale[0] += max(FAST, start) * (error - scale[0])
                    scale[1] += max(MIDDLE, start) * (error - scale[1])
                    scale[2] += max(SLOW, start) * (error - scale[2])
                if t >= lag_m:
                    scale[3] += abs(x - past[0, (t - lag_m) & mask])
                    scale[4] += 1.0
                flags[ZEROS] += x == 0.0
                ends[2], ends[3] = min(ends[2], x), max(ends[3], x)
                if not x > 0.0 or not may_log[s]:
                    flags[POSITIVE] = 0
                step_demand(x, t, size, chance, demand_loss)
                for c in range(1 + flags[POSITIVE]):
                    if c == 1:
                        x = math.log(x)
                    past[c, t & mask] = x
                    slope = slope_of(trend[c, 0], trend[c, 1], t)
                    step_levels(x, t, c, row.level, row.level_loss, row.level_lag, slope)
                    step_trends(x, t, c, row.trend_level, row.trend_slope, row.trend_loss)
                    for j in range(2):
                        m = m1 if j == 0 else m2
                        if m > 1 and t == 2 * m - 1:
                            start_seasons(
                                t,
                                m,
                                c,
                                j,
                                past,
                                mask,
                                row.season_level,
                                row.season,
                                row.season_lag,
                                row.holt_level,
                                row.holt_slope,
                                row.holt_season,
                            )
                        elif m > 1 and t >= 2 * m:
                            k, once = t % m, 1.0 / (t // m + 1.0)
                            step_season_levels(
                                x, c, j, k, once, row.season_level, row.season, row.season_loss, row.season_lag, slope
                            )
                            step_holts(
                                x, c, j, k, once, row.holt_level, row.holt_slope, row.holt_season, row.holt_loss
                            )
                    trend[c, 0] += x
                    trend[c, 1] += t * x
                if t == SIGHTED - 1:
                    flags[LOGS] = flags[POSITIVE]
                    ends[1] = past[flags[LOGS], 0]
                if t >= SIGHTED - 1 and (flags[LOGS] == 0 or flags[POSITIVE] == 1):
                    for u in range(0 if t == SIGHTED - 1 else t, t + 1):
                        observe_products(
                            past[flags[LOGS], u & mask] - ends[1],
                            u,
                            m1,
                            sizes.order,
                            mask,
                            row.versions,
                            row.products,
                            row.total,
                            row.head,
                        )
                t += 1
                if t % sizes.stride == 0 and t > SHORTEST:
                    q = (t // sizes.stride) % sizes.pending
                    made_at[q] = t
                    _emit(t, sizes, row, anchors, waiting[q])
                    _refer(losses, weights, waiting[q])
                    _choose_one_step(t, sizes, row)
            q = (t // sizes.stride) % sizes.pending
            if made_at[q] == t and len(anchors) == sizes.horizon:  # just said for the losses
                made[p, :, : COUNT + 1] = waiting[q]
            else:
                _emit(t, sizes, row, every, made[p])
                _refer(losses, weights, made[p])
            for member in range(COUNT):
                loss[p, member] = losses[member] / weights[member] if weights[member] > 0.0 else np.nan
            for i in range(len(anchors)):
                spread[p, i] = spreads[0, i] / spreads[1, i] if spreads[1, i] > 0.0 else np.nan
            for i in range(3):
                statistics[p, i] = scale[i]
            statistics[p, 3] = scale[3] / scale[4] if scale[4] > 0.0 else np.nan
            statistics[p, 4], statistics[p, 5], statistics[p, 6] = t, ends[2], ends[3]
        state.seen[s] = t
