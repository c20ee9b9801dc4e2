"""Kinds of shock as moves of single variables on their scales.

What belongs here: arithmetic from one parsed shock to moves. Which variables exist was checked before.
"""

from collections.abc import Sequence

import numpy as np

from pulse_assets.simulation.scenarios.amounts import Amount, check_unit, factor_of, moved, placed
from pulse_assets.simulation.scenarios.shock_model import Add, Multiply, Path, Replay
from pulse_assets.simulation.scenarios.shocks import Move, origin_states
from pulse_assets.simulation.world import Floats, Variable, World, level_of, state_of


def push_moves(shock: Add | Multiply, names: Sequence[str], world: World, steps: int) -> list[Move]:
    """Return an even change of some variables.

    An asset and a factor on a log scale take equal shares of the logarithm of a factor; a linear factor takes shares of
    the change of its level at the origin. What is added to a factor on a log scale raises its level evenly, as seen
    from the origin.

    Parameters
    ----------
    shock
        The change.
    names
        Which variables take it.
    world, steps
        Where and for how long.

    Raises
    ------
    ValueError
        The unit does not fit, or the level would leave its bounds.
    """
    moves = []
    for name in names:
        index = world.index(name)
        variable, origin = world.variables[index], float(origin_states(world)[index])
        check_unit(variable, shock.unit)
        rise = _rise(shock, variable, origin)
        moves.append(Move(index, shock.first - 1, 1.0, _held(rise, index, world, shock, steps)))
    return moves


def path_moves(shock: Path, world: World) -> list[Move]:
    """Return the moves along given levels.

    Raises
    ------
    ValueError
        The unit does not fit, or a level is out of bounds; the message gives its number.
    """
    index = world.index(shock.variable)
    variable, origin = world.variables[index], float(origin_states(world)[index])
    check_unit(variable, shock.unit)
    states = np.array([_level(variable, origin, level, i) for i, level in enumerate(shock.levels)])
    if shock.mode == "strict":
        return [Move(index, shock.first - 1, 0.0, states)]
    return [Move(index, shock.first - 1, 1.0, np.diff(states, prepend=origin))]


def replay_moves(shock: Replay, names: Sequence[str], changes: Floats, world: World) -> list[Move]:
    """Return the changes of the past as moves.

    Parameters
    ----------
    shock
        Mode and first step.
    names
        What is replayed.
    changes
        Of every variable on its scale in each step of the window, shape ``(T, V)``; finite for those replayed.
    world
        The variables.

    Raises
    ------
    ValueError
        A factor would leave its bounds, seen from its level at the origin.
    """
    moves = []
    for name in names:
        index = world.index(name)
        variable, steps = world.variables[index], changes[:, index]
        states = origin_states(world)[index] + np.cumsum(steps)
        if variable.group != "asset":
            _check_replayed(variable, states)
        strict = shock.mode == "strict"
        moves.append(Move(index, shock.first - 1, 0.0 if strict else 1.0, states if strict else steps.copy()))
    return moves


def changes_of(world: World, levels: Floats) -> Floats:
    """Return the changes of levels on their variables' scales: what a replay is made of.

    Parameters
    ----------
    world
        Its V variables.
    levels
        Prices of assets and levels of factors, oldest first, shape ``(T + 1, V)``; NaN where there is none.

    Returns
    -------
    array
        Shape ``(T, V)``; NaN where either level is NaN, or one that needs a logarithm is not positive.
    """
    log = np.array([each.group == "asset" or each.scale == "log" for each in world.variables])
    with np.errstate(divide="ignore", invalid="ignore"):
        states = np.where(log, np.log(levels), levels)
        changes = np.diff(states, axis=0)
    return np.where(np.isfinite(changes), changes, np.nan)


def _rise(shock: Add | Multiply, variable: Variable, origin: float) -> Floats:
    """Displacement at the end of each step of the window, shape ``(over,)``."""
    shares = np.arange(1, shock.over + 1) / shock.over
    if isinstance(shock, Multiply):
        factor = factor_of(shock.by)
        change = moved(variable, origin, Amount((factor - 1) * 100, "%"))
        is_log = variable.group == "asset" or variable.scale == "log"
        return np.asarray(shares * (np.log(factor) if is_log else change))
    if variable.group == "asset" or variable.scale == "linear":
        return np.asarray(shares * moved(variable, origin, shock.by))
    end = float(level_of(variable, origin + moved(variable, origin, shock.by)))
    level = float(level_of(variable, origin))
    return np.asarray(state_of(variable, level + shares * (end - level)) - origin)


def _held(rise: Floats, index: int, world: World, shock: Add | Multiply, steps: int) -> Floats:
    """Turn displacements into what is added a step, against a factor's own pull back where they are to stay."""
    factor = index - len(world.assets)
    if not shock.hold or factor < 0:
        return np.diff(rise, prepend=0.0)
    left = max(steps - (shock.first - 1), 0)
    target = np.concatenate([rise, np.full(max(left - len(rise), 0), rise[-1])])
    return np.asarray(target - world.phi[factor] * np.concatenate([[0.0], target[:-1]]))


def _level(variable: Variable, origin: float, level: Amount, i: int) -> float:
    try:
        return placed(variable, origin, level)
    except ValueError as error:
        raise ValueError(f"level {i + 1}: {error}") from error


def _check_replayed(variable: Variable, states: Floats) -> None:
    for state in (states.min(initial=np.inf), states.max(initial=-np.inf)):
        if np.isfinite(state):
            level = float(level_of(variable, state))
            if not variable.low <= level <= variable.high:
                raise ValueError(
                    f"{variable.name} would be replayed to {level:g} {variable.unit}, outside its bounds "
                    f"{variable.low:g} to {variable.high:g}: list the variables to replay without it"
                )
