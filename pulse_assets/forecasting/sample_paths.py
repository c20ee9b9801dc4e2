"""Quantiles of sums from sample paths: series drawn together as their residuals moved (Schaake shuffle). Pure."""

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import ndtri

from pulse_assets.forecasting.hierarchy import Hierarchy, wrong_shape

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ranks = npt.NDArray[np.uint16]


PATHS = 2000
"""Sample paths of a bottom-up quantile: the 1 % quantile of a sum is then read from 20 of them."""


MIN_RESIDUALS = 20
"""Columns without NaN that a residual matrix needs before it tells a dependence."""


ROWS_A_BLOCK = 1024


def added_up(
    hierarchy: Hierarchy,
    point: Floats,
    quantiles: Floats,
    rows: Bools,
    levels: Floats,
    residuals: Floats | None,
    seed: int,
) -> Floats:
    """Return the quantiles, those of some rows above the bottom made anew from sample paths of the bottom."""
    if not rows.any():
        return quantiles
    is_bottom = hierarchy.is_bottom
    spreads = quantiles[is_bottom] - point[is_bottom][..., None]
    ranks = _ranks(len(spreads), None if residuals is None else residuals[is_bottom], seed)
    draw = _drawing(levels)
    sums = sparse.csc_array(hierarchy.summing[rows])
    made = quantiles.copy()
    for h in range(point.shape[1]):
        paths = np.zeros((sums.shape[0], PATHS))
        for low in range(0, len(spreads), ROWS_A_BLOCK):
            block = slice(low, low + ROWS_A_BLOCK)
            paths += sums[:, block] @ np.take_along_axis(spreads[block, h] @ draw, ranks[block].astype(np.intp), axis=1)
        spread = np.quantile(paths, levels, axis=1, method="hazen").T
        made[rows, h] = point[rows, h, None] + np.maximum.accumulate(spread, axis=1)
    return made


def _drawing(levels: Floats) -> Floats:
    """Return the matrix that takes quantiles to values at evenly spaced probabilities, shape ``(Q, PATHS)``."""
    given, asked = ndtri(levels), ndtri((np.arange(PATHS) + 0.5) / PATHS)
    right = np.clip(np.searchsorted(given, asked), 1, len(given) - 1)
    share = (asked - given[right - 1]) / (given[right] - given[right - 1])
    matrix = np.zeros((len(given), PATHS))
    matrix[right - 1, np.arange(PATHS)] = 1 - share
    matrix[right, np.arange(PATHS)] = share
    return matrix


def _ranks(count: int, residuals: Floats | None, seed: int) -> Ranks:
    """Return each path's rank among the values of a bottom series, shape ``(b, PATHS)``; chance breaks ties."""
    random = np.random.Generator(np.random.Philox(seed))
    ranks = np.empty((count, PATHS), np.uint16)
    for low in range(0, count, ROWS_A_BLOCK):
        some = ranks[low : low + ROWS_A_BLOCK]
        chance = random.random(some.shape)
        errors = np.zeros(some.shape)
        if residuals is not None:
            times = np.arange(PATHS) * residuals.shape[1] // PATHS
            errors = residuals[low : low + ROWS_A_BLOCK, times]
        order = np.lexsort((chance, errors), axis=1)
        np.put_along_axis(some, order, np.arange(PATHS, dtype=np.uint16)[None], axis=1)
    return ranks


def complete_residuals(hierarchy: Hierarchy, residuals: Floats | None, needed: Bools) -> Floats | None:
    """Return the columns of the residuals that are finite in the rows needed, zeros in the others."""
    if residuals is None:
        return None
    if residuals.ndim != 2 or len(residuals) != len(hierarchy.names):
        wrong_shape("residuals", f"({len(hierarchy.names)}, T)", residuals.shape)
    whole = np.where(needed[:, None], residuals, 0.0)
    whole = whole[:, np.isfinite(whole).all(axis=0)]
    if whole.shape[1] < MIN_RESIDUALS:
        raise ValueError(
            f"expected at least {MIN_RESIDUALS} columns of residuals that are finite in all {needed.sum()} rows with a "
            f"say, came {whole.shape[1]} of {residuals.shape[1]}: pass more history, or no residuals"
        )
    return whole
