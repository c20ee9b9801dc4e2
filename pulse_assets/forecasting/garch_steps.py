"""Steps of the search for the most likely parameters: quasi-Newton, within linear bounds, as compiled code.

What belongs here: small linear algebra on parameters. What a step gains is found in ``garch_search``.
"""

import math

import numpy as np
from numba import njit

from pulse_assets.forecasting.garch_likelihood import ALPHA, BETA, ETA, GAMMA, OMEGA, PARAMETERS, Floats, Ints

SMALLEST_OMEGA, LARGEST_PERSISTENCE = 1e-8, 1 - 1e-6
LIGHTEST, HEAVIEST = 1 / 500, 1 / 2.05
BOUNDS: Floats = np.array(
    [
        [0, 1, 0, 0, 0, 0, SMALLEST_OMEGA],
        [0, 0, 1, 0, 0, 0, 0],
        [0, 0, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, -1, -0.5, -1, 0, -LARGEST_PERSISTENCE],
        [0, 0, 0, 0, 0, 1, LIGHTEST],
        [0, 0, 0, 0, 0, -1, -HEAVIEST],
    ]
)
"""Linear constraints on the parameters of a series of unit variance: weights, then the least weighted sum."""
ROWS = len(BOUNDS)
PIVOTS, NEGLIGIBLE = 100, 1e-9


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def invert(matrix: Floats, free: Ints, inverse: Floats) -> None:
    """Invert the free rows and columns of a positive definite matrix by sweeping; the others get zeros."""
    inverse[:] = 0.0
    for i in free:
        for j in free:
            inverse[i, j] = -matrix[i, j]
    for k in free:
        pivot = 1 / inverse[k, k]
        for i in free:
            for j in free:
                if i != k and j != k:
                    inverse[i, j] -= inverse[i, k] * inverse[k, j] * pivot
        for i in free:
            inverse[i, k] *= pivot
            inverse[k, i] = inverse[i, k]
        inverse[k, k] = -pivot


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def bounded_step(theta: Floats, gradient: Floats, inverse: Floats, step: Floats) -> float:
    """Fill the step to the best point of the local quadratic model within the bounds; return the gain it promises.

    Parameters
    ----------
    theta, gradient
        Parameters within the bounds and the likelihood's gradient there, shape ``(6,)``.
    inverse
        Inverse of the likelihood's negative curvature, positive definite but for zero rows and columns of fixed
        parameters, shape ``(6, 6)``.
    step
        Filled, shape ``(6,)``.
    """
    along = np.zeros((ROWS, PARAMETERS))
    step[:] = 0.0
    for i in range(PARAMETERS):
        for j in range(PARAMETERS):
            step[i] += inverse[i, j] * gradient[j]
            for row in range(ROWS):
                along[row, i] += inverse[i, j] * BOUNDS[row, j]
    _push_inside(theta, along, step)
    gain = 0.0
    for i in range(PARAMETERS):
        gain += gradient[i] * step[i]
    return gain


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _push_inside(theta: Floats, along: Floats, step: Floats) -> None:
    """Change an unbounded step into the bounded problem's by pushing from bounds, each along its row of ``along``.

    The pushes solve a linear complementarity problem: a bound has room or pushes. Pivoting on the first one that does
    neither ends at the solution (Murty 1974). Rows are scaled to unit stiffness, so that one tolerance serves.
    """
    table, unit, pushes = np.zeros((ROWS, ROWS + 1)), np.zeros(ROWS), np.zeros(ROWS, np.bool_)
    if not _fill_table(theta, along, step, table, unit):
        return
    for _ in range(PIVOTS):
        first = 0
        while first < ROWS and not (table[first, ROWS] < -NEGLIGIBLE and table[first, first] > NEGLIGIBLE):
            first += 1
        if first == ROWS:
            break
        _exchange(table, first)
        pushes[first] = not pushes[first]
    for row in range(ROWS):
        if pushes[row]:
            for i in range(PARAMETERS):
                step[i] += along[row, i] * table[row, ROWS] / unit[row]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _fill_table(theta: Floats, along: Floats, step: Floats, table: Floats, unit: Floats) -> bool:
    """Fill how much room each bound leaves and how pushes change it; return whether a step breaks any bound."""
    is_outside = False
    for row in range(ROWS):
        room, stiffness = -BOUNDS[row, PARAMETERS], 0.0
        for i in range(PARAMETERS):
            room += BOUNDS[row, i] * (theta[i] + step[i])
            stiffness += BOUNDS[row, i] * along[row, i]
        if stiffness > 0:
            unit[row] = math.sqrt(stiffness)
            table[row, ROWS] = room / unit[row]
            is_outside |= table[row, ROWS] < -NEGLIGIBLE
    if is_outside:
        for row in range(ROWS):
            for other in range(ROWS):
                scale = unit[row] * unit[other]
                for i in range(PARAMETERS if scale > 0 else 0):
                    table[row, other] += BOUNDS[row, i] * along[other, i] / scale
    return is_outside


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _exchange(table: Floats, pivot: int) -> None:
    """Let room and push of one bound change places in ``room = table[:, -1] + table[:, :-1] @ push``."""
    scale = 1 / table[pivot, pivot]
    for row in range(ROWS):
        factor = table[row, pivot] * scale
        if row != pivot:
            for column in range(ROWS + 1):
                table[row, column] -= factor * table[pivot, column]
            table[row, pivot] = factor
    for column in range(ROWS + 1):
        table[pivot, column] *= -scale
    table[pivot, pivot] = scale


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def move(theta: Floats, step: Floats, length: float, trial: Floats) -> None:
    """Fill the point a part of a step away, put back inside the bounds where rounding carried it out."""
    for i in range(PARAMETERS):
        trial[i] = theta[i] + length * step[i]
    trial[OMEGA] = max(trial[OMEGA], SMALLEST_OMEGA)
    trial[ALPHA] = max(trial[ALPHA], 0.0)
    trial[GAMMA] = max(trial[GAMMA], -trial[ALPHA])
    shock = trial[ALPHA] + 0.5 * trial[GAMMA]
    if shock > LARGEST_PERSISTENCE:
        trial[ALPHA] *= LARGEST_PERSISTENCE / shock
        trial[GAMMA] *= LARGEST_PERSISTENCE / shock
    trial[BETA] = max(min(trial[BETA], LARGEST_PERSISTENCE - shock), 0.0)
    if theta[ETA] > 0.0:
        trial[ETA] = min(max(trial[ETA], LIGHTEST), HEAVIEST)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def learn(inverse: Floats, step: Floats, fall: Floats) -> None:
    """Update the inverse curvature by what a step did to the gradient (Broyden, Fletcher, Goldfarb, Shanno 1970)."""
    turned = np.zeros(PARAMETERS)
    curvature = stretch = 0.0
    for i in range(PARAMETERS):
        for j in range(PARAMETERS):
            turned[i] += inverse[i, j] * fall[j]
        curvature += step[i] * fall[i]
        stretch += turned[i] * fall[i]
    if curvature <= 1e-12:
        return
    scale = (1 + stretch / curvature) / curvature
    for i in range(PARAMETERS):
        for j in range(PARAMETERS):
            inverse[i, j] += scale * step[i] * step[j] - (turned[i] * step[j] + step[i] * turned[j]) / curvature
