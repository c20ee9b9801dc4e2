"""Correlations under stress: blended within a group towards a number or a matrix.

What belongs here: what shocks make of the world's matrix, and which steps are driven by which result.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pulse_assets.simulation.scenarios.shock_model import Correlation
from pulse_assets.simulation.scenarios.shocks import Ints
from pulse_assets.simulation.world import PSD_TOLERANCE, Floats, World

GROUP_OF = {"assets": "asset", "macro": "macro", "overlay": "overlay"}


class Stress(NamedTuple):
    """One correlation shock, the variables of its group that the world has, and where it is written."""

    shock: Correlation
    names: list[str]
    where: str


def names_meant(shock: Correlation, world: World) -> list[str]:
    """Return the names that a correlation shock is about; those listed may be missing in the world."""
    if not isinstance(shock.variables, str):
        return shock.variables
    return [v.name for v in world.variables if shock.variables == "all" or v.group == GROUP_OF[shock.variables]]


def stressed_correlation(
    correlation: Floats, shock: Correlation, names: Sequence[str], world: World
) -> tuple[Floats, float]:
    """Return a correlation matrix after a shock.

    Correlations with variables outside the group stay, as far as the result is positive semi-definite; where it is not,
    the nearest correlation matrix (Higham 2002) takes its place.

    Parameters
    ----------
    correlation
        Before, shape ``(V, V)``.
    shock
        Target, share and whether to repair.
    names
        The group, as far as the world has it, at least two.
    world
        The variables.

    Returns
    -------
    tuple
        The matrix, shape ``(V, V)``, and the largest change of an entry by the repair, 0 without one.

    Raises
    ------
    ValueError
        The target is no correlation matrix, or the result is none and must not be repaired; the message names
        variables and the eigenvalue.
    """
    from pulse_assets.simulation.calibration.correlation import check_correlation, nearest_correlation  # brings numba

    places = np.array([world.index(name) for name in names])
    inside = np.ix_(places, places)
    target = _target(shock, names)
    check_correlation(target, names)
    blended = correlation.copy()
    blended[inside] = (1 - shock.blend) * correlation[inside] + shock.blend * target
    smallest = float(np.linalg.eigvalsh(blended)[0])
    if smallest >= -PSD_TOLERANCE:
        return blended, 0.0
    if not shock.repair:
        raise ValueError(
            f"correlations of {', '.join(names)} so blended contradict those with other variables (eigenvalue "
            f"{smallest:.3g}): lower the blend, name all variables, or set repair: true"
        )
    repaired = nearest_correlation(blended)
    return repaired, float(np.abs(repaired - blended).max())


def phases(stresses: Sequence[Stress], world: World, steps: int) -> tuple[Ints, tuple[Floats, ...], list[str]]:
    """Return which correlation drives each step: one for each set of stresses that meet.

    Parameters
    ----------
    stresses
        In order; where two meet, the later one acts on what the earlier one left.
    world
        Its V variables and their correlation.
    steps
        Length of the run.

    Returns
    -------
    tuple
        Number of the correlation of each step, shape ``(steps,)``; the correlations, each of shape ``(V, V)`` and the
        world's own first; and remarks about repairs.

    Raises
    ------
    ValueError
        As :func:`stressed_correlation`, with the place in the file.
    """
    phase, remarks = np.zeros(steps, np.int64), list[str]()
    correlations = [np.array(world.correlation, np.float64)]
    seen: dict[tuple[int, ...], int] = {(): 0}
    for t in range(steps):
        active = tuple(i for i, s in enumerate(stresses) if s.shock.first <= t + 1 <= (s.shock.until or steps))
        if active not in seen:
            seen[active] = len(correlations)
            correlations.append(_stressed([stresses[i] for i in active], world, remarks))
        phase[t] = seen[active]
    return phase, tuple(correlations), list(dict.fromkeys(remarks))


def _stressed(stresses: Sequence[Stress], world: World, remarks: list[str]) -> Floats:
    correlation = np.array(world.correlation, np.float64)
    for shock, names, where in stresses:
        try:
            correlation, off = stressed_correlation(correlation, shock, names, world)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        if off:
            remarks.append(f"{where}: made positive semi-definite, which changed correlations by up to {off:.3f}")
    return correlation


def _target(shock: Correlation, names: Sequence[str]) -> Floats:
    if isinstance(shock.toward, list):
        assert not isinstance(shock.variables, str)
        rows = [shock.variables.index(name) for name in names]
        return np.array(shock.toward, np.float64)[np.ix_(rows, rows)]
    target = np.full((len(names), len(names)), shock.toward, np.float64)
    np.fill_diagonal(target, 1.0)
    return target
