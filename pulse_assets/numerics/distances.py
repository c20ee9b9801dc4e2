"""Distances between all members of an ensemble of vectors, and from them to the truth.

What belongs here: their sums and how they are made fast. What is scored with them is in ``ensemble``.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.numerics.threads import one_thread

Floats = npt.NDArray[np.float64]
Members: TypeAlias = npt.NDArray[np.float32] | Floats

TILE = 200
"""Vectors a side of a block of distances, few enough to stay in cache."""
NEAR = 0.01
"""Pairs whose squared distance is below this share of their squared lengths: single precision would show in those."""
LARGE = 2**24
"""Multiplications from which products are made in single precision, which halves their cost."""


def distances_within(members: Members, y: Members) -> tuple[Floats, Floats]:
    """Return how far members lie from the truth on average, and the sum of the distances between every two of them.

    A squared distance is ``|a|² + |b|² - 2ab``, where the products of all members are one matrix product, made around
    their mean and for large ensembles in float32; members near each other are measured directly in float64. A sum is
    exact to 1e-13 of itself, and of a large ensemble to about 1e-7, 1e-9 unless its members lie in lumps far apart.
    It does not depend on threads.

    Parameters
    ----------
    members
        Shape ``(n, m, d)``, m at least 1.
    y
        Shape ``(n, d)``. NaN or infinity in a forecast gives NaN for that forecast.

    Returns
    -------
    misses, sums
        Shapes ``(n,)``, at least 0. Each two members count once.

    Examples
    --------
    >>> distances_within(np.array([[[0.0, 0.0], [6.0, 8.0]]]), np.array([[3.0, 4.0]]))
    (array([5.]), array([10.]))
    """
    _, count, variables = members.shape
    precision = np.dtype(np.float32 if count * count * variables >= LARGE else np.float64)
    centred, rounded = np.empty((count, variables)), np.empty((count, variables), precision)
    space = np.empty(TILE * TILE, precision)
    misses, sums = np.full(len(y), np.nan), np.full(len(y), np.nan)
    with one_thread():
        for row in np.flatnonzero(np.isfinite(members).all(axis=(1, 2)) & np.isfinite(y).all(axis=1)):
            centre = members[row].mean(axis=0, dtype=np.float64)
            np.subtract(members[row], centre, out=centred)
            scale = max(-float(centred.min(initial=0.0)), float(centred.max(initial=0.0))) or 1.0
            np.divide(centred, scale, out=centred)
            rounded[:] = centred
            misses[row] = _mean_distance(centred, (y[row] - centre) / scale) * scale
            sums[row] = _sum_of_distances(centred, rounded, space) * scale
    return misses, sums


def _sum_of_distances(centred: Floats, rounded: Members, space: Members) -> float:
    squares, sums = _squares(rounded), np.zeros(TILE)
    for row in range(0, len(centred), TILE):
        left = rounded[row : row + TILE]
        for column in range(row, len(centred), TILE):
            right = rounded[column : column + TILE]
            products = space[: len(left) * len(right)].reshape(len(left), len(right))
            np.matmul(left, right.T, out=products)
            _add_distances(products, centred, squares, row, column, sums)
    return float(sums.sum())


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _distance(one: Floats, other: Floats) -> float:
    square = 0.0
    for variable in range(len(one)):
        gap = one[variable] - other[variable]
        square += gap * gap
    return np.sqrt(square)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _mean_distance(vectors: Floats, one: Floats) -> float:
    total = 0.0
    for place in range(len(vectors)):
        total += _distance(vectors[place], one)
    return total / len(vectors)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _squares(vectors: Members) -> Floats:
    """Return squared lengths of the rounded vectors, so that they match the products."""
    found = np.zeros(len(vectors))
    for place in range(len(vectors)):
        for variable in range(vectors.shape[1]):
            found[place] += np.float64(vectors[place, variable]) * np.float64(vectors[place, variable])
    return found


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_far(products: Members, length: float, squares: Floats, sums: Floats) -> int:
    """Add a vector's distances from others that are not near it; return how many are."""
    near = 0
    for other in range(len(products)):
        both = length + squares[other]
        square = both - 2.0 * products[other]
        far = square > NEAR * both
        sums[other] += np.sqrt(square if far else 0.0)
        near += not far
    return near


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_distances(products: Members, vectors: Floats, squares: Floats, row: int, column: int, sums: Floats) -> None:
    """Add a block of distances to as many sums as it has columns; of a block on the diagonal its upper half."""
    rows, columns = products.shape
    for one in range(rows):
        skipped = one + 1 if row == column else 0
        first, length = column + skipped, squares[row + one]
        if _add_far(products[one, skipped:], length, squares[first : column + columns], sums[skipped:columns]) == 0:
            continue
        for place in range(skipped, columns):
            both = length + squares[column + place]
            if not both - 2.0 * products[one, place] > NEAR * both:
                sums[place] += _distance(vectors[row + one], vectors[column + place])
