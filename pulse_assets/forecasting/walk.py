"""The walk over a series: every filter takes in each observation once, and speaks at every origin asked for.

At a fixed stride the members' forecasts are kept and compared with the truth as it arrives, so the loss of each member
at an origin is a loss of forecasts it really made. The walk only moves forward and sums in one fixed order: what it
says at an origin depends on nothing later, nor on the other origins asked for, bit for bit. It works on arrays of one
:class:`State`, so a later observation continues where the walk stopped.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.forecasting.autoregression import observe_products
from pulse_assets.forecasting.bank import (
    DRIFT_SHARE,
    HOLT_DAMPING,
    TREND_DAMPING,
    slope_of,
    start_seasons,
    step_demand,
    step_holts,
    step_levels,
    step_season_levels,
    step_trends,
)
from pulse_assets.forecasting.emission import best_share, emit, least, span_tables
from pulse_assets.forecasting.walk_state import (
    COUNT,
    FAMILY,
    FAST,
    FILTER,
    FORGET,
    FORGET_SPREAD,
    LOGS,
    MIDDLE,
    NAIVE,
    PHASE,
    POSITIVE,
    REFERENCE,
    SHARE,
    SHORTEST,
    SIGHTED,
    SLOW,
    ZEROS,
    Row,
    Spec,
    State,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _choose_one_step(n: int, sizes: Spec, row: Row) -> None:
    """Note which filter of the first channel lost least, whose one-step errors then tell the pace of the series."""
    flags, counted = row.flags, max(n - 3.0, 1.0)
    flags[SHARE], flags[FILTER] = best_share(row.level_loss[0])
    flags[FAMILY] = 0
    lowest = row.level_loss[0, flags[SHARE], flags[FILTER]] / counted
    g = least(row.trend_loss[0])
    if row.trend_loss[0, g] / counted < lowest:
        flags[FAMILY], flags[FILTER], lowest = 1, g, row.trend_loss[0, g] / counted
    for j in range(2):
        m = sizes.season if j == 0 else sizes.season_2
        if m < 2 or n < 3 * m:
            continue
        g = least(row.holt_loss[0, j])
        if row.holt_loss[0, j, g] / (n - 2 * m) < lowest:
            flags[FAMILY], flags[FILTER], lowest = 2 + j, g, row.holt_loss[0, j, g] / (n - 2 * m)


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
        slope = slope_of(trend[0, 0], trend[0, 1], t)
        return float(level[0, g] + DRIFT_SHARE[flags[SHARE]] * slope * (1.0 + lag[0, g]))
    if family == 1:
        return float(trend_level[0, g] + TREND_DAMPING[g] * trend_slope[0, g])
    j = family - 2
    return float(holt_level[0, j, g] + HOLT_DAMPING[g] * holt_slope[0, j, g] + season[0, j, t % m, g])


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _settle(
    x: float, t: int, at_anchor: Ints, made_at: Ints, pending: Floats, loss: Floats, weight: Floats, spread: Floats
) -> None:
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
def _refer(loss: Floats, weight: Floats, made: Floats, ratios: Floats) -> None:
    """Fill the reference: the members' mean with weights by inverse cubed loss, the naive forecast before any loss."""
    lowest = np.inf
    for member in range(COUNT):
        if weight[member] > 1.0 and made[0, member] == made[0, member]:
            lowest = min(lowest, loss[member] / weight[member])
    for member in range(COUNT):
        ratios[member] = 0.0
        if weight[member] > 1.0 and lowest < np.inf:
            mean = loss[member] / weight[member]
            ratio = lowest / mean if mean > 0.0 else 1.0
            ratios[member] = ratio**3
    for i in range(made.shape[0]):
        total, over = 0.0, 0.0
        for member in range(COUNT):
            if made[i, member] == made[i, member]:
                total += ratios[member] * made[i, member]
                over += ratios[member]
        made[i, REFERENCE] = total / over if over > 0.0 else made[i, NAIVE]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _tell(
    t: int,
    ends: Floats,
    losses: Floats,
    weights: Floats,
    spreads: Floats,
    scale: Floats,
    loss: Floats,
    spread: Floats,
    statistics: Floats,
) -> None:
    """Fill what is known of the members' losses and of the series at one origin."""
    for member in range(COUNT):
        loss[member] = losses[member] / weights[member] if weights[member] > 0.0 else np.nan
    for i in range(len(spread)):
        spread[i] = spreads[0, i] / spreads[1, i] if spreads[1, i] > 0.0 else np.nan
    for i in range(3):
        statistics[i] = scale[i]
    statistics[3] = scale[3] / scale[4] if scale[4] > 0.0 else np.nan
    statistics[4], statistics[5], statistics[6] = t, ends[2], ends[3]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _tell_phases(t: int, m: int, slow: float, phase: Floats, phases: Floats) -> None:
    """Fill how errors at the places in the season ahead compare with all."""
    for h in range(len(phases)):
        here = phase[(t + h) % m] if m > 1 and t >= 2 * m else slow
        phases[h] = here / slow if slow > 0.0 and here > 0.0 else 1.0


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def walk(  # noqa: C901 - one loop: passing the row to functions made a walk 2.3 times slower (November 2026)
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
    phases: Floats,
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
    phases
        Shape ``(P, horizon)``: mean absolute one-step error at the place in the season of each step ahead, relative to
        the slow mean of all; 1 without a season.
    """
    at_anchor, every = np.full(sizes.horizon, -1), np.arange(sizes.horizon)
    few_spans, all_spans = span_tables(anchors), span_tables(every)
    ratios = np.empty(COUNT)
    work = np.empty((4, sizes.order + 1 + sizes.horizon))  # see autoregression.work_of
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
        losses, weights, spreads, phase = state.loss[s], state.weight[s], state.spread[s], state.phase[s]
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
                    if m1 > 1:
                        phase[t % m1] += max(PHASE, 1.0 / ((t - SHORTEST) // m1 + 1.0)) * (error - phase[t % m1])
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
                            step_holts(x, c, j, k, once, row.holt_level, row.holt_slope, row.holt_season, row.holt_loss)
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
                    emit(t, sizes, row, anchors, few_spans, waiting[q], work)
                    _refer(losses, weights, waiting[q], ratios)
                    _choose_one_step(t, sizes, row)
            q = (t // sizes.stride) % sizes.pending
            if made_at[q] == t and len(anchors) == sizes.horizon:  # just said for the losses
                made[p, :, : COUNT + 1] = waiting[q]
            else:
                emit(t, sizes, row, every, all_spans, made[p], work)
                _refer(losses, weights, made[p], ratios)
            _tell(t, ends, losses, weights, spreads, scale, loss[p], spread[p], statistics[p])
            _tell_phases(t, m1, scale[2], phase, phases[p])
        state.seen[s] = t
