"""Compiled passes over pairs of ordered samples: distances in one merge, bins by bisection, autocorrelation. Pure.

Nothing here decides anything; :mod:`.distributions` lays samples out and :mod:`.distributions_significance` judges.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def finite_span(ordered: Floats) -> tuple[int, int]:
    """Return where the finite values of a row begin and end; it is ordered, with NaN last as numpy sorts."""
    low, high = 0, len(ordered)
    while high > 0 and not ordered[high - 1] < math.inf:
        high -= 1
    while low < high and not ordered[low] > -math.inf:
        low += 1
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def distances(x: Floats, y: Floats) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov and the Wasserstein-1 distance of two ordered, finite, non-empty samples.

    One merge visits every value of both. Between two neighbours the distribution functions are flat, so the largest
    of their differences is one distance, and differences times gaps sum up to the other. A gap of 0 is the inside of
    a tie, where the functions have no value.

    Parameters
    ----------
    x, y
        Shapes ``(n,)`` and ``(m,)``.

    References
    ----------
    Vallender (1974), Calculation of the Wasserstein distance between probability distributions on the line.
    """
    n, m = len(x), len(y)
    i, j, largest, area = 0, 0, 0.0, 0.0
    before = min(x[0], y[0])
    while i < n and j < m:
        a, b = x[i], y[j]
        value = min(a, b)
        gap = value - before
        apart = abs(i / n - j / m)
        area += apart * gap
        largest = max(largest, apart) if gap > 0 else largest
        before = value
        i += a <= b  # no branch: which is the smaller is a toss-up, which a processor cannot foresee
        j += b <= a
    rest, at = (x, i) if i < n else (y, j)
    for place in range(at, len(rest)):
        gap = rest[place] - before
        apart = 1.0 - place / len(rest)
        area += apart * gap
        largest = max(largest, apart) if gap > 0 else largest
        before = rest[place]
    return largest, area


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def stability_index(reference: Ints, recent: Ints) -> float:
    r"""Return the population stability index of counts in the same bins, :math:`\sum (q - p) \ln (q / p)`.

    Parameters
    ----------
    reference, recent
        Observations in each bin, shape ``(B,)``. A bin that only one has seen counts for half an observation in the
        other, as the logarithm of 0 would make one stray value everything; a bin that neither has seen, for nothing.

    Returns
    -------
    float
        NaN where either has no observations.

    Examples
    --------
    >>> round(stability_index(np.array([50, 50]), np.array([40, 60])), 10)
    0.0405465108
    """
    n, m = reference.sum(), recent.sum()
    if n == 0 or m == 0:
        return math.nan
    total = 0.0
    for place in range(len(reference)):
        if reference[place] > 0 or recent[place] > 0:
            p, q = max(reference[place], 0.5) / n, max(recent[place], 0.5) / m
            total += (q - p) * math.log(q / p)
    return total


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def quantile_counts(x: Floats, y: Floats, bins: int) -> tuple[Ints, Ints]:
    """Return the counts of two ordered samples in bins that hold equal shares of the first, shapes ``(bins,)``.

    Where the first repeats a value, neighbouring bins become one and the others stay empty.
    """
    n, m = len(x), len(y)
    of_x, of_y = np.zeros(bins, np.int64), np.zeros(bins, np.int64)
    low_x, low_y = 0, 0
    for place in range(bins):
        last = place == bins - 1
        edge = x[-1] if last else x[-(-n * (place + 1) // bins) - 1]
        high_x = n if last else np.searchsorted(x, edge, side="right")
        high_y = m if last else np.searchsorted(y, edge, side="right")
        of_x[place], of_y[place] = high_x - low_x, high_y - low_y
        low_x, low_y = high_x, high_y
    return of_x, of_y


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def autocorrelation(values: Floats) -> float:
    """Return the autocorrelation of neighbours that are both finite, 0 for a sample that never varies."""
    count, total = 0, 0.0
    for value in values:
        if math.isfinite(value):
            count += 1
            total += value
    if count == 0:
        return 0.0
    mean, square, product, before = total / count, 0.0, 0.0, math.nan
    for value in values:
        deviation = value - mean if math.isfinite(value) else math.nan
        if math.isfinite(deviation):
            square += deviation * deviation
            product += deviation * before if math.isfinite(before) else 0.0
        before = deviation
    return product / square if square > 0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def effective_sizes(rows: Floats, counts: Ints) -> Floats:
    """Return how many independent values the rows are worth, shape ``(S,)``: ``n (1 - r) / (1 + r)``, never above n.

    A negative r would promise more than was seen, on an estimate that is itself noise; it is taken as 0.

    References
    ----------
    Bayley and Hammersley (1946), The effective number of independent observations in an autocorrelated time series.
    """
    sizes = counts.astype(np.float64)
    for row in range(len(rows)):
        r = min(max(autocorrelation(rows[row]), 0.0), 1.0)
        sizes[row] *= (1 - r) / (1 + r)
    return sizes


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def compare_rows(x: Floats, y: Floats, bins: int, out: Floats) -> None:
    """Fill ``out``, shape ``(S, 6)``, from rows that are each in order, NaN last.

    Its columns: both counts of finite values, Kolmogorov-Smirnov, Wasserstein, stability index, bins that are not
    empty. Where either row has no finite value, all but the counts stay as they were.
    """
    for row in range(len(x)):
        low_x, high_x = finite_span(x[row])
        low_y, high_y = finite_span(y[row])
        out[row, 0], out[row, 1] = high_x - low_x, high_y - low_y
        if high_x == low_x or high_y == low_y:
            continue
        a, b = x[row, low_x:high_x], y[row, low_y:high_y]
        out[row, 2], out[row, 3] = distances(a, b)
        if bins:
            of_a, of_b = quantile_counts(a, b, bins)
            out[row, 4] = stability_index(of_a, of_b)
            out[row, 5] = ((of_a > 0) | (of_b > 0)).sum()
