"""Forecasts of a hierarchy that add up: bottom-up and minimum trace, points and quantiles.

Arrays in, arrays out. Which series are forecast, and where variances and residuals come from, belongs to the caller.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

from pulse_assets.forecasting.hierarchy import Hierarchy, refuse, wrong_shape
from pulse_assets.forecasting.sample_paths import ROWS_A_BLOCK, added_up, complete_residuals
from pulse_assets.numerics.quantiles import LEVELS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ranks = npt.NDArray[np.uint16]

FLOOR = 1e-12
"""Least variance as a share of the largest."""
SUM_FLOOR = 1e-10
"""Least variance of a sum as a share of its series' together: less would cost the equations too many digits."""
UNKNOWN = 1e3
"""Variance of a bottom series that has none, as a multiple of the largest."""


@dataclass(frozen=True, eq=False)
class Reconciled:
    """Forecasts that add up, in the order of the hierarchy's names.

    Attributes
    ----------
    mean
        Shape ``(n, H)``; every node is the sum of its bottom series.
    quantiles
        Shape ``(n, H, Q)``, never falling along the levels; None where none were given.
    reasons
        One a node: ``NO_FORECAST``, ``VARIANCE_UNKNOWN`` or ``VARIANCE_FLOORED`` at some horizon, else ``""``.
    """

    mean: Floats
    quantiles: Floats | None
    reasons: tuple[str, ...]


