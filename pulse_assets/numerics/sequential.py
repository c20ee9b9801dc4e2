"""Bounds of a mean that may be looked at after every value, and tests of many series' losses pooled by origin.

Tests that are looked at once live in :mod:`pulse_assets.numerics.comparison`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pulse_assets.numerics.comparison import UNKNOWN, Significance, diebold_mariano

Floats = npt.NDArray[np.float64]

LEVEL = 0.05
RHO_SQUARED = 1 / 60
"""Spread of the mixture: bounds are tightest, for their level, after some hundred values."""
STRONGEST = 0.9
"""Autocorrelation beyond which none is believed."""


class Bounds(NamedTuple):
    """Bounds of a mean after each value, in the unit of the values; each holds at all times with its own level."""

    lower: Floats
    upper: Floats


def confidence_sequence(
    values: Floats, level: float = LEVEL, rho_squared: float = RHO_SQUARED, *, linked: bool = False
) -> Bounds:
    """Return bounds of the mean after every value, valid at all of them at once.

    The true mean is ever below the lower bound with a probability of about ``level``, however long one goes on looking,
    and likewise above the upper one. That rests on a central limit theorem, so the first few bounds are not to be acted
    on, and on values whose mean does not follow from the values before.

    Parameters
    ----------
    values
        Shape ``(..., n)``, in order of time. From the first NaN or infinity on, bounds are NaN.
    level
        Probability with which a bound may fail, in (0, 1).
    rho_squared
        Spread of the mixing normal, above 0.
    linked
        Whether a value may follow from the one before: the variance is then that of a mean of values with their
        autocorrelation at one step, as far as that is more than one standard error above 0. In 180 looks at the 5 %
        level, autocorrelations of 0, .3 and .5 crossed by chance in 1, 4 and 5 of 100 cases, unlinked in 1, 8 and 17
        (2026-11).

    Returns
    -------
    Bounds
        Each of shape ``(..., n)``. Minus and plus infinity while fewer than two values came or none differed from the
        first: nothing is known of chance then. A bound depends on values up to its own only.

    Raises
    ------
    ValueError
        The level or the spread is out of range.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Time-uniform central limit theory and asymptotic confidence
    sequences, the one-sided form of theorem 2.2; the mixture goes back to Robbins (1970). Linked: the variance of an
    autoregression of order 1, as in Andrews (1991), Heteroskedasticity and autocorrelation consistent covariance matrix
    estimation, section 6.

    Examples
    --------
    >>> bounds = confidence_sequence(np.array([1.0, 2.0, 1.5, 1.0, 2.0]))
    >>> bounds.lower.round(3).tolist(), bounds.upper.round(3).tolist()
    ([-inf, -4.615, -1.41, -0.735, -0.279], [inf, 7.615, 4.41, 3.485, 3.279])
    """
    if not 0 < level < 1 or not rho_squared > 0:
        raise ValueError(f"expected a level in (0, 1) and a spread above 0; came {level} and {rho_squared}")
    number = np.arange(1, values.shape[-1] + 1, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        shifted = values - values[..., :1]  # equal values have a variance of exactly 0, large ones lose no digits
        mean = np.cumsum(shifted, axis=-1) / number
        mean[~np.isfinite(mean)] = np.nan
        squares = np.cumsum(shifted**2, axis=-1) - number * mean**2
        variance = squares / (number - 1) * (_inflation(shifted, mean, squares, number) if linked else 1.0)
        widening = number * rho_squared + 1
        factor = 2 * widening / (number**2 * rho_squared) * np.log1p(np.sqrt(widening) / (2 * level))
        radius = np.sqrt(np.maximum(variance, 0) * factor)
        radius = np.where((variance > 0) | np.isnan(mean), radius, np.inf)
        centre = values[..., :1] + mean
        return Bounds(centre - radius, centre + radius)


def _inflation(shifted: Floats, mean: Floats, squares: Floats, number: Floats) -> Floats:
    """Return by how much autocorrelation raises the variance of the mean, after each value; values start from 0."""
    products = np.zeros_like(shifted)
    products[..., 1:] = shifted[..., 1:] * shifted[..., :-1]
    covariance = np.cumsum(products, axis=-1) - mean * (2 * number * mean - shifted) + (number - 1) * mean**2
    beyond_chance = np.nan_to_num(covariance / squares, nan=0.0) - 1 / np.sqrt(number)
    correlation = np.clip(beyond_chance, 0.0, STRONGEST)
    return np.asarray((1 + correlation) / (1 - correlation))


def pooled_diebold_mariano(loss_a: Floats, loss_b: Floats, h: int = 1) -> Significance:
    """Test whether two models' h-step forecasts of many series lose equally on average.

    Series share their shocks, so their differences are averaged by origin first, and the test is one in time: a hundred
    series that move together count as one.

    Parameters
    ----------
    loss_a, loss_b
        Shape ``(origins, series)``, in a unit that series share, such as the error of naive; in order of time. NaN
        where a series has no truth. An origin at which none has one is left out where ``h`` is 1; for longer horizons,
        where leaving it out would change what overlaps, it gives NaN.
    h
        Horizon in steps between origins. Its size holds for one step; at 7 steps a nominal 5 % is 10 % with 60 origins,
        and 100 origins a week of horizon are needed for it to hold.

    Returns
    -------
    Significance
        Below 0 where ``loss_a`` is the smaller, and two-sided; NaN as for
        :func:`~pulse_assets.numerics.comparison.diebold_mariano`.

    Raises
    ------
    ValueError
        The losses differ in shape or are not 2-d, or h is below 1.

    Examples
    --------
    >>> losses = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 4.0]])
    >>> statistic, _ = pooled_diebold_mariano(losses, losses + np.array([[1.0], [2.0], [3.0]]))
    >>> round(statistic, 6)
    -3.464102
    """
    if loss_a.shape != loss_b.shape or loss_a.ndim != 2:
        raise ValueError(f"expected losses of one shape (origins, series); came {loss_a.shape} and {loss_b.shape}")
    difference = loss_a - loss_b
    told = np.isfinite(difference)
    counts = told.sum(axis=1)
    if h == 1:
        difference, told, counts = (part[counts > 0] for part in (difference, told, counts))
    if not counts.all():
        return UNKNOWN
    pooled = np.where(told, difference, 0.0).sum(axis=1) / np.maximum(counts, 1)
    return diebold_mariano(pooled, np.zeros(len(pooled)), h)
