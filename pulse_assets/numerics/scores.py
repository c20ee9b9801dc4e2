"""Proper scores of quantile forecasts. Shapes: n forecasts × 23 levels against n truths."""

import numpy as np
import numpy.typing as npt

from pulse_assets.numerics.quantiles import LEVELS, QUANTILE_COLUMNS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def pinball(quantiles: Floats, y: Floats, levels: Floats = LEVELS) -> Floats:
    """Return the pinball loss of each quantile.

    Parameters
    ----------
    quantiles
        Shape ``(n, k)``, unit of ``y``.
    y
        Truth, shape ``(n,)``. NaN anywhere gives NaN in that row.
    levels
        Shape ``(k,)``, probabilities.

    Returns
    -------
    array
        Shape ``(n, k)``, unit of ``y``, at least 0.

    Examples
    --------
    >>> pinball(np.array([[10.0]]), np.array([12.0]), np.array([0.9])).item()
    1.8
    """
    miss = y[:, None] - quantiles
    return np.asarray(np.maximum(levels * miss, (levels - 1) * miss))


def weighted_interval_score(quantiles: Floats, y: Floats) -> Floats:
    """Return the weighted interval score of the 23 levels, which is twice their mean pinball loss.

    It approximates the continuous ranked probability score from quantiles; NaN in a row gives NaN.

    Parameters
    ----------
    quantiles
        Shape ``(n, 23)``.
    y
        Shape ``(n,)``.

    References
    ----------
    Bracher, Ray, Gneiting and Reich (2021), Evaluating epidemic forecasts in an interval format, eq. 2.
    """
    return _summed(pinball(quantiles, y)) * (2 / len(LEVELS))


def crps_from_quantiles(quantiles: Floats, y: Floats) -> Floats:
    """Return the CRPS by integrating twice the pinball loss over the levels (trapezoid, flat beyond the ends).

    Unlike the WIS this weights the unevenly spaced outer levels by their distance. Shapes as above.

    References
    ----------
    Laio and Tamea (2007), Verification tools for probabilistic forecasts, eq. 7.
    """
    edges = np.concatenate(([0.0], (LEVELS[1:] + LEVELS[:-1]) / 2, [1.0]))
    return 2 * _summed(pinball(quantiles, y) * np.diff(edges))


def _summed(losses: Floats) -> Floats:
    """Sum over levels in one fixed order: BLAS and ``mean`` round a row differently by its place among the others."""
    total = np.zeros(len(losses))
    for level in range(losses.shape[1]):
        total += losses[:, level]
    return total


def covered(quantiles: Floats, y: Floats, nominal: float) -> Bools:
    """Return whether the truth lies in the central interval of a nominal coverage, ends included.

    Parameters
    ----------
    nominal
        0.5, 0.8, 0.9, 0.95 or 0.98, whichever has both ends among the levels.

    Raises
    ------
    ValueError
        The levels hold no such interval.
    """
    low, high = (1 - nominal) / 2, (1 + nominal) / 2
    ends = [np.flatnonzero(np.isclose(LEVELS, level)) for level in (low, high)]
    if not all(len(end) for end in ends):
        raise ValueError(f"no central {nominal:.0%} interval among the levels {LEVELS.tolist()}")
    return np.asarray((quantiles[:, ends[0][0]] <= y) & (y <= quantiles[:, ends[1][0]]))


def probability_integral_transform(quantiles: Floats, y: Floats) -> Floats:
    """Return the forecast probability below the truth, interpolated between levels, 0 or 1 beyond the outer ones.

    Ties between quantiles give the middle of the tied levels; NaN in a row gives NaN. Shapes as above.
    """
    below = (quantiles < y[:, None]).sum(axis=1)
    not_above = (quantiles <= y[:, None]).sum(axis=1)
    inside = (below > 0) & (below < quantiles.shape[1])
    rows, right = np.flatnonzero(inside), below[inside]
    low, high = quantiles[rows, right - 1], quantiles[rows, right]
    share = (y[rows] - low) / (high - low)
    pit = np.where(below == 0, 0.0, 1.0)
    pit[rows] = LEVELS[right - 1] + share * (LEVELS[right] - LEVELS[right - 1])
    tied = not_above > below
    middle = (LEVELS[np.minimum(below, len(LEVELS) - 1)] + LEVELS[np.maximum(not_above - 1, 0)]) / 2
    unknown = np.isnan(y) | np.isnan(quantiles).any(axis=1)
    return np.where(unknown, np.nan, np.where(tied, middle, pit))


assert len(QUANTILE_COLUMNS) == len(LEVELS)