def bottom_up(
    hierarchy: Hierarchy,
    mean: Floats,
    quantiles: Floats | None = None,
    *,
    residuals: Floats | None = None,
    levels: Floats = LEVELS,
    non_negative: bool = False,
    seed: int = 0,
) -> Reconciled:
    """Add up the bottom forecasts; whatever was forecast above the bottom is replaced.

    Quantiles of a sum are read from 2,000 sample paths. Each bottom series draws its own quantile function at evenly
    spaced probabilities, linear in normal scores and so extended beyond the outer levels. The paths are joined in
    the order of the past errors (the Schaake shuffle), or independently where no residuals are given. The bottom's own
    quantiles stay as they are. A path costs 2 bytes a bottom series and 8 a sum.

    Parameters
    ----------
    hierarchy
        Nodes, in whose order all rows come.
    mean
        Shape ``(n, H)``, unit of the series. NaN above the bottom is allowed.
    quantiles
        Shape ``(n, H, Q)``, rising along ``levels``. NaN above the bottom is allowed.
    residuals
        Past errors, shape ``(n, T)``, one column a time. Columns with NaN in a bottom row are left out.
    levels
        Probabilities, shape ``(Q,)``.
    non_negative
        Raise what is below zero to zero at the bottom, and add up then.
    seed
        The same seed gives the same bits.

    Raises
    ------
    ValueError
        Shapes differ, numbers are infinite, quantiles cross, or a bottom series has no forecast.

    References
    ----------
    Clark, Gangopadhyay, Hay, Rajagopalan and Wilby (2004), The Schaake shuffle, J. Hydrometeorology 5, 243–262.
    Ben Taieb, Taylor and Hyndman (2021), Hierarchical probabilistic forecasting of electricity demand with smart meter
    data, JASA 116, 27–43.

    Examples
    --------
    >>> import pyarrow as pa
    >>> pair = Hierarchy.from_groups(pa.table({"unique_id": ["a", "b"]}))
    >>> bottom_up(pair, np.array([[1.0], [2.0], [np.nan]])).mean.ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    _check(hierarchy, mean, quantiles, levels)
    is_bottom = hierarchy.is_bottom
    known = complete_residuals(hierarchy, residuals, is_bottom)
    lowest = 0.0 if non_negative else -np.inf
    point = np.asarray(hierarchy.summing @ np.maximum(mean[is_bottom], lowest))
    reasons = ("",) * len(hierarchy.names)
    if quantiles is None:
        return Reconciled(point, None, reasons)
    made = added_up(hierarchy, point, np.maximum(quantiles, lowest), ~is_bottom, levels, known, seed)
    return Reconciled(point, np.maximum(made, lowest), reasons)


def min_trace(
    hierarchy: Hierarchy,
    mean: Floats,
    quantiles: Floats | None,
    residual_variance: Floats,
    *,
    residuals: Floats | None = None,
    levels: Floats = LEVELS,
    non_negative: bool = False,
    seed: int = 0,
) -> Reconciled:
    """Move all forecasts as little as their error variances ask for until they add up (MinT with diagonal W).

    Means are projected with P = S (S'W⁻¹S)⁻¹ S'W⁻¹. A node's quantiles keep their shape around the new mean; their
    spread is multiplied by the root of (P V P')ᵢᵢ / Vᵢᵢ, where V is the covariance of the residuals, or W where none
    are given: errors are then taken as independent, which makes intervals too narrow where they are not. A node above
    the bottom that lacks quantiles or a say at some horizon gets all of its quantiles from sample paths as in
    :func:`bottom_up`. The smaller of the normal equations, b or n - b on a side, is factored once for all horizons of
    equal variances; its dense inverse, wanted for quantiles without residuals, must fit in memory.

    Parameters
    ----------
    hierarchy, quantiles, levels, non_negative, seed
        As in :func:`bottom_up`.
    mean
        Shape ``(n, H)``, unit of the series. NaN above the bottom gives the node no say at that horizon.
    residual_variance
        Shape ``(n,)``, or ``(n, H)`` where it differs by horizon; unit squared. What is not finite gives a node above
        the bottom no say; a bottom series yields to all others and keeps its spread. What is below 1e-12 of the
        largest, or in a sum below 1e-10 of its series together, is raised to that. Both are said in the reasons.
    residuals
        Past errors, shape ``(n, T)``. Columns with NaN in a row that has a say are left out.

    Raises
    ------
    ValueError
        As in :func:`bottom_up`; or a variance is negative.

    References
    ----------
    Wickramasuriya, Athanasopoulos and Hyndman (2019), Optimal forecast reconciliation for hierarchical and grouped time
    series through trace minimization, JASA 114, 804–819, eq. 9 and 11.

    Examples
    --------
    >>> import pyarrow as pa
    >>> pair = Hierarchy.from_groups(pa.table({"unique_id": ["a", "b"]}))
    >>> made = min_trace(pair, np.array([[1.0], [2.0], [6.0]]), None, np.ones(3))
    >>> made.mean.ravel().round(9).tolist()
    [2.0, 3.0, 5.0]
    """
    _check(hierarchy, mean, quantiles, levels)
    is_bottom = hierarchy.is_bottom
    weights, reasons = _weights(hierarchy, residual_variance, np.isnan(mean))
    known = complete_residuals(hierarchy, residuals, np.any(np.isfinite(weights), axis=1))
    bottom, shrink = mean[is_bottom].astype(np.float64), np.ones(mean.shape)
    for columns, gain in _gains(hierarchy, weights):
        bottom[:, columns] += gain.moves(_misses(hierarchy, mean[:, columns]))
        if quantiles is not None:
            ratio = gain.shrinkage(is_bottom) if known is None else _observed(hierarchy, gain, known)
            shrink[:, columns] = np.sqrt(ratio)[:, None]
    lowest = 0.0 if non_negative else -np.inf
    point = np.asarray(hierarchy.summing @ np.maximum(bottom, lowest))
    if quantiles is None:
        return Reconciled(point, None, reasons)
    shrink[weights >= UNKNOWN] = 1.0
    made = np.maximum(point[..., None] + shrink[..., None] * (quantiles - mean[..., None]), lowest)
    shapeless = np.any(np.isnan(made).any(axis=2) | np.isinf(weights), axis=1)
    made = added_up(hierarchy, point, made, shapeless, levels, known, seed)
    return Reconciled(point, np.maximum(made, lowest), reasons)


class _Gain:
    """What the misses of the sums move the bottom by, for one set of variances.

    With B = W_a^-½ C W_b^½ (a sums over b bottom series), P moves the bottom by W_b^½ (I + B'B)⁻¹ B' W_a^-½ times the
    misses, and (I + B'B)⁻¹ B' = B' (I + BB')⁻¹. An infinite variance makes a row of zeros. Both matrices have
    eigenvalues of at least 1.
    """

    def __init__(self, aggregation: sparse.csr_array, above: Floats, bottom: Floats) -> None:
        self.inner, self.outer = np.sqrt(bottom), 1 / np.sqrt(above)
        self.scaled = sparse.csr_array(aggregation * self.outer[:, None] * self.inner)
        self.from_above = self.scaled.shape[0] <= self.scaled.shape[1]
        gram = self.scaled @ self.scaled.T if self.from_above else self.scaled.T @ self.scaled
        self.side = gram.shape[0]
        self.equations = splu(
            sparse.csc_array(gram + sparse.eye_array(self.side)),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )

    def moves(self, misses: Floats) -> Floats:
        """Return how far the bottom moves, shape ``(b, k)``, for misses of shape ``(a, k)``."""
        scaled = np.where(self.outer[:, None] > 0, misses, 0.0) * self.outer[:, None]
        if self.from_above:
            return np.asarray(self.inner[:, None] * (self.scaled.T @ self.equations.solve(scaled)))
        return np.asarray(self.inner[:, None] * self.equations.solve(self.scaled.T @ scaled))

    def shrinkage(self, is_bottom: Bools) -> Floats:
        """Return (P W P')ᵢᵢ / Wᵢᵢ of every node, shape ``(n,)``, in [0, 1]; 0 where the variance is infinite."""
        inverse = self.equations.solve(np.eye(self.side))
        ratio = np.empty(len(is_bottom))
        if self.from_above:
            ratio[~is_bottom] = 1 - np.diagonal(inverse)
            ratio[is_bottom] = 1 - _diagonal(sparse.csr_array(self.scaled.T), inverse)
        else:
            ratio[~is_bottom] = _diagonal(self.scaled, inverse)
            ratio[is_bottom] = np.diagonal(inverse)
        return np.clip(ratio, 0.0, 1.0)


def _diagonal(left: sparse.csr_array, middle: Floats) -> Floats:
    """Return the diagonal of L M L' in blocks of rows."""
    blocks = (left[low : low + ROWS_A_BLOCK] for low in range(0, left.shape[0], ROWS_A_BLOCK))
    return np.concatenate([block.multiply(block @ middle).sum(axis=1) for block in blocks])


def _gains(hierarchy: Hierarchy, weights: Floats) -> Iterator[tuple[npt.NDArray[np.intp], _Gain]]:
    """Yield the horizons that share their variances, and their gain."""
    kinds, kind = np.unique(weights, axis=1, return_inverse=True)
    for k in range(kinds.shape[1]):
        above, bottom = kinds[~hierarchy.is_bottom, k], kinds[hierarchy.is_bottom, k]
        yield np.flatnonzero(kind == k), _Gain(hierarchy.aggregation, above, bottom)


def _misses(hierarchy: Hierarchy, values: Floats) -> Floats:
    """Return the forecasts above the bottom minus the sums of the bottom's, shape ``(n - b, k)``."""
    return np.asarray(values[~hierarchy.is_bottom] - hierarchy.aggregation @ values[hierarchy.is_bottom])


def _observed(hierarchy: Hierarchy, gain: _Gain, residuals: Floats) -> Floats:
    """Return by what the variance of each node's residuals is multiplied when they are reconciled, shape ``(n,)``."""
    bottom = residuals[hierarchy.is_bottom] + gain.moves(_misses(hierarchy, residuals))
    before, after = residuals.var(axis=1), (hierarchy.summing @ bottom).var(axis=1)
    return np.asarray(np.divide(after, before, out=np.ones(len(before)), where=before > 0))


def _weights(hierarchy: Hierarchy, variance: Floats, missing: Bools) -> tuple[Floats, tuple[str, ...]]:
    """Return variances relative to the largest of each horizon, all of them usable, and the reasons."""
    if variance.shape not in (missing.shape, missing.shape[:1]):
        wrong_shape("residual_variance", f"{missing.shape[:1]} or {missing.shape}", variance.shape)
    refuse(_names(hierarchy, variance < 0), "variances must not be negative", "pass mean squared errors")
    given = np.broadcast_to(variance if variance.ndim == 2 else variance[:, None], missing.shape)
    unknown = ~np.isfinite(given)
    known = np.where(unknown, 0.0, given)
    largest = known.max(axis=0)
    shares = np.where(largest > 0, known / np.where(largest > 0, largest, 1.0), 1.0)
    replacement = np.where(hierarchy.is_bottom, UNKNOWN, np.inf)[:, None]
    weights = np.where(unknown | missing, replacement, np.maximum(shares, FLOOR))
    least = np.zeros(weights.shape)
    least[~hierarchy.is_bottom] = SUM_FLOOR * (hierarchy.aggregation @ weights[hierarchy.is_bottom])
    low = ~unknown & ((shares < FLOOR) | (largest <= 0) | (weights < least))
    weights = np.maximum(weights, least)
    reasons = np.select(
        [missing.any(axis=1), unknown.any(axis=1), low.any(axis=1)],
        ["NO_FORECAST", "VARIANCE_UNKNOWN", "VARIANCE_FLOORED"],
        "",
    )
    return weights, tuple(reasons.tolist())


def _check(hierarchy: Hierarchy, mean: Floats, quantiles: Floats | None, levels: Floats) -> None:
    """Refuse arrays that do not fit the hierarchy, or say nothing about a bottom series."""
    nodes = len(hierarchy.names)
    if mean.ndim != 2 or len(mean) != nodes:
        wrong_shape("mean", f"({nodes}, H)", mean.shape)
    if len(levels) < 2 or not (np.diff(levels, prepend=0, append=1) > 0).all():
        raise ValueError(f"levels must be two or more that rise within (0, 1); came {levels.tolist()}")
    if quantiles is None:
        quantiles = np.empty((*mean.shape, 0))
    elif quantiles.shape != (*mean.shape, len(levels)):
        wrong_shape("quantiles", f"{(*mean.shape, len(levels))}", quantiles.shape)
    empty = np.isnan(mean) | np.isnan(quantiles).any(axis=2)
    infinite = np.isinf(mean) | np.isinf(quantiles).any(axis=2)
    crossing = np.any(np.diff(quantiles, axis=2) < 0, axis=2)
    silent = empty & hierarchy.is_bottom[:, None]
    refuse(_names(hierarchy, infinite), "forecasts must be finite, or NaN above the bottom", "leave the series out")
    refuse(_names(hierarchy, silent), "every bottom series needs a forecast", "forecast these, or leave them out")
    refuse(_names(hierarchy, crossing), "quantiles must not fall along the levels", "sort them first")


def _names(hierarchy: Hierarchy, rows: Bools) -> list[str]:
    """Return the names of the nodes marked at any horizon."""
    marked = rows.reshape(len(hierarchy.names), -1).any(axis=1)
    return [hierarchy.names[row] for row in np.flatnonzero(marked)]
