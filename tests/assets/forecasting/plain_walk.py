"""The filters of the walk written as the books have them: one series, one loop, everything again for each question.

Slow on purpose. Each function takes a whole past and starts from nothing; the compiled walk must say the same.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting import bank
from pulse_assets.forecasting.walk_state import MEMBERS, SIGHTED

Floats = npt.NDArray[np.float64]
NEARLY = 1e-9
"""Filters whose losses differ by less, relatively, are equally good: which is taken depends on the last bit."""


@dataclass(frozen=True)
class Ran:
    """One filter after a past: its one-step forecasts (NaN where none counts) and what it says of the next steps."""

    one_step: Floats
    ahead: Floats

    def loss(self, y: Floats) -> float:
        """Sum of the absolute one-step errors that count."""
        return float(np.nansum(np.abs(y - self.one_step)))


def ols_slope(y: Floats) -> float:
    """Slope of the least-squares line; 0 below three values."""
    return float(np.polyfit(np.arange(len(y)), y, 1)[0]) if len(y) >= 3 else 0.0


def smoothed(y: Floats, gain: float) -> tuple[float, float]:
    """Simple exponential smoothing that starts as a plain mean; and how many steps it trails behind a line."""
    level, lag = 0.0, 0.0
    for t, x in enumerate(y):
        now = max(gain, 1 / (t + 1))
        level, lag = level + now * (x - level), (1 - now) * (lag + 1)
    return level, lag


def level_filter(y: Floats, gain: float, share: float, horizon: int) -> Ran:
    """Smoothing plus a share of the least-squares slope."""
    one_step = np.full(len(y), np.nan)
    for t in range(bank.BURN_IN, len(y)):
        level, lag = smoothed(y[:t], gain)
        one_step[t] = level + share * ols_slope(y[:t]) * (1 + lag)
    level, lag = smoothed(y, gain)
    return Ran(one_step, level + share * ols_slope(y) * (np.arange(1, horizon + 1) + lag))


def damped_trend(y: Floats, gain: float, slope_gain: float, damping: float, horizon: int) -> Ran:
    """Holt's filter in error-correction form; gains are those of a line fitted to all so far while these are larger."""
    level, slope, one_step = 0.0, 0.0, np.full(len(y), np.nan)
    for t, x in enumerate(y):
        k = t + 1
        forecast = level + damping * slope
        if t >= bank.BURN_IN:
            one_step[t] = forecast
        first, second = 2 * (2 * k - 1) / (k * (k + 1)), 6 / (k * (k + 1))
        slope = damping * slope + (max(slope_gain, second) * (x - forecast) if t else 0.0)
        level = forecast + max(gain, first) * (x - forecast)
    return Ran(one_step, level + slope * np.cumsum(damping ** np.arange(1, horizon + 1)))


def start_of_season(y: Floats, m: int) -> tuple[float, float, Floats]:
    """Level at the end of the second season, slope, and seasonal parts, from the means of the first two seasons."""
    first, second = y[:m], y[m : 2 * m]
    slope = (second.mean() - first.mean()) / m
    within = np.arange(m) - (m - 1) / 2
    parts = ((first - first.mean()) + (second - second.mean())) / 2 - slope * within
    return float(second.mean() + slope * (m - 1) / 2), float(slope), parts


