"""The bank of recursive filters: exponential smoothing on a fixed parameter grid, the grid as the SIMD dimension.

One call advances every filter of one family by one observation. Gains start where recursive least squares has them and
fall to their constant, so no initial state is fitted and nothing looks ahead. What belongs here: the grids and one
step of each family. No loop over time, no choice between filters.

Arrays are those of one series: c is the channel (0 values, 1 their logarithms), j the season (first or second), k the
place in the season, the last axis the grid. ``loss`` sums absolute one-step errors.

References
----------
Hyndman, Koehler, Ord and Snyder (2008), Forecasting with Exponential Smoothing. Hyndman and Billah (2003), Unmasking
the Theta method. Teunter, Syntetos and Babai (2011), Intermittent demand: linking forecasting to inventory
obsolescence. Brookner (1998), Tracking and Kalman Filtering Made Easy, ch. 1 (growing-memory gains).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _grid(rows: Sequence[tuple[float, ...]]) -> list[Floats]:
    return [np.ascontiguousarray(column) for column in np.array(rows).T]


LEVEL_GAIN: Floats = np.array([0.02, 0.06, 0.12, 0.22, 0.36, 0.55, 0.78, 1.0])
DRIFT_SHARE: Floats = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
"""Shares of the least-squares slope that a level filter adds: 0 is simple smoothing, 1/2 the theta method."""
HALF = 2
"""Position of the theta method's share."""
TREND_GAIN, TREND_RATIO, TREND_DAMPING = _grid(
    [(a, b, p) for p in (0.85, 0.95, 1.0) for b in (0.05, 0.2, 0.5) for a in (0.1, 0.3, 0.55, 0.8, 1.0)]
    + [(0.9, 0.1, 0.98), (0.5, 0.1, 0.98), (0.3, 0.02, 0.98)]
)
TREND_SLOPE_GAIN: Floats = TREND_GAIN * TREND_RATIO
SEASON_GAIN, SEASON_RATIO = _grid([(a, c) for c in (0.0, 0.08, 0.3) for a in (0.02, 0.1, 0.3, 0.6)])
SEASON_DRIFT: Floats = np.array([0.0, 0.5])
HOLT_GAIN, HOLT_RATIO, HOLT_DAMPING, HOLT_SEASON = _grid(
    [(a, b, p, c) for c in (0.0, 0.08, 0.3) for p in (0.9, 0.98) for b in (0.05, 0.2) for a in (0.05, 0.2, 0.5, 0.8)]
)
HOLT_SLOPE_GAIN: Floats = HOLT_GAIN * HOLT_RATIO
SIZE_GAIN, DEMAND_GAIN = _grid([(a, b) for a in (0.05, 0.2) for b in (0.02, 0.1, 0.3)])
LEVELS, SHARES, TRENDS, SEASONS, HOLTS, DEMANDS = (
    len(grid) for grid in (LEVEL_GAIN, DRIFT_SHARE, TREND_GAIN, SEASON_GAIN, HOLT_GAIN, SIZE_GAIN)
)
BURN_IN = 3
"""Observations whose errors do not count: every filter still starts there."""


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def slope_of(sum_x: float, sum_tx: float, n: int) -> float:
    """Return the least-squares slope of n values at t = 0 … n - 1 from their sums of x and t·x; 0 below three."""
    if n < 3:
        return 0.0
    return float((sum_tx - (n - 1) / 2.0 * sum_x) / (n * (n * n - 1.0) / 12.0))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def step_levels(x: float, t: int, c: int, level: Floats, loss: Floats, lag: Floats, slope: float) -> None:
    """Advance the level filters; ``lag`` is how many steps each trails behind a straight line.

    With share s of the slope b the forecast is level + s·b·(h + lag), which is the theta method for s = 1/2.
    """
    start = 1.0 / (t + 1.0)
    if t >= BURN_IN:
        for k in range(SHARES):
            drift = DRIFT_SHARE[k] * slope
            for g in range(LEVELS):
                loss[c, k, g] += abs(x - level[c, g] - drift * (1.0 + lag[c, g]))
    for g in range(LEVELS):
        gain = max(LEVEL_GAIN[g], start)
        level[c, g] += gain * (x - level[c, g])
        lag[c, g] = (1.0 - gain) * (lag[c, g] + 1.0)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def step_trends(x: float, t: int, c: int, level: Floats, slope: Floats, loss: Floats) -> None:
    """Advance the damped-trend filters (Holt where the damping is 1)."""
    k = t + 1.0
    level_start = 2.0 * (2.0 * k - 1.0) / (k * (k + 1.0))
    slope_start = 6.0 / (k * (k + 1.0))
    counts = 1.0 if t >= BURN_IN else 0.0
    sloped = 1.0 if t > 0 else 0.0  # one value has no slope, not even for a moment
    for g in range(TRENDS):
        ahead = TREND_DAMPING[g] * slope[c, g]
        error = x - level[c, g] - ahead
        loss[c, g] += counts * abs(error)
        level[c, g] += ahead + max(TREND_GAIN[g], level_start) * error
        slope[c, g] = ahead + sloped * max(TREND_SLOPE_GAIN[g], slope_start) * error


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def start_seasons(
    t: int,
    m: int,
    c: int,
    j: int,
    x: Floats,
    mask: int,
    level: Floats,
    season: Floats,
    lag: Floats,
    holt: Floats,
    holt_slope: Floats,
    holt_season: Floats,
) -> None:
    """Start the seasonal filters from the first two seasons, which end at t; ``x`` is the ring of past values."""
    early, late = 0.0, 0.0
    for i in range(m):
        early += x[c, (t - 2 * m + 1 + i) & mask]
        late += x[c, (t - m + 1 + i) & mask]
    early /= m
    late /= m
    slope = (late - early) / m
    half = (m - 1) / 2.0
    for i in range(m):
        at = t - 2 * m + 1 + i
        away = 0.5 * (x[c, at & mask] - early + x[c, (at + m) & mask] - late) - slope * (i - half)
        for g in range(SEASONS):
            season[c, j, at % m, g] = away
        for g in range(HOLTS):
            holt_season[c, j, at % m, g] = away
    for g in range(SEASONS):
        back = min((1.0 - SEASON_GAIN[g]) / SEASON_GAIN[g], half)
        level[c, j, g] = late + slope * (half - back)
        lag[c, j, g] = back
    for g in range(HOLTS):
        holt[c, j, g] = late + slope * half
        holt_slope[c, j, g] = slope


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def step_season_levels(
    x: float,
    c: int,
    j: int,
    k: int,
    first: float,
    level: Floats,
    season: Floats,
    loss: Floats,
    lag: Floats,
    slope: float,
) -> None:
    """Advance the seasonal filters without trend; ``first`` is one over the seasons seen."""
    for q in range(2):
        drift = SEASON_DRIFT[q] * slope
        for g in range(SEASONS):
            loss[c, j, q, g] += abs(x - level[c, j, g] - season[c, j, k, g] - drift * (1.0 + lag[c, j, g]))
    for g in range(SEASONS):
        error = x - level[c, j, g] - season[c, j, k, g]
        level[c, j, g] += SEASON_GAIN[g] * error
        season[c, j, k, g] += max(SEASON_RATIO[g], first) * (1.0 - SEASON_GAIN[g]) * error
        lag[c, j, g] = (1.0 - SEASON_GAIN[g]) * (lag[c, j, g] + 1.0)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def step_holts(
    x: float, c: int, j: int, k: int, first: float, level: Floats, slope: Floats, season: Floats, loss: Floats
) -> None:
    """Advance the seasonal filters with damped trend (Holt-Winters)."""
    for g in range(HOLTS):
        ahead = HOLT_DAMPING[g] * slope[c, j, g]
        error = x - level[c, j, g] - ahead - season[c, j, k, g]
        loss[c, j, g] += abs(error)
        level[c, j, g] += ahead + HOLT_GAIN[g] * error
        slope[c, j, g] = ahead + HOLT_SLOPE_GAIN[g] * error
        season[c, j, k, g] += max(HOLT_SEASON[g], first) * (1.0 - HOLT_GAIN[g]) * error


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def step_demand(x: float, t: int, size: Floats, chance: Floats, loss: Floats) -> None:
    """Advance the filters of intermittent demand (TSB): size of a demand, and the chance that there is one."""
    start = 1.0 / (t + 1.0)
    here = 1.0 if x != 0.0 else 0.0
    for g in range(DEMANDS):
        loss[g] += abs(x - size[g] * chance[g]) if t >= BURN_IN else 0.0
        size[g] += here * max(SIZE_GAIN[g], start) * (x - size[g])
        chance[g] += max(DEMAND_GAIN[g], start) * (here - chance[g])
