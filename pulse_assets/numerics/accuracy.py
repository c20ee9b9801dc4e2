"""Accuracy of point forecasts and intervals as the M4 competition measures it, and its benchmark Naive 2.

Many series at once, one result a series. Scores of quantile forecasts live in :mod:`pulse_assets.numerics.scores`, and
tests of whether one model beats another in :mod:`pulse_assets.numerics.comparison`.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SEASONALITY_LIMIT = 1.645
"""Standard errors that the autocorrelation at the season must exceed: two-sided 90 %."""
CYCLES_TO_JUDGE = 3
"""A shorter history than this many seasons is taken to have no season."""
VALUES_A_BLOCK = 2**18
"""Values of equally long series that are worked on together: 2 MiB, which stays in a core's cache."""


def smape(y: Floats, yhat: Floats) -> Floats:
    """Return the symmetric mean absolute percentage error of each series.

    Parameters
    ----------
    y, yhat
        Truth and forecast, shape ``(S, H)``, in the same unit. NaN anywhere in a row gives NaN for its series.

    Returns
    -------
    array
        Shape ``(S,)``, per cent, 0 to 200; NaN where H is 0. A step where both are 0 counts as 0.

    References
    ----------
    Makridakis, Spiliotis and Assimakopoulos (2020), The M4 Competition: 100,000 time series and 61 methods.

    Examples
    --------
    >>> smape(np.array([[100.0, 0.0]]), np.array([[60.0, 0.0]])).tolist()
    [25.0]
    """
    size = np.abs(y) + np.abs(yhat)
    share = np.divide(np.abs(y - yhat), size, out=np.zeros_like(size), where=size != 0)
    return 200 * _mean_over_steps(share)


def mase_scale(y_train: Floats, season: int | Ints, offsets: Ints | None = None) -> Floats:
    """Return the mean absolute seasonal difference of each history, by which errors are made comparable.

    Parameters
    ----------
    y_train
        Shape ``(N,)``: the histories one after the other, in the unit of the forecasts.
    season
        Steps, at least 1; one number or shape ``(S,)``. A history not longer than its season uses differences of one
        step instead.
    offsets
        Where histories start and end, shape ``(S + 1,)``, rising from 0 to N. Without them all is one history.

    Returns
    -------
    array
        Shape ``(S,)``, unit of ``y_train``. NaN for a history that holds NaN, is shorter than two values, or repeats
        itself exactly (a constant does), since nothing can be measured against a difference of 0.

    Raises
    ------
    ValueError
        A season is below 1.

    References
    ----------
    Hyndman and Koehler (2006), Another look at measures of forecast accuracy, section 3; seasonal as in the M4.

    Examples
    --------
    >>> mase_scale(np.array([1.0, 5.0, 2.0, 7.0]), season=2).tolist()
    [1.5]
    >>> mase_scale(np.array([1.0, 5.0, 2.0, 7.0]), season=2, offsets=np.array([0, 2, 4])).tolist()
    [4.0, 5.0]
    """
    bounds = np.array([0, len(y_train)], np.int64) if offsets is None else offsets
    lengths = np.diff(bounds)
    seasons = _seasons(season, len(lengths))
    lag = np.where(lengths > seasons, seasons, 1)
    series = np.repeat(np.arange(len(lengths)), lengths)
    earlier = np.arange(len(series)) - lag[series]
    inside = earlier >= bounds[series]
    differences = np.abs(y_train[inside] - y_train[earlier[inside]])
    total = np.bincount(series[inside], differences, minlength=len(lengths))
    scale: Floats = np.divide(total, lengths - lag, out=np.full(len(lengths), np.nan), where=total > 0)
    scale[series[np.isnan(y_train)]] = np.nan
    return scale


def mase(y: Floats, yhat: Floats, scale: Floats) -> Floats:
    """Return the mean absolute scaled error of each series; below 1 beats the seasonal naive inside its history.

    Parameters
    ----------
    y, yhat
        Truth and forecast, shape ``(S, H)``, in the same unit. NaN anywhere in a row gives NaN for its series.
    scale
        Shape ``(S,)``, from :func:`mase_scale`. NaN, 0 or less gives NaN.

    Returns
    -------
    array
        Shape ``(S,)``, without unit, at least 0; NaN where H is 0.

    References
    ----------
    Hyndman and Koehler (2006), Another look at measures of forecast accuracy, section 3.

    Examples
    --------
    >>> mase(np.array([[10.0, 12.0]]), np.array([[11.0, 9.0]]), np.array([4.0])).tolist()
    [0.5]
    """
    return _mean_over_steps(np.abs(y - yhat)) / _positive(scale)


