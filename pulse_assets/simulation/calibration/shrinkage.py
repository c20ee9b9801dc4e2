"""Correlations estimated from residuals that may be missing, shrunk as far as their noise asks for.

What belongs here: estimation on arrays. Which residuals are correlated is decided in ``calibration``; matrices are
repaired and factored in ``correlation``.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.calibration.correlation import nearest_correlation
from pulse_assets.simulation.world import Floats

FEWEST_COMMON = 20
"""Rows that two series must have in common; with fewer their correlation counts as 0."""


class Moments(NamedTuple):
    """Pairwise moments of V series with unit variance.

    Attributes
    ----------
    correlation
        Shape ``(V, V)``; 0 where fewer than :data:`FEWEST_COMMON` rows are in common.
    noise
        Sampling variance of each product moment, shape ``(V, V)``.
    rows
        Rows in common, shape ``(V, V)``.
    """

    correlation: Floats
    noise: Floats
    rows: Floats


def standardised(values: Floats) -> Floats:
    """Return columns less their mean over their deviation, each on the rows it has; shape ``(T, V)``.

    NaN stays NaN; a column that does not move or is empty becomes NaN.
    """
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, values, 0.0) - np.where(known, values, 0.0).sum(axis=0) / count * known
    deviation = np.sqrt((centred**2).sum(axis=0) / count)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known & (deviation > 0), centred / deviation, np.nan)


def pairwise_moments(values: Floats) -> Moments:
    """Return correlations of every two series on the rows that both have, and how uncertain they are.

    Parameters
    ----------
    values
        Standardised series, shape ``(T, V)``; NaN where there is none.
    """
    known = np.isfinite(values)
    filled, mask = np.where(known, values, 0.0), known.astype(np.float64)
    squares = filled**2
    count = mask.T @ mask
    rows = np.maximum(count, 1.0)
    product = filled.T @ filled / rows
    scale = np.sqrt(squares.T @ mask / rows)
    noise = np.maximum(squares.T @ squares / rows - product**2, 0) / rows
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = product / (scale * scale.T)
    correlation = np.where((count >= FEWEST_COMMON) & np.isfinite(correlation), correlation, 0.0)
    correlation = np.clip((correlation + correlation.T) / 2, -1, 1)
    np.fill_diagonal(correlation, 1.0)
    return Moments(correlation, noise, count)


def shrinkage_of(moments: Moments, chosen: npt.NDArray[np.bool_] | None = None) -> float:
    """Return the share of the identity that minimises the expected squared error, from 0 to 1.

    With complete rows this is the estimator of Ledoit and Wolf for standardised series.

    Parameters
    ----------
    moments
        Of V series.
    chosen
        Pairs to judge by, symmetric, shape ``(V, V)``; all by default. Pairs with too few rows do not count.

    References
    ----------
    Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices, lemmas 3.2 to 3.4.
    """
    use = (moments.rows >= FEWEST_COMMON) & (True if chosen is None else chosen)
    distance = float(((moments.correlation - np.eye(len(use))) ** 2)[use].sum())
    noise = float(moments.noise[use].sum())
    return 1.0 if distance <= noise else noise / distance


def shrunk_correlation(values: Floats) -> Floats:
    """Return the correlation of T rows of V series, shrunk towards the identity and repaired where need be.

    Parameters
    ----------
    values
        Shape ``(T, V)``, any unit; NaN where a series has no value: pairs then use the rows they have in common, and
        those with fewer than 20 have correlation 0.

    Returns
    -------
    array
        Positive definite with unit diagonal, shape ``(V, V)``.

    Raises
    ------
    ValueError
        A series has no two different values.

    Examples
    --------
    >>> common = np.random.default_rng(1).normal(size=(500, 1))
    >>> noise = np.random.default_rng(2).normal(size=(500, 3))
    >>> bool(np.abs(shrunk_correlation(common + noise)[0, 1] - 0.5) < 0.1)
    True
    """
    scaled = standardised(np.asarray(values, np.float64))
    silent = np.flatnonzero(~np.isfinite(scaled).any(axis=0))
    if len(silent):
        raise ValueError(f"expected series that move, column {silent[0]} has no two different values: leave it out")
    moments = pairwise_moments(scaled)
    share = shrinkage_of(moments)
    return nearest_correlation((1 - share) * moments.correlation + share * np.eye(scaled.shape[1]))
