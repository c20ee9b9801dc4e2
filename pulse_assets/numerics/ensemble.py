"""Proper scores of ensembles, which are equally likely members, against what happened; lower is better.

What belongs here: CRPS, energy and variogram score of n forecasts of m members, in one variable or in d at once. Scores
of quantiles are in ``scores``, whether probabilities come true as often as they say is in ``reliability``.

*Fair* scores correct for having m members rather than the distribution they were drawn from: their mean does not depend
on m, so ensembles of different sizes may be compared. Fair and other scores must not be mixed.
"""

import numpy as np
from numba import njit

from pulse_assets.numerics.distances import Floats, Members, distances_within

LANES = 256
"""Running sums of a row, added pairwise at the end: fast, and the same bits on any machine."""
LARGE = 4096
"""Members from which sorting costs more than rounding misses to single precision, of which little is left in a mean."""
SORTED_AT_ONCE = 2**16
"""Members copied and sorted at a time, few enough to stay in cache."""


def crps_ensemble(members: Members, y: Members, *, fair: bool = True) -> Floats:
    """Return the continuous ranked probability score: mean distance to the truth less half that between members.

    Parameters
    ----------
    members
        Shape ``(n, m)``, in any order, float32 or float64. Sums are float64 for both; of 4,096 float64 members or more,
        misses count in single precision, which changes a score by less than 1e-7 of the mean miss.
    y
        Truth, shape ``(n,)``, unit of ``members``. NaN or infinity in a row gives NaN in that row.
    fair
        Divide the distances between members by ``m (m - 1)``, which may give scores below 0, instead of ``m²``.

    Returns
    -------
    array
        Shape ``(n,)``, unit of ``y``.

    Raises
    ------
    ValueError
        The shapes do not match, or there are fewer members than 1, or 2 for a fair score.

    References
    ----------
    Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation, eq. 21. Fair: Ferro (2014),
    Fair scores for ensemble forecasts, section 3. From sorted members: Zamo and Naveau (2018), Estimation of the
    continuous ranked probability score with limited information, eq. 9.

    Examples
    --------
    >>> members, y = np.array([[1.0, 2.0, 3.0]]), np.array([2.5])
    >>> round(crps_ensemble(members, y).item(), 9), round(crps_ensemble(members, y, fair=False).item(), 9)
    (0.166666667, 0.388888889)
    """
    count = _checked(members, y, 2, fair)
    pairs = _pairs(count, fair)
    weights = (2 * np.arange(count) + 1 - count) / pairs  # of the k-th smallest in half the sum of all distances
    truths, scores = np.asarray(y, np.float64), np.empty(len(y))
    rows = max(1, SORTED_AT_ONCE // count)
    for start in range(0, len(y), rows):
        block = slice(start, start + rows)
        if members.dtype == np.float32 or count < LARGE:
            rising, centres, scales = _copied(members[block]), truths[block], np.ones(len(truths[block]))
        else:
            rising, scales = _single_misses(members[block], truths[block])
            centres = np.zeros(len(scales))
        rising.sort(axis=1)
        _score_sorted(rising, centres, weights, scores[block])
        scores[block] *= scales
    return scores


def energy_score(members: Members, y: Members, *, fair: bool = True) -> Floats:
    """Return the energy score: the CRPS with Euclidean distances between vectors.

    It judges all variables together, and one with a wide spread outweighs the others: scale them first.

    Parameters
    ----------
    members
        Shape ``(n, m, d)``: m joint members of d variables. Sums are float64 whatever the type.
    y
        Truth, shape ``(n, d)``. NaN or infinity in a forecast gives NaN for that forecast.
    fair
        As for :func:`crps_ensemble`.

    Returns
    -------
    array
        Shape ``(n,)``. Exact to 1e-13 of the ensemble's spread, or 1e-7 where ``m² d`` is at least 2²⁴.

    Raises
    ------
    ValueError
        As for :func:`crps_ensemble`.

    References
    ----------
    Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation, eq. 22.

    Examples
    --------
    >>> members, y = np.array([[[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]]), np.array([[1.0, 0.0]])
    >>> round(energy_score(members, y, fair=False).item(), 9)
    0.463508097
    """
    pairs = _pairs(_checked(members, y, 3, fair), fair)
    misses, sums = distances_within(members, y)
    return misses - sums / pairs


def variogram_score(members: Members, y: Members, weights: Floats | None = None) -> Floats:
    """Return the variogram score of order 1/2, which sees wrong dependence between variables that others miss.

    For every two variables it squares the miss in the root of their distance; a bias that all share goes unseen.

    Parameters
    ----------
    members
        Shape ``(n, m, d)``: m joint members of d variables in one unit. Sums are float64 whatever the type.
    y
        Truth, shape ``(n, d)``. NaN or infinity in a forecast gives NaN for that forecast.
    weights
        Of two variables, shape ``(d, d)``, at least 0; all 1 where not given. Each two are counted both ways.

    Returns
    -------
    array
        Shape ``(n,)``, unit of ``y``, at least 0; 0 for one variable.

    Raises
    ------
    ValueError
        The shapes do not match, or there is no member.

    References
    ----------
    Scheuerer and Hamill (2015), Variogram-based proper scoring rules for probabilistic forecasts of multivariate
    quantities, eq. 3 with p = 1/2.

    Examples
    --------
    >>> variogram_score(np.array([[[0.0, 1.0], [0.0, 9.0]]]), np.array([[3.0, 4.0]])).item()
    2.0
    """
    _checked(members, y, 3, fair=False)
    variables = y.shape[1]
    weights = np.ones((variables, variables)) if weights is None else np.asarray(weights, np.float64)
    if weights.shape != (variables, variables):
        raise ValueError(f"weights must be of every two of {variables} variables; came shape {weights.shape}")
    scores = np.full(len(y), np.nan)
    for row in np.flatnonzero(np.isfinite(members).all(axis=(1, 2)) & np.isfinite(y).all(axis=1)):
        expected = _mean_root_distances(np.array(members[row].T, np.float64, order="C"))
        truth = y[row].astype(np.float64)
        missed = np.sqrt(np.abs(truth[:, None] - truth)) - expected
        scores[row] = (weights * np.square(missed)).sum()
    return scores


def _checked(members: Members, y: Members, dimensions: int, fair: bool) -> int:
    """Return how many members there are."""
    if members.ndim != dimensions or members.shape[:1] + members.shape[2:] != y.shape:
        expected = "(n, m) and (n,)" if dimensions == 2 else "(n, m, d) and (n, d)"
        raise ValueError(f"members and truth must have shapes {expected}; came {members.shape} and {y.shape}")
    if members.shape[1] < 1 + fair:
        score = "a fair score" if fair else "a score"
        raise ValueError(f"{score} needs at least {1 + fair} members; came {members.shape[1]}")
    return int(members.shape[1])


def _copied(members: Members) -> Members:
    if members.dtype == np.float32:
        return np.array(members, np.float32, order="C")
    return np.array(members, np.float64, order="C")


def _single_misses(members: Members, y: Floats) -> tuple[Members, Floats]:
    """Return misses in single precision, which sort in half the time, as shares of the largest, and the largest."""
    with np.errstate(invalid="ignore"):  # infinity gives NaN, as it should
        misses = np.asarray(members - y[:, None], np.float64)
        largest = np.maximum(misses.max(axis=1), -misses.min(axis=1))
        largest[largest == 0] = 1.0
        np.divide(misses, largest[:, None], out=misses)
    return misses.astype(np.float32, order="C"), largest


def _pairs(count: int, fair: bool) -> float:
    return float(count) * (count - 1 if fair else count)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add(sums: Floats, rising: Members, y: float, weights: Floats, share: float) -> None:
    """Add what up to LANES members contribute to as many sums; no addition waits for another."""
    for lane in range(len(rising)):
        miss = rising[lane] - y
        sums[lane] += abs(miss) * share - weights[lane] * miss


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _folded(sums: Floats) -> float:
    """Return the total of running sums, which are overwritten."""
    width = LANES
    while width > 1:
        width //= 2
        for lane in range(width):
            sums[lane] += sums[lane + width]
    return sums[0]  # type: ignore[no-any-return]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _score_sorted(rising: Members, y: Floats, weights: Floats, scores: Floats) -> None:
    """Fill in the CRPS of rows of sorted members, NaN last."""
    count = rising.shape[1]
    sums = np.empty(LANES)
    for row in range(len(y)):
        sums[:] = 0.0
        for start in range(0, count, LANES):
            end = min(start + LANES, count)
            _add(sums, rising[row, start:end], y[row], weights[start:end], 1.0 / count)
        total = _folded(sums)
        known = np.isfinite(y[row]) and np.isfinite(rising[row, 0]) and np.isfinite(rising[row, count - 1])
        scores[row] = total if known else np.nan


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_roots(one: Floats, other: Floats, sums: Floats) -> None:
    for lane in range(len(one)):
        sums[lane] += np.sqrt(abs(one[lane] - other[lane]))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _mean_root_distances(series: Floats) -> Floats:
    """Return the mean root of the distance of every two variables, shape ``(d, d)``, of series ``(d, m)``."""
    variables, count = series.shape
    means, sums = np.zeros((variables, variables)), np.empty(LANES)
    for one in range(variables):
        for other in range(one + 1, variables):
            sums[:] = 0.0
            for start in range(0, count, LANES):
                end = min(start + LANES, count)
                _add_roots(series[one, start:end], series[other, start:end], sums)
            means[one, other] = means[other, one] = _folded(sums) / count
    return means