def season_filter(y: Floats, m: int, gain: float, ratio: float, share: float, horizon: int) -> Ran:
    """Level and season without a trend of its own, plus a share of the least-squares slope."""
    level, slope, season = start_of_season(y, m)
    lag = min((1 - gain) / gain, (m - 1) / 2)
    level -= slope * lag
    one_step = np.full(len(y), np.nan)
    for t in range(2 * m, len(y)):
        one_step[t] = level + season[t % m] + share * ols_slope(y[:t]) * (1 + lag)
        error = y[t] - level - season[t % m]
        season[t % m] += max(ratio, 1 / (t // m + 1)) * (1 - gain) * error
        level, lag = level + gain * error, (1 - gain) * (lag + 1)
    h = np.arange(1, horizon + 1)
    return Ran(one_step, level + season[(len(y) + h - 1) % m] + share * ols_slope(y) * (h + lag))


def holt_winters(y: Floats, m: int, gain: float, slope_gain: float, ratio: float, damping: float, horizon: int) -> Ran:
    """Additive Holt-Winters with a damped trend, in error-correction form."""
    level, slope, season = start_of_season(y, m)
    one_step = np.full(len(y), np.nan)
    for t in range(2 * m, len(y)):
        one_step[t] = level + damping * slope + season[t % m]
        error = y[t] - one_step[t]
        level, slope = level + damping * slope + gain * error, damping * slope + slope_gain * error
        season[t % m] += max(ratio, 1 / (t // m + 1)) * (1 - gain) * error
    h = np.arange(1, horizon + 1)
    return Ran(one_step, level + slope * np.cumsum(damping**h) + season[(len(y) + h - 1) % m])


def intermittent(y: Floats, size_gain: float, chance_gain: float, horizon: int) -> Ran:
    """Size and chance of a demand, each smoothed (TSB)."""
    size, chance, one_step = 0.0, 0.0, np.full(len(y), np.nan)
    for t, x in enumerate(y):
        if t >= bank.BURN_IN:
            one_step[t] = size * chance
        if x != 0:
            size += max(size_gain, 1 / (t + 1)) * (x - size)
        chance += max(chance_gain, 1 / (t + 1)) * ((x != 0) - chance)
    return Ran(one_step, np.full(horizon, size * chance))


def autocovariances(z: Floats, order: int) -> Floats:
    """Biased autocovariances about the mean."""
    away = z - z.mean()
    return np.array([(away[k:] * away[: len(away) - k]).sum() / len(z) for k in range(order + 1)])


def yule_walker(z: Floats, largest: int) -> Floats:
    """Coefficients of the order that AICc likes best, every order solved by itself."""
    covariance, count = autocovariances(z, largest), len(z)
    best, least = np.empty(0), count * math.log(covariance[0]) + 2.0
    for order in range(1, largest + 1):
        places = np.abs(np.subtract.outer(np.arange(order), np.arange(order)))
        coefficients = np.linalg.solve(covariance[places], covariance[1 : order + 1])
        variance = covariance[0] - coefficients @ covariance[1 : order + 1]
        k = order + 2
        criterion = count * math.log(variance) + 2 * k + 2 * k * (k + 1) / max(count - k - 1, 1)
        if criterion < least:
            best, least = coefficients, criterion
    return best


def autoregression(y: Floats, back: int, order: int, horizon: int) -> Floats | None:
    """Fit an autoregression to differences from ``back`` steps earlier (0: to the values) and sum them up again."""
    z = y if back == 0 else y[back:] - y[:-back]
    if len(z) < 10 or not z.var() > 0:
        return None
    coefficients = yule_walker(z, min(order, len(z) // 3))
    path, values = list(z - z.mean()), list(y)
    for _ in range(horizon):
        path.append(sum(c * path[-i - 1] for i, c in enumerate(coefficients)))
        step = path[-1] + z.mean()
        values.append(step if back == 0 else step + values[-back])
    return np.array(values[len(y) :])


def grids(y: Floats, m: int, horizon: int) -> Iterator[tuple[str, list[Ran]]]:
    """Yield each smoothing member of one channel and the filters it chooses from."""
    gains = bank.LEVEL_GAIN
    yield "level", [level_filter(y, a, 0.0, horizon) for a in gains]
    yield "theta", [level_filter(y, a, 0.5, horizon) for a in gains]
    yield "level_drift", [level_filter(y, a, s, horizon) for s in bank.DRIFT_SHARE for a in gains]
    trends = zip(bank.TREND_GAIN, bank.TREND_SLOPE_GAIN, bank.TREND_DAMPING, strict=True)
    yield "trend", [damped_trend(y, *filter_, horizon) for filter_ in trends]
    yield from seasonal_grids(y, m, horizon, "")


def seasonal_grids(y: Floats, m: int, horizon: int, suffix: str) -> Iterator[tuple[str, list[Ran]]]:
    """Yield the members with a season of m steps; none before two seasons and two values."""
    if m < 2 or len(y) < 2 * m + 2:
        return
    plain = list(zip(bank.SEASON_GAIN, bank.SEASON_RATIO, strict=True))
    yield f"season_level{suffix}", [season_filter(y, m, *filter_, 0.0, horizon) for filter_ in plain]
    yield f"season_theta{suffix}", [season_filter(y, m, *filter_, 0.5, horizon) for filter_ in plain]
    holts = zip(bank.HOLT_GAIN, bank.HOLT_SLOPE_GAIN, bank.HOLT_SEASON, bank.HOLT_DAMPING, strict=True)
    yield f"season_trend{suffix}", [holt_winters(y, m, *filter_, horizon) for filter_ in holts]


def choices(y: Floats, filters: list[Ran]) -> list[Floats]:
    """Forecasts of the filter that lost least, and of any that lost as little but for rounding."""
    losses = np.array([filter_.loss(y) for filter_ in filters])
    room = losses.min() * (1 + NEARLY) + NEARLY * np.abs(y).max()
    return [filters[g].ahead for g in np.flatnonzero(losses <= room)]


def plain_members(y: Floats, season: int, season_2: int, horizon: int, order: int) -> dict[str, list[Floats]]:
    """Forecasts of every member that has any, from a past; several where rounding decides between filters."""
    n, steps = len(y), np.arange(1, horizon + 1)
    said = {"naive": [np.full(horizon, y[-1])]}
    said["drift"] = [y[-1] + steps * ((y[-1] - y[0]) / (n - 1) if n > 1 else 0.0)]
    for m, name in ((season, "seasonal_naive"), (season_2, "seasonal_naive_2")):
        if 1 < m <= n:
            said[name] = [y[n - m + (steps - 1) % m]]
    if n < 4:
        return said
    for prefix, x, back in (("", y, lambda z: z), ("log_", np.log(y) if (y > 0).all() else None, np.exp)):
        if x is not None:
            for name, filters in [*grids(x, season, horizon), *seasonal_grids(x, season_2, horizon, "_2")]:
                said[prefix + name] = [back(ahead) for ahead in choices(x, filters)]
    said |= plain_autoregressions(y, season, horizon, order)
    if (y == 0).sum() >= n / 10:
        filters = [intermittent(y, a, b, horizon) for a, b in zip(bank.SIZE_GAIN, bank.DEMAND_GAIN, strict=True)]
        said["demand"] = choices(y, filters)
    assert set(said) <= set(MEMBERS)
    return said


def plain_autoregressions(y: Floats, season: int, horizon: int, order: int) -> dict[str, list[Floats]]:
    """On logarithms where the first values were positive, and then only as long as all are."""
    is_log = bool((y[:SIGHTED] > 0).all())
    if len(y) < SIGHTED or (is_log and not (y > 0).all()):
        return {}
    x = np.log(y) if is_log else y
    said = {}
    for name, back in (("ar_values", 0), ("ar_differences", 1), ("ar_seasonal", season)):
        ahead = autoregression(x, back, order, horizon) if name != "ar_seasonal" or season > 1 else None
        if ahead is not None:
            said[name] = [np.exp(ahead) if is_log else ahead]
    return said
