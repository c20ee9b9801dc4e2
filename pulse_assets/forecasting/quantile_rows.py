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
        Quantiles of standardised errors of each model, shape ``(R, H, 23)``.
    shape_of, scale_of
        Model and scale of each of N forecasts, shape ``(N,)``.
    said
        Which of the P origins each forecast was said at, shape ``(N,)``.
    target
        First row of each forecast, shape ``(N,)``; its H rows follow one another.
    mean, quantiles
        Filled, shapes ``(M,)`` and ``(M, 23)``; the mean weights each quantile by the probability it stands for.
    """
    for n in range(len(said)):
        p, scale = said[n], scale_of[n]
        floor = 0.0 if scale == SAME and lowest[p] >= 0.0 else -np.inf
        for h in range(center.shape[1]):
            row, total, before = target[n] + h, 0.0, -np.inf
            for k in range(shapes.shape[2]):
                value = center[p, h] + sigma[p, h] * shapes[shape_of[n], h, k]
                if scale == EXPONENTIAL:
                    value = np.exp(value)
                elif scale == BOUNDED:
                    value = np.tanh(value / 2.0)
                before = max(value, before, floor)
                quantiles[row, k] = before
                total += MASS[k] * before
            mean[row] = total
