"""From center, spread and shape to quantiles on the scale of the series. Pure.

Quantiles rise by construction; a series that was never negative has no negative quantile.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.forecasting.kinds import BOUNDED, EXPONENTIAL, SAME
from pulse_assets.numerics.quantiles import LEVELS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MASS: Floats = np.diff(np.concatenate(([0.0], (LEVELS[1:] + LEVELS[:-1]) / 2, [1.0])))
"""Probability that each of the 23 quantiles stands for."""
QUANTILES = len(LEVELS)
SMALL = 4.0
"""Exponents up to this size are taken by a polynomial, which can be vectorised, beyond by the library."""


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _small_exponentials(x: Floats) -> None:
    """Replace numbers within ±4 by their exponentials: the Taylor series of x/16, squared four times.

    The remainder of the series is below 1e-18, squaring leaves a relative error below 2e-15.
    """
    for k in range(len(x)):
        u = x[k] / 16.0
        e = 1.0 + u / 12.0
        for n in range(11, 0, -1):
            e = 1.0 + u / n * e
        e *= e
        e *= e
        e *= e
        x[k] = e * e


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _to_series(center: float, away: Floats, scale: int) -> None:
    """Replace distances from the center by values on the scale of the series."""
    if scale == EXPONENTIAL:
        if max(abs(away[0]), abs(away[-1])) <= SMALL:
            middle = np.exp(center)
            _small_exponentials(away)
            for k in range(len(away)):
                away[k] *= middle
        else:
            for k in range(len(away)):
                away[k] = np.exp(center + away[k])
        return
    for k in range(len(away)):
        away[k] += center
    if scale == BOUNDED:
        for k in range(len(away)):
            away[k] = np.tanh(away[k] / 2.0)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fill_quantiles(
    center: Floats,
    sigma: Floats,
    lowest: Floats,
    shapes: Floats,
    shape_of: Ints,
    scale_of: Ints,
    said: Ints,
    target: Ints,
    mean: Floats,
    quantiles: Floats,
) -> None:
    """Fill rows of quantiles and their mean.

    Parameters
    ----------
    center, sigma
        Shape ``(P, H)``, on the scale of the walk.
    lowest
        Lowest value seen by then on that scale, shape ``(P,)``.
    shapes
        Quantiles of standardised errors of each model, shape ``(R, H, 23)``, rising.
    shape_of, scale_of
        Model and scale of each of N forecasts, shape ``(N,)``.
    said
        Which of the P origins each forecast was said at, shape ``(N,)``.
    target
        First row of each forecast, shape ``(N,)``; its H rows follow one another.
    mean, quantiles
        Filled, shapes ``(M,)`` and ``(23, M)``; the mean weights each quantile by the probability it stands for.
    """
    away = np.empty(QUANTILES)
    for n in range(len(said)):
        p, scale = said[n], scale_of[n]
        floor = 0.0 if scale == SAME and lowest[p] >= 0.0 else -np.inf
        for h in range(center.shape[1]):
            for k in range(QUANTILES):
                away[k] = sigma[p, h] * shapes[shape_of[n], h, k]
            _to_series(center[p, h], away, scale)
            row, total, before = target[n] + h, 0.0, floor
            for k in range(QUANTILES):
                if not away[k] <= before:  # NaN passes, so that the row is known to be unsound
                    before = away[k]
                total += MASS[k] * before
                quantiles[k, row] = before
            mean[row] = total
