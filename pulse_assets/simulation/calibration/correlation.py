"""Correlation matrices: repaired if they are none, checked, and factored for simulation.

What belongs here: matrices. They are estimated in ``shrinkage``; the path loop has its own product with the factor.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit

from pulse_assets.simulation.world import PSD_TOLERANCE, Floats

SMALLEST_EIGENVALUE = 1e-6
"""Of a repaired matrix: far above rounding in float32, far below what data tell."""
REPAIR_STEPS, REPAIR_TOLERANCE = 200, 1e-9
SMALLEST_PIVOT = 1e-10
"""What is left of a variable's variance, below which it counts as a combination of those before it."""
FACTOR_TOLERANCE = 1e-4


def nearest_correlation(matrix: Floats) -> Floats:
    """Return the correlation matrix nearest to a symmetric one, in the Frobenius norm, kept off the singular ones.

    Alternating projections on positive semi-definite matrices and on those with unit diagonal, with Dykstra's
    correction. A matrix that is positive definite already comes back as it is.

    Parameters
    ----------
    matrix
        Symmetric with unit diagonal, shape ``(V, V)``.

    Returns
    -------
    array
        Shape ``(V, V)``, smallest eigenvalue about 1e-6 or more.

    Raises
    ------
    ValueError
        The matrix is not square or not finite.

    References
    ----------
    Higham (2002), Computing the nearest correlation matrix: a problem from finance, algorithm 3.3.

    Examples
    --------
    >>> tridiagonal = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    >>> nearest_correlation(tridiagonal).round(4)[0].tolist()
    [1.0, 0.7607, 0.1573]
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(f"expected a finite square matrix, got shape {matrix.shape}: fill what is missing with 0")
    near = np.array((matrix + matrix.T) / 2, np.float64)
    np.fill_diagonal(near, 1.0)
    if _factor(near - SMALLEST_EIGENVALUE * np.eye(len(near)), np.zeros_like(near)) > 0:
        return near
    correction = np.zeros_like(near)
    for _ in range(REPAIR_STEPS):
        start = near - correction
        inside = _clipped(start, 0.0)
        correction = inside - start
        near = inside.copy()
        np.fill_diagonal(near, 1.0)
        if np.linalg.norm(near - inside) <= REPAIR_TOLERANCE * np.linalg.norm(near):
            break
    return _with_unit_diagonal(_clipped(near, SMALLEST_EIGENVALUE))


def check_correlation(matrix: Floats, names: Sequence[str]) -> None:
    """Refuse a matrix that is no correlation matrix.

    Parameters
    ----------
    matrix
        Shape ``(V, V)``.
    names
        Of the variables, for messages, shape ``(V,)``.

    Raises
    ------
    ValueError
        Wrong shape, not finite, not symmetric, a diagonal other than 1, or an eigenvalue below -1e-8; the message names
        the variables.
    """
    count = len(names)
    if matrix.shape != (count, count):
        raise ValueError(f"correlation: expected shape ({count}, {count}), got {matrix.shape}: give every variable one")
    wrong = ~np.isfinite(matrix) | (np.abs(matrix - matrix.T) > PSD_TOLERANCE)
    wrong |= np.abs(matrix - np.where(np.eye(count, dtype=bool), 1.0, matrix)) > PSD_TOLERANCE
    if wrong.any():
        i, j = (int(place) for place in np.argwhere(wrong)[0])
        raise ValueError(
            f"correlation of {names[i]} and {names[j]}: expected finite, symmetric, 1 on the diagonal, got "
            f"{matrix[i, j]} and {matrix[j, i]}: correct the matrix"
        )
    if _factor(np.ascontiguousarray(matrix), np.zeros_like(matrix)) > SMALLEST_PIVOT:
        return
    values, vectors = np.linalg.eigh(matrix)
    if values[0] < -PSD_TOLERANCE:
        first, second = np.argsort(-np.abs(vectors[:, 0]), kind="stable")[:2]
        raise ValueError(
            f"correlation: expected no eigenvalue below 0, got {values[0]:.3g}, mostly of {names[first]} and "
            f"{names[second]}: repair it with nearest_correlation()"
        )


def cholesky_of(correlation: Floats) -> Floats:
    """Return the lower triangle L with ``L Lᵀ`` the correlation, also of a singular one.

    Sums are in a fixed order, so that processors agree on every bit; LAPACK's do not. A variable that is a combination
    of those before it gets 0 on the diagonal and nothing else below: no ridge is added.

    Parameters
    ----------
    correlation
        Shape ``(V, V)``.

    Returns
    -------
    array
        float64, shape ``(V, V)``.

    Raises
    ------
    ValueError
        It is no correlation matrix; the message gives the eigenvalue.

    Examples
    --------
    >>> cholesky_of(np.array([[1.0, 0.6], [0.6, 1.0]])).tolist()
    [[1.0, 0.0], [0.6, 0.8]]
    >>> cholesky_of(np.ones((2, 2))).tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """
    matrix = np.ascontiguousarray(correlation, np.float64)
    check_correlation(matrix, [str(i) for i in range(len(matrix))])
    lower = np.zeros_like(matrix)
    _factor(matrix, lower)
    worst = float(np.abs(lower @ lower.T - matrix).max(initial=0.0))
    if worst > FACTOR_TOLERANCE:
        raise ValueError(f"correlation: its factor is off by {worst:.3g}: repair it with nearest_correlation()")
    return lower


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _factor(matrix: Floats, lower: Floats) -> float:
    """Fill the lower triangle, skipping columns without variance of their own; return the smallest pivot."""
    smallest = np.inf
    for j in range(len(matrix)):
        pivot = matrix[j, j]
        for k in range(j):
            pivot -= lower[j, k] * lower[j, k]
        smallest = min(smallest, pivot)
        if pivot < SMALLEST_PIVOT:
            continue
        root = np.sqrt(pivot)
        lower[j, j] = root
        for i in range(j + 1, len(matrix)):
            total = matrix[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            lower[i, j] = total / root
    return smallest


def _clipped(matrix: Floats, floor: float) -> Floats:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, floor)) @ vectors.T)


def _with_unit_diagonal(matrix: Floats) -> Floats:
    scale = np.sqrt(np.diag(matrix))
    found = matrix / np.outer(scale, scale)
    np.fill_diagonal(found, 1.0)
    return np.asarray((found + found.T) / 2)
