"""What all other variables are expected to do when some are known to move.

What belongs here: conditional means of jointly normal variables and the moves made of them.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.scenarios.amounts import Amount, moved
from pulse_assets.simulation.scenarios.shock_model import Conditional
from pulse_assets.simulation.scenarios.shocks import Move, origin_states
from pulse_assets.simulation.world import Floats, World

LARGEST_CONDITION = 1e12
"""Of the correlation of what is given, beyond which moves cannot be given independently of each other."""


def conditional_moves(shock: Conditional, given: Mapping[str, Amount], world: World) -> list[Move]:
    """Return given moves and those of all other variables that are expected with them, evenly over the window.

    Moves are beyond what a variable does by itself, so nothing is expected of those that are given (m = 0 in
    :func:`conditional_mean`). The covariance is that of a step at the origin; only its ratios matter. Others stop at
    their bounds. Chance stays as it was.

    Parameters
    ----------
    shock
        The window.
    given
        Move of each variable that the world has.
    world
        Its variances and correlation.

    Raises
    ------
    ValueError
        A move does not fit its variable, or the given ones cannot move independently.
    """
    origin = origin_states(world)
    places = np.array([world.index(name) for name in given])
    sizes = np.array(
        [moved(world.variables[i], float(origin[i]), amount) for i, amount in zip(places, given.values(), strict=True)]
    )
    covariance = step_covariance(world)
    _check_independent(covariance[np.ix_(places, places)], list(given))
    moves = conditional_mean(places, sizes, np.zeros(len(origin)), covariance)
    low, high = _bounds(world)
    others = np.setdiff1d(np.arange(len(origin)), places)
    moves[others] = np.clip(origin + moves, low, high)[others] - origin[others]
    return [
        Move(i, shock.first - 1, 1.0, np.full(shock.over, moves[i] / shock.over))
        for i in range(len(origin))
        if moves[i] != 0 or i in places
    ]


def conditional_mean(given: npt.NDArray[np.int64], values: Floats, mean: Floats, covariance: Floats) -> Floats:
    """Return the mean of jointly normal variables when some are known: ``m_B + S_BA S_AA⁻¹ (a − m_A)``.

    Parameters
    ----------
    given
        Positions of those known, shape ``(A,)``.
    values
        What they are, shape ``(A,)``.
    mean, covariance
        Of all, shapes ``(V,)`` and ``(V, V)``; the known ones' part is not singular.

    Returns
    -------
    array
        Shape ``(V,)``; the known ones have their values.

    Examples
    --------
    >>> covariance = np.array([[4.0, 1.0], [1.0, 1.0]])
    >>> conditional_mean(np.array([0]), np.array([2.0]), np.zeros(2), covariance).tolist()
    [2.0, 0.5]
    """
    inner = covariance[np.ix_(given, given)]
    found = mean + covariance[:, given] @ np.linalg.solve(inner, values - mean[given])
    found[given] = values
    return np.asarray(found, np.float64)


def step_covariance(world: World) -> Floats:
    """Return the covariance of all variables' shocks in the first step, on their scales, shape ``(V, V)``.

    Regimes and jumps are left out.
    """
    deviation = np.concatenate([np.sqrt(world.variance), world.sigma])
    return np.asarray(world.correlation * np.outer(deviation, deviation), np.float64)


def _check_independent(covariance: Floats, names: list[str]) -> None:
    deviation = np.sqrt(np.diag(covariance))
    if not (deviation > 0).all():
        still = names[int(np.argmin(deviation))]
        raise ValueError(f"{still} never moves by chance, so nothing can be concluded from it: use kind add for it")
    if np.linalg.cond(covariance / np.outer(deviation, deviation)) > LARGEST_CONDITION:
        raise ValueError(f"{', '.join(names)} cannot move independently of one another: give fewer of them")


def _bounds(world: World) -> tuple[Floats, Floats]:
    ends = []
    for variable in world.variables:
        low, high = (-np.inf, np.inf) if variable.group == "asset" else (variable.low, variable.high)
        if variable.scale == "log" and variable.group != "asset":
            low, high = (np.log(low) if low > 0 else -np.inf), np.log(high)
        ends.append((low, high))
    low_states, high_states = np.array(ends, np.float64).reshape(-1, 2).T
    return low_states, high_states
