"""A quantile forecast seen as a map between standard normal scores and values, and that map in both directions.

The 23 quantiles are knots at their normal scores, joined by straight lines; beyond the outer ones the lines go on. So
every truth gets one number without a unit, however far out it lies, and a shift of that number moves any quantile.
"""

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.special import ndtri

from pulse_assets.numerics.quantiles import LEVELS

Floats = npt.NDArray[np.float64]

KNOTS: Floats = np.asarray(ndtri(LEVELS), np.float64)
"""Normal scores of the 23 levels, from -2.33 to 2.33."""
LARGEST = 100.0
"""Scores beyond this are clipped: a truth that far out says that the forecast is worthless, not how worthless."""


def normal_scores(quantiles: Floats, y: Floats) -> Floats:
    """Return where truths would lie if their forecasts were standard normal.

    Parameters
    ----------
    quantiles
        Shape ``(n, 23)``, never falling in a row.
    y
        Truth, shape ``(n,)``, unit of ``quantiles``.

    Returns
    -------
    array
        Shape ``(n,)``, in [-100, 100]. A truth that ties with several quantiles gets the middle of their scores. Of a
        forecast whose quantiles are all equal: 0 where the truth is that value, else ±100. NaN or infinity in a
        forecast, or NaN in the truth, gives NaN.

    Examples
    --------
    >>> normal_scores(10 + 2 * KNOTS[None, :], np.array([16.0])).round(9).tolist()
    [3.0]
    """
    if quantiles.ndim != 2 or quantiles.shape[1] != len(KNOTS) or y.shape != (len(quantiles),):
        raise ValueError(f"expected quantiles (n, {len(KNOTS)}) and truths (n,); came {quantiles.shape} and {y.shape}")
    return np.asarray(_scores(np.ascontiguousarray(quantiles, np.float64), np.ascontiguousarray(y, np.float64)))


def values_at(quantiles: Floats, scores: Floats) -> Floats:
    """Return the values of forecasts at normal scores: the inverse of :func:`normal_scores`.

    Parameters
    ----------
    quantiles
        Shape ``(n, 23)``, never falling in a row.
    scores
        Shape ``(n, k)``, in standard deviations.

    Returns
    -------
    array
        Shape ``(n, k)``, unit of ``quantiles``; never falls where ``scores`` do not. NaN gives NaN.

    Examples
    --------
    >>> values_at(10 + 2 * KNOTS[None, :], np.array([[0.0, 3.0]])).round(9).tolist()
    [[10.0, 16.0]]
    """
    if quantiles.ndim != 2 or quantiles.shape[1] != len(KNOTS) or scores.ndim != 2 or len(scores) != len(quantiles):
        raise ValueError(
            f"expected quantiles (n, {len(KNOTS)}) and scores (n, k); came {quantiles.shape} and {scores.shape}"
        )
    return np.asarray(_values(np.ascontiguousarray(quantiles, np.float64), np.ascontiguousarray(scores, np.float64)))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _tail_slope(row: Floats, edge: int, inner: int) -> float:
    """Return what one standard deviation is worth beyond an outer quantile: by the outer piece, else by the whole."""
    slope = (row[edge] - row[inner]) / (KNOTS[edge] - KNOTS[inner])
    return slope if slope > 0.0 else (row[-1] - row[0]) / (KNOTS[-1] - KNOTS[0])  # type: ignore[no-any-return]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _score(row: Floats, y: float) -> float:
    last = len(row) - 1
    below = np.searchsorted(row, y)
    if below <= last and row[below] == y:
        above = below
        while above < last and row[above + 1] == y:
            above += 1
        return 0.0 if above - below == last else 0.5 * (KNOTS[below] + KNOTS[above])
    if below == 0:
        slope = _tail_slope(row, 0, 2)
        return max(KNOTS[0] + (y - row[0]) / slope, -LARGEST) if slope > 0.0 else -LARGEST
    if below > last:
        slope = _tail_slope(row, last, last - 2)
        return min(KNOTS[last] + (y - row[last]) / slope, LARGEST) if slope > 0.0 else LARGEST
    share = (y - row[below - 1]) / (row[below] - row[below - 1])
    return KNOTS[below - 1] + share * (KNOTS[below] - KNOTS[below - 1])  # type: ignore[no-any-return]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _scores(quantiles: Floats, y: Floats) -> Floats:
    found = np.full(len(y), np.nan)
    for row in range(len(y)):
        if not np.isnan(y[row]) and np.isfinite(quantiles[row]).all():
            found[row] = _score(quantiles[row], y[row])
    return found


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _values(quantiles: Floats, scores: Floats) -> Floats:
    found = np.full(scores.shape, np.nan)
    last = quantiles.shape[1] - 1
    for row in range(len(scores)):
        line = quantiles[row]
        if not np.isfinite(line).all():
            continue
        for place in range(scores.shape[1]):
            z = scores[row, place]
            if np.isnan(z):
                continue
            right = np.searchsorted(KNOTS, z)
            if right == 0:
                found[row, place] = line[0] + (z - KNOTS[0]) * _tail_slope(line, 0, 2)
            elif right > last:
                found[row, place] = line[last] + (z - KNOTS[last]) * _tail_slope(line, last, last - 2)
            else:
                share = (z - KNOTS[right - 1]) / (KNOTS[right] - KNOTS[right - 1])
                found[row, place] = line[right - 1] + share * (line[right] - line[right - 1])
    return found
