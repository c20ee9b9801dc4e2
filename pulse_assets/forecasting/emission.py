"""What the filters say at an origin: of each family the forecasts of the filter that lost least so far.

One row of state in, forecasts of all members out. The loop over time belongs to :mod:`.walk`.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.forecasting.autoregression import LARGEST_EXPONENT, SEASONAL, emit_autoregression
from pulse_assets.forecasting.bank import (
    DRIFT_SHARE,
    HALF,
    HOLT_DAMPING,
    HOLTS,
    SHARES,
    TREND_DAMPING,
    TRENDS,
    slope_of,
)
from pulse_assets.forecasting.walk_state import (
    AUTOREGRESSION,
    COUNT,
    DEMAND,
    DRIFT,
    FAMILIES,
    LOGS,
    NAIVE,
    OF_A_CHANNEL,
    POSITIVE,
    REPEAT,
    SEASONAL_FAMILIES,
    SHORTEST,
    SIGHTED,
    ZEROS,
    Row,
    Spec,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def least(losses: Floats) -> int:
    """Return the filter with the least loss, the first of equals."""
    best = 0
    for g in range(1, losses.shape[0]):
        if losses[g] < losses[best]:
            best = g
    return best


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def best_share(losses: Floats) -> tuple[int, int]:
    """Return the share of the slope and the level filter that lost least together."""
    share, best = 0, least(losses[0])
    for k in range(1, SHARES):
        g = least(losses[k])
        if losses[k, g] < losses[share, best]:
            share, best = k, g
    return share, best


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _span(damping: float, h: float) -> float:
    """Return how many slopes a damped trend gains in h steps."""
    return h if damping == 1.0 else damping * (1.0 - damping**h) / (1.0 - damping)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def span_tables(steps: Ints) -> tuple[Floats, Floats]:
    """Return the spans of every trend filter and every seasonal one at some steps ahead (0 is the next), made once.

    Shapes ``(TRENDS, K)`` and ``(HOLTS, K)``. Powers at each origin took a third of a walk over short series.
    """
    trend, holt = np.empty((TRENDS, len(steps))), np.empty((HOLTS, len(steps)))
    for i in range(len(steps)):
        for g in range(TRENDS):
            trend[g, i] = _span(TREND_DAMPING[g], steps[i] + 1.0)
        for g in range(HOLTS):
            holt[g, i] = _span(HOLT_DAMPING[g], steps[i] + 1.0)
    return trend, holt


@njit(inline="always", error_model="numpy")  # type: ignore[untyped-decorator]
def _emit_channel(
    n: int, c: int, sizes: Spec, row: Row, steps: Ints, spans: tuple[Floats, Floats], made: Floats
) -> None:
    slope, first = slope_of(row.trend[c, 0], row.trend[c, 1], n), c * OF_A_CHANNEL
    simple, theta = least(row.level_loss[c, 0]), least(row.level_loss[c, HALF])
    share, drift = best_share(row.level_loss[c])
    trend = least(row.trend_loss[c])
    for i in range(len(steps)):
        h = steps[i] + 1.0
        made[i, first] = row.level[c, simple]
        made[i, first + 1] = row.level[c, theta] + 0.5 * slope * (h + row.level_lag[c, theta])
        made[i, first + 2] = row.level[c, drift] + DRIFT_SHARE[share] * slope * (h + row.level_lag[c, drift])
        made[i, first + 3] = row.trend_level[c, trend] + spans[0][trend, i] * row.trend_slope[c, trend]
    for j in range(2):
        m = sizes.season if j == 0 else sizes.season_2
        if m < 2 or n < 2 * m + 2:
            continue
        at = first + len(FAMILIES) + j * len(SEASONAL_FAMILIES)
        flat, half = least(row.season_loss[c, j, 0]), least(row.season_loss[c, j, 1])
        holt = least(row.holt_loss[c, j])
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
                + spans[1][holt, i] * row.holt_slope[c, j, holt]
                + row.holt_season[c, j, k, holt]
            )
    if c == 1:
        for i in range(len(steps)):
            for member in range(first, first + OF_A_CHANNEL):
                if made[i, member] == made[i, member]:
                    made[i, member] = math.exp(min(made[i, member], LARGEST_EXPONENT))


@njit(inline="always", error_model="numpy")  # type: ignore[untyped-decorator]
def _emit_naive(n: int, sizes: Spec, row: Row, steps: Ints, made: Floats) -> None:
    for i in range(len(steps)):
        for member in range(COUNT):
            made[i, member] = np.nan
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
def emit(n: int, sizes: Spec, row: Row, steps: Ints, spans: tuple[Floats, Floats], made: Floats, work: Floats) -> None:
    """Fill the forecasts of every member from n observations; NaN where a member has nothing to say."""
    _emit_naive(n, sizes, row, steps, made)
    if n < SHORTEST:
        return
    flags = row.flags
    for c in range(2):
        if c == 0 or flags[POSITIVE] == 1:
            _emit_channel(n, c, sizes, row, steps, spans, made)
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
                    work,
                )
    if 10 * flags[ZEROS] >= n:
        g = least(row.demand[2])
        for i in range(len(steps)):
            made[i, DEMAND] = row.demand[0, g] * row.demand[1, g]
