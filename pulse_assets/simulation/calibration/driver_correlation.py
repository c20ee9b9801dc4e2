"""Correlation of all drivers of a world, of series that have values every day and of those that have one a month.

What belongs here: putting residuals on common days. Moments and shrinkage are in ``shrinkage``.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.calibration.correlation import nearest_correlation
from pulse_assets.simulation.calibration.known_series import Days
from pulse_assets.simulation.calibration.shrinkage import pairwise_moments, shrinkage_of, standardised
from pulse_assets.simulation.world import Floats

DAILY = 1.5
"""Steps between values up to which a series counts as daily."""
LEAST_SHARE = 0.5
"""Of an interval's usual days on which a daily series needs residuals, or its sum there counts as missing."""
Residuals = tuple[Days, Floats]


def driver_correlation(residuals: Sequence[Residuals], steps: Sequence[float]) -> Floats:
    """Return the correlation of V drivers from their standardised residuals on their own days.

    Daily series are paired on common days. A coarser one is paired with sums of daily residuals from the day of its
    value up to the next: monthly values carry the first day of the month that they are an average of. Daily pairs and
    pairs with a coarse series are shrunk apart, since the latter have fewer rows; then the whole is repaired.

    Parameters
    ----------
    residuals
        Days and residuals of each driver, shape ``(V,)``.
    steps
        Steps of the world between two of its values, shape ``(V,)``.

    Returns
    -------
    array
        Shape ``(V, V)``.
    """
    is_coarse = np.array([each > DAILY for each in steps], bool)
    daily, coarse = np.flatnonzero(~is_coarse).tolist(), np.flatnonzero(is_coarse).tolist()
    matrix = np.eye(len(residuals))
    days, fine = on_common_days([residuals[place] for place in daily])
    if len(daily):
        matrix[np.ix_(daily, daily)] = _shrunk(fine, np.ones((len(daily), len(daily)), bool))
    if len(coarse):
        coarse_days, values = on_common_days([residuals[place] for place in coarse])
        both = np.hstack([_sums(days, fine, coarse_days), values])
        order = np.array([*daily, *coarse])
        has_coarse = is_coarse[order][:, None] | is_coarse[order][None, :]
        found = _shrunk(both, has_coarse)
        grid = np.ix_(order, order)
        matrix[grid] = np.where(has_coarse, found, matrix[grid])
    return nearest_correlation(matrix)


def on_common_days(series: Sequence[Residuals]) -> tuple[Days, Floats]:
    """Return the union of days and a column for each series, NaN where it has no value, shape ``(T, V)``."""
    if not series:
        return np.empty(0, "datetime64[D]"), np.empty((0, 0))
    days = np.unique(np.concatenate([each[0] for each in series]))
    table = np.full((len(days), len(series)), np.nan)
    for column, (own, values) in enumerate(series):
        table[np.searchsorted(days, own), column] = values
    return days, table


def _sums(days: Days, fine: Floats, starts: Days) -> Floats:
    """Return sums of daily residuals from each start up to the next, over the root of their number, shape ``(T, D)``.

    The last interval is as long as the one before.
    """
    if len(starts) < 2 or not fine.shape[1]:
        return np.full((len(starts), fine.shape[1]), np.nan)
    ends = np.append(starts[1:], starts[-1] + (starts[-1] - starts[-2]))
    low, high = np.searchsorted(days, starts), np.searchsorted(days, ends)
    known = np.isfinite(fine)
    zero = np.zeros((1, fine.shape[1]))
    total = np.vstack([zero, np.cumsum(np.where(known, fine, 0.0), axis=0)])
    count = np.vstack([zero, np.cumsum(known, axis=0)])
    rows, sums = count[high] - count[low], total[high] - total[low]
    usual = np.array([np.median(column[column > 0]) if (column > 0).any() else 1.0 for column in rows.T])
    return np.where(rows >= LEAST_SHARE * usual, sums / np.sqrt(np.maximum(rows, 1)), np.nan)


def _shrunk(values: Floats, chosen: npt.NDArray[np.bool_]) -> Floats:
    moments = pairwise_moments(standardised(values))
    share = shrinkage_of(moments, chosen)
    return np.asarray((1 - share) * moments.correlation + share * np.eye(len(chosen)))