def owa(
    smape: Floats | float, mase: Floats | float, smape_naive2: Floats | float, mase_naive2: Floats | float
) -> Floats:
    """Return the overall weighted average: the mean of sMAPE and MASE, each relative to Naive 2.

    The M4 averages sMAPE and MASE over all series first and then takes the two ratios, so pass means to get its figure.

    Parameters
    ----------
    smape, mase
        Of the model; numbers, or arrays of one shape. NaN gives NaN.
    smape_naive2, mase_naive2
        Of :func:`naive2` on the same series. NaN or 0 gives NaN.

    Returns
    -------
    array
        Of the common shape (none for numbers), at least 0; below 1 beats Naive 2.

    References
    ----------
    Makridakis, Spiliotis and Assimakopoulos (2020), The M4 Competition: 100,000 time series and 61 methods.

    Examples
    --------
    >>> float(owa(smape=9.0, mase=1.5, smape_naive2=12.0, mase_naive2=2.0))
    0.75
    """
    relative: Floats = smape / _positive(smape_naive2) + mase / _positive(mase_naive2)
    return np.asarray(relative / 2)


def msis(y: Floats, low: Floats, high: Floats, scale: Floats, alpha: float = 0.05) -> Floats:
    """Return the mean scaled interval score of each series: width plus a fine for every truth left outside.

    Parameters
    ----------
    y, low, high
        Truth and ends of the central interval, shape ``(S, H)``, in the same unit. NaN anywhere in a row gives NaN.
    scale
        Shape ``(S,)``, from :func:`mase_scale`. NaN, 0 or less gives NaN.
    alpha
        Share that the interval leaves out, in (0, 1): 0.05 for 95 %.

    Returns
    -------
    array
        Shape ``(S,)``, without unit; at least 0 where ``low <= high``, NaN where H is 0.

    References
    ----------
    Gneiting and Raftery (2007), Strictly proper scoring rules, eq. 43; scaled as in the M4.

    Examples
    --------
    >>> msis(np.array([[12.0]]), np.array([[0.0]]), np.array([[10.0]]), np.array([2.0]), alpha=0.2).tolist()
    [15.0]
    """
    outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    return _mean_over_steps(high - low + 2 / alpha * outside) / _positive(scale)


def naive2(values: Floats, offsets: Ints, season: int | Ints, horizon: int) -> Floats:
    """Forecast the last value, adjusted for the season where the history shows one: the M4's benchmark.

    A history is seasonal when it spans three seasons and its autocorrelation at the season exceeds the 90 % limit that
    the shorter lags leave (the R reference cannot see lags beyond 10·log10(n); the M4 has no such season). It is then
    divided by seasonal indices from a classical multiplicative decomposition, which only positive values allow.

    Parameters
    ----------
    values
        Shape ``(N,)``: the histories one after the other.
    offsets
        Where histories start and end, shape ``(S + 1,)``, rising from 0 to N.
    season
        Steps, at least 1; one number or shape ``(S,)``.
    horizon
        Steps H to forecast.

    Returns
    -------
    array
        Shape ``(S, H)``, unit of ``values``. NaN for a history that is empty or holds a value that is not finite.

    Raises
    ------
    ValueError
        A season is below 1.

    References
    ----------
    Makridakis, Spiliotis and Assimakopoulos (2020), The M4 Competition: 100,000 time series and 61 methods. The limit:
    Bartlett (1946), On the theoretical specification and sampling properties of autocorrelated time-series.

    Examples
    --------
    >>> quarters = np.tile([10.0, 20.0, 30.0, 40.0], 4)
    >>> naive2(quarters, np.array([0, 16]), season=4, horizon=5).round(9).tolist()
    [[10.0, 20.0, 30.0, 40.0, 10.0]]
    >>> naive2(quarters, np.array([0, 16]), season=1, horizon=2).tolist()
    [[40.0, 40.0]]
    """
    lengths = np.diff(offsets)
    seasons = _seasons(season, len(lengths))
    known = np.flatnonzero(lengths)
    forecasts = np.full((len(lengths), horizon), np.nan)
    forecasts[known] = values[offsets[known + 1] - 1, None]
    finite = np.ones(len(lengths), np.bool_)
    finite[np.repeat(np.arange(len(lengths)), lengths)[~np.isfinite(values)]] = False
    forecasts[~finite] = np.nan
    judged = np.flatnonzero(finite & (seasons > 1) & (lengths >= CYCLES_TO_JUDGE * seasons))
    for rows, length, steps in _equal_blocks(judged, lengths, seasons):
        history = values[offsets[rows, None] + np.arange(length)]
        seasonal = (history > 0).all(axis=1) & _is_seasonal(history, steps)
        forecasts[rows[seasonal]] *= _relative_indices(history[seasonal], steps, horizon)
    return forecasts


def _equal_blocks(rows: Ints, lengths: Ints, seasons: Ints) -> Iterator[tuple[Ints, int, int]]:
    """Yield rows of one length and one season, at most a block of values at a time."""
    rows = rows[np.lexsort((lengths[rows], seasons[rows]))]
    changes = np.flatnonzero(np.diff(lengths[rows]) | np.diff(seasons[rows])) + 1
    for group in np.split(rows, changes):
        if len(group):
            length, steps = int(lengths[group[0]]), int(seasons[group[0]])
            size = max(1, VALUES_A_BLOCK // length)
            for low in range(0, len(group), size):
                yield group[low : low + size], length, steps


def _is_seasonal(history: Floats, season: int) -> npt.NDArray[np.bool_]:
    """Return whether the autocorrelation at the season is beyond chance, for each row of equally long histories."""
    length = history.shape[1]
    deviations = history - history[:, :1]  # first, so that a constant has deviations of exactly 0
    deviations -= deviations.mean(axis=1, keepdims=True)
    variance = (deviations * deviations).sum(axis=1)
    variance[variance == 0] = np.inf  # a constant correlates with nothing
    spread = np.ones(len(history))
    for lag in range(1, season):
        spread += 2 * _autocorrelation(deviations, variance, lag) ** 2
    limit = SEASONALITY_LIMIT * np.sqrt(spread / length)
    return np.asarray(np.abs(_autocorrelation(deviations, variance, season)) > limit)


def _autocorrelation(deviations: Floats, variance: Floats, lag: int) -> Floats:
    return np.asarray((deviations[:, lag:] * deviations[:, :-lag]).sum(axis=1) / variance)


def _relative_indices(history: Floats, season: int, horizon: int) -> Floats:
    """Return the seasonal indices of the next steps relative to that of the last value, shape ``(rows, horizon)``."""
    length = history.shape[1]
    half = season // 2
    ratios = history[:, half : length - half] / _centred_average(history, season)
    by_phase = np.stack([ratios[:, phase::season].mean(axis=1) for phase in range(season)], axis=1)
    last = (length - 1 - half) % season
    ahead = (last + 1 + np.arange(horizon)) % season
    return np.asarray(by_phase[:, ahead] / by_phase[:, [last]])


def _centred_average(history: Floats, season: int) -> Floats:
    """Return the moving average over one season; over an even one both ends count half. It loses half a season a side.

    The sum runs step by step, not as a difference of running totals, which would round later windows worse.
    """
    half = season // 2
    width = history.shape[1] - 2 * half
    total = np.zeros((len(history), width))
    for step in range(2 * half + 1):
        weight = 0.5 if season % 2 == 0 and step in (0, season) else 1.0
        total += weight * history[:, step : step + width]
    return total / season


def _mean_over_steps(losses: Floats) -> Floats:
    """Average over steps in one fixed order, so that a series scores the same bits whatever stands beside it."""
    total = np.zeros(len(losses))
    for step in range(losses.shape[1]):
        total += losses[:, step]
    return total / losses.shape[1] if losses.shape[1] else np.full(len(losses), np.nan)


def _positive(scale: Floats | float) -> Floats:
    """Return the scale with NaN where nothing can be divided by it."""
    return np.where(np.asarray(scale) > 0, scale, np.nan)


def _seasons(season: int | Ints, series: int) -> Ints:
    """Return one season for each series."""
    seasons = np.broadcast_to(np.asarray(season, np.int64), series)
    if (seasons < 1).any():
        raise ValueError(f"a season has at least 1 step, and 1 means none; came {int(seasons.min())}")
    return seasons
